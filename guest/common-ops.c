// SPDX-License-Identifier: GPL-2.0
/*
 * common-ops: what common system calls cost.
 *
 * Models: one process, pinned to a CPU, that does one small thing again and
 * again, as any program does: enter the kernel, write to a pipe, wake another
 * thread, fork, exec, open, stat, list a directory, read what is cached, map,
 * fault, wait for events. A round does it --cycles times; the median round
 * over its cycles is the cost of one.
 *
 * Shows: whether a change makes anything common dearer that it was not meant
 * to touch. Everything is in memory (tmpfs), nothing waits for a device.
 *
 * Cannot show: cache and TLB misses under icount; contention (one CPU); disks
 * and networks. An operation that switches between two tasks counts both.
 *
 * Each operation checks itself: bytes come back as they were written, counts
 * are what they must be.
 *
 * Exit code: 0 measured, 1 the check failed, 77 cannot be tried here.
 */
#include "common.h"
#include "options.h"
#include "rounds.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEAVE		"--leave"	/* what the exec'ed program is told */
#define NAMES		32		/* files in the directory that is listed */
#define CACHED		(1UL << 20)
#define MAPPED		(64UL << 10)

DEFINE_ROUNDS(rounds)
static uint64_t cycles;
static char dir[64] = "/tmp/common-ops.XXXXXX";
static char path[96];			/* a file in it */
static int ends[2] = { -1, -1 }, back[2] = { -1, -1 };
static int cached = -1, events = -1, event = -1;
static pid_t child;
static uint32_t turn;			/* whose it is, of two threads */
static pthread_t partner;
static volatile sig_atomic_t caught;
static char *at;
static char why[160];			/* a check failed */

static void fail(const char *what)
{
	if (!why[0])
		snprintf(why, sizeof(why), "%s: %s", what, strerror(errno));
}

static void do_syscall(void)
{
	if (syscall(SYS_getppid) < 0)
		fail("getppid");
}

static const char *set_up_pipe(void)
{
	return pipe(ends) ? "no pipe" : NULL;
}

static void exchange(int out, int in)
{
	static const char sent[64] = "what goes in must come out";
	char got[sizeof(sent)];

	if (write(out, sent, sizeof(sent)) != sizeof(sent))
		fail("write");
	if (read(in, got, sizeof(got)) != sizeof(got) ||
	    memcmp(got, sent, sizeof(got)))
		fail("read");
}

static void do_exchange(void)
{
	exchange(ends[1], ends[0]);
}

static const char *set_up_socket(void)
{
	return socketpair(AF_UNIX, SOCK_STREAM, 0, ends) ? "no socket pair" : NULL;
}

/* Sends back what it gets until there is nothing more. */
static void echo(int in, int out)
{
	char buffer[64];
	ssize_t got;

	while ((got = read(in, buffer, sizeof(buffer))) > 0)
		if (write(out, buffer, got) != got)
			break;
	_exit(0);
}

static const char *set_up_pipe_switch(void)
{
	if (pipe(ends) || pipe(back))
		return "no pipe";
	child = fork();
	if (child < 0)
		return "no second process";
	if (!child) {
		close(ends[1]);
		close(back[0]);
		echo(ends[0], back[1]);
	}
	return NULL;
}

static void do_pipe_switch(void)
{
	exchange(ends[1], back[0]);
}

static void hand_over(uint32_t me)
{
	__atomic_store_n(&turn, !me, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	while (__atomic_load_n(&turn, __ATOMIC_SEQ_CST) == !me)
		syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, !me, NULL, NULL, 0);
}

