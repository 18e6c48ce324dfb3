// SPDX-License-Identifier: GPL-2.0
/* The loop, the checks and the verdict of every race: see race.h. */
#include "race.h"
#include "options.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STACK_SIZE	(256UL << 10)
#define MAGIC		0xa5c3ULL
#define FILL_GEN	0xffffffU
#define MERGE_CLASSES	4
#define GRACE		30	/* seconds in which something must get done */
#define LAST_CHECKS	60	/* seconds that the checks at the end may take */

/* A page's state. The owner's part is written by the owner alone. */
struct page_state {
	_Atomic uint32_t begun, ended;		/* announced drops */
	_Atomic uint32_t gen_begun, gen_done;	/* for those who look */
	uint32_t gen[NSLOTS];			/* what the slot was given last */
	uint32_t seen[NSLOTS];			/* `begun` just before */
	uint8_t unsure;				/* slots written during a drop */
	uint8_t empty;				/* slots known to be empty */
};

/* Visible to forked children and their parent alike. */
struct shared {
	_Atomic bool stop;
	_Atomic unsigned int errors;
	_Atomic bool first_taken;
	char first[256];
	char note[160];
	struct page_state state[];
};

struct arena arena;
unsigned int nr_owners = 4;
uint64_t seed = 1;

const unsigned int slot_offset[NSLOTS] = { 0, 1368, 2736, PAGE_SIZE - 8 };

static struct shared *shared;
static struct worker workers[MAX_THREADS + MAX_ANTAGONISTS];
static unsigned int nr_workers;
static unsigned int seconds = 10;
static const char *fake = "";
static __thread struct worker *self;
static long start_kb;
static long long start_tables, start_freed;

/* xorshift64*, never zero. */
uint64_t rnd64(struct worker *w)
{
	w->rng ^= w->rng >> 12;
	w->rng ^= w->rng << 25;
	w->rng ^= w->rng >> 27;
	return w->rng * 0x2545f4914f6cdd1dULL;
}

unsigned int rnd_run_in_range(struct worker *w, unsigned int *count)
{
	unsigned int first = rnd(w, PTRS_PER_PTE), n;

	switch (rnd(w, 4)) {
	case 0:
		first = 0;
		n = PTRS_PER_PTE;
		break;
	case 1:
		n = 1;
		break;
	case 2:
		n = 1 + rnd(w, 16);
		break;
	default:
		n = 1 + rnd(w, PTRS_PER_PTE);
	}
	if (n > PTRS_PER_PTE - first)
		n = PTRS_PER_PTE - first;
	*count = n;
	return rnd(w, arena.size / PMD_SIZE) * PTRS_PER_PTE + first;
}

unsigned int rnd_run(struct worker *w, unsigned int *count)
{
	unsigned int first;

	if (rnd(w, 8))
		return rnd_run_in_range(w, count);
	first = rnd(w, arena.pages);
	*count = 1 + rnd(w, arena.pages - first);
	return first;
}

bool stopping(void)
{
	return atomic_load_explicit(&shared->stop, memory_order_relaxed);
}

void breathe(struct worker *w)
{
	struct timespec ts = { 0, 1000 * (1 + rnd(w, 300)) };

	if (!rnd(w, 4))
		nanosleep(&ts, NULL);
	else
		sched_yield();
}

void race_error(const char *fmt, ...)
{
	va_list ap;

	if (!atomic_exchange(&shared->first_taken, true)) {
		va_start(ap, fmt);
		vsnprintf(shared->first, sizeof(shared->first), fmt, ap);
		va_end(ap);
	}
	if (atomic_fetch_add(&shared->errors, 1) >= 100)
		atomic_store(&shared->stop, true);
}

unsigned int race_errors(void)
{
	return atomic_load(&shared->errors);
}

void race_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(shared->note, sizeof(shared->note), fmt, ap);
	va_end(ap);
}

const char *race_skip(const char *what)
{
	static char reason[160];

	snprintf(reason, sizeof(reason), "%s: %s", what, strerror(errno));
	return reason;
}

