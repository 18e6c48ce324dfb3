// SPDX-License-Identifier: GPL-2.0
/* What every guest program needs: errors, clocks, sizes, /proc counters. */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static void complain(const char *fmt, va_list ap, int err)
{
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, fmt, ap);
	if (err)
		fprintf(stderr, ": %s", strerror(err));
	fputc('\n', stderr);
}

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(fmt, ap, 0);
	va_end(ap);
	exit(EXIT_USAGE);
}

void die_errno(const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	va_start(ap, fmt);
	complain(fmt, ap, err);
	va_end(ap);
	exit(EXIT_USAGE);
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

uint64_t parse_number(const char *what, const char *text,
		      uint64_t min, uint64_t max)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *text < '0' || *text > '9' || *end ||
	    value < min || value > max)
		die("%s: a number from %llu to %llu is wanted, not '%s'", what,
		    (unsigned long long)min, (unsigned long long)max, text);
	return value;
}

uint64_t parse_bytes(const char *what, const char *text)
{
	static const char suffix[] = "KMGT";
	unsigned long long value;
	const char *found;
	int shift = 0;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9')
		errno = EINVAL;
	if (!errno && *end) {
		found = strchr(suffix, *end & ~0x20);
		if (found && !end[1])
			shift = 10 * (found - suffix + 1);
		else
			errno = EINVAL;
	}
	if (errno || !value || value > (UINT64_MAX >> 1) >> shift)
		die("%s: a size such as 4096, 64K, 2M or 50G is wanted, not '%s'",
		    what, text);
	return value << shift;
}

bool read_text(const char *path, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n = 0;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while (len < size - 1) {
		n = read(fd, buf + len, size - 1 - len);
		if (n <= 0)
			break;
		len += n;
	}
	close(fd);
	if (len && buf[len - 1] == '\n')
		len--;
	buf[len] = '\0';
	return n >= 0;
}

bool write_text(const char *path, const char *text)
{
	ssize_t len = strlen(text);
	bool ok;
	int fd;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = write(fd, text, len) == len;
	if (close(fd))
		ok = false;
	return ok;
}

/* The number after "name<separator>" at the start of a line; -1 if absent. */
static long long find_number(const char *text, const char *name, char separator)
{
	size_t len = strlen(name);

	while (text) {
		if (!strncmp(text, name, len) && text[len] == separator)
			return strtoll(text + len + 1, NULL, 10);
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return -1;
}

long status_kb(const char *field)
{
	char text[8192];

	/*
	 * Rarely the vDSO lies in a 2 MiB of its own. The table it needs is
	 * there before the first reading, not between two of them.
	 */
	now_ns();
	if (!read_text("/proc/self/status", text, sizeof(text)))
		return -1;
	return find_number(text, field, ':');
}

long long vmstat(const char *name)
{
	char text[16384];

	if (!read_text("/proc/vmstat", text, sizeof(text)))
		return -1;
	return find_number(text, name, ' ');
}

const char *thp_enabled(void)
{
	static char text[128];
	char *open, *close;

	if (!read_text("/sys/kernel/mm/transparent_hugepage/enabled",
		       text, sizeof(text)))
		return "absent";
	open = strchr(text, '[');
	close = strchr(text, ']');
	if (!open || !close)
		return "unknown";
	*close = '\0';
	return open + 1;
}

void *map_aligned(size_t size, size_t align, size_t offset)
{
	size_t unit = align > PMD_SIZE ? align : PMD_SIZE;
	size_t span = round_up(size + offset, PMD_SIZE);
	uintptr_t raw, start;
	void *map;

	map = mmap(NULL, span + 2 * unit, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		die_errno("mmap of %zu bytes", size);
	raw = (uintptr_t)map;
	start = round_up(raw, unit) + offset;
	map = mmap((void *)start, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
		   -1, 0);
	if (map == MAP_FAILED)
		die_errno("mmap of %zu bytes at %#lx", size, (unsigned long)start);
	return map;
}

char *map_beside_anchor(size_t size)
{
	size_t align = 2 * PMD_SIZE;
	char *anchor;

	while (align < size + 2 * PMD_SIZE)
		align *= 2;
	anchor = map_aligned(size + 2 * PMD_SIZE, align, 0);
	*anchor = 1;
	return anchor + PMD_SIZE;
}

void pin_to_cpu(unsigned int nth)
{
	cpu_set_t allowed, one;
	int cpu;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		die_errno("sched_getaffinity");
	nth %= CPU_COUNT(&allowed);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && !nth--)
			break;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		die_errno("sched_setaffinity to CPU %d", cpu);
}
