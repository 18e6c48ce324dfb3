// SPDX-License-Identifier: GPL-2.0
/*
 * race-mremap-neighbour: memory moves into a table that its neighbour makes empty.
 *
 * Models: small mappings that share the 2 MiB of one page table; one is moved to
 * and fro by mremap(), the others touch a page and drop it. mmap_lock, which
 * mremap() holds for writing, does not stop MADV_DONTNEED under the lock of the
 * neighbour's VMA.
 *
 * Shows: entries that are moved into a table which has been freed: the pages are
 * lost.
 *
 * Cannot show: anything where a table with other VMAs in it is never freed.
 */
#include "race.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define PAGES	4U		/* that move */
#define PLACES	2U		/* of 2 MiB */
#define NEAR	(PMD_SIZE / 2)	/* the neighbour's place in a table */

static char *area;
static unsigned int place;

static const char *setup(void)
{
	unsigned int i;

	area = map_beside_anchor(PLACES * PMD_SIZE);	/* all in one PMD table */
	munmap(area, PLACES * PMD_SIZE);
	for (i = 0; i < PLACES; i++)
		if (mmap(area + i * PMD_SIZE + NEAR, PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
			return race_skip("mmap of a neighbour");
	if (mmap(area, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
		return race_skip("mmap of what moves");
	return NULL;
}

static void move(struct worker *w)
{
	unsigned int to = (place + 1) % PLACES, i;
	uint64_t stamp = rnd64(w) | 1;
	uint64_t *at;

	w->doing = "write";
	for (i = 0; i < PAGES; i++)
		store64((uint64_t *)(area + place * PMD_SIZE + i * PAGE_SIZE), stamp + i);
	w->doing = "mremap";
	if (mremap(area + place * PMD_SIZE, PAGES * PAGE_SIZE, PAGES * PAGE_SIZE,
		   MREMAP_MAYMOVE | MREMAP_FIXED, area + to * PMD_SIZE) == MAP_FAILED) {
		race_error("mremap: %s", strerror(errno));
		return;
	}
	place = to;
	w->doing = "check";
	for (i = 0; i < PAGES; i++) {
		at = (uint64_t *)(area + place * PMD_SIZE + i * PAGE_SIZE);
		if (load64(at) != stamp + i)
			race_error("lost: page %u is %#llx, not %#llx, after mremap", i,
				   (unsigned long long)load64(at), (unsigned long long)(stamp + i));
	}
}

static void touch_and_drop(unsigned int nth)
{
	char *at = area + nth * PMD_SIZE + NEAR;
	unsigned int i;

	for (i = 0; i < 64 && !stopping(); i++) {
		*(volatile char *)at = 1;
		if (madvise(at, PAGE_SIZE, MADV_DONTNEED))
			race_error("MADV_DONTNEED: %s", strerror(errno));
	}
}

static void neighbour0(struct worker *w)
{
	w->doing = "MADV_DONTNEED";
	touch_and_drop(0);
}

static void neighbour1(struct worker *w)
{
	w->doing = "MADV_DONTNEED";
	touch_and_drop(1);
}

/* The tables of what moves are not the arena's, and must go as well. */
static void drop_all(void)
{
	munmap(area, PLACES * PMD_SIZE);
}

const struct race race = {
	.name = "mremap-neighbour",
	.flags = RACE_NO_OWNERS,
	.ranges = 1,
	.setup = setup,
	.antagonists = { move, neighbour0, neighbour1 },
	.drop_all = drop_all,
};
