// SPDX-License-Identifier: GPL-2.0
/*
 * race-memcg: charges that move with the process.
 *
 * Models: a process moved to and fro between two memory cgroups (v1) with
 * memory.move_charge_at_immigrate: each move walks all its page tables.
 *
 * Shows: the two walkers of the move in a table that is being freed.
 *
 * Cannot show: wrong charges. Needs root, and a memory controller that version
 * 2 of the cgroup file system has not taken.
 */
#include "race.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[32];
static char group[2][64];
static char procs[3][128];	/* of the groups and of the top */
static bool mounted;
static unsigned long moves;

static void cleanup(void)
{
	if (mounted) {
		write_text(procs[2], "0");
		rmdir(group[0]);
		rmdir(group[1]);
		umount2(top, MNT_DETACH);
		mounted = false;
	}
	if (top[0])
		rmdir(top);
}

static const char *setup(void)
{
	char path[128];
	int i;

	if (geteuid())
		return "needs root";
	strcpy(top, "/tmp/race-memcg-XXXXXX");
	if (!mkdtemp(top)) {
		top[0] = '\0';
		return race_skip("a directory in /tmp");
	}
	if (mount("race", top, "cgroup", 0, "memory"))
		return race_skip("mounting the memory controller (v1)");
	mounted = true;
	snprintf(procs[2], sizeof(procs[2]), "%s/cgroup.procs", top);
	for (i = 0; i < 2; i++) {
		snprintf(group[i], sizeof(group[i]), "%s/race-%d-%d", top, getpid(), i);
		snprintf(procs[i], sizeof(procs[i]), "%.63s/cgroup.procs", group[i]);
		snprintf(path, sizeof(path), "%.63s/memory.move_charge_at_immigrate", group[i]);
		if (mkdir(group[i], 0755))
			return race_skip("a memory cgroup");
		if (!write_text(path, "3"))
			return race_skip("memory.move_charge_at_immigrate");
	}
	if (!write_text(procs[0], "0"))
		return race_skip("moving to a memory cgroup");
	return NULL;
}

static void move(struct worker *w)
{
	w->doing = "moving to the other cgroup";
	if (write_text(procs[rnd(w, 2)], "0"))
		moves++;
	else if (errno != ENOMEM && errno != EBUSY && errno != EINTR)
		race_error("cgroup.procs: %s", strerror(errno));
}

static void quiesce(void)
{
	race_note("%lu moves", moves);
}

const struct race race = {
	.name = "memcg",
	.setup = setup,
	.antagonists = { move },
	.quiesce = quiesce,
	.cleanup = cleanup,
};
