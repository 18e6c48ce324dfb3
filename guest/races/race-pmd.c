// SPDX-License-Identifier: GPL-2.0
/*
 * race-pmd: whole GiBs that become empty, and are used meanwhile.
 *
 * Models: a server that goes through its heap GiB by GiB and gives back what
 * it has touched, while other threads keep a page here and there: PMD tables
 * become empty, may be freed, and are needed again at any moment. Page tables
 * are walked by faults, by GUP (process_vm_readv) and by fork. One GiB more is
 * given back as a whole, by one call, while others begin to use it.
 *
 * Shows: an entry that is installed in a PMD table being freed (lost write), a
 * PMD table that is freed with something in it (lost write).
 *
 * Cannot show: a stale paging-structure cache under emulation, which has none.
 */
#include "race.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define GIB		(1UL << 30)
#define GIBS		3
#define SWEEP		70	/* tables: more than the kernel has patience for */
#define TABLES		2	/* of each GiB, for pages that stay a while */

static char *heap;
static char *common;	/* the GiB that is given back as a whole */
static uint64_t expected[MAX_THREADS][GIBS][TABLES];

static const char *setup(void)
{
	char *map = mmap(NULL, (GIBS + 2) * GIB, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return race_skip("address space");
	heap = (char *)(((uintptr_t)map + GIB - 1) & ~(GIB - 1));
	common = heap + GIBS * GIB;
	if (mmap(heap, (GIBS + 1) * GIB, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != heap)
		return race_skip("mmap");
	return NULL;
}

/* From GiB to GiB: each is left without a page of ours. */
static void sweep(struct worker *w)
{
	char *at = heap + rnd(w, GIBS) * GIB + GIB / 2;
	unsigned int i;

	w->doing = "sweep";
	for (i = 0; i < SWEEP && !stopping(); i++, at += PMD_SIZE) {
		at[0] = 1;
		if (madvise(at, PAGE_SIZE, MADV_DONTNEED))
			race_error("madvise: %s", strerror(errno));
		if (at[0])
			race_error("a dropped page is not empty");
		madvise(at, PAGE_SIZE, MADV_DONTNEED);
	}
}

/* One call for all that a GiB has, whoever is about to use it. */
static void sweep_whole(struct worker *w)
{
	if (!rnd(w, 16)) {
		sweep(w);
		return;
	}
	w->doing = "drop a GiB";
	common[rnd(w, GIB / PMD_SIZE) * PMD_SIZE] = 1;
	if (madvise(common, GIB, MADV_DONTNEED))
		race_error("madvise: %s", strerror(errno));
}

/* A page there may go at any moment. Who enters it into a dead table makes a wrong rss. */
static void use(struct worker *w)
{
	uint64_t *at = (uint64_t *)(common + rnd(w, GIB / PMD_SIZE) * PMD_SIZE +
				    (w->nth + 1) * PAGE_SIZE);
	uint64_t value = rnd64(w) | 1, got;

	w->doing = "use";
	store64(at, value);
	got = load64(at);
	if (got && got != value)
		race_error("page %p holds %#llx, neither %#llx nor nothing", (void *)at,
			   (unsigned long long)got, (unsigned long long)value);
	breathe(w);
}

static char *place(struct worker *w, unsigned int gib, unsigned int table)
{
	return heap + gib * GIB + table * PMD_SIZE + w->nth * PAGE_SIZE;
}

static void check(struct worker *w, unsigned int gib, unsigned int table)
{
	char *at = place(w, gib, table);
	uint64_t got = 0, want = expected[w->nth][gib][table];
	struct iovec local = { &got, sizeof(got) }, remote = { at, sizeof(got) };

	if (rnd(w, 2)) {
		w->doing = "load";
		memcpy(&got, at, sizeof(got));
	} else {
		w->doing = "process_vm_readv";
		if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != sizeof(got))
			race_error("process_vm_readv: %s", strerror(errno));
	}
	if (got != want)
		race_error("page %p holds %#llx, not %#llx", (void *)at,
			   (unsigned long long)got, (unsigned long long)want);
}

static void keep(struct worker *w)
{
	unsigned int gib = rnd(w, GIBS), table = rnd(w, TABLES), i;
	char *at = place(w, gib, table);
	uint64_t value = rnd64(w) | 1;

	check(w, gib, table);
	for (i = 0; i < 4 && !stopping(); i++) {
		w->doing = "store";
		memcpy(at, &value, sizeof(value));
		expected[w->nth][gib][table] = value;
		breathe(w);
		check(w, gib, table);
		if (!rnd(w, 8))
			return;
		w->doing = "madvise";
		expected[w->nth][gib][table] = 0;
		if (madvise(at, PAGE_SIZE, MADV_DONTNEED))
			race_error("madvise: %s", strerror(errno));
	}
	/* A look leaves the zero page, and the table: drop it as well. */
	check(w, gib, table);
	madvise(at, PAGE_SIZE, MADV_DONTNEED);
	for (i = 0; i < 8; i++)
		breathe(w);
}

static void fork_and_look(struct worker *w)
{
	unsigned int gib, table;
	pid_t pid;

	keep(w);
	if (rnd(w, 16))
		return;
	w->doing = "fork";
	pid = race_fork();
	if (!pid) {
		for (gib = 0; gib < GIBS; gib++)
			for (table = 0; table < TABLES; table++)
				check(w, gib, table);
		sweep(w);
		_exit(0);
	}
	race_wait(pid, 0);
}

static void quiesce(void)
{
	munmap(heap, (GIBS + 1) * GIB);
}

const struct race race = {
	.name = "pmd",
	.flags = RACE_NO_OWNERS,
	.setup = setup,
	.antagonists = { sweep_whole, use, use, keep, keep, fork_and_look },
	.quiesce = quiesce,
};
