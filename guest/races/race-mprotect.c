// SPDX-License-Identifier: GPL-2.0
/*
 * race-mprotect: protection changes against faults and drops.
 *
 * Models: a garbage collector that protects and unprotects parts of a heap
 * (VMAs split and merge within one page table) while others use and drop it.
 * Accesses that fault for good are caught and tried again.
 *
 * Shows: entries changed in a table that is being freed (lost or stale data),
 * entries that come back after a drop.
 *
 * Cannot show: a write that went through in spite of PROT_READ: an owner never
 * knows whether its page is protected just now.
 */
#include "race.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static void flip(struct worker *w)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE };
	unsigned int page, count;

	w->doing = "mprotect";
	page = rnd_run_in_range(w, &count);
	if (mprotect(page_at(page), count * PAGE_SIZE, prots[rnd(w, 3)]) && errno != ENOMEM)
		race_error("mprotect: %s", strerror(errno));
	if (!rnd(w, 3))
		mprotect(arena.base, arena.size, PROT_READ | PROT_WRITE);
}

static void quiesce(void)
{
	mprotect(arena.base, arena.size, PROT_READ | PROT_WRITE);
}

const struct race race = {
	.name = "mprotect",
	.flags = RACE_SEGV_OK,
	.antagonists = { flip, flip },
	.quiesce = quiesce,
};
