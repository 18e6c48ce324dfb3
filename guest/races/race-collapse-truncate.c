// SPDX-License-Identifier: GPL-2.0
/*
 * race-collapse-truncate: a file is collapsed to huge pages and cut at the same time.
 *
 * Models: a mapped data base file on disk, partly in the page cache, that
 * MADV_COLLAPSE (or khugepaged, under THP always) makes huge while it is
 * truncated, grown and punched.
 *
 * Shows: a collapse that reads pages in, for which it needs the mapping's
 * invalidate lock, while it has others of the range locked, for which a
 * truncation waits that holds that lock: no thread gets anything done (hang).
 *
 * Cannot show: anything where a file system has no huge folios and MADV_COLLAPSE
 * refuses; the reason in the verdict tells how many collapses were tried and
 * succeeded. What the file holds is not checked.
 */
#include "filemap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic unsigned long tries, collapses;

static const char *setup(void)
{
	if (madvise(arena.base, 0, MADV_COLLAPSE))
		return race_skip("madvise(MADV_COLLAPSE)");
	return filemap_disk();
}

/* Some pages at the start of a range are cached and clean, the others are not there. */
static void collapse(struct worker *w)
{
	char *base = arena.base + rnd(w, arena.size / PMD_SIZE) * PMD_SIZE;

	w->doing = "forget";
	filemap_forget();
	w->doing = "read";
	if (madvise(base, (1 + rnd(w, 8)) * PAGE_SIZE, MADV_POPULATE_READ) &&
	    errno != EFAULT && errno != EAGAIN)
		race_error("MADV_POPULATE_READ: %s", strerror(errno));
	w->doing = "MADV_COLLAPSE";
	atomic_fetch_add(&tries, 1);
	/* It may fail for many good reasons. */
	if (!madvise(base, PMD_SIZE, MADV_COLLAPSE))
		atomic_fetch_add(&collapses, 1);
}

static void quiesce(void)
{
	race_note("%lu collapses tried, %lu done", tries, collapses);
}

const struct race race = {
	.name = "collapse-truncate",
	.flags = RACE_NO_OWNERS | RACE_KEEPS | RACE_BUS_OK,
	.ranges = 2,
	.setup = setup,
	.drop = filemap_punch,
	.antagonists = { collapse, collapse, filemap_truncate, filemap_truncate },
	.quiesce = quiesce,
	.drop_all = filemap_drop_all,
};
