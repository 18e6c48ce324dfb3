// SPDX-License-Identifier: GPL-2.0
/*
 * allocator: what a memory allocator makes of a server's life.
 *
 * Models: a server whose load moves from worker to worker, as tenants, shards
 * and connections do. A worker in its turn
 *	grows	opens sessions until they hold --peak of memory,
 *	churns	closes one at random and opens another, --churn per cent of them,
 *	decays	closes them at random until --low per cent are left,
 *	idles	with --flush gives its caches back, as servers do when a thread
 *		has nothing to do (folly's MemoryIdler, malloc_trim in many), and
 *		replaces one session every 100 ms for --idle of time,
 * and then the next one does, --rounds times over. A session is 32 objects,
 * most of them small: 70 % of 32 to 512 bytes, 25 % to 8 KiB, 5 % to 128 KiB,
 * uniform in the logarithm; every page of an object is written. All choices
 * come from --seed. One worker works at a time: the allocator's locks are not
 * the subject, the address space that it leaves behind is.
 *
 * The one program that is linked dynamically, so that LD_PRELOAD can give it
 * another malloc. It prints its pid first, a line for each step, and stays
 * alive at the end until its standard input ends (or gives a line).
 *
 * Cannot show: the sizes and lifetimes of any real server (the distribution is
 * made up), contention, or anything when THP is enabled (the first line tells).
 */
#include "common.h"
#include "options.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define OBJECTS		32
#define STEPS		20		/* lines printed per phase, about */
#define BEAT_NS		100000000ULL	/* between two sessions of an idle worker */

struct session {
	size_t bytes;
	void *object[OBJECTS];
};

struct worker {
	pthread_t thread;
	unsigned int nr;
	uint64_t random;
	sem_t turn;
	struct session *session;	/* an array that is not the allocator's */
	size_t sessions, room;
	uint64_t bytes;
};

static unsigned int workers = 4;
static uint64_t peak = 128 << 20;
static unsigned int low_pct = 5;
static unsigned int churn_pct = 50;
static unsigned int rounds = 2;
static uint64_t idle_ns = 1000000000ULL;
static uint64_t seed = 1;
static bool flush;

static sem_t yielded;
static unsigned int current_round;
/* Written by whoever has the turn. */
static uint64_t ops, busy_ns, live_bytes;

static void say(void)
{
	if (fflush(stdout))
		die_errno("standard output");
}

