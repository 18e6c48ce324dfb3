// SPDX-License-Identifier: GPL-2.0
/*
 * piecewise: does the page table come back?
 *
 * Models: the ways in which 2 MiB of a process become empty without one
 * MADV_DONTNEED over all of it: small drops, munmap of a part, moves, reclaim,
 * truncation, fork, and drops after something changed the kind of the entries
 * (swap, THP, KSM, migration, write protection). Each way is one case.
 *
 * Shows: VmPTE of the process before the memory is touched, when it is touched
 * and after it is dropped, in kB, and the tables freed meanwhile by the count
 * of /proc/vmstat if the kernel has it. The range lies beside a page that
 * keeps the upper levels alive, so that "came back" is exact: VmPTE after is
 * VmPTE before, with no allowance.
 *
 * Cannot show: races (see races/), nor that the memory of a freed table is
 * free at once: VmPTE counts tables linked to the process.
 *
 * Exit code: 0 the tables came back, 1 they did not, 77 cannot be tried here.
 */
#include "common.h"
#include "options.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct run {
	size_t size, chunk;
	long before, touched, dropped;	/* VmPTE, kB */
	long long freed_before;
	char note[160];			/* why it failed, beyond the numbers */
};

static const char *skip(const char *what)
{
	static char reason[160];

	snprintf(reason, sizeof(reason), "%s: %s", what, strerror(errno));
	return reason;
}

static char *make_range(const struct run *r)
{
	return map_beside_anchor(r->size);
}