pid_t race_fork(void)
{
	pid_t pid = fork();

	if (pid < 0 && errno != EAGAIN && errno != ENOMEM)
		race_error("fork: %s", strerror(errno));
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	return 0;
}

void race_wait(pid_t pid, int expected)
{
	int status;

	if (pid < 0)
		return;		/* race_fork() has said why */
	if (waitpid(pid, &status, 0) != pid)
		race_error("waitpid: %s", strerror(errno));
	else if (WIFSIGNALED(status) && WTERMSIG(status) != expected)
		race_error("a child was killed by signal %d", WTERMSIG(status));
	else if (WIFEXITED(status) && WEXITSTATUS(status))
		race_error("a child left with %d", WEXITSTATUS(status));
}

/* --- what a slot holds --- */

static uint64_t slot_value(unsigned int page, uint32_t gen, unsigned int slot)
{
	if (race.flags & RACE_MERGE && gen != FILL_GEN) {
		gen = 1 + (page * 7 + gen) % MERGE_CLASSES;
		page = 0;
	}
	return MAGIC << 48 | (uint64_t)page << 32 | (uint64_t)slot << 24 | gen;
}

static bool is_empty(unsigned int page, unsigned int slot, uint64_t value)
{
	return !value || value == slot_value(page, FILL_GEN, slot);
}

void fill_page(unsigned int page, void *buf)
{
	uint64_t value[NSLOTS];
	unsigned int s;

	for (s = 0; s < NSLOTS; s++)
		value[s] = slot_value(page, FILL_GEN, s);
	slots_to_page(value, buf);
}

void slots_to_page(const uint64_t value[NSLOTS], void *page)
{
	unsigned int s;

	memset(page, 0, PAGE_SIZE);
	for (s = 0; s < NSLOTS; s++)
		memcpy((char *)page + slot_offset[s], &value[s], sizeof(value[s]));
}

void page_to_slots(const void *page, uint64_t value[NSLOTS])
{
	unsigned int s;

	for (s = 0; s < NSLOTS; s++)
		memcpy(&value[s], (const char *)page + slot_offset[s], sizeof(value[s]));
}

char *page_at(unsigned int page)
{
	if (race.locate)
		return race.locate(page);
	return arena.base + page * PAGE_SIZE;
}

/* --- accesses that may fault for good --- */

static bool tolerated(int sig)
{
	return (sig == SIGSEGV && race.flags & RACE_SEGV_OK) ||
	       (sig == SIGBUS && race.flags & RACE_BUS_OK);
}

/*
 * Run one access of a slot; false if the page stays inaccessible for some
 * tries, or at once on a signal that no race expects. The place is asked for
 * anew at every try: the page may have moved.
 */
enum access { LOAD, STORE, DIRTY };

static bool access_slot(struct worker *w, unsigned int page, unsigned int offset,
			uint64_t *value, enum access how)
{
	volatile unsigned int tries = 0;
	uint64_t *at;

	while (sigsetjmp(w->recover, 0)) {
		if (!tolerated(w->signal)) {
			race_error("signal %d at page %u", w->signal, page);
			return false;
		}
		tries = tries + 1;
		if (tries >= 20 || stopping())
			return false;
		sched_yield();
	}
	at = (uint64_t *)(page_at(page) + offset);
	w->armed = 1;
	atomic_signal_fence(memory_order_seq_cst);
	if (how == STORE)
		store64(at, *value);
	else if (how == LOAD)
		*value = load64(at);
	else
		__atomic_fetch_or(at, 0, __ATOMIC_SEQ_CST);
	atomic_signal_fence(memory_order_seq_cst);
	w->armed = 0;
	return true;
}

unsigned int put_by_store(struct worker *w, unsigned int page,
			  const uint64_t value[NSLOTS])
{
	unsigned int s;

	for (s = 0; s < NSLOTS; s++) {
		uint64_t v = value[s];

		if (!access_slot(w, page, slot_offset[s], &v, STORE))
			break;
	}
	return s;
}

unsigned int get_by_load(struct worker *w, unsigned int page,
			 uint64_t value[NSLOTS])
{
	unsigned int s;

	for (s = 0; s < NSLOTS; s++)
		if (!access_slot(w, page, slot_offset[s], &value[s], LOAD))
			break;
	return s;
}

