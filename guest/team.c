// SPDX-License-Identifier: GPL-2.0
/* Threads that do rounds together: see team.h. */
#include "common.h"
#include "team.h"

#include <errno.h>
#include <pthread.h>

static pthread_barrier_t barrier;
static struct rounds *rounds;
static void (*work)(unsigned int nth);

/*
 * The start is taken between two barriers, while the others wait: after one
 * alone, thread 0 may be the last to run.
 */
static void *member(void *arg)
{
	unsigned int nth = (uintptr_t)arg;
	unsigned int left = rounds->warmup + rounds->wanted;
	uint64_t start = 0;

	pin_to_cpu(nth);
	while (left--) {
		pthread_barrier_wait(&barrier);
		if (!nth)
			start = rounds_begin(rounds);
		pthread_barrier_wait(&barrier);
		work(nth);
		pthread_barrier_wait(&barrier);
		if (!nth)
			rounds_end(rounds, start);
	}
	return NULL;
}

void team_run(unsigned int threads, struct rounds *r,
	      void (*what)(unsigned int nth))
{
	pthread_t id[MAX_THREADS];
	pthread_attr_t attr;
	unsigned int i;

	rounds = r;
	work = what;
	pthread_barrier_init(&barrier, NULL, threads);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	for (i = 0; i < threads; i++) {
		errno = pthread_create(&id[i], &attr, member, (void *)(uintptr_t)i);
		if (errno)
			die_errno("pthread_create of thread %u", i);
	}
	for (i = 0; i < threads; i++)
		pthread_join(id[i], NULL);
}
