// SPDX-License-Identifier: GPL-2.0
/*
 * race-ksm: KSM merging and unmerging against faults and drops.
 *
 * Models: memory with few different pages that ksmd merges as fast as it can,
 * while owners write (break the merge) and drop it, and runs of pages are made
 * unmergeable and mergeable again.
 *
 * Shows: a page replaced in a table that is being freed, a break that puts an
 * entry back after a drop; a merge of pages that were not the same.
 *
 * Cannot show: a foreign page of the same content. There are four contents, so
 * three of four wrong pages are seen.
 */
#include "race.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static long long sharing_before;

static const char *setup(void)
{
	sharing_before = read_number(KSM_DIR "pages_sharing");
	if (madvise(arena.base, arena.size, MADV_MERGEABLE))
		return race_skip("madvise(MADV_MERGEABLE)");
	if (!setting_change(KSM_DIR "pages_to_scan", "2000") ||
	    !setting_change(KSM_DIR "sleep_millisecs", "1") ||
	    !setting_change(KSM_DIR "run", "1"))
		return race_skip(KSM_DIR);
	return NULL;
}

static void unmerge(struct worker *w)
{
	unsigned int page, count;

	w->doing = "MADV_UNMERGEABLE";
	page = rnd_run_in_range(w, &count);
	if (madvise(page_at(page), count * PAGE_SIZE, MADV_UNMERGEABLE))
		race_error("madvise(MADV_UNMERGEABLE): %s", strerror(errno));
	breathe(w);
	if (madvise(arena.base, arena.size, MADV_MERGEABLE))
		race_error("madvise(MADV_MERGEABLE): %s", strerror(errno));
	breathe(w);
}

static void quiesce(void)
{
	race_note("%lld pages were shared at the end",
		  read_number(KSM_DIR "pages_sharing") - sharing_before);
}

const struct race race = {
	.name = "ksm",
	.flags = RACE_MERGE | RACE_FEW_DROPS,
	.setup = setup,
	.antagonists = { unmerge },
	.quiesce = quiesce,
};
