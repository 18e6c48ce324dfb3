// SPDX-License-Identifier: GPL-2.0
/*
 * race-swap: swap-out, swap-in, swapoff and swapon against faults and drops.
 *
 * Models: memory pressure (MADV_PAGEOUT of random runs, read-ahead by
 * MADV_WILLNEED) on a swap area that goes away and comes back: swapoff walks
 * all page tables and puts pages where it finds their entries.
 *
 * Shows: a table freed with swap entries in it, a page swapped in to a table
 * that was freed or replaced (lost or foreign data).
 *
 * Cannot show: many reads from the device: with memory to spare the pages stay
 * in the swap cache, where faults and swapoff find them (the reason in the
 * verdict counts). Needs root; the area is a file in /var/tmp, or a loop
 * device, of its own.
 */
#include "race.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static long long out_before, in_before;

static const char *setup(void)
{
	out_before = vmstat("pswpout");
	in_before = vmstat("pswpin");
	return swap_create(64 << 20);
}

static void page_out(struct worker *w)
{
	w->doing = "MADV_PAGEOUT";
	advise_run(w, MADV_PAGEOUT);
}

static void will_need(struct worker *w)
{
	w->doing = "MADV_WILLNEED";
	advise_run(w, MADV_WILLNEED);
}

static void toggle(struct worker *w)
{
	unsigned int i;

	for (i = 0; i < 100 && !stopping(); i++)
		breathe(w);
	w->doing = "swapoff";
	if (!swap_off())
		return;		/* no memory, or interrupted: it stays on */
	w->doing = "swapon";
	if (!swap_on())
		race_error("swapon: %s", strerror(errno));
}

static void quiesce(void)
{
	race_note("%lld pages out, %lld in", vmstat("pswpout") - out_before,
		  vmstat("pswpin") - in_before);
}

const struct race race = {
	.name = "swap",
	.flags = RACE_FEW_DROPS,
	.setup = setup,
	.antagonists = { page_out, will_need, toggle },
	.quiesce = quiesce,
};
