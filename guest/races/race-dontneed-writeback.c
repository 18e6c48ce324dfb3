// SPDX-License-Identifier: GPL-2.0
/*
 * race-dontneed-writeback: a whole table of a dirty file is unmapped during writeback.
 *
 * Models: a data base that maps its file, gives 2 MiB back at once by
 * MADV_DONTNEED, which frees the page table as well, and syncs meanwhile.
 *
 * Shows: writeback that finds no table, and hence cleans a page which another
 * CPU still writes to through a translation that nobody has flushed yet. Such a
 * write reaches the page and not the disk: once the page has left the page
 * cache, an older generation comes back (stale).
 *
 * Cannot show: anything without eviction from the page cache; so that is forced.
 */
#include "filemap.h"

const struct race race = {
	.name = "dontneed-writeback",
	.flags = RACE_KEEPS,
	.ranges = 2,
	.setup = filemap_disk,
	.antagonists = { filemap_table, filemap_sync, filemap_table, filemap_sync, filemap_evict },
	.drop_all = filemap_drop_all,
};