/* splitmix64, Steele, Lea and Flood 2014 */
static uint64_t draw(struct worker *me)
{
	uint64_t z = me->random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* From 2^shift up to 2^(shift + octaves), uniform in the logarithm but for rounding. */
static size_t draw_size(struct worker *me, unsigned int shift, unsigned int octaves)
{
	size_t base = 1UL << (shift + draw(me) % octaves);

	return base + draw(me) % base;
}

static size_t object_size(struct worker *me)
{
	unsigned int kind = draw(me) % 100;

	if (kind < 70)
		return draw_size(me, 5, 4);
	if (kind < 95)
		return draw_size(me, 9, 4);
	return draw_size(me, 13, 4);
}

static void open_session(struct worker *me)
{
	struct session *new;
	size_t size, at;
	int i;

	if (me->sessions == me->room)
		die("more sessions than reckoned with");
	new = &me->session[me->sessions++];
	new->bytes = 0;
	for (i = 0; i < OBJECTS; i++) {
		size = object_size(me);
		new->object[i] = malloc(size);
		if (!new->object[i])
			die("malloc of %zu bytes failed", size);
		for (at = 0; at < size; at += PAGE_SIZE)
			((volatile char *)new->object[i])[at] = 1;
		((volatile char *)new->object[i])[size - 1] = 1;
		new->bytes += size;
	}
	me->bytes += new->bytes;
	live_bytes += new->bytes;
	ops += OBJECTS;
}

static void close_session(struct worker *me)
{
	struct session *old = &me->session[draw(me) % me->sessions];
	int i;

	for (i = 0; i < OBJECTS; i++)
		free(old->object[i]);
	me->bytes -= old->bytes;
	live_bytes -= old->bytes;
	ops += OBJECTS;
	*old = me->session[--me->sessions];
}

static void report(struct worker *me, const char *phase)
{
	printf("{\"phase\":\"%s\",\"round\":%u,\"worker\":%u,\"ops\":%llu,\"busy_ns\":%llu,\"live_kb\":%llu}\n",
	       phase, current_round, me->nr, (unsigned long long)ops,
	       (unsigned long long)busy_ns, (unsigned long long)live_bytes >> 10);
	say();
}

/* Time since `start` is work; printing is not. */
static uint64_t step(struct worker *me, const char *phase, uint64_t start)
{
	busy_ns += now_ns() - start;
	report(me, phase);
	return now_ns();
}

static void grow(struct worker *me)
{
	uint64_t start = now_ns(), next = me->bytes;

	while (me->bytes < peak) {
		open_session(me);
		if (me->bytes < next)
			continue;
		next = me->bytes + peak / STEPS;
		start = step(me, "grow", start);
	}
	step(me, "grow", start);
}

static void churn(struct worker *me)
{
	size_t times = me->sessions * churn_pct / 100, i;
	uint64_t start = now_ns();

	for (i = 0; i < times; i++) {
		close_session(me);
		open_session(me);
		if (i % (times / STEPS + 1) == 0)
			start = step(me, "churn", start);
	}
	step(me, "churn", start);
}

static void decay(struct worker *me)
{
	uint64_t start = now_ns(), least = peak * low_pct / 100, next = me->bytes;

	while (me->sessions && me->bytes > least) {
		close_session(me);
		if (me->bytes > next)
			continue;
		next = me->bytes > peak / STEPS ? me->bytes - peak / STEPS : 0;
		start = step(me, "decay", start);
	}
	step(me, "decay", start);
}

/* What each allocator offers to a thread that goes idle; the name of it. */
static const char *give_back(void)
{
	int (*mallctl)(const char *, void *, size_t *, void *, size_t);
	void (*mark_idle)(void), (*release)(void);

	mallctl = dlsym(RTLD_DEFAULT, "mallctl");
	if (mallctl) {
		if (mallctl("thread.tcache.flush", NULL, NULL, NULL, 0))
			die("mallctl(thread.tcache.flush) failed");
		return "thread.tcache.flush";
	}
	release = dlsym(RTLD_DEFAULT, "MallocExtension_ReleaseFreeMemory");
	if (release) {
		mark_idle = dlsym(RTLD_DEFAULT, "MallocExtension_MarkThreadIdle");
		if (mark_idle)
			mark_idle();
		release();
		return mark_idle ? "MarkThreadIdle, ReleaseFreeMemory" : "ReleaseFreeMemory";
	}
	malloc_trim(0);
	return "malloc_trim";
}

/* The little traffic is what lets an allocator without a thread of its own tidy up. */
static void idle(struct worker *me)
{
	const struct timespec beat = { .tv_nsec = BEAT_NS };
	uint64_t beats = idle_ns / BEAT_NS, i, start;

	if (flush) {
		start = now_ns();
		printf("{\"flush\":\"%s\"}\n", give_back());
		busy_ns += now_ns() - start;
	}
	for (i = 0; i < beats; i++) {
		nanosleep(&beat, NULL);
		start = now_ns();
		open_session(me);
		close_session(me);
		step(me, "idle", start);
	}
}

static void *work(void *arg)
{
	struct worker *me = arg;
	unsigned int i;

	for (i = 0; i < rounds; i++) {
		sem_wait(&me->turn);
		grow(me);
		churn(me);
		decay(me);
		idle(me);
		sem_post(&yielded);
	}
	/* A thread that ends gives its caches back; a server's does not end. */
	sem_wait(&me->turn);
	return NULL;
}

static void hire(struct worker *me, unsigned int nr)
{
	int error;

	me->nr = nr;
	me->random = seed * 1000003 + nr;
	/* A session holds 90 KiB on average; below a sixth of it never over thousands of them. */
	me->room = peak / (16 << 10) + 1024;
	me->session = mmap(NULL, me->room * sizeof(*me->session), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (me->session == MAP_FAILED)
		die_errno("mmap");
	sem_init(&me->turn, 0, 0);
	error = pthread_create(&me->thread, NULL, work, me);
	if (error)
		die("pthread_create: %s", strerror(error));
}

DEFINE_SET(workers)
DEFINE_SET(peak)
DEFINE_SET(low_pct)
DEFINE_SET(churn_pct)
DEFINE_SET(rounds)
DEFINE_SET(flush)
DEFINE_SET(seed)

static void set_idle(uint64_t ms)
{
	idle_ns = ms * 1000000;
}

static const struct command command = {
	.synopsis = "[options]",
	.options = {
		{ 'w', "--workers", "N", "1 to 64 (default 4)",
		  .number = set_workers, .min = 1, .max = 64 },
		{ 'p', "--peak", "BYTES", "that a worker's sessions grow to (default 128M)",
		  .bytes = set_peak },
		{ 'l', "--low", "PCT", "of it that is left after the decay (default 5)",
		  .number = set_low_pct, .min = 0, .max = 100 },
		{ 'c', "--churn", "PCT", "of the sessions replaced at the peak (default 50)",
		  .number = set_churn_pct, .min = 0, .max = 10000 },
		{ 'r', "--rounds", "N", "turns of each worker (default 2)",
		  .number = set_rounds, .min = 1, .max = 1000 },
		{ 'i', "--idle", "MS", "after each decay (default 1000)",
		  .number = set_idle, .min = 0, .max = 3600000 },
		{ 'f', "--flush", NULL, "an idle worker gives its caches back",
		  .number = set_flush },
		{ 's', "--seed", "N", "(default 1)",
		  .number = set_seed, .min = 0, .max = UINT32_MAX },
	},
	.notes = "Stays alive until standard input ends or gives a line.\n",
};

int main(int argc, char **argv)
{
	static struct worker worker[64];
	uint64_t start;
	unsigned int i;
	char line[64];

	parse_only_options(&command, argc, argv);
	printf("{\"pid\":%d,\"program\":\"allocator\",\"workers\":%u,\"peak\":%llu,\"low_pct\":%u,\"churn_pct\":%u,\"rounds\":%u,\"seed\":%llu,\"thp\":\"%s\"}\n",
	       getpid(), workers, (unsigned long long)peak, low_pct, churn_pct,
	       rounds, (unsigned long long)seed, thp_enabled());
	say();

	sem_init(&yielded, 0, 0);
	for (i = 0; i < workers; i++)
		hire(&worker[i], i);
	start = now_ns();
	for (current_round = 0; current_round < rounds; current_round++) {
		for (i = 0; i < workers; i++) {
			sem_post(&worker[i].turn);
			sem_wait(&yielded);
		}
	}
	printf("{\"done\":%llu,\"elapsed_ns\":%llu,\"busy_ns\":%llu,\"live_kb\":%llu}\n",
	       (unsigned long long)ops, (unsigned long long)(now_ns() - start),
	       (unsigned long long)busy_ns, (unsigned long long)live_bytes >> 10);
	say();
	/* A line or the end of the input, whichever comes first. */
	if (!fgets(line, sizeof(line), stdin) && ferror(stdin))
		die_errno("standard input");
	for (i = 0; i < workers; i++)
		sem_post(&worker[i].turn);
	for (i = 0; i < workers; i++)
		pthread_join(worker[i].thread, NULL);
	return 0;
}
