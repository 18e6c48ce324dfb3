// SPDX-License-Identifier: GPL-2.0
/*
 * race-zero-pageout: a table of zero pages is paged out while a page in it is written.
 *
 * Models: a service manager that pages out what has been idle, beside threads
 * that begin to use it.
 *
 * Shows: an entry that is cleared after somebody has put a page there, which the
 * writer finds empty; and one that is cleared without a flush, where a reader on
 * another CPU finds zeros after the write.
 *
 * Cannot show: pages that are really paged out (race-swap). On a kernel that
 * leaves zero pages alone MADV_PAGEOUT does nothing here, as there is no swap.
 */
#include "race.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static _Atomic unsigned int looked_at;	/* the page that readers map, before it is written */
static _Atomic uint64_t written;	/* generation * PTRS_PER_PTE + page; 0: nothing is promised */

static uint64_t *word(unsigned int page)
{
	return (uint64_t *)page_at(page);
}

static void write_page(struct worker *w)
{
	static uint64_t generation;
	unsigned int page = rnd(w, PTRS_PER_PTE), i, wait = rnd(w, 200);
	uint64_t value;

	w->doing = "dropping the table";
	written = 0;
	drop_run(0, PTRS_PER_PTE);
	looked_at = page;
	w->doing = "reading a page, then writing";
	for (i = 0; i <= wait; i++)
		if (load64(word(page)))
			race_error("page %u is not empty after MADV_DONTNEED", page);
	store64(word(page), ++generation);
	written = generation * PTRS_PER_PTE + page;
	for (i = 0; i < 200; i++) {
		value = load64(word(page));
		if (value != generation) {
			race_error("lost: page %u is %#llx, not %#llx", page,
				   (unsigned long long)value, (unsigned long long)generation);
			break;
		}
	}
}

static void read_page(struct worker *w)
{
	uint64_t promised, value;

	w->doing = "reading a page that another thread writes";
	load64(word(looked_at));
	promised = written;
	if (!promised)
		return;
	value = load64(word(promised % PTRS_PER_PTE));
	atomic_thread_fence(memory_order_acquire);
	/* It still is the promise: the next drop has not begun. */
	if (written == promised && value != promised / PTRS_PER_PTE)
		race_error("stale: page %u is %#llx here, and another thread wrote %#llx",
			   (unsigned int)(promised % PTRS_PER_PTE), (unsigned long long)value,
			   (unsigned long long)(promised / PTRS_PER_PTE));
}

static void page_out(struct worker *w)
{
	w->doing = "MADV_PAGEOUT";
	if (madvise(page_at(0), PMD_SIZE, MADV_PAGEOUT))
		race_error("madvise(MADV_PAGEOUT): %s", strerror(errno));
}

const struct race race = {
	.name = "zero-pageout",
	.flags = RACE_NO_OWNERS,
	.ranges = 1,
	.antagonists = { write_page, page_out, read_page, page_out },
};
