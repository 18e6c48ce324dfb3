// SPDX-License-Identifier: GPL-2.0
/*
 * race-exit: processes that end in the middle of faults and drops.
 *
 * Models: three children at a time, each with four threads in the same 2 MiB
 * ranges. Every range holds three VMAs: anonymous, a file's, and anonymous
 * again; one thread unmaps and maps neighbours of what others use. After a
 * random while a child is killed, or leaves, or executes another program, or
 * unmaps one VMA first, so that exit finds tables shared by VMAs in all states.
 *
 * Shows: a table that exit frees twice, or not, or with entries of another VMA
 * still in it (a splat, "non-zero pgtables_bytes", nr_page_table_pages that
 * grows); within a child, lost data.
 *
 * Cannot show by itself: leaks of dead processes. They are in the kernel log
 * and in page_tables_before and _after, which other processes change as well.
 */
#include "race.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHILDREN	3
#define CHILD_THREADS	4
#define QUARTER		(PTRS_PER_PTE / 4)	/* [0,1) anon [1,2) file [2,4) anon */

static int file;
static _Atomic bool stop_mapping;	/* in a child */
static unsigned long killed;

static const char *setup(void)
{
	file = memfd_create("race-exit", MFD_CLOEXEC);
	if (file < 0 || ftruncate(file, arena.size))
		return race_skip("memfd");
	return NULL;
}

static void map_file_part(unsigned int range)
{
	size_t offset = range * PMD_SIZE + QUARTER * PAGE_SIZE;

	if (mmap(arena.base + offset, QUARTER * PAGE_SIZE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, file, offset) == MAP_FAILED)
		race_error("child: mmap: %s", strerror(errno));
}

/* Pages of the anonymous parts are owned by the threads in turn. */
static void *fault_and_drop(void *arg)
{
	struct worker *w = arg;
	unsigned int range, k, page;

	for (;;) {
		uint64_t *at;
		uint64_t value = rnd64(w);

		range = rnd(w, arena.size / PMD_SIZE);
		k = rnd(w, PTRS_PER_PTE / CHILD_THREADS / 2);
		page = range * PTRS_PER_PTE + 2 * QUARTER + k * CHILD_THREADS + w->nth;
		at = (uint64_t *)(arena.base + page * PAGE_SIZE);
		store64(at, value);
		if (!rnd(w, 4))
			sched_yield();
		if (load64(at) != value)
			race_error("child: page %u lost what was written", page);
		if (rnd(w, 4))
			continue;
		if (madvise(at, PAGE_SIZE, MADV_DONTNEED))
			race_error("child: MADV_DONTNEED: %s", strerror(errno));
		if (load64(at))
			race_error("child: page %u is not empty after its drop", page);
	}
	return NULL;
}

/* The neighbours: the first VMA and the file's, which nobody else touches. */
static void *map_and_unmap(void *arg)
{
	struct worker *w = arg;
	unsigned int i;

	while (!atomic_load(&stop_mapping)) {
		unsigned int range = rnd(w, arena.size / PMD_SIZE);
		char *at = arena.base + range * PMD_SIZE;

		for (i = 0; i < 2 * QUARTER; i += 1 + rnd(w, 32))
			*(volatile char *)(at + i * PAGE_SIZE) = 1;
		switch (rnd(w, 3)) {
		case 0:
			munmap(at, QUARTER * PAGE_SIZE);
			sched_yield();
			if (mmap(at, QUARTER * PAGE_SIZE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
				race_error("child: mmap: %s", strerror(errno));
			break;
		case 1:
			munmap(at + QUARTER * PAGE_SIZE, QUARTER * PAGE_SIZE);
			sched_yield();
			map_file_part(range);
			break;
		default:
			madvise(at, 2 * QUARTER * PAGE_SIZE, MADV_DONTNEED);
		}
	}
	return NULL;
}

static void child(uint64_t start)
{
	static struct worker threads[CHILD_THREADS + 1];
	struct worker *w = &threads[CHILD_THREADS];
	pthread_t id[CHILD_THREADS];
	unsigned int i, range;
	int null;

	for (range = 0; range < arena.size / PMD_SIZE; range++)
		map_file_part(range);
	for (i = 0; i <= CHILD_THREADS; i++) {
		threads[i].nth = i;
		threads[i].rng = (start + i * 0x9e3779b97f4a7c15ULL) | 1;
		/* The last but one maps, the last one stays here. */
		if (i < CHILD_THREADS &&
		    pthread_create(&id[i], NULL,
				   i < CHILD_THREADS - 1 ? fault_and_drop : map_and_unmap,
				   &threads[i]))
			_exit(0);	/* no memory for threads: no race */
	}
	usleep(1000 * rnd(w, 30));
	switch (rnd(w, 4)) {
	case 0:
		pause();	/* to be killed */
		break;
	case 1:
		null = open("/dev/null", O_WRONLY);
		dup2(null, STDOUT_FILENO);
		execl("/proc/self/exe", "race-exit", "--help", NULL);
		break;
	case 2:		/* obligation 13: one VMA of the table goes first */
		atomic_store(&stop_mapping, true);
		pthread_join(id[CHILD_THREADS - 1], NULL);
		for (range = 0; range < arena.size / PMD_SIZE; range++)
			munmap(arena.base + range * PMD_SIZE + rnd(w, 2) * QUARTER * PAGE_SIZE,
			       QUARTER * PAGE_SIZE);
		break;
	}
	_exit(0);
}

/* The only thread of the parent that is in libc: its children may start threads. */
static void spawn(struct worker *w)
{
	pid_t pid[CHILDREN];
	int i;

	w->doing = "fork";
	for (i = 0; i < CHILDREN; i++) {
		uint64_t start = rnd64(w);

		pid[i] = race_fork();
		if (!pid[i])
			child(start);
	}
	usleep(1000 * rnd(w, 50));
	w->doing = "kill";
	for (i = 0; i < CHILDREN; i++) {
		if (pid[i] <= 0)
			continue;
		kill(pid[i], SIGKILL);
		race_wait(pid[i], SIGKILL);
		killed++;
	}
}

static void quiesce(void)
{
	race_note("%lu children", killed);
}

const struct race race = {
	.name = "exit",
	.flags = RACE_NO_OWNERS,
	.setup = setup,
	.antagonists = { spawn },
	.quiesce = quiesce,
};
