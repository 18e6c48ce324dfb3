// SPDX-License-Identifier: GPL-2.0
/*
 * micro: what one operation on page tables costs.
 *
 * Models: one process, pinned to a CPU, that does one thing to its memory again
 * and again: fork and exit, move, protect, map and unmap, fault in a cached
 * file, swap in. A round does it once to --size bytes; what the operation needs
 * beforehand (touching, paging out) is done outside the clock. The median round
 * over the units in it is the cost of a unit.
 *
 * Shows: what the operation costs when the memory is as full of pages as it
 * can be, which is where most tables are in real processes; a counter in each
 * table costs here and gains nothing. Under icount a nanosecond is an
 * instruction, of all CPUs together: what a kernel thread does meanwhile counts.
 *
 * Cannot show: cache and TLB misses under icount; contention (one thread); what
 * happens to almost empty tables (see churn).
 *
 * Each operation checks itself: page faults as many as expected, every page
 * still there with what was written to it.
 *
 * Exit code: 0 measured, 1 the check failed, 77 cannot be tried here.
 */
#include "common.h"
#include "options.h"
#include "rounds.h"
#include "sys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAULT_AROUND	(64UL << 10)	/* fault_around_bytes, the kernel's default */

static size_t size;
DEFINE_ROUNDS(rounds)
static char *at;		/* where the memory is */
static char *other;		/* where it is moved to and from */
static int file = -1;
static char why[160];		/* a check failed */

static void fail(const char *what)
{
	if (!why[0])
		snprintf(why, sizeof(why), "%s", what);
}

/* Each page gets a number of its own, so that a lost or swapped page is seen. */
static void touch(size_t step)
{
	size_t i;

	for (i = 0; i < size; i += step)
		*(volatile uint32_t *)(at + i) = i / PAGE_SIZE + 1;
}

static void check(size_t step)
{
	size_t i;

	for (i = 0; i < size; i += step)
		if (*(volatile uint32_t *)(at + i) != i / PAGE_SIZE + 1)
			fail("a page lost its content");
}

static void check_pages(void)
{
	check(PAGE_SIZE);
}

static void check_tables(void)
{
	check(PMD_SIZE);
}

static void map_at(int prot, int flags)
{
	if (mmap(at, size, prot, flags | MAP_FIXED, file, 0) != at)
		die_errno("mmap of %zu bytes", size);
}

static void map_anon(void)
{
	map_at(PROT_READ | PROT_WRITE,
	       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
}

static void unmap(void)
{
	if (munmap(at, size))
		die_errno("munmap");
}

static const char *set_up_full(void)
{
	touch(PAGE_SIZE);
	return NULL;
}

/* A hole: the round maps there itself. */
static const char *set_up_hole(void)
{
	unmap();
	return NULL;
}

static void do_fork_exit(void)
{
	int status;
	pid_t pid;

	pid = fork();
	if (pid < 0)
		die_errno("fork");
	if (!pid)
		_exit(0);
	if (waitpid(pid, &status, 0) != pid || status)
		die("the child did not exit well");
}

static void move(void)
{
	char *from = at;

	at = mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, other);
	if (at != other)
		die_errno("mremap of %zu bytes", size);
	other = from;
}

/*
 * Between places that lie alike in their 2 MiB: whole tables are handed over.
 * One page in each is enough then, and 512 times sooner touched. Never whole
 * gigabytes: both places begin 2 MiB after a multiple of one, hence tables
 * are moved one by one and not a PMD page of 512 at once.
 */
static const char *set_up_move_tables(void)
{
	at = map_aligned(size, 1UL << 30, PMD_SIZE);
	other = map_aligned(size, 1UL << 30, PMD_SIZE);
	touch(PMD_SIZE);
	return NULL;
}

/* Between places that do not: every entry is moved into a new table. */
static const char *set_up_move_entries(void)
{
	other = map_aligned(size, PMD_SIZE, PAGE_SIZE);
	touch(PAGE_SIZE);
	return NULL;
}

static void do_mprotect(void)
{
	if (mprotect(at, size, PROT_READ) ||
	    mprotect(at, size, PROT_READ | PROT_WRITE))
		die_errno("mprotect");
}

/* One page in each table, so that it is the tables that are counted. */
static void touch_tables(void)
{
	touch(PMD_SIZE);
}

