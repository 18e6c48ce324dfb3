// SPDX-License-Identifier: GPL-2.0
/*
 * race-uprobe: uprobes come and go in text that is dropped all the time.
 *
 * Models: a tracer. The arena is a private mapping of a file of 2,048 tiny
 * functions, one a page, each returning its number. Threads call them while
 * breakpoints are inserted and removed (each replaces a page in the page table
 * behind the process's back) and the mapping is dropped by MADV_DONTNEED.
 * The probes are made by perf_event_open, not through tracefs, so that they
 * vanish with the process whatever becomes of it.
 *
 * Shows: a replaced page in a table that was freed (a wrong result, a foreign
 * page executed: SIGILL, SIGTRAP), a breakpoint that stays or a page that leaks.
 *
 * Cannot show: that each call was counted: a drop takes a breakpoint away
 * until the next registration, on any kernel.
 */
#include "race.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static char path[64];
static int file = -1;
static int uprobe_type;
static _Atomic unsigned long inserted;

static int open_probe(unsigned int page)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = uprobe_type,
		.uprobe_path = (uintptr_t)path,
		.probe_offset = page * PAGE_SIZE,
	};

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static void cleanup(void)
{
	if (path[0])
		unlink(path);
}

static const char *map_functions(void)
{
	if (mmap(arena.base, arena.size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED,
		 file, 0) == MAP_FAILED)
		return race_skip("an executable mapping of /var/tmp");
	return NULL;
}

static const char *setup(void)
{
	/* mov $page, %eax; ret */
	unsigned char code[] = { 0xb8, 0, 0, 0, 0, 0xc3 };
	const char *why;
	unsigned int page;
	int fd;

	uprobe_type = read_number("/sys/bus/event_source/devices/uprobe/type");
	if (uprobe_type < 0)
		return "this kernel has no uprobe events";
	strcpy(path, "/var/tmp/race-uprobe-XXXXXX");
	file = mkostemp(path, O_CLOEXEC);
	if (file < 0) {
		path[0] = '\0';
		return race_skip("a file in /var/tmp");
	}
	if (ftruncate(file, arena.size))
		return race_skip("ftruncate");
	for (page = 0; page < arena.pages; page++) {
		memcpy(code + 1, &page, sizeof(page));
		if (pwrite(file, code, sizeof(code), page * PAGE_SIZE) != sizeof(code))
			return race_skip("writing a file in /var/tmp");
	}
	why = map_functions();
	if (why)
		return why;
	fd = open_probe(0);
	if (fd < 0)
		return race_skip("perf_event_open of a uprobe");
	/* The first hit maps the page for out-of-line steps, which stays. */
	((void (*)(void))(void *)arena.base)();
	close(fd);
	munmap(arena.base, arena.size);
	return map_functions();
}

static void call(struct worker *w)
{
	unsigned int i, page, got;

	w->doing = "call";
	for (i = 0; i < 100 && !stopping(); i++) {
		/* Often the few that are probed. */
		page = rnd(w, 2) ? rnd(w, arena.pages) : rnd(w, 8) * 64;
		got = ((unsigned int (*)(void))(void *)page_at(page))();
		if (got != page)
			race_error("function %u returned %u", page, got);
	}
}

static void probe(struct worker *w)
{
	int fds[4], i;

	w->doing = "perf_event_open";
	for (i = 0; i < 4; i++)
		fds[i] = open_probe(rnd(w, 8) * 64);
	breathe(w);
	for (i = 0; i < 4; i++) {
		if (fds[i] < 0)
			continue;	/* no memory, or too many */
		inserted++;
		close(fds[i]);
	}
}

static void drop(struct worker *w)
{
	unsigned int page, count;

	w->doing = "MADV_DONTNEED";
	page = rnd_run(w, &count);
	if (madvise(page_at(page), count * PAGE_SIZE, MADV_DONTNEED))
		race_error("madvise(MADV_DONTNEED): %s", strerror(errno));
}

static void quiesce(void)
{
	unsigned int page, got;

	madvise(arena.base, arena.size, MADV_DONTNEED);
	for (page = 0; page < arena.pages; page++) {
		got = ((unsigned int (*)(void))(void *)page_at(page))();
		if (got != page)
			race_error("in the end function %u returned %u", page, got);
		if (*page_at(page) != (char)0xb8)
			race_error("page %u still has a breakpoint", page);
	}
	race_note("%lu probes inserted and removed", inserted);
}

const struct race race = {
	.name = "uprobe",
	.flags = RACE_NO_OWNERS,
	.setup = setup,
	.antagonists = { call, call, drop, drop, probe },
	.quiesce = quiesce,
	.cleanup = cleanup,
};
