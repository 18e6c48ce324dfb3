// SPDX-License-Identifier: GPL-2.0
/*
 * race-migrate: migration against faults and drops.
 *
 * Models: pages moved between nodes by move_pages() and mbind(MPOL_MF_MOVE),
 * and by compaction: for a moment their entries are migration entries, which
 * are replaced through the reverse mapping, without mmap_lock.
 *
 * Shows: a table freed with migration entries in it, an entry put back in a
 * table that was freed or replaced (lost or foreign data).
 *
 * Cannot show: much on a machine of one node (numa=fake=2 makes two); the
 * reason in the verdict tells.
 */
#include "race.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int nr_nodes = 1;
static bool can_compact;

static const char *setup(void)
{
	if (!access("/sys/devices/system/node/node1", F_OK))
		nr_nodes = 2;
	can_compact = !access("/proc/sys/vm/compact_memory", W_OK);
	if (nr_nodes == 1 && !can_compact)
		return "one node, and no right to start compaction";
	if (nr_nodes == 1)
		race_note("one node: compaction only");
	return NULL;
}

static void move_some(struct worker *w)
{
	void *at[32];
	int node[32], status[32];
	unsigned int page, count, i;

	w->doing = "move_pages";
	page = rnd_run_in_range(w, &count);
	if (count > ARRAY_SIZE(at))
		count = ARRAY_SIZE(at);
	for (i = 0; i < count; i++) {
		at[i] = page_at(page + i);
		node[i] = rnd(w, nr_nodes);
	}
	if (syscall(SYS_move_pages, 0, count, at, node, status, MPOL_MF_MOVE) < 0 &&
	    errno != ENOENT && errno != ENOMEM)
		race_error("move_pages: %s", strerror(errno));
}

static void bind_some(struct worker *w)
{
	unsigned long nodes = 1UL << rnd(w, nr_nodes);
	unsigned int page, count;

	w->doing = "mbind";
	page = rnd_run_in_range(w, &count);
	if (syscall(SYS_mbind, page_at(page), count * PAGE_SIZE, MPOL_BIND, &nodes, 64,
		    MPOL_MF_MOVE) && errno != EIO && errno != ENOMEM)
		race_error("mbind: %s", strerror(errno));
	breathe(w);
	if (!rnd(w, 4) &&
	    syscall(SYS_mbind, arena.base, arena.size, MPOL_DEFAULT, NULL, 0, 0))
		race_error("mbind(MPOL_DEFAULT): %s", strerror(errno));
}

static void compact(struct worker *w)
{
	unsigned int i;

	w->doing = "compaction";
	if (can_compact)
		write_text("/proc/sys/vm/compact_memory", "1");
	for (i = 0; i < 50 && !stopping(); i++)
		breathe(w);
}

const struct race race = {
	.name = "migrate",
	.flags = RACE_FEW_DROPS,
	.setup = setup,
	.antagonists = { move_some, bind_some, compact },
};
