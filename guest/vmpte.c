// SPDX-License-Identifier: GPL-2.0
/*
 * vmpte: a loop that touches and drops memory, whose page tables are the subject.
 *
 * Models: an allocator that maps a large range once, uses a part, gives the
 * memory back with MADV_DONTNEED, and goes on with the next part:
 *	mmap 50G; for each 2M: touch it, MADV_DONTNEED it
 *
 * Shows: how much page table memory such a process keeps. It prints its pid
 * first and stays alive at the end until its standard input ends (or gives a
 * line), so that /proc/PID/status can be read from outside at any time.
 *
 * Cannot show: anything when THP is enabled, for then there are no PTE tables
 * (the first line tells). --touch page makes the same tables as --touch all in
 * 1/512 of the faults, but another RSS peak (4 KiB instead of 2 MiB).
 */
#include "common.h"
#include "options.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t size = 50ULL << 30;
static uint64_t chunk = PMD_SIZE;
static uint64_t loops = 1;
static bool touch_all = true;

static void say(void)
{
	if (fflush(stdout))
		die_errno("standard output");
}

static void touch(char *at)
{
	size_t step = touch_all ? PAGE_SIZE : PMD_SIZE;
	size_t i;

	for (i = 0; i < PMD_SIZE; i += step)
		*(volatile char *)(at + i) = 1;
}

static void drop(char *at)
{
	size_t i, len;

	for (i = 0; i < PMD_SIZE; i += len) {
		len = PMD_SIZE - i < chunk ? PMD_SIZE - i : chunk;
		if (madvise(at + i, len, MADV_DONTNEED))
			die_errno("madvise(MADV_DONTNEED) of %zu bytes", len);
	}
}

static void set_touch(const char *text)
{
	touch_all = !strcmp(text, "all");
	if (!touch_all && strcmp(text, "page"))
		die("--touch: all or page, not '%s'", text);
}

DEFINE_SET(size)
DEFINE_SET(chunk)
DEFINE_SET(loops)

static const struct command command = {
	.synopsis = "[options]",
	.options = {
		{ 's', "--size", "BYTES", "of the mapping, a multiple of 2M (default 50G)",
		  .bytes = set_size, .multiple = "2M" },
		{ 't', "--touch", "all|page", "every 4K page, or one per 2M (default all)",
		  .word = set_touch },
		{ 'c', "--chunk", "BYTES", "dropped at a time, 4K to 2M (default 2M)",
		  .bytes = set_chunk, .multiple = "4K", .most = "2M" },
		{ 'l', "--loops", "N", "times over the whole range (default 1)",
		  .number = set_loops, .min = 1, .max = UINT32_MAX },
	},
	.notes = "Stays alive after the last loop until standard input ends or gives a line.\n",
};

int main(int argc, char **argv)
{
	uint64_t start, done, total, step, next, loop;
	char *base, line[64];

	parse_only_options(&command, argc, argv);
	printf("{\"pid\":%d,\"program\":\"vmpte\",\"size\":%llu,\"touch\":\"%s\",\"chunk\":%llu,\"loops\":%llu,\"page_size\":%lu,\"thp\":\"%s\"}\n",
	       getpid(), (unsigned long long)size, touch_all ? "all" : "page",
	       (unsigned long long)chunk, (unsigned long long)loops,
	       PAGE_SIZE, thp_enabled());
	say();

	base = map_aligned(size, PMD_SIZE, 0);
	total = size * loops;
	step = round_up(size / 50 ? size / 50 : 1, PMD_SIZE);
	next = step;
	done = 0;
	start = now_ns();
	for (loop = 0; loop < loops; loop++) {
		uint64_t at;

		for (at = 0; at < size; at += PMD_SIZE) {
			touch(base + at);
			drop(base + at);
			done += PMD_SIZE;
			if (done < next)
				continue;
			next += step;
			printf("{\"progress\":%llu,\"total\":%llu,\"elapsed_ns\":%llu}\n",
			       (unsigned long long)done, (unsigned long long)total,
			       (unsigned long long)(now_ns() - start));
			say();
		}
	}
	printf("{\"done\":%llu,\"elapsed_ns\":%llu,\"vmpte_kb\":%ld}\n",
	       (unsigned long long)done, (unsigned long long)(now_ns() - start),
	       status_kb("VmPTE"));
	say();
	/* A line or the end of the input, whichever comes first. */
	if (!fgets(line, sizeof(line), stdin) && ferror(stdin))
		die_errno("standard input");
	return 0;
}
