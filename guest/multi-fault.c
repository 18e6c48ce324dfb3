// SPDX-License-Identifier: GPL-2.0
/*
 * multi-fault: page faults per minute of many threads at once.
 *
 * Models: N threads, thread i pinned to CPU i modulo CPUs, each with a region
 * of its own. In every round each thread writes one byte in every 4 KiB page
 * of the first 2 MiB of its region (512 faults); all meet at a barrier, thread
 * 0 drops all regions with MADV_DONTNEED, all meet again, next round. With
 * --mode independent each thread drops its own region and there is no barrier.
 *
 * Shows: what a fault costs when the drop has freed its page table (one table
 * per 512 faults), and what that costs when many CPUs fault at once.
 *
 * Cannot show: cache misses or contention under icount; the gain of freed
 * tables; anything at all when THP is enabled (one fault then fills 2 MiB, the
 * count of faults below is then wrong, and "thp" in the output tells).
 *
 * The program is its own work after the description in the thread of "Free user PTE
 * page table pages" (linux-mm, August 2021);
 * it is used the same way:
 *	perf stat -e page-faults --repeat 5 ./multi-fault 8
 *
 * All regions lie in one mapping at a fixed stride, so that they are one VMA
 * whichever way the kernel merges. With --align below 2 MiB every region
 * starts at an odd multiple of it, hence neighbours share a table.
 */
#include "common.h"
#include "mark.h"
#include "options.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_THREADS 256
#define MAX_NOTED_ROUNDS 4096		/* what one line of output can carry */

struct thread {
	pthread_t id;
	unsigned int nth;
	char *region;
	uint64_t rounds;
	uint64_t end_ns;
};

static struct thread threads[MAX_THREADS];
static unsigned int nr_threads = 1;
static uint64_t max_rounds;		/* 0: run for max_ns instead */
static uint64_t max_ns = 60 * 1000000000ULL;
static uint64_t warmup_rounds;
static size_t region_size = PMD_SIZE;
static size_t alignment = PMD_SIZE;
static bool independent;

static pthread_barrier_t barrier;
static uint64_t start_ns;
static uint64_t *round_end_ns;		/* NULL: rounds are not noted */
static bool stop;			/* written between barriers only */

static void touch(char *region)
{
	size_t at;

	for (at = 0; at < PMD_SIZE; at += PAGE_SIZE)
		*(volatile char *)(region + at) = 1;
}

static void drop(char *region)
{
	if (madvise(region, region_size, MADV_DONTNEED))
		die_errno("madvise(MADV_DONTNEED)");
}

static void drop_all(void)
{
	unsigned int i;

	for (i = 0; i < nr_threads; i++)
		drop(threads[i].region);
}

static bool finished(uint64_t rounds)
{
	if (max_rounds)
		return rounds >= max_rounds;
	return now_ns() - start_ns >= max_ns;
}

/* One round of all threads; the dropper says whether it was the last. */
static void joint_round(struct thread *t, bool counted)
{
	touch(t->region);
	pthread_barrier_wait(&barrier);
	if (!t->nth) {
		drop_all();
		if (counted)
			stop = finished(t->rounds + 1);
	}
	pthread_barrier_wait(&barrier);
}

/* When each counted round of a fixed number ended, by the dropper's clock. */
static void note_round(const struct thread *t)
{
	if (t->nth || !round_end_ns)
		return;
	mark_end(1);
	round_end_ns[t->rounds] = now_ns();
	if (!stop)
		mark_begin(1);
}

static void *run(void *arg)
{
	struct thread *t = arg;
	uint64_t i;

	pin_to_cpu(t->nth);
	pthread_barrier_wait(&barrier);
	for (i = 0; i < warmup_rounds; i++) {
		if (independent) {
			touch(t->region);
			drop(t->region);
		} else {
			if (!t->nth && i + 1 == warmup_rounds)
				mark_warm();
			joint_round(t, false);
		}
	}

	pthread_barrier_wait(&barrier);
	if (!t->nth)
		start_ns = now_ns();
	if (!t->nth && round_end_ns) {
		mark_series();
		mark_begin(1);
	}
	pthread_barrier_wait(&barrier);

	if (independent) {
		do {
			touch(t->region);
			drop(t->region);
		} while (!finished(++t->rounds));
	} else {
		do {
			joint_round(t, true);
			note_round(t);
			t->rounds++;
		} while (!stop);
	}
	t->end_ns = now_ns();
	return NULL;
}

static void print_rounds(uint64_t rounds)
{
	uint64_t i, last = start_ns;

	printf(",\"round_ns\":[");
	for (i = 0; i < rounds; i++) {
		printf("%s%llu", i ? "," : "",
		       (unsigned long long)(round_end_ns[i] - last));
		last = round_end_ns[i];
	}
	printf("]");
}

