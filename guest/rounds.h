/* SPDX-License-Identifier: GPL-2.0 */
/* Rounds of equal work: how many, how long each took, and what to make of it. */
#ifndef GUEST_ROUNDS_H
#define GUEST_ROUNDS_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_ROUNDS 4096

/*
 * The first `warmup` rounds are done like the others and not kept: they take
 * the faults of a program that has just begun, and fill the allocator's lists.
 */
struct rounds {
	unsigned int warmup, wanted;
	unsigned int done;		/* warm-up included */
	uint64_t ns[MAX_ROUNDS];	/* of those after the warm-up */
};

/* As many rounds as is usual, and the options (see options.h) that change it. */
#define DEFINE_ROUNDS(r) \
	static struct rounds r = { .wanted = 7, .warmup = 2 }; \
	static void set_wanted(uint64_t value) { r.wanted = value; } \
	static void set_warmup(uint64_t value) { r.warmup = value; }
#define ROUNDS_OPTIONS \
	{ 'r', "--rounds", "N", "measured (default 7)", \
	  .number = set_wanted, .min = 1, .max = MAX_ROUNDS }, \
	{ 'w', "--warmup", "N", "before them, not measured (default 2)", \
	  .number = set_warmup, .min = 0, .max = MAX_ROUNDS }

bool rounds_left(const struct rounds *r);
/*
 * Reads the clock, and begins a window of the profile (see mark.h) unless it
 * is a warm-up. rounds_end() ends it, and keeps the time since `start`.
 */
uint64_t rounds_begin(const struct rounds *r);
void rounds_end(struct rounds *r, uint64_t start);
/* The same for a round whose clock is not only read at its ends. */
void rounds_add(struct rounds *r, uint64_t ns);
/* The middle one; the lower of two middle ones. 0 when there is none. */
uint64_t rounds_median(const struct rounds *r);
/* "rounds":N,"warmup":N,"median_ns":N,"rounds_ns":[...] on standard output. */
void rounds_print(const struct rounds *r);

#endif
