// SPDX-License-Identifier: GPL-2.0
/*
 * race-mlock: mlock, mlock2(ONFAULT) and munlock against faults and drops.
 *
 * Models: parts of a range that are locked (and populated) and unlocked while
 * others use it; MADV_DONTNEED refuses locked memory, MADV_DONTNEED_LOCKED
 * does not.
 *
 * Shows: the populate and munlock walkers in a table that is being freed.
 *
 * Cannot show: lost drops, because plain ones fail on locked memory.
 */
#include "race.h"

#include <sys/mman.h>

static void lock_some(struct worker *w)
{
	unsigned int page, count;

	w->doing = "mlock";
	page = rnd_run_in_range(w, &count);
	/* Over the limit of locked memory it fails, which is no error here. */
	if (rnd(w, 2))
		mlock(page_at(page), count * PAGE_SIZE);
	else
		mlock2(page_at(page), count * PAGE_SIZE, MLOCK_ONFAULT);
}

static void unlock_some(struct worker *w)
{
	unsigned int page, count;

	w->doing = "munlock";
	page = rnd_run(w, &count);
	munlock(page_at(page), count * PAGE_SIZE);
}

static void drop_locked(struct worker *w)
{
	unsigned int page, count;

	w->doing = "MADV_DONTNEED_LOCKED";
	page = rnd_run_in_range(w, &count);
	drop_begin(page, count);
	madvise(page_at(page), count * PAGE_SIZE, MADV_DONTNEED_LOCKED);
	drop_end(page, count);
}

static void quiesce(void)
{
	munlock(arena.base, arena.size);
}

const struct race race = {
	.name = "mlock",
	.flags = RACE_DROP_FAILS,
	.antagonists = { lock_some, unlock_some, drop_locked },
	.quiesce = quiesce,
};
