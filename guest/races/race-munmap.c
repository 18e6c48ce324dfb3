// SPDX-License-Identifier: GPL-2.0
/*
 * race-munmap: parts of a 2 MiB range are unmapped and mapped again.
 *
 * Models: two ways of giving address space back while neighbours in the same
 * page table are in use: munmap, with a hole for a while, and mmap(MAP_FIXED)
 * over it. Accesses to a hole are caught and tried again.
 *
 * Shows: free_pgtables() and the drop both freeing one table, or neither; a
 * table freed by munmap of a part although the other part is in use.
 *
 * Cannot show: lost drops (a drop may meet a hole and fail).
 */
#include "race.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define MAP_FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

/* The only thread that leaves holes, and nobody else maps at a free place. */
static void unmap_and_map(struct worker *w)
{
	unsigned int page, count;
	size_t size;
	char *at;

	w->doing = "munmap";
	page = rnd_run_in_range(w, &count);
	at = page_at(page);
	size = count * PAGE_SIZE;
	drop_begin(page, count);
	if (munmap(at, size))
		race_error("munmap: %s", strerror(errno));
	breathe(w);
	if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_FLAGS | MAP_FIXED, -1, 0) == MAP_FAILED)
		race_error("mmap: %s", strerror(errno));
	drop_end(page, count);
}

static void map_over(struct worker *w)
{
	unsigned int page, count;
	char *at;

	w->doing = "mmap";
	page = rnd_run(w, &count);
	at = page_at(page);
	drop_begin(page, count);
	if (mmap(at, count * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_FLAGS | MAP_FIXED,
		 -1, 0) == MAP_FAILED)
		race_error("mmap: %s", strerror(errno));
	/* Another flag, so that VMAs do not merge but stay neighbours. */
	if (rnd(w, 2))
		madvise(at, count * PAGE_SIZE, rnd(w, 2) ? MADV_DONTFORK : MADV_DOFORK);
	drop_end(page, count);
}

const struct race race = {
	.name = "munmap",
	.flags = RACE_SEGV_OK | RACE_DROP_FAILS,
	.antagonists = { unmap_and_map, map_over },
};
