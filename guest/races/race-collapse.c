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
 * the reason in the verdict tells how many collapses there were, and how many
 * pages were gone after they had been written. Needs root and a memory
 * controller.
 */
#include "race.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define CGROUP2_MAGIC	0x63677270
#define WRITTEN		3	/* pages of a range and round, at most */

static char top[32], group[64];
static char group_procs[128], top_procs[128], top_control[128], reclaim_file[128];
static const char *reclaim_text;
static bool mounted, controlled;
static _Atomic unsigned long collapses, tries, gone;

/* A thread that has just ended may still be in the group for a moment. */
static void leave(void)
{
	struct timespec moment = { 0, 10000000 };
	int i;

	write_text(top_procs, "0");
	for (i = 0; i < 100 && rmdir(group) && errno == EBUSY; i++)
		nanosleep(&moment, NULL);
	if (controlled)
		write_text(top_control, "-memory");
}

static void cleanup(void)
{
	if (mounted) {
		leave();
		umount2(top, MNT_DETACH);
		mounted = false;
	}
	if (top[0])
		rmdir(top);
}

static bool make_group(const char *version, const char *controllers, const char *file)
{
	char enabled[256];
	struct statfs fs;

	/* To mount version 2 anew would change the options of the one there is. */
	if (!controllers && !statfs("/sys/fs/cgroup", &fs) && fs.f_type == CGROUP2_MAGIC) {
		if (mount("/sys/fs/cgroup", top, NULL, MS_BIND, NULL))
			return false;
	} else if (mount("race", top, version, 0, controllers)) {
		return false;
	}
	mounted = true;
	/* Of version 1 there is no such file. */
	snprintf(top_control, sizeof(top_control), "%s/cgroup.subtree_control", top);
	controlled = read_text(top_control, enabled, sizeof(enabled)) &&
		!strstr(enabled, "memory") && write_text(top_control, "+memory");
	snprintf(group, sizeof(group), "%s/race-%d", top, getpid());
	snprintf(group_procs, sizeof(group_procs), "%.63s/cgroup.procs", group);
	snprintf(top_procs, sizeof(top_procs), "%s/cgroup.procs", top);
	snprintf(reclaim_file, sizeof(reclaim_file), "%.63s/%s", group, file);
	if (!mkdir(group, 0755)) {
		if (!access(reclaim_file, W_OK))
			return true;
		rmdir(group);
	}
	if (controlled)
		write_text(top_control, "-memory");
	umount2(top, MNT_DETACH);
	mounted = controlled = false;
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

/* A range has one thread. What is not zero must be what this round has written. */
static uint64_t value_of(const struct worker *w, unsigned int page)
{
	return (w->ops + 1) << 16 | page;
}

static void look(unsigned int page, uint64_t expected, const char *when)
{
	uint64_t got = load64((uint64_t *)page_at(page));

	if (got && got != expected)
		race_error("page %u holds %#llx, not %#llx, %s", page, (unsigned long long)got,
			   (unsigned long long)expected, when);
	else if (!got && expected)
		atomic_fetch_add(&gone, 1);
}

static bool among(unsigned int page, const unsigned int *pages, unsigned int count)
{
	while (count--)
		if (pages[count] == page)
			return true;
	return false;
}

static void collapse_range(struct worker *w, unsigned int range)
{
	static unsigned int last[MAX_RANGES][WRITTEN];	/* of the round before */
	unsigned int first = range * PTRS_PER_PTE, page[WRITTEN], i, n = 1 + rnd(w, WRITTEN);
	char *base = arena.base + range * PMD_SIZE;

	w->doing = "drop";
	if (madvise(base, PMD_SIZE, MADV_DONTNEED))
		race_error("MADV_DONTNEED: %s", strerror(errno));
	w->doing = "write";
	for (i = 0; i < n; i++) {
		page[i] = first + i * (PTRS_PER_PTE / n) + rnd(w, PTRS_PER_PTE / n);
		store64((uint64_t *)page_at(page[i]), value_of(w, page[i]));
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
		look(page[i], value_of(w, page[i]), "and was written and freed");
	for (i = 0; i < 16 + WRITTEN; i++) {
		unsigned int other = first + rnd(w, PTRS_PER_PTE);

		if (i < WRITTEN && last[range][i])
			other = last[range][i];
		if (!among(other, page, n))
			look(other, 0, "and was not written");
	}
	memset(last[range], 0, sizeof(last[range]));
	memcpy(last[range], page, n * sizeof(page[0]));
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
		atomic_fetch_add(&tries, 1);
	else if (errno != EINTR && errno != EBUSY)
		race_error("%s: %s", reclaim_file, strerror(errno));
}

static void quiesce(void)
{
	race_note("%lu collapses, %lu tries of reclaim, %lu pages gone", collapses, tries, gone);
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
