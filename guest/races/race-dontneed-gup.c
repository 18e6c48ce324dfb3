// SPDX-License-Identifier: GPL-2.0
/*
 * race-dontneed-gup: MADV_DONTNEED against get_user_pages().
 *
 * Models: I/O from and into memory that other threads give back: O_DIRECT and
 * vmsplice and shared futexes (the lockless GUP-fast), process_vm_readv and
 * _writev (GUP under mmap_lock, of "another" process).
 *
 * Shows: a lockless walker that reads a page table after it was freed or
 * reused (a foreign page in a pipe or on disk, I/O into somebody else's page),
 * a put that misses its table.
 *
 * Cannot show: long-term pins, nor I/O that outlives the process.
 */
#include "gup.h"

#include <fcntl.h>

static const char *setup(void)
{
	gup_setup();
	return NULL;
}

static void look(struct worker *w)
{
	w->doing = "process_vm_readv";
	page_look(w, rnd(w, arena.pages), get_by_remote);
}

static void splice_run(struct worker *w)
{
	unsigned int page, count;

	w->doing = "vmsplice";
	page = rnd_run_in_range(w, &count);
	if (count > 32)
		count = 32;
	while (count-- && !stopping())
		page_look(w, page++, get_by_splice);
}

const struct race race = {
	.name = "dontneed-gup",
	.setup = setup,
	.own = gup_own,
	.antagonists = { look, splice_run },
};
