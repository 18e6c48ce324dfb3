/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The race suite's common ground.
 *
 * A few 2 MiB ranges (the arena) are shared by all threads. Every page has one
 * owner, the only one who ever writes it; owners are interleaved page by page,
 * so that all of them meet in every page table. A page holds NSLOTS words at
 * fixed places, each made of (page, slot, generation), and zeros elsewhere.
 *
 * Owners write, check and drop. A drop by somebody else is announced: `begun`
 * counts up before the system call, `ended` after it. Hence an owner who reads
 * a slot knows what it may hold:
 *
 *   - what was last written to it, unless it has been seen empty since;
 *   - nothing (zero, or what a userfault handler puts there), if it has been
 *     seen empty, or if a drop has begun since the write or was under way.
 *
 * Anything else is an error: a lost write (empty without a drop), a stale page
 * (an older generation, or data that came back), a foreign page. Threads that
 * are not the owner check the same more loosely, without keeping state.
 *
 * A race is a file race-NAME.c that defines `race`: what the antagonists do to
 * the arena while the owners work. The loop, the clock, the checks, the leak
 * check and the verdict are in race.c, and so is main().
 */
#ifndef RACE_H
#define RACE_H

#include "common.h"
#include "sys.h"

#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/types.h>

#define NSLOTS		4
#define MAX_THREADS	64
#define MAX_ANTAGONISTS	8
#define MAX_RANGES	16

struct worker {
	unsigned int nth;		/* owners first, then antagonists */
	uint64_t rng;
	uint64_t ops;
	bool sparse;			/* few pages per table: tables become empty */
	const char *volatile doing;
	volatile sig_atomic_t armed;	/* a fault now is recoverable */
	volatile sig_atomic_t signal;
	sigjmp_buf recover;
	char *bounce;			/* a page of its own, outside the arena */
	void (*antagonist)(struct worker *w);
};

enum race_flags {
	RACE_SEGV_OK	= 1,	/* pages may be inaccessible for a while */
	RACE_BUS_OK	= 2,	/* ... with SIGBUS */
	RACE_KEEPS	= 4,	/* shared file: MADV_DONTNEED loses nothing */
	RACE_MERGE	= 8,	/* few different contents, so that KSM finds some */
	RACE_NO_OWNERS	= 16,	/* no owner threads: the antagonists are all */
	RACE_DROP_FAILS	= 32,	/* MADV_DONTNEED may fail (mlock) or miss (mremap) */
	RACE_FEW_DROPS	= 64,	/* the antagonists need pages that stay a while */
};

struct race {
	const char *name;
	unsigned int flags;
	unsigned int ranges;		/* of 2 MiB; default 4 */
	/* Before the threads; NULL, or why this cannot be tried here. */
	const char *(*setup)(void);
	/* One call is one operation; each has a thread of its own. */
	void (*antagonists[MAX_ANTAGONISTS])(struct worker *w);
	/* One more thing an owner can do to a page of its own. */
	void (*own)(struct worker *w, unsigned int page);
	/* Called in place of MADV_DONTNEED: drop pages so that they become empty. */
	bool (*drop)(unsigned int page, unsigned int count);
	/* Where a page is now; default: its place in the arena. */
	char *(*locate)(unsigned int page);
	/* The threads are gone: make every page accessible again. */
	void (*quiesce)(void);
	/* Empty all of it, for the leak check, and then unmap it. */
	void (*drop_all)(void);
	void (*unmap_all)(void);
	/* Always called at the end, also after a hang: async-signal-safe. */
	void (*cleanup)(void);
};

extern const struct race race;

struct arena {
	char *base;
	size_t size;
	unsigned int pages;
};

extern struct arena arena;
extern unsigned int nr_owners;
extern uint64_t seed;

/* One access of 8 bytes: in a 32-bit program a volatile one would be two. */
static inline uint64_t load64(const uint64_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}
static inline void store64(uint64_t *at, uint64_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELAXED);
}

/* Random numbers of a thread's own: [0, n). */
uint64_t rnd64(struct worker *w);
static inline unsigned int rnd(struct worker *w, unsigned int n)
{
	return (rnd64(w) >> 32) * n >> 32;
}

/* A random run of pages: often short, sometimes a whole range, within the arena. */
unsigned int rnd_run(struct worker *w, unsigned int *count);
/* The same within one 2 MiB range. */
unsigned int rnd_run_in_range(struct worker *w, unsigned int *count);

bool stopping(void);
/* Let the others have the CPU now and then, for up to some hundred us. */
void breathe(struct worker *w);

void race_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
unsigned int race_errors(void);
/* Remark for the verdict's reason when nothing failed. */
void race_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "what: strerror(errno)", for setup(). */
const char *race_skip(const char *what);

/*
 * fork() whose child dies with its parent and by its own signals. The child
 * reports by race_error(), which its parent sees, and leaves by _exit(0). That
 * there is no memory for a child is no error; any other failure is reported.
 */
pid_t race_fork(void);
/* Wait for it; a child killed by a signal other than `expected` is an error. */
void race_wait(pid_t pid, int expected);

/* Put an arena of shared memory or of a file in place of the anonymous one. */
void arena_map_file(int fd);

char *page_at(unsigned int page);
static inline unsigned int page_owner(unsigned int page)
{
	return page % nr_owners;
}

/* Anybody: make a page present and dirty, and change nothing. */
bool page_dirty(struct worker *w, unsigned int page);

/* Announce that these pages may become empty until drop_end(). */
void drop_begin(unsigned int page, unsigned int count);
void drop_end(unsigned int page, unsigned int count);
/* Somebody's announced drop of any pages. */
void drop_run(unsigned int page, unsigned int count);

/* madvise() on a random run within a range; EAGAIN is no error. */
void advise_run(struct worker *w, int advice);

/*
 * Write, or check, a page through some way of access. put() returns how many
 * slots it wrote, get() how many it read, both from slot 0 on.
 */
typedef unsigned int (*put_fn)(struct worker *w, unsigned int page,
			       const uint64_t value[NSLOTS]);
typedef unsigned int (*get_fn)(struct worker *w, unsigned int page,
			       uint64_t value[NSLOTS]);
unsigned int put_by_store(struct worker *w, unsigned int page,
			  const uint64_t value[NSLOTS]);
unsigned int get_by_load(struct worker *w, unsigned int page,
			 uint64_t value[NSLOTS]);
void page_write(struct worker *w, unsigned int page, put_fn put);
void page_check(struct worker *w, unsigned int page, get_fn get);
/* The owner drops its page and must find it empty at once. */
void page_drop(struct worker *w, unsigned int page);
/* The owner knows that its page is empty now (some other way of dropping). */
void page_is_empty(unsigned int page);
/* The loose check, by anybody. */
void page_look(struct worker *w, unsigned int page, get_fn get);

/* Byte offset of a slot; a page in memory from and to slots. */
extern const unsigned int slot_offset[NSLOTS];
void slots_to_page(const uint64_t value[NSLOTS], void *page);
void page_to_slots(const void *page, uint64_t value[NSLOTS]);
/* What a userfault handler fills a page with; counts as empty. */
void fill_page(unsigned int page, void *buf);

/* Newest complete and newest begun generation of a page; for fork snapshots. */
void page_generations(unsigned int page, uint32_t *done, uint32_t *begun);
/* May a slot hold this, if no write before `done` nor after `begun` counts? */
bool slot_plausible(unsigned int page, unsigned int slot, uint64_t value,
		    uint32_t done, uint32_t begun);

#endif
