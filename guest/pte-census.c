// SPDX-License-Identifier: GPL-2.0
/*
 * pte-census: how much of a live process's page tables holds nothing.
 *
 * Models: nothing; a tool for operators. It reads /proc/PID and changes nothing
 * there, needs no kernel patch, and rests between two looks (--rest).
 *
 * Shows: VmPTE; the PTE tables that hold an entry, those of them that hold
 * nothing but zero pages, and, by subtraction, those that hold none: what a
 * kernel gives back that frees a table when its last entry goes.
 *
 * Where an entry is, PAGEMAP_SCAN tells (Linux 6.7), which skips what has no
 * table: 55 TB of address space with little in it are a moment. Before, pagemap
 * is read for the mappings that have a resident or a swapped page; above --areas
 * areas of 2 MiB only every nth is, and the result is an estimate and says so.
 *
 * Cannot show: where the empty tables are. A page that is not there looks the
 * same with and without a table above it. So it cannot tell either which of them
 * upstream's CONFIG_PT_RECLAIM would have freed: that depends on whether the
 * memory was given back by one call. But a table that several mappings share it
 * never frees; these are counted. Zero pages are told by PAGEMAP_SCAN or, before,
 * for root. A process that is busy changes meanwhile.
 */
#include "common.h"
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define GIB		(1ULL << 30)
#define TIB_HALF	(512 * GIB)		/* what one table of PMD tables maps */
#define PAGES_AT_ONCE	(1U << 18)		/* 1 GiB: then a rest */

/* linux/fs.h of 6.7; the build machine's may be older. */
struct region {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t inverted, mask, anyof, wanted;
};

#define SCAN_IOCTL	_IOWR('f', 16, struct scan_arg)
#define IS_PRESENT	(1ULL << 3)
#define IS_SWAPPED	(1ULL << 4)
#define IS_ZERO		(1ULL << 5)

#define PM_PRESENT	(1ULL << 63)
#define PM_SWAPPED	(1ULL << 62)
#define PM_FILE		(1ULL << 61)
#define PM_PFN		((1ULL << 55) - 1)

static struct {
	uint64_t vmpte_kb, mappings, virtual_kb;
	uint64_t tables;		/* with an entry in them, or deposited for a huge page */
	uint64_t zero_only;
	uint64_t shared;		/* areas with an entry in which several mappings meet */
	uint64_t gibs, halves;		/* upper tables that these need */
	uint64_t huge_file_kb;		/* mapped by a pmd, without a table */
	uint64_t sample;		/* every nth area was looked at */
	bool zero_known, scanned;
} found;

/* The area of 2 MiB that is being put together: mappings may meet in it. */
static struct {
	uint64_t area, gib, half, mapping;
	bool any, other_than_zero, is_shared;
} now = { .area = ~0ULL, .gib = ~0ULL, .half = ~0ULL };

static uint64_t rest_us = 1000;
static uint64_t most_areas = 1 << 20;
static bool as_json;
static volatile sig_atomic_t stopped;
static uint64_t zero_pfn;

static void on_signal(int sig)
{
	stopped = sig;
}

static void rest(void)
{
	struct timespec ts = { rest_us / 1000000, rest_us % 1000000 * 1000 };

	if (rest_us)
		nanosleep(&ts, NULL);
	if (stopped) {
		fprintf(stderr, "pte-census: stopped\n");
		exit(128 + stopped);
	}
}

static void close_area(void)
{
	if (!now.any)
		return;
	found.tables += found.sample;
	if (!now.other_than_zero)
		found.zero_only += found.sample;
	if (now.is_shared)
		found.shared += found.sample;
	now.any = false;
}

/* Addresses come in ascending order. */
static void entries(uint64_t start, uint64_t end, bool zero)
{
	for (; start < end; start = (start / PMD_SIZE + 1) * PMD_SIZE) {
		if (start / PMD_SIZE != now.area) {
			close_area();
			now.area = start / PMD_SIZE;
			now.other_than_zero = now.is_shared = false;
			now.mapping = found.mappings;
		}
		now.any = true;
		now.other_than_zero |= !zero;
		now.is_shared |= now.mapping != found.mappings;
		if (start / GIB != now.gib) {
			now.gib = start / GIB;
			found.gibs++;
		}
		if (start / TIB_HALF != now.half) {
			now.half = start / TIB_HALF;
			found.halves++;
		}
	}
}

