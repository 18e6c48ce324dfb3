// SPDX-License-Identifier: GPL-2.0
/*
 * model: a fuzzer that knows what must be true.
 *
 * Models: a process that maps, writes, drops, moves, protects, locks, forks,
 * swaps, merges, migrates and truncates a few 2 MiB slots of its memory, in
 * random order.
 *
 * Shows: after each step, that every page that is there reads as it must, that
 * page-table entries are only where they may be and are where they must be,
 * that RSS is within bounds, and that VmPTE counts no more tables than there
 * can be: on a kernel that frees empty tables (/proc/vmstat has
 * `pte_table_freed`) one for each slot in which an entry can be, on others one
 * for each slot that ever had one. At the end nothing may be left.
 *
 * A sequence is a number of steps that follow from a seed (model/model.h).
 * With one thread the same seed plays the same steps; with several, each has a
 * block of each slot, and how they interleave is left to the kernel. Each
 * sequence is played by a process of its own, whose exit has the kernel check
 * its counters.
 *
 * Cannot show: what happens to a page that several threads work on at the same
 * time (see races/), and to memory beyond a few MiB.
 *
 * Exit code: 0 pass, 1 fail.
 */
#include "common.h"
#include "model/model.h"
#include "options.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_STEPS	65536
#define COMM		"race-model"	/* tests/mutants break the kernel for such names only */
#define EVERY_BYTE	16		/* so many steps pass between two looks at every byte */
#define ROUND		32		/* steps of each player between two looks at VmPTE */
#define STACK_SIZE	(256UL << 10)
#define ARENA		(MAX_SLOTS * PMD_SIZE)
#define SWAP_BYTES	(64UL << 20)

struct rules rules;

/* What the process of a sequence leaves to its parent. */
static struct result {
	char failure[320];
	char child[320];
	char op[32];
	unsigned int step, player;
	uint64_t steps, calls, checks;
} *result;

static struct player players[MAX_PLAYERS];
static __thread struct player *self;
static pthread_barrier_t barrier;
static bool kept[MAX_STEPS + 1];

static uint64_t seed = 1, seconds, nr_steps = 400, nr_players = 1;
static const char *keep, *emit_for;
static bool believe_frees;

void fail(struct player *p, const char *fmt, ...)
{
	va_list ap;

	if (p->failed)
		return;
	va_start(ap, fmt);
	vsnprintf(p->failure, sizeof(p->failure), fmt, ap);
	va_end(ap);
	p->failed = true;
}

static void report(const struct player *p)
{
	if (result->failure[0])
		return;
	strcpy(result->failure, p->failure);
	snprintf(result->op, sizeof(result->op), "%s", step_name());
	result->step = p->step;
	result->player = p->nth;
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (sig == SIGALRM)
		fail(self, "hang: %d s in one step", STEP_SECONDS);
	else
		fail(self, "signal %d at page %ld", sig,
		     ((char *)info->si_addr - self->base) / (long)PAGE_SIZE);
	if (self->copy)
		strcpy(child_report, self->failure);
	else
		report(self);
	_exit(1);
}

/* Of the process that plays none: what was changed is put back. */
static void on_end(int sig)
{
	settings_restore();
	swap_destroy();
	_exit(128 + sig);
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
}

static int open_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void init_model(struct player *p, unsigned int nth)
{
	unsigned int i;

	memset(p, 0, sizeof(*p));
	p->nth = nth;
	p->slots = MAX_SLOTS;
	p->block = PTRS_PER_PTE;
	while (p->block * nr_players > PTRS_PER_PTE)
		p->block /= 2;
	p->pages = p->slots * p->block;
	for (i = 0; i < p->pages; i++)
		p->page[i] = (struct page){ .kind = ANON, .prot = PROT_READ | PROT_WRITE };
}

