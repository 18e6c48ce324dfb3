// SPDX-License-Identifier: GPL-2.0
/*
 * race-collapse: reclaim takes the last page of a range that is being collapsed.
 *
 * Models: memory that is given back by MADV_FREE, reclaimed because its memory
 * cgroup is short, and made huge, all at once. Pages that were only freed are
 * dropped by reclaim under the rmap locks alone: what a collapse knows of the
 * page table may be wrong until it has taken those.
 *
 * Shows: a collapse that goes on with a table that reclaim has taken out (an
 * oops, foreign data, a wrong count of page tables), pages that come back.
 *
 * Cannot show: anything where no collapse succeeds or reclaim frees nothing;
 * the reason in the verdict tells how many of each there were. Needs root and
 * a memory controller.
 */
#include "race.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[32], group[64];
static char group_procs[128], top_procs[128], reclaim_file[128];
static const char *reclaim_text;
static bool mounted;
static _Atomic unsigned long collapses, reclaims, gone;

static void cleanup(void)
{
	if (mounted) {
		write_text(top_procs, "0");
		rmdir(group);
		umount2(top, MNT_DETACH);
		mounted = false;
	}
	if (top[0])
		rmdir(top);
}

static bool make_group(const char *version, const char *controllers, const char *file)
{
	char path[128];

	if (mount("race", top, version, 0, controllers))
		return false;
	mounted = true;
	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", top);
	write_text(path, "+memory");	/* of version 1 there is no such file */
	snprintf(group, sizeof(group), "%s/race-%d", top, getpid());
	snprintf(group_procs, sizeof(group_procs), "%.63s/cgroup.procs", group);
	snprintf(top_procs, sizeof(top_procs), "%s/cgroup.procs", top);
	snprintf(reclaim_file, sizeof(reclaim_file), "%.63s/%s", group, file);
	if (!mkdir(group, 0755)) {
		if (!access(reclaim_file, W_OK))
			return true;
		rmdir(group);
	}
	umount2(top, MNT_DETACH);
	mounted = false;
	return false;
}

static const char *setup(void)
{
	if (geteuid())
		return "needs root";
	if (madvise(arena.base, 0, MADV_COLLAPSE))
		return race_skip("madvise(MADV_COLLAPSE)");
	/* A touch is to make a page of 4 KiB. */
	if (!setting_change(THP_DIR "enabled", "madvise"))
		return race_skip(THP_DIR "enabled");
	strcpy(top, "/tmp/race-collapse-XXXXXX");
	if (!mkdtemp(top)) {
		top[0] = '\0';
		return race_skip("a directory in /tmp");
	}
	if (make_group("cgroup2", NULL, "memory.reclaim"))
		reclaim_text = "2M";
	else if (make_group("cgroup", "memory", "memory.force_empty"))
		reclaim_text = "0";
	else
		return "no memory controller that reclaims when asked";
	if (!write_text(group_procs, "0"))
		return race_skip("moving to a memory cgroup");
	return NULL;
}

/* A range has one thread, and a page one value: what is not zero must be that. */
static uint64_t value_of(unsigned int page)
{
	return 0xc011a95eULL << 32 | page;
}

static void look(unsigned int page, bool may_be, const char *when)
{
	uint64_t got = load64((uint64_t *)page_at(page));

	if (got && (!may_be || got != value_of(page)))
		race_error("page %u holds %#llx %s", page, (unsigned long long)got, when);
	else if (!got && may_be)
		atomic_fetch_add(&gone, 1);
}

static void collapse_range(struct worker *w, unsigned int range)
{
	unsigned int first = range * PTRS_PER_PTE, page[3], i, n = 1 + rnd(w, ARRAY_SIZE(page));
	char *base = arena.base + range * PMD_SIZE;

	w->doing = "drop";
	if (madvise(base, PMD_SIZE, MADV_DONTNEED))
		race_error("MADV_DONTNEED: %s", strerror(errno));
	w->doing = "write";
	for (i = 0; i < n; i++) {
		page[i] = first + i * (PTRS_PER_PTE / n) + rnd(w, PTRS_PER_PTE / n);
		store64((uint64_t *)page_at(page[i]), value_of(page[i]));
	}
	w->doing = "MADV_FREE";
	if (madvise(base, PMD_SIZE, MADV_FREE))
		race_error("MADV_FREE: %s", strerror(errno));
	w->doing = "MADV_COLLAPSE";
	/* It may fail for many good reasons; what counts is what is left. */
	if (!madvise(base, PMD_SIZE, MADV_COLLAPSE))
		atomic_fetch_add(&collapses, 1);
	w->doing = "look";
	for (i = 0; i < n; i++)
		look(page[i], true, "and was written and freed");
	for (i = 0; i < 16; i++) {
		unsigned int other = first + rnd(w, PTRS_PER_PTE), k;

		for (k = 0; k < n && page[k] != other; k++)
			;
		if (k == n)
			look(other, false, "and was not written");
	}
}

static void collapse0(struct worker *w)
{
	collapse_range(w, 0);
}

static void collapse1(struct worker *w)
{
	collapse_range(w, 1);
}

/* EAGAIN: it found less than that. */
static void reclaim(struct worker *w)
{
	w->doing = "reclaim";
	if (write_text(reclaim_file, reclaim_text) || errno == EAGAIN)
		atomic_fetch_add(&reclaims, 1);
	else if (errno != EINTR && errno != EBUSY)
		race_error("%s: %s", reclaim_file, strerror(errno));
}

static void quiesce(void)
{
	race_note("%lu collapses, %lu reclaims, %lu pages gone", collapses, reclaims, gone);
}

const struct race race = {
	.name = "collapse",
	.flags = RACE_NO_OWNERS,
	.ranges = 2,
	.setup = setup,
	.antagonists = { collapse0, collapse1, reclaim, reclaim },
	.quiesce = quiesce,
	.cleanup = cleanup,
};
