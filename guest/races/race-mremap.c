// SPDX-License-Identifier: GPL-2.0
/*
 * race-mremap: mremap to and fro against faults, drops and GUP-fast.
 *
 * Models: memory that moves while it is in use: whole 2 MiB between aligned
 * places (the table moves as a whole), 2 MiB to an unaligned place (entry by
 * entry, one table becomes two), halves, and small pieces that change order.
 *
 * Shows: a table freed while its entries are on the way, a put that goes to
 * the table now at the old address, a stale lockless walk of either place.
 *
 * Cannot show: lost drops. A drop may hit the empty place a segment has just
 * left, so drops are never taken for certain here.
 */
#include "gup.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define MAX_SEGMENTS (MAX_RANGES * 16)

static struct segment {
	unsigned int first, count;	/* pages */
	char *place[2];
	_Atomic unsigned int now;	/* index of place */
} segments[MAX_SEGMENTS];
static unsigned int nr_segments;
static unsigned short segment_of[MAX_RANGES * PTRS_PER_PTE];
static char *other;			/* 4 MiB for each range */

static void add_segment(unsigned int first, unsigned int count, char *place)
{
	struct segment *seg = &segments[nr_segments];
	unsigned int i;

	seg->first = first;
	seg->count = count;
	seg->place[0] = arena.base + first * PAGE_SIZE;
	seg->place[1] = place;
	for (i = 0; i < count; i++)
		segment_of[first + i] = nr_segments;
	nr_segments++;
}

static const char *setup(void)
{
	unsigned int range, i;

	gup_setup();
	/* Across a multiple of 1 GiB it could leave a PMD table behind, on any kernel. */
	other = map_beside_anchor(2 * arena.size);
	if (mprotect(other, 2 * arena.size, PROT_NONE))
		die_errno("mprotect");
	for (range = 0; range < arena.size / PMD_SIZE; range++) {
		unsigned int first = range * PTRS_PER_PTE;
		char *place = other + 2 * range * PMD_SIZE;

		switch ((range + seed) % 4) {
		case 0:
			add_segment(first, 512, place);
			break;
		case 1:
			add_segment(first, 512, place + 3 * PAGE_SIZE);
			break;
		case 2:
			add_segment(first, 256, place + PMD_SIZE / 2);
			add_segment(first + 256, 256, place);
			break;
		default:
			for (i = 0; i < 8; i++)
				add_segment(first + i * 64, 64,
					    place + (7 - i) * 70 * PAGE_SIZE);
		}
	}
	return NULL;
}

static char *locate(unsigned int page)
{
	struct segment *seg = &segments[segment_of[page]];

	return seg->place[atomic_load(&seg->now)] + (page - seg->first) * PAGE_SIZE;
}

static bool drop(unsigned int page, unsigned int count)
{
	bool ok = true;

	while (count) {
		struct segment *seg = &segments[segment_of[page]];
		unsigned int n = seg->first + seg->count - page;

		if (n > count)
			n = count;
		if (madvise(locate(page), n * PAGE_SIZE, MADV_DONTNEED))
			ok = false;
		page += n;
		count -= n;
	}
	return ok;
}

/* The only thread that maps anything, so that the holes stay ours. */
static void move(struct worker *w)
{
	struct segment *seg = &segments[rnd(w, nr_segments)];
	unsigned int now = atomic_load(&seg->now);
	size_t size = seg->count * PAGE_SIZE;

	w->doing = "mremap";
	if (mremap(seg->place[now], size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
		   seg->place[!now]) == MAP_FAILED) {
		if (errno != ENOMEM)
			race_error("mremap: %s", strerror(errno));
		return;
	}
	atomic_store(&seg->now, !now);
	if (mmap(seg->place[now], size, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
		 -1, 0) == MAP_FAILED)
		race_error("the place just left cannot be reserved: %s", strerror(errno));
}

static void unmap_all(void)
{
	munmap(arena.base, arena.size);
	munmap(other, 2 * arena.size);
}

const struct race race = {
	.name = "mremap",
	.flags = RACE_SEGV_OK | RACE_DROP_FAILS,
	.setup = setup,
	.own = gup_own,
	.locate = locate,
	.drop = drop,
	.antagonists = { move },
	.unmap_all = unmap_all,
};