/* Everything that has page tables of its own is touched before they are counted. */
static void init_players(uint64_t sequence)
{
	volatile char stack[128 << 10];
	unsigned int i;
	char *base;

	for (i = 0; i < sizeof(stack); i += PAGE_SIZE)
		stack[i] = 1;
	base = map_beside_anchor(ARENA);
	for (i = 0; i < nr_players; i++) {
		struct player *p = &players[i];

		init_model(p, i);
		p->seed = sequence;
		p->base = base;
		p->fd = memfd_create("model", MFD_CLOEXEC);
		p->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
		p->uffd = open_uffd();
		if (p->fd < 0 || p->pagemap < 0 || ftruncate(p->fd, FILE_PAGES * PAGE_SIZE))
			die_errno("memfd and /proc/self/pagemap");
		check_pages(p, true);
	}
	self = &players[0];
	now_ns();	/* the vDSO, which rarely lies in a 2 MiB of its own */
	read_status(&start);
	check_status(self, players, nr_players);
	read_status(&start);
}

static bool is_kept(unsigned int step)
{
	return !keep || kept[step];
}

/* Several players look at VmPTE together, as it is that of all of them. */
static bool meet(struct player *p)
{
	pthread_barrier_wait(&barrier);
	if (!p->nth) {
		check_status(p, players, nr_players);
		alarm(STEP_SECONDS);
	}
	if (p->failed)
		report(p);
	pthread_barrier_wait(&barrier);
	return !result->failure[0];
}

static void *play(void *arg)
{
	struct player *p = arg;
	bool alone = nr_players == 1;

	self = p;
	alarm(STEP_SECONDS);
	for (p->step = 1; p->step <= nr_steps; p->step++) {
		if (is_kept(p->step) && !p->failed) {
			if (alone)
				alarm(STEP_SECONDS);
			play_step(p);
			check_pages(p, keep || !(p->step % EVERY_BYTE));
			if (alone)
				check_status(p, p, 1);
		}
		if (alone && p->failed)
			break;
		if (!alone && p->step % ROUND == 0 && !meet(p))
			break;
	}
	if (!p->failed)
		join_held(p);
	if (!p->failed)
		check_pages(p, true);
	if (p->failed)
		report(p);
	return NULL;
}

static void play_all(char *stacks)
{
	pthread_t id[MAX_PLAYERS];
	pthread_attr_t attr;
	unsigned int i;

	if (nr_players == 1) {
		play(&players[0]);
		return;
	}
	pthread_attr_init(&attr);
	pthread_barrier_init(&barrier, NULL, nr_players);
	for (i = 0; i < nr_players; i++) {
		pthread_attr_setstack(&attr, stacks + i * STACK_SIZE, STACK_SIZE);
		errno = pthread_create(&id[i], &attr, play, &players[i]);
		if (errno)
			die_errno("pthread_create");
	}
	for (i = 0; i < nr_players; i++)
		pthread_join(id[i], NULL);
}

/* Nothing is mapped any more, so nothing may be left. */
static void check_leak(void)
{
	struct player *p = &players[0];
	unsigned int i, page;

	munmap(p->base, ARENA);
	for (i = 0; i < nr_players; i++) {
		memset(players[i].touched, 0, sizeof(players[i].touched));
		for (page = 0; page < players[i].pages; page++)
			players[i].page[page] = (struct page){ .kind = GONE };
	}
	check_status(p, players, nr_players);
	if (p->failed)
		report(p);
}

/* The process of one sequence. */
static void play_sequence(uint64_t sequence, char *stacks)
{
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	memset(result, 0, sizeof(*result));
	child_report = result->child;
	catch_signals();
	init_players(sequence);
	play_all(stacks);
	if (!result->failure[0])
		check_leak();
	for (i = 0; i < nr_players; i++) {
		result->steps += players[i].step - 1;
		result->calls += players[i].calls;
		result->checks += players[i].checks;
	}
	_exit(!!result->failure[0]);
}

static uint64_t sequences, steps, calls, checks;

/* Of /proc/vmstat: did what was asked for happen at all? Of the whole system. */
static struct counter {
	const char *name;
	long long before;
} counters[] = {
	{ "pte_table_freed", 0 }, { "pswpout", 0 }, { "pgmigrate_success", 0 },
	{ "thp_fault_alloc", 0 }, { "thp_collapse_alloc", 0 }, { "cow_ksm", 0 },
};

static void read_counters(void)
{
	struct counter *c;

	for (c = counters; c < counters + ARRAY_SIZE(counters); c++)
		c->before = vmstat(c->name);
}

