// SPDX-License-Identifier: GPL-2.0
/*
 * race-zero-pageout: tables of zero pages are paged out while pages in them are written.
 *
 * Models: a program that looks through memory it never wrote, or a service
 * manager that pages out what has been idle, beside threads that begin to use it.
 *
 * Shows: an entry of the zero page that is cleared without a flush, or not under
 * the lock: who still reads zeros, or clears what a writer has just put there,
 * loses data, as nobody has asked for any to be dropped.
 *
 * Cannot show: pages that are really paged out (race-swap). On a kernel that
 * leaves zero pages alone MADV_PAGEOUT does nothing here.
 */
#include "race.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/*
 * A table that holds a few zero pages and nothing else, and is paged out before
 * an owner writes into it, or just then.
 */
static void zeros_out(struct worker *w)
{
	unsigned int page = rnd(w, arena.size / PMD_SIZE) * PTRS_PER_PTE, i;

	w->doing = "dropping a table";
	drop_run(page, PTRS_PER_PTE);
	w->doing = "reading in an empty table";
	for (i = 0; i < 3; i++)
		page_look(w, page + rnd(w, PTRS_PER_PTE), get_by_load);
	w->doing = "MADV_PAGEOUT";
	if (madvise(page_at(page), PMD_SIZE, MADV_PAGEOUT))
		race_error("madvise(MADV_PAGEOUT): %s", strerror(errno));
	breathe(w);
}

/* Whatever the table holds, and a part of it. */
static void page_out(struct worker *w)
{
	w->doing = "MADV_PAGEOUT of a run";
	advise_run(w, MADV_PAGEOUT);
}

/* A loss shows at once or not at all: the next drop is near. */
static void write_and_look(struct worker *w, unsigned int page)
{
	int i;

	w->doing = "writing and looking";
	page_write(w, page, put_by_store);
	for (i = 0; i < 8; i++)
		page_check(w, page, get_by_load);
}

const struct race race = {
	.name = "zero-pageout",
	.flags = RACE_FEW_DROPS,
	.antagonists = { zeros_out, zeros_out, page_out, zeros_out },
	.own = write_and_look,
};
