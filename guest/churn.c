// SPDX-License-Identifier: GPL-2.0
/*
 * churn: the worst case for freeing empty page tables.
 *
 * Models: threads that touch --pages pages of a 2 MiB and drop just these with
 * MADV_DONTNEED, --cycles times a round, so that each drop empties a table
 * that the next touch needs again:
 *	sparse   each thread walks over 2 MiB after 2 MiB of its own
 *	refault  each thread stays in one 2 MiB of its own
 *	shared   all threads stay in the same 2 MiB, each with pages of its own
 *	whole    the same, but each drop is of all 2 MiB
 *	neighbour  as shared, and another page there, the last, is left alone
 *
 * Shows: what a fault and its drop cost when a table is freed and made again
 * for every one or few pages. sparse and refault do so each time; in shared it
 * depends on who else has a page there at that moment, and the count itself is
 * fought for. whole is for kernels that free a table when one call covers it:
 * they may have to look at all its entries again, as others fill it meanwhile.
 * neighbour never empties its table: what it costs to find that out.
 *
 * Cannot show: contention under icount, where CPUs take turns of 10,000
 * instructions and more; what the freed memory gains. Nobody should write
 * such a program; an allocator that returns single pages at once comes near.
 *
 * Checks itself: a page that was dropped must read as zero, and each touch
 * must be a fault.
 *
 * Exit code: 0 measured, 1 the check failed.
 */
#include "common.h"
#include "options.h"
#include "team.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

static const char *const patterns[] = { "sparse", "refault", "shared", "whole", "neighbour" };
enum pattern { SPARSE, REFAULT, SHARED, WHOLE, NEIGHBOUR };

static enum pattern pattern;
static unsigned int nr_threads = 1;
static unsigned int pages = 1;
static unsigned int cycles = 1024;
DEFINE_ROUNDS(rounds)
static char *base;
static unsigned long stale;		/* pages that were not zero */

/* An exchange is one write: to read first would fault in the zero page. */
static void touch(char *at)
{
	unsigned int i;

	for (i = 0; i < pages; i++)
		if (__atomic_exchange_n((uint32_t *)(at + i * PAGE_SIZE), i + 1,
					__ATOMIC_RELAXED))
			__atomic_add_fetch(&stale, 1, __ATOMIC_RELAXED);
}

static void drop(char *at)
{
	size_t size = pages * PAGE_SIZE;

	if (pattern == WHOLE) {
		at = base;
		size = PMD_SIZE;
	}
	if (madvise(at, size, MADV_DONTNEED))
		die_errno("madvise(MADV_DONTNEED)");
}

static void work(unsigned int nth)
{
	size_t step = pattern == SPARSE ? PMD_SIZE : 0;
	unsigned int i;
	char *at = base;

	if (pattern == SPARSE)
		at += nth * cycles * PMD_SIZE;
	else if (pattern == REFAULT)
		at += nth * PMD_SIZE;
	else
		at += nth * pages * PAGE_SIZE;
	for (i = 0; i < cycles; i++, at += step) {
		touch(at);
		drop(at);
	}
}

static size_t span(void)
{
	if (pattern >= SHARED)
		return PMD_SIZE;
	return nr_threads * PMD_SIZE * (pattern == SPARSE ? cycles : 1UL);
}

static unsigned long faults_per_round(void)
{
	return (unsigned long)nr_threads * pages * cycles;
}

static int report(long long freed_before)
{
	unsigned long expected = faults_per_round() * rounds.done;
	long long freed = vmstat("pte_table_freed");
	struct rusage usage;
	const char *why = "";

	getrusage(RUSAGE_SELF, &usage);
	if (stale)
		why = "a dropped page was not zero";
	else if ((unsigned long)usage.ru_minflt < expected)
		why = "a touch was no page fault";
	printf("{\"program\":\"churn\",\"pattern\":\"%s\",\"threads\":%u,\"pages\":%u,\"cycles\":%u,\"unit\":\"fault\",\"units\":%lu,",
	       patterns[pattern], nr_threads, pages, cycles, faults_per_round());
	rounds_print(&rounds);
	printf(",\"minor_faults\":%ld,\"vmpte_kb\":%ld,", usage.ru_minflt,
	       status_kb("VmPTE"));
	if (freed < 0)
		printf("\"pte_table_freed\":null,");
	else
		printf("\"pte_table_freed\":%lld,", freed - freed_before);
	printf("\"thp\":\"%s\",\"verdict\":\"%s\",\"reason\":\"%s\"}\n",
	       thp_enabled(), *why ? "fail" : "ok", why);
	if (fflush(stdout))
		die_errno("standard output");
	return *why ? 1 : 0;
}

DEFINE_SET(nr_threads)
DEFINE_SET(pages)
DEFINE_SET(cycles)

static const struct command command = {
	.synopsis = "[options] sparse|refault|shared|whole|neighbour",
	.options = {
		{ 't', "--threads", "N", "1 to 256 (default 1)",
		  .number = set_nr_threads, .min = 1, .max = MAX_THREADS },
		{ 'p', "--pages", "N", "touched and dropped together (default 1)",
		  .number = set_pages, .min = 1, .max = PTRS_PER_PTE },
		{ 'c', "--cycles", "N", "per thread and round (default 1024)",
		  .number = set_cycles, .min = 1, .max = 1 << 20 },
		ROUNDS_OPTIONS,
	},
};

static enum pattern parse_pattern(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(patterns); i++)
		if (!strcmp(name, patterns[i]))
			return i;
	die("sparse, refault, shared, whole or neighbour, not '%s'", name);
}

static void parse(int argc, char **argv)
{
	pattern = parse_pattern(parse_options_and_word(&command, argc, argv));
	if (pattern >= SHARED &&
	    nr_threads * pages + (pattern == NEIGHBOUR) > PTRS_PER_PTE)
		die("%s: %u threads with %u pages do not fit into 2M",
		    patterns[pattern], nr_threads, pages);
}

int main(int argc, char **argv)
{
	long long freed_before;

	parse(argc, argv);
	base = map_aligned(span(), PMD_SIZE, 0);
	if (pattern == NEIGHBOUR)
		base[PMD_SIZE - PAGE_SIZE] = 1;
	freed_before = vmstat("pte_table_freed");
	team_run(nr_threads, &rounds, work);
	return report(freed_before);
}
