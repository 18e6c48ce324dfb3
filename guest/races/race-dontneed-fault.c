// SPDX-License-Identifier: GPL-2.0
/*
 * race-dontneed-fault: MADV_DONTNEED against page faults.
 *
 * Models: an allocator whose threads share 2 MiB ranges and give back pages
 * one by one, in runs, and whole ranges at once, while others fault in the
 * same page table. Now and then all hammer one range with a page or two each,
 * so that its table comes and goes hundreds of times a second.
 *
 * Shows: an entry that is installed in a table being freed (lost write), a
 * table that is freed with entries in it (lost write, or a foreign page once
 * it is reused), a stale TLB or paging-structure cache (data that comes back).
 *
 * Cannot show: a count that is too high by one on a table that other threads
 * keep busy; the leak check at the end sees only the last state.
 */
#include "race.h"

#define HAMMER_BLOWS 8

/*
 * Write and drop, without a look after the drop: it would leave the zero page
 * in the table, and no table would ever become empty here.
 */
static void hammer(struct worker *w, unsigned int page)
{
	unsigned int i;

	page = rnd(w, 2) * nr_owners + w->nth;
	for (i = 0; i < HAMMER_BLOWS && !stopping(); i++) {
		page_write(w, page, put_by_store);
		if (rnd(w, 2))
			page_check(w, page, get_by_load);
		drop_run(page, 1);
	}
}

const struct race race = {
	.name = "dontneed-fault",
	.own = hammer,
};