bool page_dirty(struct worker *w, unsigned int page)
{
	return access_slot(w, page, slot_offset[0] + 8, NULL, DIRTY);
}

/* --- the owner's operations --- */

void page_write(struct worker *w, unsigned int page, put_fn put)
{
	struct page_state *st = &shared->state[page];
	uint32_t gen = atomic_load(&st->gen_begun) + 1;
	uint64_t value[NSLOTS];
	uint32_t ended, begun;
	unsigned int s, n;

	/* In this order: equal means that none was under way at the second. */
	ended = atomic_load(&st->ended);
	begun = atomic_load(&st->begun);
	for (s = 0; s < NSLOTS; s++)
		value[s] = slot_value(page, gen, s);
	atomic_store(&st->gen_begun, gen);
	n = put(w, page, value);
	for (s = 0; s < n; s++) {
		st->gen[s] = gen;
		st->seen[s] = begun;
		st->empty &= ~(1 << s);
		if (begun == ended)
			st->unsure &= ~(1 << s);
		else
			st->unsure |= 1 << s;
	}
	if (n == NSLOTS)
		atomic_store(&st->gen_done, gen);
}

static void check_slot(unsigned int page, unsigned int s, uint64_t value)
{
	struct page_state *st = &shared->state[page];
	uint32_t begun = atomic_load(&st->begun);
	uint8_t bit = 1 << s;
	uint64_t want;

	if (!st->gen[s])
		st->empty |= bit;
	want = slot_value(page, st->gen[s], s);
	if (is_empty(page, s, value)) {
		if (!(st->empty & bit) && !(st->unsure & bit) && begun == st->seen[s])
			race_error("lost: page %u slot %u is %#llx, not %#llx, without a drop",
				   page, s, (unsigned long long)value,
				   (unsigned long long)want);
		st->empty |= bit;
	} else if (value != want) {
		race_error("%s: page %u slot %u is %#llx, not %#llx",
			   value >> 48 != MAGIC ? "garbage" :
			   (value >> 32 & 0xffff) != (want >> 32 & 0xffff) ? "foreign" : "stale",
			   page, s, (unsigned long long)value, (unsigned long long)want);
	} else if (st->empty & bit) {
		race_error("came back: page %u slot %u is %#llx and had been empty",
			   page, s, (unsigned long long)value);
	}
}

/* Everything between the slots is zero, whatever the slots hold. */
static void check_between(struct worker *w, unsigned int page)
{
	unsigned int offset, s = 0;
	uint64_t value;

	for (offset = 0; offset < PAGE_SIZE; offset += 8) {
		if (s < NSLOTS && offset == slot_offset[s]) {
			s++;
			continue;
		}
		if (!access_slot(w, page, offset, &value, LOAD))
			return;
		if (value) {
			race_error("garbage: page %u offset %u is %#llx, not zero",
				   page, offset, (unsigned long long)value);
			return;
		}
	}
}

void page_check(struct worker *w, unsigned int page, get_fn get)
{
	uint64_t value[NSLOTS];
	unsigned int s, n;

	n = get(w, page, value);
	for (s = 0; s < n; s++)
		check_slot(page, s, value[s]);
}

void page_is_empty(unsigned int page)
{
	shared->state[page].empty = (1 << NSLOTS) - 1;
}

static bool drop_pages(unsigned int page, unsigned int count)
{
	if (race.drop)
		return race.drop(page, count);
	return !madvise(page_at(page), count * PAGE_SIZE, MADV_DONTNEED);
}

void page_drop(struct worker *w, unsigned int page)
{
	if (race.flags & RACE_DROP_FAILS) {
		drop_run(page, 1);
		return;
	}
	if (!drop_pages(page, 1)) {
		race_error("dropping page %u: %s", page, strerror(errno));
		return;
	}
	if (!(race.flags & RACE_KEEPS) || race.drop)
		page_is_empty(page);
	page_check(w, page, get_by_load);
}

/* --- everybody's --- */

void drop_begin(unsigned int page, unsigned int count)
{
	while (count--)
		atomic_fetch_add(&shared->state[page++].begun, 1);
}