static void print_counters(void)
{
	const struct counter *c;

	for (c = counters; c < counters + ARRAY_SIZE(counters); c++)
		if (c->before < 0)
			printf("\"%s\":null,", c->name);
		else
			printf("\"%s\":%lld,", c->name, vmstat(c->name) - c->before);
}

/* False: it failed. */
static bool run_sequence(uint64_t sequence, char *stacks)
{
	int status;
	pid_t pid;

	/* Before it begins: the kernel may not live to say it afterwards. */
	printf("{\"sequence\":%llu}\n", (unsigned long long)sequence);
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die_errno("fork");
	if (!pid)
		play_sequence(sequence, stacks);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	sequences++;
	steps += result->steps;
	calls += result->calls;
	checks += result->checks;
	if (WIFSIGNALED(status))
		snprintf(result->failure, sizeof(result->failure), "killed by signal %d",
			 WTERMSIG(status));
	else if (WEXITSTATUS(status) && !result->failure[0])
		snprintf(result->failure, sizeof(result->failure), "exit code %d",
			 WEXITSTATUS(status));
	return !result->failure[0];
}

static void print_verdict(uint64_t last)
{
	bool failed = result->failure[0];

	printf("{\"program\":\"model\",\"seed\":%llu,\"threads\":%u,\"length\":%llu,",
	       (unsigned long long)seed, (unsigned int)nr_players, (unsigned long long)nr_steps);
	printf("\"sequences\":%llu,\"steps\":%llu,\"calls\":%llu,\"checks\":%llu,\"frees\":%s,",
	       (unsigned long long)sequences, (unsigned long long)steps,
	       (unsigned long long)calls, (unsigned long long)checks,
	       rules.frees ? "true" : "false");
	print_counters();
	if (failed)
		printf("\"failed_sequence\":%llu,\"failed_step\":%u,\"failed_in\":\"%s\",",
		       (unsigned long long)last, result->step, result->op);
	printf("\"verdict\":\"%s\",\"reason\":\"", failed ? "fail" : "pass");
	if (failed && result->step)
		printf("sequence %llu, step %u of thread %u (%s): ", (unsigned long long)last,
		       result->step, result->player, result->op);
	printf("%s\"}\n", result->failure);
}

static void read_rules(void)
{
	rules.frees = believe_frees || vmstat("pte_table_freed") >= 0;
	/* Several players have none: see main(). */
	rules.thp_always = nr_players == 1 && !strcmp(thp_enabled(), "always");
	rules.nodes = !access("/sys/devices/system/node/node1", F_OK);
	rules.players = nr_players;
	/* Counters of threads and of CPUs are added up now and then. */
	rules.slack_kb = 4 * (64 * nr_players + 64 * sysconf(_SC_NPROCESSORS_CONF) + 32);
}

/* Swap for MADV_PAGEOUT, huge pages for MADV_HUGEPAGE, a ksmd that looks at all at once. */
static void change_system(void)
{
	const char *why = swap_create(SWAP_BYTES);

	if (why)
		fprintf(stderr, "model: without swap: %s\n", why);
	if (!setting_change(THP_DIR "enabled", "madvise"))
		fprintf(stderr, "model: without huge pages: %s\n", strerror(errno));
	if (!setting_change(KSM_DIR "pages_to_scan", "5000") ||
	    !setting_change(KSM_DIR "sleep_millisecs", "10") ||
	    !setting_change(KSM_DIR "run", "1"))
		fprintf(stderr, "model: without ksmd: %s\n", strerror(errno));
}

/* "1-5,9" */
static void read_kept(const char *text)
{
	unsigned long first, last;
	char *end;

	while (*text) {
		first = last = strtoul(text, &end, 10);
		if (end != text && *end == '-') {
			text = end + 1;
			last = strtoul(text, &end, 10);
		}
		if (end == text || !first || last < first || last > MAX_STEPS ||
		    (*end && *end != ','))
			die("--keep: steps such as 1-5,9 are wanted, up to %d, not '%s'",
			    MAX_STEPS, keep);
		for (; first <= last; first++)
			kept[first] = true;
		text = *end ? end + 1 : end;
	}
}

