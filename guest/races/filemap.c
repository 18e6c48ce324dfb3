// SPDX-License-Identifier: GPL-2.0
/* An arena that is a shared mapping of a file: see filemap.h. */
#include "filemap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int file = -1;

const char *filemap_memfd(void)
{
	file = memfd_create("race", MFD_CLOEXEC);
	if (file < 0 || ftruncate(file, arena.size))
		return race_skip("memfd");
	arena_map_file(file);
	return NULL;
}

const char *filemap_disk(void)
{
	file = disk_file(arena.size, 0);
	if (file < 0)
		return race_skip("a file in /var/tmp");
	if (fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE_SIZE))
		return race_skip("hole punching in /var/tmp");
	arena_map_file(file);
	return NULL;
}

const char *filemap_at(const char *directory)
{
	file = open(directory, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (file < 0 || fallocate(file, 0, 0, arena.size))
		return race_skip(directory);
	arena_map_file(file);
	return NULL;
}

bool filemap_is_dax(void)
{
	struct statx status;

	return !statx(file, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status) &&
	       status.stx_attributes & STATX_ATTR_DAX;
}

int filemap_direct(void)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	return open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
}

bool filemap_punch(unsigned int page, unsigned int count)
{
	return !fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)page * PAGE_SIZE, (off_t)count * PAGE_SIZE);
}

void filemap_truncate(struct worker *w)
{
	unsigned int page = rnd(w, arena.pages);

	w->doing = "ftruncate";
	drop_begin(page, arena.pages - page);
	if (ftruncate(file, (off_t)page * PAGE_SIZE))
		race_error("ftruncate down: %s", strerror(errno));
	breathe(w);
	if (ftruncate(file, arena.size))
		race_error("ftruncate up: %s", strerror(errno));
	drop_end(page, arena.pages - page);
}

void filemap_dontneed(struct worker *w)
{
	w->doing = "MADV_DONTNEED";
	advise_run(w, MADV_DONTNEED);
}

void filemap_advise(struct worker *w)
{
	static const int advices[] = { MADV_COLD, MADV_PAGEOUT, MADV_PAGEOUT, MADV_WILLNEED };

	w->doing = "madvise";
	advise_run(w, advices[rnd(w, ARRAY_SIZE(advices))]);
}

void filemap_sync(struct worker *w)
{
	unsigned int page, count;

	w->doing = "sync_file_range";
	page = rnd_run(w, &count);
	if (sync_file_range(file, (off_t)page * PAGE_SIZE, (off_t)count * PAGE_SIZE,
			    SYNC_FILE_RANGE_WRITE))
		race_error("sync_file_range: %s", strerror(errno));
}

/* Upstream's CONFIG_PT_RECLAIM frees the table that one MADV_DONTNEED covers. */
void filemap_table(struct worker *w)
{
	unsigned int page = rnd(w, arena.size / PMD_SIZE) * PTRS_PER_PTE, i;

	w->doing = "dirtying a table";
	for (i = 0; i < PTRS_PER_PTE && !stopping(); i++)
		page_dirty(w, page + i);
	w->doing = "MADV_DONTNEED of a table";
	if (madvise(page_at(page), PMD_SIZE, MADV_DONTNEED))
		race_error("MADV_DONTNEED: %s", strerror(errno));
}

void filemap_punch_some(struct worker *w)
{
	unsigned int page, count;

	w->doing = "punching";
	page = rnd_run_in_range(w, &count);
	drop_run(page, count);
}

void filemap_sync_all(void)
{
	if (sync_file_range(file, 0, arena.size, SYNC_FILE_RANGE_WAIT_BEFORE |
			    SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER))
		race_error("sync_file_range: %s", strerror(errno));
}

void filemap_forget(void)
{
	if (fdatasync(file))
		race_error("fdatasync: %s", strerror(errno));
	if (madvise(arena.base, arena.size, MADV_DONTNEED))
		race_error("MADV_DONTNEED: %s", strerror(errno));
	if (posix_fadvise(file, 0, arena.size, POSIX_FADV_DONTNEED))
		race_error("posix_fadvise failed");
}

/* Through the file, piece by piece: entries go without madvise(). */
void filemap_drop_all(void)
{
	unsigned int page;

	for (page = arena.pages; page; page -= 16)
		filemap_punch(page - 16, 16);
}