void drop_end(unsigned int page, unsigned int count)
{
	while (count--)
		atomic_fetch_add(&shared->state[page++].ended, 1);
}

void drop_run(unsigned int page, unsigned int count)
{
	bool loses = !(race.flags & RACE_KEEPS) || race.drop;

	if (loses)
		drop_begin(page, count);
	if (!drop_pages(page, count) && !(race.flags & RACE_DROP_FAILS))
		race_error("dropping %u pages at %u: %s", count, page, strerror(errno));
	if (loses)
		drop_end(page, count);
}

void advise_run(struct worker *w, int advice)
{
	unsigned int page, count;

	page = rnd_run_in_range(w, &count);
	if (madvise(page_at(page), count * PAGE_SIZE, advice) && errno != EAGAIN)
		race_error("madvise(%d): %s", advice, strerror(errno));
}

void page_generations(unsigned int page, uint32_t *done, uint32_t *begun)
{
	*done = atomic_load(&shared->state[page].gen_done);
	*begun = atomic_load(&shared->state[page].gen_begun);
}

bool slot_plausible(unsigned int page, unsigned int slot, uint64_t value,
		    uint32_t done, uint32_t begun)
{
	uint32_t gen = value & 0xffffff;

	if (is_empty(page, slot, value))
		return true;
	if (race.flags & RACE_MERGE)
		return gen >= 1 && gen <= MERGE_CLASSES && value == (MAGIC << 48 |
			(uint64_t)slot << 24 | gen);
	return value == slot_value(page, gen, slot) && gen >= done && gen <= begun;
}

void page_look(struct worker *w, unsigned int page, get_fn get)
{
	uint32_t done, begun, ignored;
	uint64_t value[NSLOTS];
	unsigned int s, n;

	page_generations(page, &done, &ignored);
	n = get(w, page, value);
	page_generations(page, &ignored, &begun);
	for (s = 0; s < n; s++)
		if (!slot_plausible(page, s, value[s], done, begun))
			race_error("looked at page %u slot %u: %#llx is not of generation %u to %u",
				   page, s, (unsigned long long)value[s], done, begun);
}

/*
 * A page of the owner's: any, or one of the first two it has in each range.
 * When all owners are sparse, 4K drops empty whole tables all the time.
 */
static unsigned int own_page(struct worker *w)
{
	unsigned int range = rnd(w, arena.size / PMD_SIZE);
	unsigned int k = rnd(w, w->sparse ? 2 : PTRS_PER_PTE / nr_owners);
	unsigned int page = range * PTRS_PER_PTE + k * nr_owners;

	page += (w->nth + nr_owners - page % nr_owners) % nr_owners;
	return page < (range + 1) * PTRS_PER_PTE ? page : page - nr_owners;
}

/* What a broken kernel would do, to see that the checks are awake. */
static void make_mistake(struct worker *w, unsigned int page)
{
	uint32_t gen = shared->state[page].gen[0];
	static _Atomic bool leaked;

	w->doing = "a mistake on purpose";
	if (!strcmp(fake, "hang")) {
		for (;;)
			pause();
	} else if (!strcmp(fake, "leak")) {
		if (!atomic_exchange(&leaked, true))
			*(char *)map_aligned(PMD_SIZE, PMD_SIZE, 0) = 1;
	} else if (!strcmp(fake, "lost")) {
		page_write(w, page, put_by_store);
		drop_pages(page, 1);
		page_check(w, page, get_by_load);
	} else if (gen) {
		uint64_t value[NSLOTS] = {
			!strcmp(fake, "stale") ? slot_value(page, gen - 1, 0) :
			slot_value(page + nr_owners, gen, 0)
		};

		put_by_store(w, page, value);
		page_check(w, page, get_by_load);
	}
}

