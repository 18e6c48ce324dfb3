// SPDX-License-Identifier: GPL-2.0
/*
 * race-fork: fork against faults and drops, and the child's own life.
 *
 * Models: a threaded program that forks all the time (a database that takes
 * snapshots): page tables are copied while others fill and free them, then
 * parent and child break their shared pages and drop them independently.
 *
 * Shows: entries lost or invented by the copy, a child that sees what its
 * parent writes later (or the reverse), a count in the child's tables that is
 * wrong (it drops everything, fills again, drops again).
 *
 * Cannot show: that all pages of a snapshot are of one instant. They are not:
 * threads go on writing until the copy has flushed the TLB.
 */
#include "race.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static uint32_t done_before[MAX_RANGES * PTRS_PER_PTE];
static uint64_t snapshot[MAX_RANGES * PTRS_PER_PTE][NSLOTS];

static const char *setup(void)
{
	/* Touched now, so that the leak check finds them at the start too. */
	memset(done_before, 1, sizeof(done_before));
	memset(snapshot, 1, sizeof(snapshot));
	return NULL;
}

static uint64_t *slot(unsigned int page, unsigned int s)
{
	return (uint64_t *)(arena.base + page * PAGE_SIZE + slot_offset[s]);
}

static void compare(const char *when)
{
	unsigned int page, s;

	for (page = 0; page < arena.pages; page++)
		for (s = 0; s < NSLOTS; s++)
			if (load64(slot(page, s)) != snapshot[page][s])
				race_error("child, %s: page %u slot %u is %#llx, not %#llx",
					   when, page, s,
					   (unsigned long long)load64(slot(page, s)),
					   (unsigned long long)snapshot[page][s]);
}

/* Alone in its address space, a child knows every byte. */
static void child(struct worker *w)
{
	unsigned int page, count, i, s;
	uint32_t ignored, begun;

	for (page = 0; page < arena.pages; page++) {
		for (s = 0; s < NSLOTS; s++) {
			snapshot[page][s] = load64(slot(page, s));
			page_generations(page, &ignored, &begun);
			if (!slot_plausible(page, s, snapshot[page][s],
					    done_before[page], begun))
				race_error("child: page %u slot %u is %#llx, not of generation %u to %u",
					   page, s, (unsigned long long)snapshot[page][s],
					   done_before[page], begun);
		}
	}
	compare("again");

	for (i = 0; i < 8; i++) {
		page = rnd_run(w, &count);
		if (madvise(arena.base + page * PAGE_SIZE, count * PAGE_SIZE, MADV_DONTNEED))
			race_error("child: MADV_DONTNEED: %s", strerror(errno));
		memset(snapshot[page], 0, count * sizeof(snapshot[0]));
		page = rnd_run_in_range(w, &count);
		for (; count; count--, page++) {
			s = rnd(w, NSLOTS);
			snapshot[page][s] = rnd64(w);
			store64(slot(page, s), snapshot[page][s]);
		}
	}
	compare("after its own writes");
	_exit(0);
}

static void fork_once(struct worker *w)
{
	unsigned int page;
	uint32_t ignored;
	pid_t pid;

	w->doing = "fork";
	for (page = 0; page < arena.pages; page++)
		page_generations(page, &done_before[page], &ignored);
	rnd64(w);	/* another child, another course */
	pid = race_fork();
	if (!pid) {
		if (!rnd(w, 4))
			_exit(0);	/* exit against the parent's drops */
		child(w);
	}
	race_wait(pid, 0);
}

const struct race race = {
	.name = "fork",
	.setup = setup,
	.antagonists = { fork_once },
};