/* PAGEMAP_SCAN; false if this kernel has none. */
static bool scan(int pagemap, uint64_t start, uint64_t end)
{
	static struct region regions[4096];
	struct scan_arg arg = {
		.size = sizeof(arg), .end = end, .vec = (uintptr_t)regions,
		.vec_len = ARRAY_SIZE(regions), .max_pages = PAGES_AT_ONCE,
		.anyof = IS_PRESENT | IS_SWAPPED,
		.wanted = IS_PRESENT | IS_SWAPPED | IS_ZERO,
	};
	int i, n;

	while (start < end) {
		arg.start = start;
		n = ioctl(pagemap, SCAN_IOCTL, &arg);
		if (n < 0 && (errno == ENOTTY || errno == EINVAL))
			return false;
		if (n < 0)
			die_errno("PAGEMAP_SCAN");
		for (i = 0; i < n; i++)
			entries(regions[i].start, regions[i].end, regions[i].categories & IS_ZERO);
		if (arg.walk_end <= start)
			break;
		start = arg.walk_end;
		if (n)
			rest();
	}
	return true;
}

static void read_areas(int pagemap, uint64_t start, uint64_t end)
{
	static uint64_t entry[PTRS_PER_PTE];
	uint64_t at, stop, looked = 0;
	ssize_t got;
	size_t i;

	for (at = start; at < end; at = stop) {
		stop = (at / PMD_SIZE + 1) * PMD_SIZE;
		if (stop > end)
			stop = end;
		if (at / PMD_SIZE % found.sample)
			continue;
		got = pread(pagemap, entry, (stop - at) / PAGE_SIZE * 8, at / PAGE_SIZE * 8);
		if (got < 0)
			die_errno("pagemap");
		for (i = 0; i < got / sizeof(entry[0]); i++)
			if (entry[i] & (PM_PRESENT | PM_SWAPPED))
				entries(at + i * PAGE_SIZE, at + (i + 1) * PAGE_SIZE,
					zero_pfn && entry[i] & PM_PRESENT &&
					(entry[i] & PM_PFN) == zero_pfn);
		if (++looked % (PAGES_AT_ONCE / PTRS_PER_PTE) == 0)
			rest();
	}
}

/* The frame of the zero page, which only root sees: a page of our own is it. */
static void find_zero_page(void)
{
	volatile char *page = mmap(NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (page != MAP_FAILED && fd >= 0 && !*page &&
	    pread(fd, &entry, sizeof(entry), (uintptr_t)page / PAGE_SIZE * 8) == sizeof(entry))
		zero_pfn = entry & PM_PFN;
	if (fd >= 0)
		close(fd);
}

struct mapping {
	uint64_t start, end, present_kb, huge_file_kb;
	bool hugetlb;
};

static struct mapping *mappings;
static size_t nr_mappings;

/* smaps walks the tables that there are; maps walks none, but tells no sizes. */
static void read_mappings(const char *path, bool sizes)
{
	struct mapping *m = NULL;
	char line[4352], name[64];
	uint64_t start, end, kb;
	FILE *file = fopen(path, "re");

	if (!file)
		die_errno("%s", path);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &start, &end) == 2 && end > start) {
			if (nr_mappings % 1024 == 0)
				mappings = realloc(mappings, (nr_mappings + 1024) * sizeof(*m));
			if (!mappings)
				die("no memory");
			m = &mappings[nr_mappings++];
			*m = (struct mapping){ .start = start, .end = end, .present_kb = !sizes };
			if (start >> 63)
				nr_mappings--;		/* [vsyscall] is the kernel's */
			if (stopped)
				rest();
		} else if (m && sscanf(line, "%63[^:]: %" SCNu64, name, &kb) == 2) {
			if (!strcmp(name, "Rss") || !strcmp(name, "Swap"))
				m->present_kb += kb;
			else if (!strcmp(name, "ShmemPmdMapped") || !strcmp(name, "FilePmdMapped"))
				m->huge_file_kb += kb;
		} else if (m && !strncmp(line, "VmFlags:", 8)) {
			m->hugetlb = strstr(line, " ht");
		}
	}
	if (ferror(file))
		die_errno("%s", path);
	fclose(file);
}