/* The steps as the model would play them on a kernel where everything succeeds. */
static int write_program(int argc, char **argv)
{
	struct player *p = &players[0];
	char command[1024] = "";
	int i;

	if (nr_players > 1)
		die("--emit-c: only what one thread plays is repeatable");
	for (i = 0; i < argc; i++)
		snprintf(command + strlen(command), sizeof(command) - strlen(command), "%s%s",
			 i ? " " : "", i ? argv[i] : program_invocation_short_name);
	rules = (struct rules){
		.frees = !strcmp(emit_for, "frees"), .players = 1, .system = true, .nodes = true,
		.fake = rules.fake, .plant = rules.plant,
	};
	init_model(p, 0);
	p->seed = seed;
	p->emit = stdout;
	emit_begin(p, command);
	for (p->step = 1; p->step <= nr_steps; p->step++)
		if (is_kept(p->step)) {
			printf("\n\t/* step %u */\n", p->step);
			play_step(p);
		}
	printf("\n");
	emit_end(p);
	return 0;
}

DEFINE_SET(seed)
DEFINE_SET(seconds)
DEFINE_SET(nr_steps)
DEFINE_SET(nr_players)

static void set_keep(const char *word)
{
	keep = word;
	read_kept(word);
}

static void set_emit(const char *word)
{
	if (strcmp(word, "frees") && strcmp(word, "keeps"))
		die("--emit-c: frees or keeps is wanted, not '%s'", word);
	emit_for = word;
}

static void set_fake(const char *word)
{
	if (!strncmp(word, "plant=", 6))
		rules.plant = parse_number("--fake plant", word + 6, 1, MAX_STEPS);
	else if (!strcmp(word, "moved"))
		rules.fake = word;
	else if (!strcmp(word, "frees"))
		believe_frees = true;
	else
		die("--fake: no such mistake: '%s'", word);
}

static void set_system(uint64_t value)
{
	rules.system = value;
}

static const struct command command = {
	.synopsis = "[options]",
	.options = {
		{ 'e', "--seed", "N", "of the first sequence; each further one has one more (default 1)",
		  .number = set_seed, .min = 0, .max = UINT32_MAX },
		{ 's', "--seconds", "N", "play sequences for so long (default: one sequence)",
		  .number = set_seconds, .min = 1, .max = 1000000 },
		{ 'n', "--steps", "N", "of a sequence (default 400)",
		  .number = set_nr_steps, .min = 1, .max = MAX_STEPS },
		{ 't', "--threads", "N", "each with a part of every 2 MiB, 1 to 8 (default 1)",
		  .number = set_nr_players, .min = 1, .max = MAX_PLAYERS },
		{ 'k', "--keep", "LIST", "play only these steps, such as 1-5,9; look at every byte",
		  .word = set_keep },
		{ 'c', "--emit-c", "KERNEL", "print the sequence as a C program; for a kernel that "
		  "frees or keeps empty tables",
		  .word = set_emit },
		{ 'y', "--system", NULL, "make swap, switch ksmd and huge pages on meanwhile",
		  .number = set_system },
		{ 'f', "--fake", "WHAT", "make the model wrong: plant=N at step N; moved (pages that "
		  "moved are not lost by MADV_DONTNEED); frees (this kernel frees empty tables)",
		  .word = set_fake },
	},
	.notes = "A fake mistake must be found.\n"
		 "Exit code: 0 pass, 1 fail.\n",
};

int main(int argc, char **argv)
{
	uint64_t last, end;
	char *stacks;
	bool passed;

	parse_only_options(&command, argc, argv);
	if (emit_for)
		return write_program(argc, argv);
	if (keep && nr_players > 1)
		die("--keep: only what one thread plays is repeatable");
	prctl(PR_SET_NAME, COMM);
	signal(SIGTERM, on_end);
	signal(SIGINT, on_end);
	if (rules.system)
		change_system();
	read_rules();
	/* With several players a huge page would be that of all of them. */
	if (nr_players > 1)
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	stacks = mmap(NULL, MAX_PLAYERS * STACK_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (result == MAP_FAILED || stacks == MAP_FAILED)
		die_errno("mmap");
	read_counters();
	end = now_ns() + seconds * 1000000000ULL;
	for (last = seed; ; last++) {
		passed = run_sequence(last, stacks);
		if (!passed || now_ns() >= end)
			break;
	}
	print_verdict(last);
	settings_restore();
	swap_destroy();
	return passed ? 0 : 1;
}
