// SPDX-License-Identifier: GPL-2.0
/*
 * race-hwpoison: soft offlining of pages against faults and drops.
 *
 * Models: a machine that takes failing pages out of use while they are mapped
 * (MADV_SOFT_OFFLINE moves the content), and some that have failed for good in
 * a range of the antagonist's own (MADV_HWPOISON leaves a poison entry, which
 * is an entry like any other and goes with the drop).
 *
 * Shows: an entry put back in a table that was freed or replaced, a table
 * freed with a poison entry in it, an entry that survives its drop.
 *
 * Cannot show: real machine checks. Pages taken out of use stay so until the
 * next boot, so there are at most 64 and 16 a run, and it needs root and runs
 * in a virtual machine only.
 */
#include "race.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

static char *doomed;		/* 2 MiB for MADV_HWPOISON */
static _Atomic int soft_left = 64;
static _Atomic unsigned int offlined;
static unsigned int hard_left = 16, poisoned;

static const char *setup(void)
{
	char text[8192] = "";

	if (geteuid())
		return "needs root";
	read_text("/proc/cpuinfo", text, sizeof(text));
	if (!strstr(text, " hypervisor"))
		return "would take pages of a real machine out of use";
	/* Of nothing at all, only an unknown advice fails. */
	if (madvise(arena.base, 0, MADV_SOFT_OFFLINE))
		return "this kernel has no MADV_SOFT_OFFLINE";
	doomed = map_beside_anchor(PMD_SIZE);	/* its PMD table would be taken for a leak */
	return NULL;
}

static void pause_for(struct worker *w, unsigned int breaths)
{
	while (breaths-- && !stopping())
		breathe(w);
}

/* By the owner, who has just seen to it that there is a page. */
static void offline(struct worker *w, unsigned int page)
{
	if (rnd(w, 64) || atomic_fetch_sub(&soft_left, 1) <= 0)
		return;
	w->doing = "MADV_SOFT_OFFLINE";
	page_write(w, page, put_by_store);
	/* It may find no page, or one in use: what counts is the content. */
	if (!madvise(page_at(page), PAGE_SIZE, MADV_SOFT_OFFLINE))
		offlined++;
	page_check(w, page, get_by_load);
}

/*
 * Newer kernels tell the thread of it by SIGBUS, as if it had used the page. An
 * access is what the handler comes back from, and this is one.
 */
static bool make_poisoned(struct worker *w, void *at)
{
	int err;

	if (sigsetjmp(w->recover, 0)) {
		if (w->signal != SIGBUS)
			race_error("signal %d at MADV_HWPOISON", w->signal);
		return true;
	}
	w->armed = 1;
	atomic_signal_fence(memory_order_seq_cst);
	err = madvise(at, PAGE_SIZE, MADV_HWPOISON);
	atomic_signal_fence(memory_order_seq_cst);
	w->armed = 0;
	return !err;
}

/* One page of the range is poisoned and dropped; its neighbours come and go. */
static void poison(struct worker *w)
{
	unsigned int page = rnd(w, PTRS_PER_PTE), other = rnd(w, PTRS_PER_PTE);
	volatile char *at = doomed + page * PAGE_SIZE;

	w->doing = "MADV_HWPOISON";
	if (!hard_left) {
		pause_for(w, 50);
		return;
	}
	hard_left--;
	*at = 1;
	doomed[other * PAGE_SIZE] = 1;
	if (make_poisoned(w, (void *)at))
		poisoned++;
	if (other != page && madvise(doomed + other * PAGE_SIZE, PAGE_SIZE, MADV_DONTNEED))
		race_error("MADV_DONTNEED beside a poisoned page: %s", strerror(errno));
	if (madvise((void *)at, PAGE_SIZE, MADV_DONTNEED))
		race_error("MADV_DONTNEED of a poisoned page: %s", strerror(errno));
	if (*at || (other != page && doomed[other * PAGE_SIZE]))
		race_error("a poisoned page or its neighbour is not empty after the drop");
	madvise(doomed, PMD_SIZE, MADV_DONTNEED);
	pause_for(w, 100);
}

static void quiesce(void)
{
	race_note("%u pages offlined, %u poisoned", offlined, poisoned);
}

static void unmap_all(void)
{
	munmap(arena.base, arena.size);
	munmap(doomed, PMD_SIZE);
}

const struct race race = {
	.name = "hwpoison",
	.setup = setup,
	.own = offline,
	.antagonists = { poison },
	.quiesce = quiesce,
	.unmap_all = unmap_all,
};