static const char *set_up_tables(void)
{
	touch_tables();
	return NULL;
}

static void do_dontneed(void)
{
	if (madvise(at, size, MADV_DONTNEED))
		die_errno("madvise(MADV_DONTNEED)");
}

/* Pages that are free for the taking: reclaim drops them, and needs no swap. */
static void touch_and_free_lazily(size_t step)
{
	touch(step);
	if (madvise(at, size, MADV_FREE))
		die_errno("madvise(MADV_FREE)");
}

static void free_tables_lazily(void)
{
	touch_and_free_lazily(PMD_SIZE);
}

static void free_pages_lazily(void)
{
	touch_and_free_lazily(PAGE_SIZE);
}

static void do_reclaim(void)
{
	if (madvise(at, size, MADV_PAGEOUT))
		die_errno("madvise(MADV_PAGEOUT)");
}

static void check_reclaimed(void)
{
	struct census census;

	if (!take_census(at, size, &census) || census.present)
		fail("reclaim did not take every page");
}

static void do_mmap_munmap(void)
{
	map_anon();
	touch(PAGE_SIZE);
	unmap();
}

/* A page at a time, as small mappings come and go; the table with each. */
static void do_mmap_page(void)
{
	size_t i;

	for (i = 0; i < size; i += PAGE_SIZE) {
		if (mmap(at, PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
			die_errno("mmap of a page");
		*(volatile char *)at = 1;
		if (munmap(at, PAGE_SIZE))
			die_errno("munmap of a page");
	}
}

static void map_and_touch(void)
{
	map_anon();
	touch(PAGE_SIZE);
}

/* Written through the mapping once, so that all of the file is cached. */
static const char *set_up_file(void)
{
	file = memfd_create("micro", MFD_CLOEXEC);
	if (file < 0 || ftruncate(file, size))
		die_errno("a file of %zu bytes in memory", size);
	map_at(PROT_READ | PROT_WRITE, MAP_SHARED);
	touch(PAGE_SIZE);
	return NULL;
}

/* Mapped anew for each round, or tables would be there already, or not. */
static void map_file(void)
{
	unmap();
	map_at(PROT_READ, MAP_PRIVATE);
}

static void do_fault_around(void)
{
	size_t i;

	for (i = 0; i < size; i += FAULT_AROUND)
		(void)*(volatile char *)(at + i);
}

static const char *set_up_swap(void)
{
	const char *reason = swap_create_in_memory(2 * size);

	if (reason)
		return reason;
	touch(PAGE_SIZE);
	return NULL;
}

/* Some pages may be in use elsewhere for a moment. */
static void page_out(void)
{
	struct census census;
	int tries = 20;

	do {
		if (madvise(at, size, MADV_PAGEOUT))
			die_errno("madvise(MADV_PAGEOUT)");
		if (!take_census(at, size, &census))
			die_errno("/proc/self/pagemap");
	} while (census.swapped < size / PAGE_SIZE && --tries);
	if (!tries)
		fail("not all pages were swapped out");
}

static void do_swap_in(void)
{
	size_t i;

	for (i = 0; i < size; i += PAGE_SIZE)
		(void)*(volatile char *)(at + i);
}

/*
 * `unit` is what a cost is given for, `step` how much memory one is, `times`
 * how often a round does the operation, `faults` how many faults a unit takes.
 */
static const struct op {
	const char *name, *what, *unit;
	size_t size, step;
	unsigned int times;
	bool faults;
	const char *(*set_up)(void);	/* NULL, or why it cannot be tried */
	void (*prepare)(void);		/* before each round, not timed */
	void (*work)(void);
	void (*check)(void);		/* at the end */
} ops[] = {
	{ "fork_exit", "fork a process with so much memory, child exits, wait",
	  "page", 1UL << 30, PAGE_SIZE, 1, false,
	  set_up_full, NULL, do_fork_exit, check_pages },
	{ "mremap_tables", "mremap between equally aligned places: tables move",
	  "table", 1UL << 30, PMD_SIZE, 1, false,
	  set_up_move_tables, NULL, move, check_tables },
	{ "mremap_entries", "mremap to a place 4K further: entries move",
	  "page", 256UL << 20, PAGE_SIZE, 1, false,
	  set_up_move_entries, NULL, move, check_pages },
	{ "mprotect", "mprotect to read-only and back",
	  "page", 256UL << 20, PAGE_SIZE, 2, false,
	  set_up_full, NULL, do_mprotect, check_pages },
	{ "dontneed", "MADV_DONTNEED of memory with one page in each table",
	  "table", 1UL << 30, PMD_SIZE, 1, false,
	  set_up_tables, touch_tables, do_dontneed, NULL },
	{ "reclaim", "MADV_PAGEOUT of MADV_FREE memory with one page in each table",
	  "table", 1UL << 30, PMD_SIZE, 1, false,
	  set_up_tables, free_tables_lazily, do_reclaim, check_reclaimed },
	{ "reclaim_pages", "MADV_PAGEOUT of MADV_FREE memory with every page touched",
	  "page", 64UL << 20, PAGE_SIZE, 1, false,
	  set_up_tables, free_pages_lazily, do_reclaim, check_reclaimed },
	{ "mmap_munmap", "mmap, touch every page, munmap",
	  "page", 64UL << 20, PAGE_SIZE, 1, true,
	  set_up_hole, NULL, do_mmap_munmap, NULL },
	{ "mmap_page", "mmap, touch, munmap of a single page",
	  "page", 16UL << 20, PAGE_SIZE, 1, true,
	  set_up_hole, NULL, do_mmap_page, NULL },
	{ "munmap", "munmap of touched memory alone",
	  "page", 64UL << 20, PAGE_SIZE, 1, false,
	  set_up_hole, map_and_touch, unmap, NULL },
	{ "fault_around", "read one page in 64K of a cached file just mapped",
	  "fault", 256UL << 20, FAULT_AROUND, 1, true,
	  set_up_file, map_file, do_fault_around, check_pages },
	{ "swap_in", "read every page back in from swap kept in memory",
	  "page", 32UL << 20, PAGE_SIZE, 1, true,
	  set_up_swap, page_out, do_swap_in, check_pages },
};

/* Page faults of this process. */
static long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt + usage.ru_majflt;
}

static void run(const struct op *op, struct rounds *r)
{
	long expected = op->faults ? size / op->step : 0, took;
	uint64_t start;

	while (rounds_left(r)) {
		if (op->prepare)
			op->prepare();
		took = -faults();
		start = rounds_begin(r);
		op->work();
		rounds_end(r, start);
		took += faults();
		/* fork makes us copy a few pages of stack and library again. */
		if (took < expected || took > expected + 16)
			fail("the number of page faults is not what was expected");
	}
	if (op->check)
		op->check();
}

static int report(const struct op *op, const struct rounds *r, const char *skip)
{
	const char *verdict = skip ? "skip" : why[0] ? "fail" : "ok";

	printf("{\"program\":\"micro\",\"op\":\"%s\",\"size\":%zu,\"unit\":\"%s\",\"units\":%zu,",
	       op->name, size, op->unit, size / op->step * op->times);
	rounds_print(r);
	printf(",\"thp\":\"%s\",\"verdict\":\"%s\",\"reason\":\"%s\"}\n",
	       thp_enabled(), verdict, skip ? skip : why);
	if (fflush(stdout))
		die_errno("standard output");
	return skip ? EXIT_SKIP : why[0] ? 1 : 0;
}

static void print_ops(FILE *to)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		fprintf(to, "  %-16s%s (%zuM)\n", ops[i].name, ops[i].what,
			ops[i].size >> 20);
}

DEFINE_SET(size)

static const struct command command = {
	.synopsis = "[options] OPERATION",
	.options = {
		{ 's', "--size", "BYTES", "of memory, a multiple of 2M (default: the operation's)",
		  .bytes = set_size, .multiple = "2M" },
		ROUNDS_OPTIONS,
	},
	.notes = "OPERATION is one of:\n",
	.print_notes = print_ops,
};

static const struct op *find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		if (!strcmp(name, ops[i].name))
			return &ops[i];
	die("no such operation: '%s' (micro --help names them)", name);
}

int main(int argc, char **argv)
{
	const struct op *op = find(parse_options_and_word(&command, argc, argv));
	const char *skip;

	if (!size)
		size = op->size;
	pin_to_cpu(0);
	at = map_aligned(size, PMD_SIZE, 0);
	skip = op->set_up();
	if (!skip)
		run(op, &rounds);
	swap_destroy();
	return report(op, &rounds, skip);
}