static void *hand_back(void *unused)
{
	pin_to_cpu(0);
	while (!__atomic_load_n(&turn, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	for (;;)
		hand_over(1);
	return unused;
}

/* Ends with the process. */
static const char *set_up_futex(void)
{
	return pthread_create(&partner, NULL, hand_back, NULL) ? "no thread" : NULL;
}

static void do_futex_switch(void)
{
	hand_over(0);
}

static void reap(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		fail("the child did not exit well");
}

static void do_fork_exit(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	reap(pid);
}

static void do_exec(void)
{
	pid_t pid = vfork();

	if (!pid) {
		execl("/proc/self/exe", "common-ops", LEAVE, NULL);
		_exit(1);
	}
	reap(pid);
}

static void on_signal(int number)
{
	caught += number == SIGUSR1;
}

static const char *set_up_signal(void)
{
	return signal(SIGUSR1, on_signal) == SIG_ERR ? "no handler" : NULL;
}

static void do_signal(void)
{
	sig_atomic_t before = caught;

	if (raise(SIGUSR1) || caught == before)
		fail("the signal was not caught");
}

static const char *set_up_files(void)
{
	unsigned int i;
	int fd;

	if (!mkdtemp(dir))
		return "no temporary directory";
	for (i = 0; i < NAMES; i++) {
		snprintf(path, sizeof(path), "%s/file-%u", dir, i);
		fd = open(path, O_CREAT | O_WRONLY, 0600);
		if (fd < 0)
			return "no file in it";
		close(fd);
	}
	return NULL;
}

static void remove_files(void)
{
	unsigned int i;

	for (i = 0; i < NAMES; i++) {
		snprintf(path, sizeof(path), "%s/file-%u", dir, i);
		unlink(path);
	}
	rmdir(dir);
}

static void do_open_close(void)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || close(fd))
		fail("open");
}

static void do_stat(void)
{
	struct stat st;

	if (stat(path, &st) || st.st_size)
		fail("stat");
}

static void do_readdir(void)
{
	DIR *stream = opendir(dir);
	unsigned int found = 0;

	while (stream && readdir(stream))
		found++;
	if (!stream || closedir(stream) || found != NAMES + 2)
		fail("readdir");
}

static const char *set_up_cached(void)
{
	cached = memfd_create("common-ops", MFD_CLOEXEC);
	if (cached < 0 || ftruncate(cached, CACHED))
		return "no file in memory";
	at = mmap(NULL, CACHED, PROT_READ | PROT_WRITE, MAP_SHARED, cached, 0);
	if (at == MAP_FAILED)
		return "no mapping";
	memset(at, 'x', CACHED);
	return NULL;
}

static void do_read_cached(void)
{
	static off_t next;
	char page[PAGE_SIZE];

	if (pread(cached, page, sizeof(page), next) != sizeof(page) || page[7] != 'x')
		fail("pread");
	next = (next + sizeof(page)) % CACHED;
}

static void do_mmap_munmap(void)
{
	at = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED || munmap(at, MAPPED))
		fail("mmap");
}

static const char *set_up_fault(void)
{
	at = map_aligned(PMD_SIZE, PMD_SIZE, 0);
	at[PAGE_SIZE] = 1;		/* its page table stays */
	return NULL;
}

static void do_fault(void)
{
	*(volatile char *)at = 1;
	if (madvise(at, PAGE_SIZE, MADV_DONTNEED))
		fail("madvise");
}

static const char *set_up_epoll(void)
{
	struct epoll_event wanted = { .events = EPOLLIN };

	events = epoll_create1(EPOLL_CLOEXEC);
	event = eventfd(0, EFD_CLOEXEC);
	if (events < 0 || event < 0 ||
	    epoll_ctl(events, EPOLL_CTL_ADD, event, &wanted))
		return "no epoll, or no eventfd";
	return NULL;
}

static void do_epoll(void)
{
	struct epoll_event got;
	uint64_t value = 1;

	if (write(event, &value, sizeof(value)) != sizeof(value) ||
	    epoll_wait(events, &got, 1, -1) != 1 ||
	    read(event, &value, sizeof(value)) != sizeof(value) || value != 1)
		fail("epoll");
}

/*
 * `cycles`: how often a round does it. A round is some 400,000 instructions, a
 * tenth of a tick under icount: most rounds are then without any, and so is
 * the median.
 */