/* The same, filled with a shared mapping of a file. */
static char *map_file(const struct run *r, int fd, int prot)
{
	char *range = make_range(r);

	if (mmap(range, r->size, prot, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		die_errno("mmap of a file");
	return range;
}

static void touch(char *at, size_t size)
{
	size_t i;

	for (i = 0; i < size; i += PAGE_SIZE)
		*(volatile char *)(at + i) = 1;
}

static void touch_read(const char *at, size_t size)
{
	size_t i;

	for (i = 0; i < size; i += PAGE_SIZE)
		(void)*(const volatile char *)(at + i);
}

static void drop(char *at, size_t size, size_t chunk)
{
	size_t i, len;

	for (i = 0; i < size; i += len) {
		len = size - i < chunk ? size - i : chunk;
		if (madvise(at + i, len, MADV_DONTNEED))
			die_errno("madvise(MADV_DONTNEED) of %zu bytes", len);
	}
}

static void before(struct run *r)
{
	r->freed_before = vmstat("pte_table_freed");
	r->before = status_kb("VmPTE");
}

static void touched(struct run *r)
{
	r->touched = status_kb("VmPTE");
}

/* A kernel may free a moment later; half a second is no moment any more. */
static void dropped(struct run *r)
{
	uint64_t end = now_ns() + 500000000ULL;

	do {
		r->dropped = status_kb("VmPTE");
		if (r->dropped <= r->before)
			break;
		usleep(10000);
	} while (now_ns() < end);
}

static const char *simple_drop(struct run *r)
{
	char *range = make_range(r);

	before(r);
	touch(range, r->size);
	touched(r);
	drop(range, r->size, r->chunk);
	dropped(r);
	return NULL;
}

static const char *do_dontneed_reverse(struct run *r)
{
	char *range = make_range(r);
	size_t at;

	before(r);
	touch(range, r->size);
	touched(r);
	for (at = r->size; at; at -= PAGE_SIZE)
		drop(range + at - PAGE_SIZE, PAGE_SIZE, PAGE_SIZE);
	dropped(r);
	return NULL;
}

static const char *do_zeropage(struct run *r)
{
	char *range = make_range(r);

	before(r);
	touch_read(range, r->size);
	touched(r);
	drop(range, r->size, r->chunk);
	dropped(r);
	return NULL;
}

/* Nothing can be paged out: only an entry of the zero page is there for each page. */
static const char *do_zeropage_pageout(struct run *r)
{
	char *range = make_range(r);

	before(r);
	touch_read(range, r->size);
	touched(r);
	if (madvise(range, r->size, MADV_PAGEOUT))
		return skip("MADV_PAGEOUT");
	dropped(r);
	return NULL;
}

static void munmap_part(char *range, size_t size, size_t offset)
{
	size_t at;

	for (at = offset; at < size; at += PMD_SIZE)
		if (munmap(range + at, PMD_SIZE / 2))
			die_errno("munmap");
}

static const char *do_munmap_halves(struct run *r)
{
	char *range = make_range(r);

	before(r);
	touch(range, r->size);
	touched(r);
	munmap_part(range, r->size, 0);
	munmap_part(range, r->size, PMD_SIZE / 2);
	dropped(r);
	return NULL;
}

/* The other half stays mapped, but nothing is in it. */
static const char *do_munmap_half(struct run *r)
{
	char *range = make_range(r);
	size_t at;

	before(r);
	for (at = 0; at < r->size; at += PMD_SIZE)
		touch(range + at, PMD_SIZE / 2);
	touched(r);
	munmap_part(range, r->size, 0);
	dropped(r);
	return NULL;
}

static const char *do_mremap_away(struct run *r)
{
	char *from = make_range(r), *to = make_range(r);

	before(r);
	touch(from, r->size);
	touched(r);
	if (mremap(from, r->size, r->size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED)
		return skip("mremap");
	if (status_kb("VmPTE") > r->touched)
		snprintf(r->note, sizeof(r->note), "the move itself left tables behind");
	drop(to, r->size, r->chunk);
	dropped(r);
	return NULL;
}

/*
 * The source stays mapped, and the target is one page off, so that no table
 * can move as a whole: entry by entry leaves the source's tables empty.
 */
static const char *do_mremap_dontunmap(struct run *r)
{
	char *from = make_range(r), *to = make_range(r) + PAGE_SIZE;
	size_t size = r->size - PAGE_SIZE;
	long moved;

	before(r);
	touch(from, size);
	touched(r);
	if (mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
		   to) == MAP_FAILED)
		return skip("mremap(MREMAP_DONTUNMAP)");
	moved = status_kb("VmPTE");
	if (moved > r->touched)
		snprintf(r->note, sizeof(r->note),
			 "the move left %ld kB of tables in the source", moved - r->touched);
	drop(to, size, r->chunk);
	dropped(r);
	return NULL;
}

/* Until nothing of the range is present any more, or there is no progress. */
static const char *page_out(char *range, size_t size, struct census *census)
{
	int tries;

	for (tries = 0; tries < 20; tries++) {
		if (madvise(range, size, MADV_PAGEOUT))
			return skip("madvise(MADV_PAGEOUT)");
		if (!take_census(range, size, census))
			return skip("/proc/self/pagemap");
		if (!census->present)
			break;
		usleep(50000);
	}
	return NULL;
}

static const char *do_swapout(struct run *r, bool off)
{
	char *range = make_range(r);
	struct census census;
	const char *why;

	why = swap_create(r->size + (16 << 20));
	if (why)
		return why;
	before(r);
	touch(range, r->size);
	touched(r);
	why = page_out(range, r->size, &census);
	if (why)
		return why;
	if (census.swapped < r->size / PAGE_SIZE / 2)
		return "less than half of the pages went to swap";
	if (off && !swap_off())
		return skip("swapoff");
	drop(range, r->size, r->chunk);
	dropped(r);
	return NULL;
}

static const char *do_swapout_dontneed(struct run *r)
{
	return do_swapout(r, false);
}

static const char *do_swapoff_dontneed(struct run *r)
{
	return do_swapout(r, true);
}

static const char *do_madvfree_reclaim(struct run *r)
{
	char *range = make_range(r);
	struct census census;
	const char *why;

	before(r);
	touch(range, r->size);
	touched(r);
	if (madvise(range, r->size, MADV_FREE))
		return skip("madvise(MADV_FREE)");
	why = page_out(range, r->size, &census);
	if (why)
		return why;
	if (census.present || census.swapped)
		return "reclaim did not take every page";
	dropped(r);
	return NULL;
}

/* Pages of a file that are in the page cache and clean, mapped by reading. */
static const char *map_clean_file(struct run *r, char **range)
{
	static char block[1 << 20];
	size_t at;
	int fd;

	fd = disk_file(r->size, 0);
	if (fd < 0)
		return skip("a file in /var/tmp");
	memset(block, 1, sizeof(block));
	for (at = 0; at < r->size; at += sizeof(block))
		if (pwrite(fd, block, sizeof(block), at) != sizeof(block))
			return skip("writing a file in /var/tmp");
	if (fsync(fd))
		return skip("fsync");
	*range = map_file(r, fd, PROT_READ);
	close(fd);
	return NULL;
}

static const char *do_file_dontneed(struct run *r)
{
	const char *why;
	char *range;

	why = map_clean_file(r, &range);
	if (why)
		return why;
	before(r);
	touch_read(range, r->size);
	touched(r);
	drop(range, r->size, r->chunk);
	dropped(r);
	return NULL;
}

static const char *do_file_reclaim(struct run *r)
{
	struct census census;
	const char *why;
	char *range;

	why = map_clean_file(r, &range);
	if (why)
		return why;
	before(r);
	touch_read(range, r->size);
	touched(r);
	why = page_out(range, r->size, &census);
	if (why)
		return why;
	if (census.present)
		return "reclaim did not take every page";
	dropped(r);
	return NULL;
}

static const char *cut_file(struct run *r, int fd, bool punch)
{
	char *range = map_file(r, fd, PROT_READ | PROT_WRITE);
	size_t at;

	before(r);
	touch(range, r->size);
	touched(r);
	if (punch) {
		for (at = 0; at < r->size; at += r->chunk)
			if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      at, r->chunk))
				return skip("fallocate(PUNCH_HOLE)");
	} else {
		for (at = r->size; at; at -= PMD_SIZE / 2)
			if (ftruncate(fd, at - PMD_SIZE / 2))
				return skip("ftruncate");
	}
	dropped(r);
	return NULL;
}