static void own_once(struct worker *w)
{
	unsigned int page = own_page(w), count, what = rnd(w, 64);

	if (fake[0] && !rnd(w, 256))
		make_mistake(w, page);
	if (race.flags & RACE_FEW_DROPS && what >= 36 && what < 52 && rnd(w, 8))
		what -= 24;	/* write, or check, instead */

	if (what < 24) {
		w->doing = "write";
		page_write(w, page, put_by_store);
	} else if (what < 36) {
		w->doing = "check";
		page_check(w, page, get_by_load);
	} else if (what < 48) {
		w->doing = "drop";
		page_drop(w, page);
	} else if (what < 52) {
		w->doing = "drop of many";
		page = rnd_run(w, &count);
		drop_run(page, count);
	} else if (what < 56) {
		w->doing = "look";
		page_look(w, rnd(w, arena.pages), get_by_load);
	} else if (what < 57) {
		w->doing = "check between";
		check_between(w, page);
	} else if (what < 58) {
		w->sparse = rnd(w, 4);
	} else if (race.own) {
		w->doing = "own";
		race.own(w, page);
	} else {
		w->doing = "check";
		page_check(w, page, get_by_load);
	}
}

/* --- the run --- */

/* The count of the whole system; folded first, where we may. */
static long long page_tables(void)
{
	write_text("/proc/sys/vm/stat_refresh", "1");
	return vmstat("nr_page_table_pages");
}

static uint64_t ops_done(void)
{
	uint64_t ops = 0;
	unsigned int i;

	for (i = 0; i < nr_workers; i++)
		ops += workers[i].ops;
	return ops;
}

static void print_verdict(const char *verdict, const char *reason,
			  unsigned int errors, long kept_kb, long leak_kb)
{
	static char line[1024];
	int len;

	len = snprintf(line, sizeof(line),
		       "{\"race\":\"%s\",\"seed\":%llu,\"seconds\":%u,\"threads\":%u,\"ops\":%llu,\"errors\":%u,\"kept_kb\":%ld,\"leak_kb\":%ld,\"page_tables_before\":%lld,\"page_tables_after\":%lld,",
		       race.name, (unsigned long long)seed, seconds,
		       race.flags & RACE_NO_OWNERS ? 0 : nr_owners,
		       (unsigned long long)ops_done(), errors, kept_kb, leak_kb,
		       start_tables, page_tables());
	if (start_freed < 0)
		len += snprintf(line + len, sizeof(line) - len, "\"pte_table_freed\":null,");
	else
		len += snprintf(line + len, sizeof(line) - len, "\"pte_table_freed\":%lld,",
				vmstat("pte_table_freed") - start_freed);
	len += snprintf(line + len, sizeof(line) - len,
			"\"verdict\":\"%s\",\"reason\":\"%s\"}\n", verdict, reason);
	/* Not stdio: this may be a signal handler. */
	if (write(STDOUT_FILENO, line, len) != len)
		_exit(EXIT_USAGE);
}

static void put_back(void)
{
	settings_restore();
	swap_destroy();
	/* Last, as after a hang it may hang as well. */
	if (race.cleanup)
		race.cleanup();
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	struct worker *w = self;
	char reason[96];

	(void)context;
	if (w && w->armed) {
		w->armed = 0;
		w->signal = sig;
		siglongjmp(w->recover, 1);
	}
	snprintf(reason, sizeof(reason), "signal %d at %p outside of any check",
		 sig, info->si_addr);
	print_verdict("fail", reason, race_errors() + 1, -1, -1);
	put_back();
	_exit(1);
}

static void on_end(int sig)
{
	char reason[400];
	unsigned int i;
	int len;

	len = snprintf(reason, sizeof(reason), "%s:",
		       sig == SIGALRM ? "hang" : "ended by a signal");
	for (i = 0; i < nr_workers && len < (int)sizeof(reason); i++)
		len += snprintf(reason + len, sizeof(reason) - len, " %u in %s%s", i,
				workers[i].doing ? workers[i].doing : "-",
				i + 1 < nr_workers ? "," : "");
	print_verdict("fail", reason, race_errors() + 1, -1, -1);
	put_back();
	_exit(1);
}

/*
 * No worker has done a thing since the last look: a hang. A guest that shares
 * its host with others may need many times its --seconds, and is none.
 */
static void on_alarm(int sig)
{
	static uint64_t seen;
	uint64_t done = ops_done();

	if (done == seen)
		on_end(sig);
	seen = done;
	alarm(GRACE);
}

