/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The model: what a player knows of its memory.
 *
 * The arena is a few 2 MiB slots. A player owns all of it, or with several
 * players a block of each slot, so that all of them meet in every page table;
 * and a memfd. For each page of its own the model holds what the page must read as, and whether a page-table
 * entry may or must be there. Each step of a sequence is one operation on a
 * run of pages; its system calls change the memory, and its last lines change
 * the model. After each step both are compared (check.c).
 *
 * A step depends on the seed, its number, and the model alone; hence steps can
 * be left out (--keep) and the others stay what they are, as far as the pages
 * that they find let them.
 */
#ifndef MODEL_H
#define MODEL_H

#include "../common.h"

#include <stdio.h>
#include <sys/types.h>

#define MAX_SLOTS	8			/* 2 MiB each */
#define MAX_PAGES	(MAX_SLOTS * PTRS_PER_PTE)
#define FILE_PAGES	(2 * PTRS_PER_PTE)	/* of its memfd */
#define MAX_PLAYERS	8
#define STEP_SECONDS	300		/* after which a step hangs */

enum kind { GONE, ANON, SHMEM };		/* GONE: not mapped */
/* An entry of the page table is not there; can be there; is there. */
enum entry { NEVER, MAY, MUST };

enum page_flags {
	LAZY	 = 1,	/* MADV_FREE: reads as its value, or from some time on as zero */
	LOCKED	 = 2,
	DONTFORK = 4,
	WIPE	 = 8,	/* MADV_WIPEONFORK */
	MERGE	 = 16,	/* MADV_MERGEABLE */
	HUGE	 = 32,
	NOHUGE	 = 64,
	MOVED	 = 128,	/* for --fake moved; nothing else looks at it */
};
#define VMA_FLAGS (LOCKED | DONTFORK | WIPE | MERGE | HUGE | NOHUGE)

struct page {
	uint32_t value;		/* of anonymous memory; 0: zeros */
	uint32_t file;		/* the page of the memfd that it maps */
	uint8_t kind, prot, entry, flags;
};

/* A run of pages of the arena, or of the file. */
struct run {
	unsigned int first, count;
};

struct player {
	unsigned int nth;
	uint64_t seed;
	unsigned int step;		/* from 1 */
	uint64_t dice;			/* of this step */
	char *base;			/* of the arena, which is that of all players */
	unsigned int slots, pages;
	unsigned int block;		/* so many pages of each slot are the player's */
	struct page page[MAX_PAGES];
	bool touched[MAX_SLOTS];	/* had an entry at some time */
	uint32_t file_value[FILE_PAGES];
	int fd, pagemap, uffd;
	pid_t held;			/* a forked child that waits, and what wakes it */
	int wake;
	bool planted;
	bool copy;			/* a forked child: what its parent shares is not judged */
	FILE *emit;			/* write the steps as C instead of playing them */
	bool failed;
	char failure[320];
	uint64_t calls, checks;
};

/* What is the same for all players of a sequence. */
struct rules {
	bool frees;			/* empty page tables are to go */
	bool thp_always;
	bool system;			/* ksmd runs, there is swap */
	bool nodes;			/* two NUMA nodes at least */
	unsigned int players;
	long slack_kb;			/* that RSS may be behind */
	const char *fake;		/* "moved", or NULL */
	unsigned int plant;		/* the step that lies to the model; 0: none */
};
extern struct rules rules;

/* Random numbers of this step: [0, n). */
unsigned int rnd(struct player *p, unsigned int n);
void roll(struct player *p);

/* The first failure counts. */
void fail(struct player *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* A line of the C program that is written instead of playing. */
void emit(struct player *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* What each word of a page with this value is. */
uint64_t value_word(uint32_t value);
/* The player's own pages are numbered from 0, and lie in one piece in a slot. */
static inline unsigned int slot_of(const struct player *p, unsigned int page)
{
	return page / p->block;
}
static inline char *page_address(const struct player *p, unsigned int page)
{
	return p->base + slot_of(p, page) * PMD_SIZE +
	       (p->nth * p->block + page % p->block) * PAGE_SIZE;
}

/* ops.c: one step. */
void play_step(struct player *p);
const char *step_name(void);
/* Wake and await the child that waits, if there is one. */
void join_held(struct player *p);
/* Why a child failed: shared memory, set before the sequence begins. */
extern char *child_report;

/* check.c */
void check_pages(struct player *p, bool every_byte);
/* Read a run through its mapping, and compare every byte; for the step READ. */
void check_run(struct player *p, struct run r);
/* VmPTE and RSS against all players' models; what is found is `p`'s failure. */
struct status {
	long tables, anon, shmem, swap;	/* kB */
};
bool read_status(struct status *s);
extern struct status start;
void check_status(struct player *p, struct player *all, unsigned int count);
/* Entries that a neighbour's fault or khugepaged may have made. */
void spread(struct player *p);
/* Page tables that there can be at most and at least, of these players together. */
unsigned int tables_possible(const struct player *all, unsigned int count);
unsigned int tables_certain(const struct player *all, unsigned int count);

/* emit.c: the parts of the C program around the steps. */
void emit_begin(struct player *p, const char *command);
void emit_expected(struct player *p);
void emit_end(struct player *p);

#endif
