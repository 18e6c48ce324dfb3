// SPDX-License-Identifier: GPL-2.0
/*
 * race-guard: guard regions that come and go (MADV_GUARD_INSTALL, from 6.13).
 *
 * Models: thread stacks and allocators that put guards into memory in use: it
 * is zapped, and markers take the place of entries, in tables that are made
 * for nothing else; when the guards are removed nothing is left in them.
 * Meanwhile all other pages of the same tables are faulted in and dropped.
 *
 * Shows: a marker that outlives its removal (SIGSEGV for good), a table that
 * guards leave behind (leak), a page that is lost beside a guard.
 *
 * Cannot show: an access that went through in spite of a guard.
 */
#include "race.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif

static const char *setup(void)
{
	if (madvise(arena.base, PAGE_SIZE, MADV_GUARD_INSTALL))
		return race_skip("madvise(MADV_GUARD_INSTALL)");
	if (madvise(arena.base, PAGE_SIZE, MADV_GUARD_REMOVE))
		return race_skip("madvise(MADV_GUARD_REMOVE)");
	return NULL;
}

static void guard(struct worker *w)
{
	unsigned int page, count;

	page = rnd_run_in_range(w, &count);
	w->doing = "MADV_GUARD_INSTALL";
	drop_begin(page, count);
	if (madvise(page_at(page), count * PAGE_SIZE, MADV_GUARD_INSTALL))
		race_error("madvise(MADV_GUARD_INSTALL): %s", strerror(errno));
	breathe(w);
	w->doing = "MADV_GUARD_REMOVE";
	if (madvise(page_at(page), count * PAGE_SIZE, MADV_GUARD_REMOVE))
		race_error("madvise(MADV_GUARD_REMOVE): %s", strerror(errno));
	drop_end(page, count);
}

/* By guards alone: MADV_DONTNEED would free the tables that they leave. */
static void drop_all(void)
{
	unsigned int page;

	for (page = 0; page < arena.pages; page++)
		if (madvise(page_at(page), PAGE_SIZE, MADV_GUARD_INSTALL) ||
		    madvise(page_at(page), PAGE_SIZE, MADV_GUARD_REMOVE))
			race_error("a guard of page %u: %s", page, strerror(errno));
}

const struct race race = {
	.name = "guard",
	.flags = RACE_SEGV_OK,
	.setup = setup,
	.antagonists = { guard, guard },
	.drop_all = drop_all,
};
