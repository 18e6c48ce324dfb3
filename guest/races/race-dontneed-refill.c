// SPDX-License-Identifier: GPL-2.0
/*
 * race-dontneed-refill: whole tables of anonymous memory are dropped and filled again at once.
 *
 * Models: an allocator that gives whole 2 MiB back while other threads already
 * use them again, on CPUs that are wanted by more threads than there are: a zap
 * that is told to yield drops the lock of the table midway.
 *
 * Shows: a table that is freed because all of it had been zapped, though the
 * first entries are in use again (lost, and "Bad rss-counter" at exit): Linux
 * 6.14 before f39edcf6349a.
 *
 * Cannot show: a zap that is broken off because its batch of pages is full; that
 * takes 38 MiB in one call.
 */
#include "race.h"

static void fill_and_drop(struct worker *w)
{
	unsigned int page = rnd(w, arena.size / PMD_SIZE) * PTRS_PER_PTE, i;

	w->doing = "filling a table";
	for (i = 0; i < PTRS_PER_PTE && !stopping(); i++)
		page_dirty(w, page + i);
	w->doing = "dropping a table";
	drop_run(page, PTRS_PER_PTE);
}

/* The head of a table: what a zap that was broken off has behind it. */
static void refill(struct worker *w)
{
	unsigned int page = rnd(w, arena.size / PMD_SIZE) * PTRS_PER_PTE, i;

	w->doing = "filling the head of a table";
	for (i = 0; i < 8 && !stopping(); i++)
		page_dirty(w, page + i);
}

const struct race race = {
	.name = "dontneed-refill",
	.flags = RACE_FEW_DROPS,
	.ranges = 2,
	.antagonists = { fill_and_drop, fill_and_drop, refill, refill, fill_and_drop },
};
