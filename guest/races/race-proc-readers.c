// SPDX-License-Identifier: GPL-2.0
/*
 * race-proc-readers: MADV_DONTNEED and faults against the walkers of /proc.
 *
 * Models: monitoring. smaps, smaps_rollup, numa_maps and pagemap are read and
 * clear_refs is written all the time, while the memory they describe comes and
 * goes; also mincore.
 *
 * Shows: a walker that uses a freed table (a splat in the kernel log), or that
 * changes entries in one (clear_refs: lost or stale data).
 *
 * Cannot show: wrong figures. What these files say about memory that changes
 * meanwhile is right either way.
 */
#include "race.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void read_all(struct worker *w, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	w->doing = path;
	if (fd < 0)
		return;	/* not every kernel has every file */
	while (!stopping() && read(fd, w->bounce, PAGE_SIZE) > 0)
		;
	close(fd);
}

static void read_smaps(struct worker *w)
{
	read_all(w, rnd(w, 2) ? "/proc/self/smaps" : "/proc/self/smaps_rollup");
}

static void read_numa_maps(struct worker *w)
{
	read_all(w, "/proc/self/numa_maps");
}

static void read_pagemap(struct worker *w)
{
	struct census census;
	unsigned int page, count;

	w->doing = "pagemap";
	page = rnd_run_in_range(w, &count);
	if (!take_census(page_at(page), count * PAGE_SIZE, &census))
		race_error("pagemap: %s", strerror(errno));
}

static void clear_refs(struct worker *w)
{
	w->doing = "clear_refs";
	write_text("/proc/self/clear_refs", rnd(w, 2) ? "1" : "4");
}

static void ask_mincore(struct worker *w)
{
	unsigned int page, count, i;

	w->doing = "mincore";
	page = rnd_run_in_range(w, &count);
	if (mincore(page_at(page), count * PAGE_SIZE, (unsigned char *)w->bounce))
		race_error("mincore: %s", strerror(errno));
	for (i = 0; i < count; i++)
		if (w->bounce[i] & ~1)
			race_error("mincore: byte %#x at page %u", w->bounce[i], page + i);
}

const struct race race = {
	.name = "proc-readers",
	.antagonists = { read_smaps, read_numa_maps, read_pagemap, clear_refs, ask_mincore },
};