static void take(const char *pid)
{
	uint64_t areas = 0;
	char path[64];
	size_t i;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/smaps", pid);
	read_mappings(path, true);
	snprintf(path, sizeof(path), "/proc/%s/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die_errno("%s", path);

	found.sample = 1;
	found.scanned = scan(fd, 0, PAGE_SIZE);
	found.zero_known = found.scanned;
	for (i = 0; i < nr_mappings; i++)
		if (mappings[i].present_kb && !mappings[i].hugetlb)
			areas += (mappings[i].end - mappings[i].start) / PMD_SIZE + 1;
	if (!found.scanned) {
		find_zero_page();
		found.zero_known = zero_pfn;
		found.sample = areas / most_areas + 1;
	}
	for (i = 0; i < nr_mappings; i++) {
		struct mapping *m = &mappings[i];

		found.mappings++;
		found.virtual_kb += (m->end - m->start) / 1024;
		found.huge_file_kb += m->huge_file_kb;
		if (m->hugetlb)
			continue;
		/* Markers are in no size: PAGEMAP_SCAN looks at all there is. */
		if (found.scanned)
			scan(fd, m->start, m->end);
		else if (m->present_kb)
			read_areas(fd, m->start, m->end);
	}
	close_area();
	found.tables -= found.huge_file_kb * 1024 / PMD_SIZE < found.tables ?
			found.huge_file_kb * 1024 / PMD_SIZE : found.tables;
	close(fd);
}

static uint64_t vmpte(const char *pid)
{
	char path[64], text[8192], *at;

	snprintf(path, sizeof(path), "/proc/%s/status", pid);
	if (!read_text(path, text, sizeof(text)))
		die_errno("%s", path);
	at = strstr(text, "VmPTE:");
	if (!at)
		die("process %s has no memory of its own", pid);
	return strtoull(at + 6, NULL, 10);
}

static void print(const char *pid, uint64_t upper_kb, uint64_t empty_kb)
{
	const char *how = found.scanned ? "PAGEMAP_SCAN" : "pagemap";

	if (as_json) {
		printf("{\"pid\":%s,\"how\":\"%s\",\"sample\":%" PRIu64 ",\"mappings\":%" PRIu64
		       ",\"virtual_kb\":%" PRIu64 ",\"vmpte_kb\":%" PRIu64 ",\"in_use_kb\":%" PRIu64,
		       pid, how, found.sample, found.mappings, found.virtual_kb, found.vmpte_kb,
		       found.tables * 4);
		if (found.zero_known)
			printf(",\"zero_only_kb\":%" PRIu64, found.zero_only * 4);
		else
			printf(",\"zero_only_kb\":null");
		printf(",\"shared_kb\":%" PRIu64 ",\"upper_kb\":%" PRIu64 ",\"empty_kb\":%" PRIu64
		       "}\n", found.shared * 4, upper_kb, empty_kb);
		return;
	}
	printf("process %s: %" PRIu64 " mappings, %" PRIu64 " MiB of address space (%s)\n", pid,
	       found.mappings, found.virtual_kb / 1024, how);
	printf("%12" PRIu64 " kB  page tables (VmPTE), of which\n", found.vmpte_kb);
	printf("%12" PRIu64 " kB  hold an entry,\n", found.tables * 4);
	if (found.zero_known)
		printf("%12" PRIu64 " kB      ... and nothing but zero pages\n", found.zero_only * 4);
	printf("%12" PRIu64 " kB      ... of several mappings, which PT_RECLAIM never frees\n",
	       found.shared * 4);
	printf("%12" PRIu64 " kB  are the levels above these,\n", upper_kb);
	printf("%12" PRIu64 " kB  hold nothing, or are above what holds nothing\n", empty_kb);
	if (found.sample > 1)
		printf("An estimate: one 2 MiB area of %" PRIu64 " was looked at.\n", found.sample);
}

static void set_json(uint64_t value)
{
	as_json = value;
}

DEFINE_SET(rest_us)
DEFINE_SET(most_areas)

static const struct command command = {
	.synopsis = "[options] PID",
	.options = {
		{ 'j', "--json", NULL, "one line of JSON", .number = set_json },
		{ 'r', "--rest", "US", "microseconds to sleep after each GiB (default 1000)",
		  .number = set_rest_us, .min = 0, .max = 10000000 },
		{ 'a', "--areas", "N", "before Linux 6.7: look at so many 2 MiB areas (default 1048576)",
		  .number = set_most_areas, .min = 1, .max = UINT32_MAX },
	},
	.notes = "Reads /proc/PID only; ends at once on Ctrl-C. Another user's process needs root.\n",
};

int main(int argc, char **argv)
{
	struct sigaction stop = { .sa_handler = on_signal };
	const char *pid = parse_options_and_word(&command, argc, argv);
	uint64_t upper_kb, used_kb;

	parse_number("PID", pid, 1, INT32_MAX);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	take(pid);
	found.vmpte_kb = vmpte(pid);
	upper_kb = (found.gibs + found.halves) * 4;
	used_kb = found.tables * 4 + upper_kb;
	print(pid, upper_kb, found.vmpte_kb > used_kb ? found.vmpte_kb - used_kb : 0);
	return 0;
}
