// SPDX-License-Identifier: GPL-2.0
/*
 * race-dontneed-writeback: a whole table of a dirty file is unmapped during writeback.
 *
 * Models: a data base that maps its file, gives 2 MiB back at once by
 * MADV_DONTNEED, which frees the page table as well, and syncs meanwhile, as
 * another thread goes on writing.
 *
 * In rounds: one thread writes a word again and again, others drop the mapping
 * and sync it. When a sync has ended, the writer writes once more, and all stop.
 * Then the file is synced, the page is taken out of the page cache, and the disk
 * must have the last word.
 *
 * Shows: writeback that finds no table, and hence cleans a page which another
 * CPU still writes to through a translation that nobody has flushed yet. That
 * store reaches the page and not the disk: nothing says that the page is dirty.
 *
 * Cannot show: anything if the page cannot be evicted; a note says how often it was.
 */
#include "filemap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic bool go;
static _Atomic unsigned int busy, syncs;
static uint64_t word = 1;
static unsigned long rounds, evicted;

static void writer(struct worker *w)
{
	unsigned int page = rnd(w, arena.pages), seen;
	uint64_t *at = (uint64_t *)page_at(page);
	unsigned char resident = 1;

	w->doing = "write";
	store64(at, ++word);
	seen = atomic_load(&syncs);
	atomic_store(&go, true);
	/* The one after the next has begun since. */
	while (atomic_load(&syncs) - seen < 2 && !stopping())
		store64(at, word);
	store64(at, ++word);
	atomic_store(&go, false);

	w->doing = "waiting for the others";
	while (atomic_load(&busy))
		breathe(w);
	w->doing = "check";
	filemap_forget();
	if (!mincore(at, PAGE_SIZE, &resident) && !(resident & 1))
		evicted++;
	if (load64(at) != word)
		race_error("lost: page %u has %#llx on disk, and %#llx was written before fdatasync()",
			   page, (unsigned long long)load64(at), (unsigned long long)word);
	rounds++;
}

static bool join(void)
{
	atomic_fetch_add(&busy, 1);
	return atomic_load(&go);
}

static void dropper(struct worker *w)
{
	w->doing = "MADV_DONTNEED of a table";
	if (join() && madvise(arena.base, arena.size, MADV_DONTNEED))
		race_error("MADV_DONTNEED: %s", strerror(errno));
	atomic_fetch_sub(&busy, 1);
}

static void syncer(struct worker *w)
{
	w->doing = "sync_file_range";
	if (join()) {
		filemap_sync_all();
		atomic_fetch_add(&syncs, 1);
	}
	atomic_fetch_sub(&busy, 1);
}

static void quiesce(void)
{
	race_note("%lu of %lu times the page was out of the page cache", evicted, rounds);
}

const struct race race = {
	.name = "dontneed-writeback",
	.flags = RACE_KEEPS | RACE_NO_OWNERS,
	.ranges = 1,
	.setup = filemap_disk,
	.antagonists = { writer, dropper, syncer, syncer },
	.quiesce = quiesce,
	.drop_all = filemap_drop_all,
};
