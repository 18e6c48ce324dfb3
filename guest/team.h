/* SPDX-License-Identifier: GPL-2.0 */
/* Threads that do a round of work together, again and again, against the clock. */
#ifndef GUEST_TEAM_H
#define GUEST_TEAM_H

#include "rounds.h"

#define MAX_THREADS 256

/*
 * All threads of a team, each pinned to CPU nth modulo CPUs, call work(nth)
 * once a round; the clock runs from before the first begins until after the
 * last has finished, as thread 0 sees it. Returns when all rounds are done.
 */
void team_run(unsigned int threads, struct rounds *rounds,
	      void (*work)(unsigned int nth));

#endif
