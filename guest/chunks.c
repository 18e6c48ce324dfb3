// SPDX-License-Identifier: GPL-2.0
/*
 * chunks: which sizes of MADV_DONTNEED give page tables back, and at what cost?
 *
 * Models: an allocator that fills --size bytes and gives them back in pieces of
 * --chunk bytes, lowest address first, again and again.
 *
 * Shows: VmPTE of the process and page-table pages of the guest before the
 * first touch, with all memory touched, and after the last drop; what touching
 * and dropping a page cost together, and the drop alone. A kernel that frees
 * tables pays for the drop and for the touch that makes a table again.
 *
 * Cannot show: ways to empty memory other than MADV_DONTNEED (see piecewise),
 * or contention (one thread). The guest's count moves with everything else that
 * runs there: a few pages of it mean nothing.
 *
 * Checks itself: each page reads back what was written, and zero once dropped.
 *
 * Exit code: 0 measured, 1 the check failed.
 */
#include "common.h"
#include "mark.h"
#include "options.h"
#include "rounds.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct tables {
	long vmpte_kb;
	long long pages;		/* nr_page_table_pages of the guest */
};

static size_t size = 64 << 20;
static size_t chunk = PAGE_SIZE;
DEFINE_ROUNDS(both)
static struct rounds drops;
static char *base;
static unsigned long wrong;

/* Reading stat_refresh makes every CPU add up what it counted for itself. */
static struct tables tables_now(void)
{
	struct tables t;
	char text[64];

	read_text("/proc/sys/vm/stat_refresh", text, sizeof(text));
	t.vmpte_kb = status_kb("VmPTE");
	t.pages = vmstat("nr_page_table_pages");
	return t;
}

/* A freed table is the kernel's again a grace period later. */
static struct tables tables_settled(void)
{
	struct tables now = tables_now(), last;
	int tries = 50;

	do {
		last = now;
		usleep(20000);
		now = tables_now();
	} while (now.pages < last.pages && --tries);
	return now;
}

static void touch(void)
{
	size_t at;

	for (at = 0; at < size; at += PAGE_SIZE)
		if (__atomic_exchange_n((size_t *)(base + at), at + 1,
					__ATOMIC_RELAXED))
			wrong++;
}

static void check(void)
{
	size_t at;

	for (at = 0; at < size; at += PAGE_SIZE)
		if (*(volatile size_t *)(base + at) != at + 1)
			wrong++;
}

static void drop(void)
{
	size_t at, len;

	for (at = 0; at < size; at += len) {
		len = size - at < chunk ? size - at : chunk;
		if (madvise(base + at, len, MADV_DONTNEED))
			die_errno("madvise(MADV_DONTNEED) of %zu bytes", len);
	}
}

/* Apart from main(), whose needs would change what gcc makes of the loops. */
static __attribute__((noinline)) void run(struct tables *touched)
{
	uint64_t start, middle, pause, end;

	drops.wanted = both.wanted;
	drops.warmup = both.warmup;
	while (rounds_left(&both)) {
		start = rounds_begin(&both);
		touch();
		if (both.done >= both.warmup)
			mark_end(1);
		middle = now_ns();
		check();
		if (!both.done)
			*touched = tables_now();
		pause = now_ns();
		if (both.done >= both.warmup)
			mark_begin(2);
		drop();
		if (both.done >= both.warmup)
			mark_end(2);
		end = now_ns();
		rounds_add(&both, middle - start + end - pause);
		rounds_add(&drops, end - pause);
	}
}

static void print_tables(const char *when, const struct tables *t)
{
	printf("\"vmpte_%s_kb\":%ld,\"page_tables_%s\":%lld,", when, t->vmpte_kb,
	       when, t->pages);
}

DEFINE_SET(size)
DEFINE_SET(chunk)

static const struct command command = {
	.synopsis = "[options]",
	.options = {
		{ 's', "--size", "BYTES", "touched and dropped, a multiple of 2M (default 64M)",
		  .bytes = set_size, .multiple = "2M" },
		{ 'c', "--chunk", "BYTES", "dropped at a time, a multiple of 4K (default 4K)",
		  .bytes = set_chunk, .multiple = "4K" },
		ROUNDS_OPTIONS,
	},
};

int main(int argc, char **argv)
{
	struct tables before, touched = { }, dropped;
	const char *why;

	parse_only_options(&command, argc, argv);
	pin_to_cpu(0);
	base = map_beside_anchor(size);
	before = tables_settled();
	run(&touched);
	dropped = tables_settled();
	why = wrong ? "a page did not hold what it must" : "";
	printf("{\"program\":\"chunks\",\"size\":%zu,\"chunk\":%zu,\"unit\":\"page\",\"units\":%zu,",
	       size, chunk, size / PAGE_SIZE);
	rounds_print(&both);
	printf(",\"drop_ns\":%llu,", (unsigned long long)rounds_median(&drops));
	print_tables("before", &before);
	print_tables("touched", &touched);
	print_tables("dropped", &dropped);
	printf("\"thp\":\"%s\",\"verdict\":\"%s\",\"reason\":\"%s\"}\n",
	       thp_enabled(), wrong ? "fail" : "ok", why);
	if (fflush(stdout))
		die_errno("standard output");
	return wrong ? 1 : 0;
}
