// SPDX-License-Identifier: GPL-2.0
/*
 * race-thp: collapse to huge pages, by MADV_COLLAPSE and khugepaged, and split.
 *
 * Models: memory that becomes huge behind the owners' backs, and is split again
 * by their 4 KiB drops and by protection changes of a part; whole-range drops
 * zap huge entries with their deposited table.
 *
 * Shows: a collapse that misses an entry, retracts a table in use, or deposits
 * one with a wrong count; a split that starts from one (lost or stale data, a
 * leak, or a splat in the log).
 *
 * Cannot show: huge pages on a kernel that never collapses; the reason in the
 * verdict tells how many collapses succeeded.
 */
#include "race.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static unsigned long collapses;
static bool have_call;

static const char *setup(void)
{
	bool khugepaged;

	if (madvise(arena.base, arena.size, MADV_HUGEPAGE))
		return race_skip("madvise(MADV_HUGEPAGE)");
	khugepaged = setting_change(THP_DIR "enabled", "madvise") &&
		setting_change(THP_DIR "khugepaged/scan_sleep_millisecs", "5") &&
		setting_change(THP_DIR "khugepaged/alloc_sleep_millisecs", "5") &&
		setting_change(THP_DIR "khugepaged/pages_to_scan", "4096");
	/* Of nothing at all, only an unknown advice fails. */
	have_call = !madvise(arena.base, 0, MADV_COLLAPSE);
	if (!have_call && !khugepaged)
		return "neither MADV_COLLAPSE nor the right to set khugepaged";
	return NULL;
}

static void collapse(struct worker *w)
{
	unsigned int range = rnd(w, arena.size / PMD_SIZE);

	w->doing = "MADV_COLLAPSE";
	/* It may fail for many good reasons; what counts is what is left. */
	if (have_call && !madvise(arena.base + range * PMD_SIZE, PMD_SIZE, MADV_COLLAPSE))
		collapses++;
}

static void split(struct worker *w)
{
	unsigned int page, count;

	w->doing = "mprotect";
	page = rnd_run_in_range(w, &count);
	if (mprotect(page_at(page), count * PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC))
		race_error("mprotect: %s", strerror(errno));
	breathe(w);
	if (mprotect(arena.base, arena.size, PROT_READ | PROT_WRITE))
		race_error("mprotect: %s", strerror(errno));
}

/*
 * No collapse from here on: khugepaged fills what it finds empty, and would
 * undo the drops of the leak check while they go on.
 */
static void quiesce(void)
{
	if (madvise(arena.base, arena.size, MADV_NOHUGEPAGE))
		race_error("madvise(MADV_NOHUGEPAGE): %s", strerror(errno));
	race_note("%lu successful calls of MADV_COLLAPSE", collapses);
}

const struct race race = {
	.name = "thp",
	.setup = setup,
	.antagonists = { collapse, split },
	.quiesce = quiesce,
};