static void report(void)
{
	uint64_t rounds = UINT64_MAX, most = 0, total = 0, end_ns = 0;
	struct rusage usage;
	unsigned int i;

	for (i = 0; i < nr_threads; i++) {
		struct thread *t = &threads[i];

		if (t->rounds < rounds)
			rounds = t->rounds;
		if (t->rounds > most)
			most = t->rounds;
		total += t->rounds;
		if (t->end_ns > end_ns)
			end_ns = t->end_ns;
	}
	getrusage(RUSAGE_SELF, &usage);
	printf("{\"program\":\"multi-fault\",\"threads\":%u,\"mode\":\"%s\",\"rounds\":%llu,\"rounds_max\":%llu,\"warmup\":%llu,\"faults\":%llu,\"elapsed_ns\":%llu,\"region\":%zu,\"align\":%zu,\"page_size\":%lu,\"cpus\":%ld,\"minor_faults\":%ld,\"major_faults\":%ld,\"thp\":\"%s\"",
	       nr_threads, independent ? "independent" : "together",
	       (unsigned long long)rounds, (unsigned long long)most,
	       (unsigned long long)warmup_rounds,
	       (unsigned long long)(total * PTRS_PER_PTE),
	       (unsigned long long)(end_ns - start_ns),
	       region_size, alignment, PAGE_SIZE, sysconf(_SC_NPROCESSORS_ONLN),
	       usage.ru_minflt, usage.ru_majflt, thp_enabled());
	if (round_end_ns)
		print_rounds(rounds);
	puts("}");
	if (fflush(stdout))
		die_errno("standard output");
}

static void set_seconds(uint64_t seconds)
{
	max_ns = seconds * 1000000000ULL;
	max_rounds = 0;
}

static void set_mode(const char *text)
{
	independent = !strcmp(text, "independent");
	if (!independent && strcmp(text, "together"))
		die("--mode: together or independent, not '%s'", text);
}

static void set_align(const char *text)
{
	alignment = parse_bytes("--align", text);
	if (alignment < PAGE_SIZE || alignment & (alignment - 1))
		die("--align: not a power of two from 4K: '%s'", text);
}

DEFINE_SET(nr_threads)
DEFINE_SET(max_rounds)
DEFINE_SET(warmup_rounds)
DEFINE_SET(region_size)

static const struct command command = {
	.synopsis = "[options] [THREADS]",
	.options = {
		{ 't', "--threads", "N", "1 to 256 (default 1)",
		  .number = set_nr_threads, .min = 1, .max = MAX_THREADS },
		{ 's', "--seconds", "N", "how long (default 60)",
		  .number = set_seconds, .min = 1, .max = 1000000 },
		{ 'r', "--rounds", "N", "how many rounds, instead of seconds",
		  .number = set_max_rounds, .min = 1, .max = UINT32_MAX },
		{ 'w', "--warmup", "ROUNDS", "before the clock starts, not counted (default 0)",
		  .number = set_warmup_rounds, .min = 0, .max = UINT32_MAX },
		{ 'm', "--mode", "MODE", "together (default) or independent", .word = set_mode },
		{ 'R', "--region", "BYTES", "per thread, a multiple of 2M (default 2M)",
		  .bytes = set_region_size, .multiple = "2M" },
		{ 'a', "--align", "BYTES",
		  "of each region's start, a power of two from 4K (default 2M)",
		  .word = set_align },
	},
};

static void parse(int argc, char **argv)
{
	char **words = parse_options(&command, argc, argv);

	if (*words)
		nr_threads = parse_number("threads", *words++, 1, MAX_THREADS);
	if (*words)
		die("one number of threads is enough: '%s'", *words);
}

int main(int argc, char **argv)
{
	pthread_attr_t attr;
	unsigned int i;
	size_t stride;
	char *base;
	int err;

	parse(argc, argv);
	stride = round_up(region_size, alignment);
	base = map_aligned(stride * nr_threads, alignment,
			   alignment < PMD_SIZE ? alignment : 0);
	if (max_rounds && !independent && max_rounds <= MAX_NOTED_ROUNDS) {
		round_end_ns = calloc(max_rounds, sizeof(*round_end_ns));
		if (!round_end_ns)
			die_errno("calloc");
		/* No fault of our own while the clock runs. */
		memset(round_end_ns, 1, max_rounds * sizeof(*round_end_ns));
	}
	pthread_barrier_init(&barrier, NULL, nr_threads);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	for (i = 0; i < nr_threads; i++) {
		threads[i].nth = i;
		threads[i].region = base + i * stride;
	}
	for (i = 0; i < nr_threads; i++) {
		err = pthread_create(&threads[i].id, &attr, run, &threads[i]);
		if (err) {
			errno = err;
			die_errno("pthread_create of thread %u", i);
		}
	}
	for (i = 0; i < nr_threads; i++)
		pthread_join(threads[i].id, NULL);
	report();
	return 0;
}
