// SPDX-License-Identifier: GPL-2.0
/*
 * race-page-idle: idle page tracking against faults and drops.
 *
 * Models: a working-set estimator. It finds the frames of the arena in the
 * pagemap and marks them idle: the kernel then looks up every mapping of the
 * frame by the reverse mapping, without mmap_lock, and ages its entry.
 *
 * Shows: a reverse-mapping walk that meets a freed or replaced table.
 *
 * Cannot show: wrong idle flags. Needs root (frame numbers, and the bitmap).
 */
#include "race.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int pagemap = -1, bitmap = -1;
static _Atomic unsigned long marked;

static const char *setup(void)
{
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		return race_skip("/proc/self/pagemap");
	bitmap = open("/sys/kernel/mm/page_idle/bitmap", O_RDWR | O_CLOEXEC);
	if (bitmap < 0)
		return race_skip("/sys/kernel/mm/page_idle/bitmap");
	return NULL;
}

static void mark_idle(struct worker *w)
{
	uint64_t *entry = (uint64_t *)w->bounce, pfn, bits;
	unsigned int page, count, i;

	w->doing = "page_idle";
	page = rnd_run_in_range(w, &count);
	if (count > 64)
		count = 64;
	if (pread(pagemap, entry, count * 8, (uintptr_t)page_at(page) / PAGE_SIZE * 8) !=
	    (ssize_t)(count * 8))
		race_error("pagemap: %s", strerror(errno));
	for (i = 0; i < count && !stopping(); i++) {
		pfn = entry[i] & ((1ULL << 55) - 1);
		if (!(entry[i] >> 63) || !pfn)
			continue;
		bits = 1ULL << pfn % 64;
		/* The frame may be anybody's by now; idle is a hint. */
		if (pwrite(bitmap, &bits, 8, pfn / 64 * 8) == 8 &&
		    pread(bitmap, &bits, 8, pfn / 64 * 8) == 8)
			marked++;
	}
}

static void quiesce(void)
{
	race_note("%lu marks", marked);
}

const struct race race = {
	.name = "page-idle",
	.flags = RACE_FEW_DROPS,
	.setup = setup,
	.antagonists = { mark_idle, mark_idle },
	.quiesce = quiesce,
};
