// SPDX-License-Identifier: GPL-2.0
/*
 * race-dontneed-fault: MADV_DONTNEED against page faults.
 *
 * Models: an allocator whose threads share 2 MiB ranges and give back pages
 * one by one, in runs, and whole ranges at once, while others fault in the
 * same page table.
 *
 * Shows: an entry that is installed in a table being freed (lost write), a
 * table that is freed with entries in it (lost write, or a foreign page once
 * it is reused), a stale TLB or paging-structure cache (data that comes back).
 *
 * Cannot show: a count that is too high by one on a table that other threads
 * keep busy; the leak check at the end sees only the last state.
 */
#include "race.h"

const struct race race = {
	.name = "dontneed-fault",
};
