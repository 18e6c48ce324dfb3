// SPDX-License-Identifier: GPL-2.0
/*
 * race-dontneed-fault: MADV_DONTNEED against page faults.
 *
 * Models: an allocator whose threads share 2 MiB ranges and give back pages
 * one by one, in runs, and whole ranges at once, while others fault in the
 * same page table. Now and then all hammer one range with a page or two each,
 * so that its table comes and goes hundreds of times a second. One more thread
 * interrupts the others by membarrier(): what must not come between two
 * instructions of a kernel that takes a table out gets microseconds to come.
 *
 * Shows: an entry that is installed in a table being freed (lost write), a
 * table that is freed with entries in it (lost write, or a foreign page once
 * it is reused), a stale TLB or paging-structure cache (data that comes back).
 *
 * Cannot show: a count that is too high by one on a table that other threads
 * keep busy; the leak check at the end sees only the last state.
 */
#include "race.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HAMMER_BLOWS 8
#define INTERRUPTS 64

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

static long membarrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0);
}

static const char *setup(void)
{
	if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED))
		return race_skip("membarrier");
	return NULL;
}

/* An interrupt for each CPU on which one of the others is running. */
static void interrupt(struct worker *w)
{
	unsigned int i;

	for (i = 0; i < INTERRUPTS && !stopping(); i++)
		membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	breathe(w);
}

const struct race race = {
	.name = "dontneed-fault",
	.setup = setup,
	.antagonists = { interrupt },
	.own = hammer,
};