static const char *do_file_truncate(struct run *r)
{
	int fd = disk_file(r->size, 0);

	return fd < 0 ? skip("a file in /var/tmp") : cut_file(r, fd, false);
}

static const char *cut_shmem(struct run *r, bool punch)
{
	int fd = memfd_create("piecewise", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, r->size))
		return skip("memfd");
	return cut_file(r, fd, punch);
}

static const char *do_shmem_truncate(struct run *r)
{
	return cut_shmem(r, false);
}

static const char *do_shmem_punch(struct run *r)
{
	return cut_shmem(r, true);
}

/* Both processes get their tables back while the other one still lives. */
static const char *do_fork_exit(struct run *r)
{
	char *range = make_range(r);
	int to_child[2], to_parent[2];
	char byte = 0;
	long tables;
	pid_t pid;

	before(r);
	touch(range, r->size);
	touched(r);
	if (pipe(to_child) || pipe(to_parent))
		return skip("pipe");
	pid = fork();
	if (pid < 0)
		return skip("fork");
	if (!pid) {
		tables = status_kb("VmPTE");
		drop(range, r->size, r->chunk);
		tables -= status_kb("VmPTE");
		byte = tables >= (long)(r->size / PMD_SIZE * 4);
		close(to_child[1]);
		if (write(to_parent[1], &byte, 1) != 1 || read(to_child[0], &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
	if (read(to_parent[0], &byte, 1) != 1)
		return "the child died";
	if (!byte)
		snprintf(r->note, sizeof(r->note), "the child's tables did not come back");
	drop(range, r->size, r->chunk);
	dropped(r);
	close(to_child[1]);
	waitpid(pid, NULL, 0);
	return NULL;
}

static long anon_huge_kb(void)
{
	char text[8192], *line;

	if (!read_text("/proc/self/smaps_rollup", text, sizeof(text)))
		return -1;
	line = strstr(text, "AnonHugePages:");
	return line ? strtol(line + strlen("AnonHugePages:"), NULL, 10) : -1;
}

static const char *drop_huge(struct run *r, bool split)
{
	char *range = make_range(r);
	size_t at;

	before(r);
	if (madvise(range, r->size, MADV_HUGEPAGE))
		return skip("madvise(MADV_HUGEPAGE)");
	touch(range, r->size);
	if (anon_huge_kb() < (long)(r->size >> 10) &&
	    madvise(range, r->size, MADV_COLLAPSE)) {
		/* No such call before 6.1: let the fault make them. */
		drop(range, r->size, r->size);
		if (!setting_change(THP_DIR "enabled", "madvise"))
			return skip("MADV_COLLAPSE and " THP_DIR "enabled");
		touch(range, r->size);
	}
	if (anon_huge_kb() < (long)(r->size >> 10))
		return "not all of it became huge pages";
	touched(r);
	if (split)	/* one page out of the middle of each splits the mapping */
		for (at = PMD_SIZE / 2; at < r->size; at += PMD_SIZE)
			drop(range + at, PAGE_SIZE, PAGE_SIZE);
	drop(range, r->size, split ? r->chunk : PMD_SIZE);
	dropped(r);
	return NULL;
}

static const char *do_thp_dontneed(struct run *r)
{
	return drop_huge(r, false);
}

static const char *do_thp_split_dontneed(struct run *r)
{
	return drop_huge(r, true);
}

static const char *do_ksm_unmerge_dontneed(struct run *r)
{
	long long had = read_number(KSM_DIR "pages_sharing");
	uint64_t end = now_ns() + 120 * 1000000000ULL;
	long long want = r->size / PAGE_SIZE / 2;
	char *range = make_range(r);

	before(r);
	touch(range, r->size);
	touched(r);
	if (madvise(range, r->size, MADV_MERGEABLE))
		return skip("madvise(MADV_MERGEABLE)");
	if (!setting_change(KSM_DIR "pages_to_scan", "4000") ||
	    !setting_change(KSM_DIR "sleep_millisecs", "5") ||
	    !setting_change(KSM_DIR "run", "1"))
		return skip(KSM_DIR);
	while (read_number(KSM_DIR "pages_sharing") - had < want) {
		if (now_ns() > end)
			return "ksmd did not merge half of the pages in two minutes";
		usleep(50000);
	}
	if (madvise(range, r->size, MADV_UNMERGEABLE))
		return skip("madvise(MADV_UNMERGEABLE)");
	drop(range, r->size, r->chunk);
	dropped(r);
	return NULL;
}

static const char *do_mprotect_none(struct run *r)
{
	char *range = make_range(r);

	before(r);
	touch(range, r->size);
	touched(r);
	if (mprotect(range, r->size, PROT_NONE))
		return skip("mprotect");
	drop(range, r->size, r->chunk);
	dropped(r);
	return NULL;
}

static const char *do_mlock_dontneed(struct run *r)
{
	char *range = make_range(r);

	before(r);
	if (mlock(range, r->size))
		return skip("mlock");
	touched(r);
	if (munlock(range, r->size))
		return skip("munlock");
	drop(range, r->size, r->chunk);
	dropped(r);
	return NULL;
}

/* Pages that somebody else still uses: the table need not wait for them. */
static const char *do_gup_dontneed(struct run *r)
{
	char *range = make_range(r);
	struct iovec iov = { range, 16 * PAGE_SIZE };
	int fds[2];

	if (pipe(fds))
		return skip("pipe");
	before(r);
	touch(range, r->size);
	touched(r);
	if (vmsplice(fds[1], &iov, 1, SPLICE_F_NONBLOCK) <= 0)
		return skip("vmsplice");
	drop(range, r->size, r->chunk);
	dropped(r);
	return NULL;
}

static const char *do_migrate_dontneed(struct run *r)
{
	char *range = make_range(r);
	unsigned long nodes;
	int node;

	if (access("/sys/devices/system/node/node1", F_OK))
		return "one node: nowhere to migrate to";
	before(r);
	touch(range, r->size);
	touched(r);
	for (node = 0; node < 2; node++) {
		nodes = 1UL << node;
		if (syscall(SYS_mbind, range, r->size, MPOL_BIND, &nodes, 64, MPOL_MF_MOVE))
			return skip("mbind");
	}
	drop(range, r->size, r->chunk);
	dropped(r);
	return NULL;
}

static int open_uffd(char *range, size_t size, uint64_t features, uint64_t mode)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register reg = {
		.range = { (uintptr_t)range, size },
		.mode = mode,
	};
	int fd;

	fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		return -1;
	return fd;
}

static const char *do_uffd_copy_dontneed(struct run *r)
{
	char *range = make_range(r);
	struct uffdio_copy copy = { .dst = (uintptr_t)range, .len = r->size / 2 };
	struct uffdio_zeropage zero = {
		.range = { (uintptr_t)range + r->size / 2, r->size / 2 },
	};
	char *source;
	int fd;

	source = map_aligned(r->size / 2, PMD_SIZE, 0);
	touch(source, r->size / 2);
	copy.src = (uintptr_t)source;
	fd = open_uffd(range, r->size, 0, UFFDIO_REGISTER_MODE_MISSING);
	if (fd < 0)
		return skip("userfaultfd");
	before(r);
	if (ioctl(fd, UFFDIO_COPY, &copy))
		return skip("UFFDIO_COPY");
	if (ioctl(fd, UFFDIO_ZEROPAGE, &zero))
		return skip("UFFDIO_ZEROPAGE");
	touched(r);
	drop(range, r->size, r->chunk);
	dropped(r);
	return NULL;
}

/* Write-protecting what is not there leaves markers; lifting it, nothing. */
static const char *do_uffd_wp_marker(struct run *r)
{
	struct uffdio_writeprotect wp = { .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	char *range;
	int fd, uffd;

	fd = memfd_create("piecewise", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, r->size))
		return skip("memfd");
	range = map_file(r, fd, PROT_READ | PROT_WRITE);
	wp.range.start = (uintptr_t)range;
	wp.range.len = r->size;
	uffd = open_uffd(range, r->size, UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
			 UFFDIO_REGISTER_MODE_WP);
	if (uffd < 0)
		return skip("userfaultfd write protection of shmem");
	before(r);
	if (ioctl(uffd, UFFDIO_WRITEPROTECT, &wp))
		return skip("UFFDIO_WRITEPROTECT");
	touched(r);
	wp.mode = 0;
	if (ioctl(uffd, UFFDIO_WRITEPROTECT, &wp))
		return skip("lifting UFFDIO_WRITEPROTECT");
	dropped(r);
	return NULL;
}

static const struct test_case {
	const char *name;
	const char *(*run)(struct run *r);	/* NULL, or why it cannot be tried */
	const char *what;
} cases[] = {
	{ "dontneed-chunk", simple_drop, "MADV_DONTNEED in chunks of --chunk (also: dontneed-chunk SIZE)" },
	{ "dontneed-reverse", do_dontneed_reverse, "MADV_DONTNEED of 4K pages, last one first" },
	{ "zeropage", do_zeropage, "pages only read, hence the zero page" },
	{ "munmap-halves", do_munmap_halves, "munmap of the lower halves, then of the upper ones" },
	{ "munmap-half", do_munmap_half, "munmap of the touched half of each 2M" },
	{ "mremap-away", do_mremap_away, "mremap of all, then MADV_DONTNEED at the new place" },
	{ "mremap-dontunmap", do_mremap_dontunmap, "mremap entry by entry out of a mapping that stays" },
	{ "swapout-dontneed", do_swapout_dontneed, "MADV_PAGEOUT to swap, then MADV_DONTNEED" },
	{ "swapoff-dontneed", do_swapoff_dontneed, "MADV_PAGEOUT, swapoff, then MADV_DONTNEED" },
	{ "madvfree-reclaim", do_madvfree_reclaim, "MADV_FREE, then reclaim takes the pages" },
	{ "file-dontneed", do_file_dontneed, "a file mapped by fault-around, then MADV_DONTNEED" },
	{ "file-reclaim", do_file_reclaim, "clean file pages, then reclaim takes them" },
	{ "file-truncate", do_file_truncate, "ftruncate of a mapped file, 1M at a time" },
	{ "shmem-truncate", do_shmem_truncate, "ftruncate of mapped shmem, 1M at a time" },
	{ "shmem-punch", do_shmem_punch, "hole punching in mapped shmem, --chunk at a time" },
	{ "fork-exit", do_fork_exit, "MADV_DONTNEED in parent and child after fork" },
	{ "thp-dontneed", do_thp_dontneed, "huge pages dropped whole" },
	{ "thp-split-dontneed", do_thp_split_dontneed, "huge pages split by a drop, then dropped" },
	{ "ksm-unmerge-dontneed", do_ksm_unmerge_dontneed, "KSM merge, unmerge, MADV_DONTNEED" },
	{ "mprotect-none", do_mprotect_none, "PROT_NONE, then MADV_DONTNEED" },
	{ "mlock-dontneed", do_mlock_dontneed, "mlock, munlock, MADV_DONTNEED" },
	{ "gup-dontneed", do_gup_dontneed, "MADV_DONTNEED while a pipe holds some of the pages" },
	{ "migrate-dontneed", do_migrate_dontneed, "migrated to both nodes, then MADV_DONTNEED" },
	{ "uffd-copy-dontneed", do_uffd_copy_dontneed, "filled by UFFDIO_COPY and _ZEROPAGE, then MADV_DONTNEED" },
	{ "uffd-wp-marker", do_uffd_wp_marker, "write-protection markers set and lifted in empty shmem" },
	{ "zeropage-pageout", do_zeropage_pageout, "pages only read, then MADV_PAGEOUT (not in all)" },
};

/* The last one is freed by an optional patch alone. */
#define NR_LISTED (ARRAY_SIZE(cases) - 1)

static int run_case(const struct test_case *c, struct run *r)
{
	const char *why, *verdict;
	long long freed;
	int code;

	status_kb("VmPTE");	/* so that its own stack is not counted */
	why = c->run(r);
	freed = vmstat("pte_table_freed");
	settings_restore();
	swap_destroy();

	if (why) {
		verdict = "skip";
		code = EXIT_SKIP;
	} else if (r->touched - r->before < (long)(r->size / PMD_SIZE * 4)) {
		verdict = "skip";
		code = EXIT_SKIP;
		why = "touching made fewer tables than one per 2M";
	} else if (r->dropped > r->before || r->note[0]) {
		verdict = "kept";
		code = 1;
		why = r->note;
	} else {
		verdict = "freed";
		code = 0;
		why = "";
	}
	printf("{\"program\":\"piecewise\",\"case\":\"%s\",\"size\":%zu,\"chunk\":%zu,\"vmpte_before_kb\":%ld,\"vmpte_touched_kb\":%ld,\"vmpte_dropped_kb\":%ld,",
	       c->name, r->size, r->chunk, r->before, r->touched, r->dropped);
	if (freed < 0)
		printf("\"pte_table_freed\":null,");
	else
		printf("\"pte_table_freed\":%lld,", freed - r->freed_before);
	printf("\"verdict\":\"%s\",\"reason\":\"%s\"}\n", verdict, why);
	if (fflush(stdout))
		die_errno("standard output");
	return code;
}

/* Each in a process of its own, which is also how the harness runs them. */
static int run_all(const struct run *r)
{
	int status, worst = 0;
	size_t i;
	pid_t pid;

	for (i = 0; i < NR_LISTED; i++) {
		struct run own = *r;

		pid = fork();
		if (pid < 0)
			die_errno("fork");
		if (!pid)
			exit(run_case(&cases[i], &own));
		if (waitpid(pid, &status, 0) < 0)
			die_errno("waitpid");
		if (!WIFEXITED(status))
			die("%s: killed by signal %d", cases[i].name, WTERMSIG(status));
		if (WEXITSTATUS(status) && WEXITSTATUS(status) != EXIT_SKIP)
			worst = WEXITSTATUS(status);
	}
	return worst;
}

static struct run wanted = { .size = 64 << 20, .chunk = PAGE_SIZE };

static void set_size(uint64_t bytes)
{
	wanted.size = bytes;
}

static void set_chunk(uint64_t bytes)
{
	wanted.chunk = bytes;
}

static void print_cases(FILE *to)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		fprintf(to, "  %-22s%s\n", cases[i].name, cases[i].what);
}

static const struct command command = {
	.synopsis = "[options] CASE",
	.options = {
		{ 's', "--size", "BYTES",
		  "touched and dropped, a multiple of 2M to 256M (default 64M)",
		  .bytes = set_size, .multiple = "2M", .most = "256M" },
		{ 'c', "--chunk", "BYTES", "dropped at a time (default 4K)",
		  .bytes = set_chunk, .multiple = "4K" },
	},
	.notes = "CASE is all, list, or one of:\n",
	.print_notes = print_cases,
};

int main(int argc, char **argv)
{
	char **words = parse_options(&command, argc, argv);
	const char *name;
	size_t i;

	if (!*words)
		wrong_usage(&command);
	name = *words++;
	if (!strcmp(name, "dontneed-chunk") && *words) {
		wanted.chunk = parse_bytes("dontneed-chunk", *words++);
		if (wanted.chunk % PAGE_SIZE)
			die("dontneed-chunk: not a multiple of 4K");
	}
	if (*words)
		die("one case at a time: '%s'", *words);

	if (!strcmp(name, "all"))
		return run_all(&wanted);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		if (!strcmp(name, "list")) {
			if (i < NR_LISTED)
				puts(cases[i].name);
		} else if (!strcmp(name, cases[i].name))
			return run_case(&cases[i], &wanted);
	}
	if (strcmp(name, "list"))
		die("no such case: '%s' (piecewise list names them)", name);
	return 0;
}
