// SPDX-License-Identifier: GPL-2.0
/*
 * server-snapshot: an address space that looks like a long-lived server's.
 *
 * Models: the end of the history of a server whose allocator maps much more
 * than it uses: a large range was in use at one time or another, nearly all of
 * it was given back with MADV_DONTNEED, and the memory in use now lies strewn
 * over the whole of it. Of the first (live + dropped) 2 MiB of the reserved
 * range, `live` hold pages, evenly spread; each of the others had a page
 * touched and dropped. How many of each make a published server's figures is reckoned
 * by the harness (harness/measure/workloads/server_snapshot.py).
 *
 * It prints its pid first and stays alive at the end until its standard input
 * ends (or gives a line), so that /proc/PID/status can be read from outside.
 *
 * Cannot show: the history itself (what was in use at one time), the cost, or
 * anything when THP is enabled (the first line tells).
 */
#include "common.h"
#include "options.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t virt;
static uint64_t live;
static uint64_t dropped;
static uint64_t live_pages = PTRS_PER_PTE;

static void say(void)
{
	if (fflush(stdout))
		die_errno("standard output");
}

/* Pages in use within one 2 MiB, evenly spread. */
static void use(char *at)
{
	uint64_t i;

	for (i = 0; i < live_pages; i++)
		*(volatile char *)(at + i * PTRS_PER_PTE / live_pages * PAGE_SIZE) = 1;
}

static void use_and_drop(char *at)
{
	*(volatile char *)at = 1;
	if (madvise(at, PMD_SIZE, MADV_DONTNEED))
		die_errno("madvise(MADV_DONTNEED)");
}

static void populate(char *base, uint64_t start)
{
	uint64_t total = live + dropped, step = total / 50 + 1, i;

	for (i = 0; i < total; i++) {
		/* The i-th is live where i * live / total comes to a new number. */
		if ((i + 1) * live / total > i * live / total)
			use(base + i * PMD_SIZE);
		else
			use_and_drop(base + i * PMD_SIZE);
		if (i % step)
			continue;
		printf("{\"progress\":%llu,\"total\":%llu,\"elapsed_ns\":%llu}\n",
		       (unsigned long long)i, (unsigned long long)total,
		       (unsigned long long)(now_ns() - start));
		say();
	}
}

DEFINE_SET(virt)
DEFINE_SET(live)
DEFINE_SET(dropped)
DEFINE_SET(live_pages)

static const struct command command = {
	.synopsis = "--virt BYTES --live N --dropped N [--live-pages N]",
	.options = {
		{ 'v', "--virt", "BYTES", "of address space to reserve, a multiple of 2M",
		  .bytes = set_virt },
		{ 'l', "--live", "N", "stretches of 2M that hold pages",
		  .number = set_live, .min = 1, .max = UINT32_MAX },
		{ 'd', "--dropped", "N", "stretches of 2M that held one and were dropped",
		  .number = set_dropped, .min = 0, .max = UINT32_MAX },
		{ 'p', "--live-pages", "N", "pages in each live stretch, 1 to 512 (default 512)",
		  .number = set_live_pages, .min = 1, .max = PTRS_PER_PTE },
	},
	.notes = "Stays alive until standard input ends or gives a line.\n",
};

static void parse(int argc, char **argv)
{
	parse_only_options(&command, argc, argv);
	if (!virt || virt % PMD_SIZE)
		die("--virt: a multiple of 2M is wanted");
	if (!live)
		die("--live: a number is wanted");
	if ((live + dropped) * PMD_SIZE > virt)
		die("--live and --dropped: more than fits into --virt");
}

int main(int argc, char **argv)
{
	char *base, line[64];
	uint64_t start;

	parse(argc, argv);
	printf("{\"pid\":%d,\"program\":\"server-snapshot\",\"virt\":%llu,\"live\":%llu,\"dropped\":%llu,\"live_pages\":%llu,\"thp\":\"%s\"}\n",
	       getpid(), (unsigned long long)virt, (unsigned long long)live,
	       (unsigned long long)dropped, (unsigned long long)live_pages,
	       thp_enabled());
	say();

	base = map_aligned(virt, PMD_SIZE, 0);
	start = now_ns();
	populate(base, start);
	printf("{\"done\":%llu,\"elapsed_ns\":%llu,\"vmpte_kb\":%ld}\n",
	       (unsigned long long)(live + dropped),
	       (unsigned long long)(now_ns() - start), status_kb("VmPTE"));
	say();
	/* A line or the end of the input, whichever comes first. */
	if (!fgets(line, sizeof(line), stdin) && ferror(stdin))
		die_errno("standard input");
	return 0;
}