static const struct op {
	const char *name, *what;
	unsigned int cycles;
	const char *(*set_up)(void);	/* NULL, or why it cannot be tried */
	void (*work)(void);
	void (*clean_up)(void);
} ops[] = {
	{ "syscall", "enter the kernel and leave it: getppid", 1024,
	  NULL, do_syscall, NULL },
	{ "signal", "send a signal to itself and handle it", 96,
	  set_up_signal, do_signal, NULL },
	{ "pipe", "write 64 bytes to a pipe and read them", 192,
	  set_up_pipe, do_exchange, NULL },
	{ "socket", "the same through a pair of unix sockets", 128,
	  set_up_socket, do_exchange, NULL },
	{ "pipe_switch", "64 bytes to another process and back: two switches", 48,
	  set_up_pipe_switch, do_pipe_switch, NULL },
	{ "futex_switch", "wake another thread and be woken: two switches", 64,
	  set_up_futex, do_futex_switch, NULL },
	{ "epoll", "write to an eventfd, wait for it, read it", 192,
	  set_up_epoll, do_epoll, NULL },
	{ "fork_exit", "fork a small process, it exits, wait for it", 2,
	  NULL, do_fork_exit, NULL },
	{ "exec", "start a small program, wait for its end", 1,
	  NULL, do_exec, NULL },
	{ "open_close", "open a file of tmpfs and close it", 96,
	  set_up_files, do_open_close, remove_files },
	{ "stat", "stat a file of tmpfs", 128,
	  set_up_files, do_stat, remove_files },
	{ "readdir", "list a directory of 32 files", 20,
	  set_up_files, do_readdir, remove_files },
	{ "read_cached", "read 4 KiB of a cached file", 64,
	  set_up_cached, do_read_cached, NULL },
	{ "mmap_munmap", "map 64 KiB and unmap them untouched", 32,
	  NULL, do_mmap_munmap, NULL },
	{ "fault", "touch a page and drop it, its page table stays", 40,
	  set_up_fault, do_fault, NULL },
};

static void run(const struct op *op)
{
	uint64_t start, i;

	while (rounds_left(&rounds)) {
		start = rounds_begin(&rounds);
		for (i = 0; i < cycles; i++)
			op->work();
		rounds_end(&rounds, start);
	}
	if (op->clean_up)
		op->clean_up();
}

static void end_child(void)
{
	if (!child)
		return;
	close(ends[1]);
	reap(child);
}

static int report(const struct op *op, const char *skip)
{
	const char *verdict = skip ? "skip" : why[0] ? "fail" : "ok";

	printf("{\"program\":\"common-ops\",\"op\":\"%s\",\"unit\":\"op\",\"units\":%llu,",
	       op->name, (unsigned long long)cycles);
	rounds_print(&rounds);
	printf(",\"verdict\":\"%s\",\"reason\":\"%s\"}\n", verdict, skip ? skip : why);
	if (fflush(stdout))
		die_errno("standard output");
	return skip ? EXIT_SKIP : why[0] ? 1 : 0;
}

static void print_ops(FILE *to)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		fprintf(to, "  %-16s%s (%u)\n", ops[i].name, ops[i].what,
			ops[i].cycles);
}

DEFINE_SET(cycles)

static const struct command command = {
	.synopsis = "[options] OPERATION",
	.options = {
		{ 'c', "--cycles", "N", "in each round (default: the operation's)",
		  .number = set_cycles, .min = 1, .max = 1 << 20 },
		ROUNDS_OPTIONS,
	},
	.notes = "OPERATION is one of (cycles in brackets):\n",
	.print_notes = print_ops,
};

static const struct op *find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		if (!strcmp(name, ops[i].name))
			return &ops[i];
	die("no such operation: '%s' (common-ops --help names them)", name);
}

/*
 * Addresses that the kernel draws by lot decide which mappings are neighbours
 * and how many page tables there are: several percent of a fork. So they are
 * drawn no more, in this program and in those that it starts.
 */
static void hold_addresses_still(char **argv)
{
	int now = personality(0xffffffff);

	if (now < 0 || now & ADDR_NO_RANDOMIZE)
		return;
	if (personality(now | ADDR_NO_RANDOMIZE) >= 0)
		execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
	const struct op *op;
	const char *skip;

	if (argc == 2 && !strcmp(argv[1], LEAVE))
		return 0;
	hold_addresses_still(argv);
	op = find(parse_options_and_word(&command, argc, argv));
	if (!cycles)
		cycles = op->cycles;
	pin_to_cpu(0);
	skip = op->set_up ? op->set_up() : NULL;
	if (!skip)
		run(op);
	end_child();
	return report(op, skip);
}
