// SPDX-License-Identifier: GPL-2.0
/*
 * page-fault: the three page-fault tests that kernel developers know best.
 *
 * Models: will-it-scale's page_fault1 to 3, after their public description,
 * own code. Each thread maps 128 MiB, writes a byte to each page, unmaps:
 *	1   private anonymous memory
 *	2   private mapping of a file of its own (each write copies a page)
 *	3   shared mapping of a file of its own
 * The files are unlinked and lie on tmpfs. Threads of one process share its
 * mmap_lock; they meet at a barrier after every round of 128 MiB, which the
 * original does not do (there are 32,768 faults between two).
 *
 * Shows: the cost of faults into full tables that munmap frees anyway.
 *
 * Cannot show: what dropping without munmap does (see multi-fault, churn);
 * contention under icount.
 *
 * Checks itself: each byte reads back, and each page was a fault.
 *
 * Exit code: 0 measured, 1 the check failed.
 */
#include "common.h"
#include "options.h"
#include "team.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static unsigned int kind;
static unsigned int nr_threads = 1;
static size_t size = 128 << 20;
DEFINE_ROUNDS(rounds)
static int files[MAX_THREADS];
static unsigned long wrong;

/* In memory, like will-it-scale's /tmp on most systems. */
static int open_file(void)
{
	char path[] = "/dev/shm/page-fault-XXXXXX";
	int fd;

	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		die_errno("%s", path);
	unlink(path);
	if (ftruncate(fd, size))
		die_errno("a file of %zu bytes", size);
	return fd;
}

static void work(unsigned int nth)
{
	int flags = kind == 1 ? MAP_PRIVATE | MAP_ANONYMOUS :
		    kind == 2 ? MAP_PRIVATE : MAP_SHARED;
	size_t at;
	char *map;

	map = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, files[nth], 0);
	if (map == MAP_FAILED)
		die_errno("mmap of %zu bytes", size);
	for (at = 0; at < size; at += PAGE_SIZE)
		*(volatile char *)(map + at) = nth + 1;
	/* One page: reading all would cost as much as a tenth of the faults. */
	if (*(volatile char *)(map + size - PAGE_SIZE) != (char)(nth + 1))
		__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
	if (munmap(map, size))
		die_errno("munmap");
}

static int report(void)
{
	unsigned long faults = size / PAGE_SIZE * nr_threads;
	struct rusage usage;
	const char *why = "";

	getrusage(RUSAGE_SELF, &usage);
	if (wrong)
		why = "a page lost what was written to it";
	else if (usage.ru_minflt + usage.ru_majflt < (long)(faults * rounds.done))
		why = "a write was no page fault";
	printf("{\"program\":\"page-fault\",\"kind\":%u,\"threads\":%u,\"size\":%zu,\"unit\":\"fault\",\"units\":%lu,",
	       kind, nr_threads, size, faults);
	rounds_print(&rounds);
	printf(",\"minor_faults\":%ld,\"major_faults\":%ld,\"thp\":\"%s\",\"verdict\":\"%s\",\"reason\":\"%s\"}\n",
	       usage.ru_minflt, usage.ru_majflt, thp_enabled(),
	       *why ? "fail" : "ok", why);
	if (fflush(stdout))
		die_errno("standard output");
	return *why ? 1 : 0;
}

DEFINE_SET(nr_threads)
DEFINE_SET(size)

static const struct command command = {
	.synopsis = "[options] 1|2|3",
	.options = {
		{ 't', "--threads", "N", "1 to 256 (default 1)",
		  .number = set_nr_threads, .min = 1, .max = MAX_THREADS },
		{ 's', "--size", "BYTES", "mapped by each, a multiple of 4K (default 128M)",
		  .bytes = set_size, .multiple = "4K" },
		ROUNDS_OPTIONS,
	},
	.notes = "1: private anonymous memory, 2: private file, 3: shared file\n",
};

int main(int argc, char **argv)
{
	unsigned int i;

	kind = parse_number("kind", parse_options_and_word(&command, argc, argv), 1, 3);
	for (i = 0; i < nr_threads; i++)
		files[i] = kind == 1 ? -1 : open_file();
	team_run(nr_threads, &rounds, work);
	return report();
}
