// SPDX-License-Identifier: GPL-2.0
/* Rounds of equal work: see rounds.h. */
#include "rounds.h"

#include "common.h"
#include "mark.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool rounds_left(const struct rounds *r)
{
	return r->done < r->warmup + r->wanted;
}

void rounds_add(struct rounds *r, uint64_t ns)
{
	if (r->done >= r->warmup)
		r->ns[r->done - r->warmup] = ns;
	r->done++;
}

uint64_t rounds_begin(const struct rounds *r)
{
	uint64_t start = now_ns();

	if (r->done + 1 == r->warmup)
		mark_warm();
	if (r->done == r->warmup)
		mark_series();
	if (r->done >= r->warmup)
		mark_begin(1);
	return start;
}

void rounds_end(struct rounds *r, uint64_t start)
{
	if (r->done >= r->warmup)
		mark_end(1);
	rounds_add(r, now_ns() - start);
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

uint64_t rounds_median(const struct rounds *r)
{
	static uint64_t sorted[MAX_ROUNDS];
	unsigned int n = r->done > r->warmup ? r->done - r->warmup : 0;

	if (!n)
		return 0;
	memcpy(sorted, r->ns, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_size);
	return sorted[(n - 1) / 2];
}

void rounds_print(const struct rounds *r)
{
	unsigned int i, n = r->done > r->warmup ? r->done - r->warmup : 0;

	printf("\"rounds\":%u,\"warmup\":%u,\"median_ns\":%llu,\"rounds_ns\":[",
	       n, r->warmup, (unsigned long long)rounds_median(r));
	for (i = 0; i < n; i++)
		printf("%s%llu", i ? "," : "", (unsigned long long)r->ns[i]);
	printf("]");
}
