#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define PMD (2UL << 20)
#define FILE_PAGES 1024
#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
/* Not every program needs all of it. */
#define MAYBE __attribute__((unused))

static char *base;
static int fd, failed, pipes[2];
static long tables_before;
static pid_t child, held MAYBE;

static char *page(unsigned int nth)
{
	return base + nth * PAGE;
}

static void wrong(const char *what, unsigned int nth, unsigned long value, unsigned long wanted)
{
	printf("%s %u: %#lx, expected %#lx\n", what, nth, value, wanted);
	fflush(stdout);
	failed = 1;
}

/* What each word of a page with this value is. */
static uint64_t word(uint32_t value)
{
	uint64_t x = value + 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return value ? (x ^ x >> 31) | 1 : 0;
}

static void set(char *to, uint32_t value)
{
	unsigned int i;

	for (i = 0; i < PAGE / 8; i++)
		((volatile uint64_t *)to)[i] = word(value);
}

static MAYBE void fill(unsigned int first, unsigned int count, uint32_t value, unsigned int step)
{
	for (; count; count--, value += step)
		set(page(first++), value);
}

static MAYBE void fill_file(unsigned int first, unsigned int count, uint32_t value,
			    unsigned int step)
{
	char buffer[PAGE];

	for (; count; count--, value += step) {
		set(buffer, value);
		if (pwrite(fd, buffer, PAGE, first++ * PAGE) != (ssize_t)PAGE)
			perror("pwrite");
	}
}

static MAYBE void look(unsigned int first, unsigned int count)
{
	for (; count; count--)
		(void)*(volatile char *)page(first++);
}

static MAYBE void uffd(unsigned int first, unsigned int count, uint32_t value, unsigned int step)
{
	static char buffer[PAGE];
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)page(first), count * PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int u = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (u < 0 || ioctl(u, UFFDIO_API, &api) || ioctl(u, UFFDIO_REGISTER, &reg)) {
		perror("userfaultfd");
		exit(77);
	}
	for (; count; count--, value += step, first++) {
		struct uffdio_copy copy = { (uintptr_t)page(first), (uintptr_t)buffer, PAGE, 0, 0 };
		struct uffdio_zeropage zero = { { (uintptr_t)page(first), PAGE }, 0, 0 };

		set(buffer, value);
		if (value ? ioctl(u, UFFDIO_COPY, &copy) : ioctl(u, UFFDIO_ZEROPAGE, &zero))
			wrong("userfaultfd: errno at page", first, errno, 0);
	}
	close(u);
}
#define uffd_copy(first, count, value, step) uffd(first, count, value, step)
#define uffd_zero(first, count) uffd(first, count, 0, 0)

static MAYBE void migrate(unsigned int first, unsigned int count, unsigned int node, int by_range)
{
	unsigned long mask = 1UL << node;
	int to = node, status;
	void *at;

	if (by_range) {
		syscall(SYS_mbind, page(first), count * PAGE, MPOL_PREFERRED, &mask, 64, MPOL_MF_MOVE);
		syscall(SYS_mbind, page(first), count * PAGE, MPOL_DEFAULT, NULL, 0, 0);
		return;
	}
	for (; count; count--) {
		at = page(first++);
		syscall(SYS_move_pages, 0, 1, &at, &to, &status, MPOL_MF_MOVE);
	}
}

/* In the child: true. With `hold` it goes on when release_child() lets it. */
static MAYBE int is_child(int hold)
{
	char byte;

	if (hold && pipe(pipes))
		perror("pipe");
	fflush(stdout);
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (hold && read(pipes[0], &byte, 1) != 1)
			_exit(0);
	}
	return !child;
}

static MAYBE void wait_child(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status) {
		printf("a child failed\n");
		failed = 1;
	}
}

static MAYBE void release_child(void)
{
	if (write(pipes[1], "", 1) != 1)
		perror("write");
	wait_child(held);
}

static uint64_t entry(unsigned int nth)
{
	int map = open("/proc/self/pagemap", O_RDONLY);
	uint64_t e = 0;

	if (pread(map, &e, 8, (uintptr_t)page(nth) / PAGE * 8) != 8)
		perror("/proc/self/pagemap");
	close(map);
	return e >> 62;
}

static MAYBE void expect_none(unsigned int first, unsigned int count)
{
	for (; count && !failed; count--, first++)
		if (entry(first))
			wrong("page-table entry of page", first, entry(first), 0);
}

static MAYBE void expect_there(unsigned int first, unsigned int count)
{
	for (; count && !failed; count--, first++)
		if (!entry(first))
			wrong("page-table entry of page", first, 0, 1);
}

/* What has no entry is not read: it would get one. */
static MAYBE void expect_words(unsigned int first, unsigned int count, uint32_t value,
			       unsigned int step, int or_zero)
{
	volatile uint64_t *words;
	unsigned int i;

	for (; count && !failed; count--, value += step, first++) {
		words = (void *)page(first);
		for (i = entry(first) ? 0 : PAGE / 8; i < PAGE / 8 && !failed; i++)
			if (words[i] != word(value) && !(or_zero && !words[i]))
				wrong("page", first, words[i], word(value));
	}
}
#define expect(first, count, value, step) expect_words(first, count, value, step, 0)
#define expect_or_zero(first, count, value, step) expect_words(first, count, value, step, 1)

static MAYBE void expect_file(unsigned int first, unsigned int count, uint32_t value,
			      unsigned int step)
{
	uint64_t words[PAGE / 8];
	unsigned int i;

	for (; count && !failed; count--, value += step, first++) {
		if (pread(fd, words, PAGE, first * PAGE) != (ssize_t)PAGE)
			perror("pread");
		for (i = 0; i < PAGE / 8 && !failed; i++)
			if (words[i] != word(value))
				wrong("page of the file", first, words[i], word(value));
	}
}

static long vmpte(void)
{
	static char text[8192];
	int status = open("/proc/self/status", O_RDONLY);
	ssize_t got = read(status, text, sizeof(text) - 1);
	char *line;

	close(status);
	text[got > 0 ? got : 0] = '\0';
	line = strstr(text, "VmPTE:");
	return line ? strtol(line + 6, NULL, 10) : 0;
}

/* Page tables of the arena: at least, and at most when a second has passed. */
static MAYBE void expect_tables(long least, long most)
{
	long now;
	int i;

	for (i = 0; i < 100 && vmpte() - tables_before > 4 * most; i++)
		usleep(10000);
	now = (vmpte() - tables_before) / 4;
	if (now > most || now < least) {
		printf("page tables: %ld, expected %ld to %ld\n", now, least, most);
		fflush(stdout);
		failed = 1;
	}
}

/* The arena lies beside a page that keeps the upper levels of its page tables. */
static void begin(unsigned int slots)
{
	size_t size = (slots + 2) * PMD, align = 1UL << 30;
	volatile char stack[128 << 10];
	char *raw = mmap(NULL, size + 2 * align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
			 MAP_NORESERVE, -1, 0);

	base = (char *)(((uintptr_t)raw + align - 1) & -align);
	if (raw == MAP_FAILED || mmap(base, size, PROT_READ | PROT_WRITE, MAP_PRIVATE |
				      MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != base) {
		perror("mmap");
		exit(77);
	}
	*base = 1;
	base += PMD;
	fd = memfd_create("reproducer", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, FILE_PAGES * PAGE)) {
		perror("memfd");
		exit(77);
	}
	for (size = 0; size < sizeof(stack); size += PAGE)
		stack[size] = 1;
	printf("playing\n");
	entry(0);
	vmpte();
	tables_before = vmpte();
}
