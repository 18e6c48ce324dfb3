// SPDX-License-Identifier: GPL-2.0
/*
 * race-madvise: MADV_FREE, COLD, PAGEOUT and WILLNEED against faults and drops.
 *
 * Models: an allocator that frees lazily. MADV_PAGEOUT then reclaims what
 * MADV_FREE marked: entries go through the reverse mapping, without mmap_lock.
 *
 * Shows: reclaim that empties a table another thread is filling or freeing.
 *
 * Cannot show: lost MADV_FREE (the old content is as good as none). Without
 * swap COLD and PAGEOUT only age what MADV_FREE did not mark; see race-swap.
 */
#include "race.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static void free_lazily(struct worker *w)
{
	unsigned int page, count;

	w->doing = "MADV_FREE";
	page = rnd_run_in_range(w, &count);
	drop_begin(page, count);
	if (madvise(page_at(page), count * PAGE_SIZE, MADV_FREE))
		race_error("madvise(MADV_FREE): %s", strerror(errno));
	drop_end(page, count);
}

static void page_out(struct worker *w)
{
	w->doing = "MADV_PAGEOUT";
	advise_run(w, MADV_PAGEOUT);
}

static void other_advice(struct worker *w)
{
	w->doing = "MADV_COLD and others";
	advise_run(w, rnd(w, 2) ? MADV_COLD : MADV_WILLNEED);
}

const struct race race = {
	.name = "madvise",
	.antagonists = { free_lazily, page_out, other_advice },
};