static void catch_signals(void)
{
	struct sigaction fault = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_NODEFER,
	};
	struct sigaction end = { .sa_handler = on_end };
	struct sigaction look = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };

	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGALRM, &look, NULL);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void *run_worker(void *arg)
{
	struct worker *w = arg;

	self = w;
	while (!stopping()) {
		if (w->antagonist) {
			w->antagonist(w);
			breathe(w);
		} else {
			own_once(w);
		}
		w->ops++;
	}
	w->doing = "its end";
	return NULL;
}

/*
 * The leak check is exact because nothing else grows: the stacks are ours and
 * touched, and an anchor beside the arena keeps the upper levels.
 */
static void make_arena(void)
{
	unsigned int ranges = race.ranges ? race.ranges : 4;

	arena.size = ranges * PMD_SIZE;
	arena.pages = arena.size / PAGE_SIZE;
	arena.base = map_beside_anchor(arena.size);

	shared = mmap(NULL, sizeof(*shared) + arena.pages * sizeof(shared->state[0]),
		      PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE,
		      -1, 0);
	if (shared == MAP_FAILED)
		die_errno("mmap of the shared state");
}

void arena_map_file(int fd)
{
	if (mmap(arena.base, arena.size, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		die_errno("mmap of the arena's file");
}

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static void add_worker(char *memory, void (*antagonist)(struct worker *w))
{
	struct worker *w = &workers[nr_workers];

	w->nth = nr_workers;
	w->rng = mix(seed * 1000003 + nr_workers) | 1;
	w->sparse = rnd(w, 4);
	w->bounce = memory + nr_workers * (STACK_SIZE + PAGE_SIZE) + STACK_SIZE;
	w->antagonist = antagonist;
	nr_workers++;
}

static void run_all(pthread_t *id, char *memory)
{
	struct timespec end, now;
	pthread_attr_t attr;
	sigset_t alarms;
	unsigned int i;
	int err;

	/* The workers' system calls are not to be interrupted by a look at them. */
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarms, NULL);
	alarm(2 * seconds);
	pthread_attr_init(&attr);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += seconds;
	for (i = 0; i < nr_workers; i++) {
		pthread_attr_setstack(&attr, memory + i * (STACK_SIZE + PAGE_SIZE), STACK_SIZE);
		err = pthread_create(&id[i], &attr, run_worker, &workers[i]);
		if (err) {
			errno = err;
			die_errno("pthread_create");
		}
	}
	pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
	do {
		usleep(20000);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (!stopping() && (now.tv_sec < end.tv_sec ||
				 (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec)));
	atomic_store(&shared->stop, true);
	for (i = 0; i < nr_workers; i++)
		pthread_join(id[i], NULL);
	alarm(LAST_CHECKS);
}

/* Every page once more by its owner's knowledge, now that all is quiet. */
static void final_check(void)
{
	struct worker *w = &workers[0];
	unsigned int page;

	self = w;
	w->doing = "final check";
	for (page = 0; page < arena.pages; page++) {
		uint64_t value[NSLOTS];

		if (get_by_load(w, page, value) < NSLOTS) {
			race_error("page %u cannot be accessed in the end", page);
			continue;
		}
		page_check(w, page, get_by_load);
		check_between(w, page);
	}
}

/* Piece by piece and in no order, as memory is really given back. */
static void drop_all(void)
{
	struct worker *w = &workers[0];
	unsigned int page, i;

	if (race.drop_all) {
		race.drop_all();
		return;
	}
	for (i = 0; i < arena.pages; i++) {
		page = rnd(w, arena.pages);
		madvise(page_at(page), PAGE_SIZE, MADV_DONTNEED);
	}
	for (page = 0; page < arena.pages; page++)
		madvise(page_at(page), PAGE_SIZE, MADV_DONTNEED);
}

static long settle(void)
{
	uint64_t end = now_ns() + 500000000ULL;
	long kb;

	do {
		kb = status_kb("VmPTE");
		if (kb <= start_kb)
			break;
		usleep(10000);
	} while (now_ns() < end);
	return kb - start_kb;
}

/* Fewer CPUs, fewer flush IPIs: many more operations under emulation. */
static void use_cpus(uint64_t wanted)
{
	int count = wanted;
	cpu_set_t set;
	int cpu;

	if (sched_getaffinity(0, sizeof(set), &set))
		die_errno("sched_getaffinity");
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set) && --count < 0)
			CPU_CLR(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die_errno("sched_setaffinity");
}

static void set_fake(const char *text)
{
	if (!strstr(" lost stale foreign leak hang ", text) || strlen(text) < 4)
		die("--fake: no such mistake: '%s'", text);
	fake = text;
}

DEFINE_SET(seed)
DEFINE_SET(seconds)
DEFINE_SET(nr_owners)

static const struct command command = {
	.synopsis = "[options]",
	.options = {
		{ 'e', "--seed", "N", "of the threads' choices (default 1)",
		  .number = set_seed, .min = 0, .max = UINT64_MAX },
		{ 's', "--seconds", "N", "how long (default 10)",
		  .number = set_seconds, .min = 1, .max = 1000000 },
		{ 't', "--threads", "N", "owners of pages, 1 to 64 (default 4); antagonists come on top",
		  .number = set_nr_owners, .min = 1, .max = MAX_THREADS },
		{ 'c', "--cpus", "N", "use only the first N CPUs (default all)",
		  .number = use_cpus, .min = 1, .max = CPU_SETSIZE },
		{ 'f', "--fake", "WHAT", "lost, stale, foreign, leak or hang: make that mistake",
		  .word = set_fake },
	},
	.notes = "Beyond twice the seconds, 30 s in which no thread gets anything done are a hang.\n"
		 "A fake mistake must be found (in races that have owners).\n"
		 "Exit code: 0 pass, 1 fail, 77 cannot be tried here.\n",
};

int main(int argc, char **argv)
{
	const char *why = NULL, *verdict = "pass", *reason;
	pthread_t id[MAX_THREADS + MAX_ANTAGONISTS];
	long kept_kb, leak_kb;
	unsigned int i, errors;
	char *memory;

	parse_only_options(&command, argc, argv);
	make_arena();
	memory = mmap(NULL, (MAX_THREADS + MAX_ANTAGONISTS) * (STACK_SIZE + PAGE_SIZE),
		      PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		      -1, 0);
	if (memory == MAP_FAILED)
		die_errno("mmap of the stacks");
	madvise(memory, (MAX_THREADS + MAX_ANTAGONISTS) * (STACK_SIZE + PAGE_SIZE),
		MADV_NOHUGEPAGE);
	if (!(race.flags & RACE_NO_OWNERS))
		for (i = 0; i < nr_owners; i++)
			add_worker(memory, NULL);
	for (i = 0; i < MAX_ANTAGONISTS && race.antagonists[i]; i++)
		add_worker(memory, race.antagonists[i]);

	catch_signals();
	start_tables = page_tables();
	start_freed = vmstat("pte_table_freed");
	if (race.setup)
		why = race.setup();
	if (why) {
		print_verdict("skip", why, 0, 0, 0);
		put_back();
		return EXIT_SKIP;
	}
	start_kb = status_kb("VmPTE");

	run_all(id, memory);
	if (race.quiesce)
		race.quiesce();
	if (!(race.flags & RACE_NO_OWNERS))
		final_check();
	workers[0].doing = "leak check";
	drop_all();
	kept_kb = settle();
	if (race.unmap_all)
		race.unmap_all();
	else
		munmap(arena.base, arena.size);
	leak_kb = settle();
	workers[0].doing = "clean-up";
	put_back();

	errors = race_errors();
	reason = errors ? shared->first : shared->note;
	if (errors) {
		verdict = "fail";
	} else if (leak_kb > 0) {
		verdict = "fail";
		reason = "leak: page tables remain after munmap";
	} else if (start_freed >= 0 && kept_kb > 0) {
		/* This kernel says that it frees empty tables. */
		verdict = "fail";
		reason = "leak: empty page tables remain after the last drop";
	}
	print_verdict(verdict, reason, errors, kept_kb, leak_kb);
	return strcmp(verdict, "pass") ? 1 : 0;
}
