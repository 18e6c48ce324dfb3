// SPDX-License-Identifier: GPL-2.0
/*
 * race-truncate: truncation and hole punching of a mapped file on disk.
 *
 * Models: a data base file that is mapped by threads which read (fault-around
 * maps up to 16 pages at once) and write (page_mkwrite), while it is cut and
 * grown, punched, synced and reclaimed: entries go through the reverse mapping,
 * without mmap_lock. Beyond the end of the file an access is a SIGBUS, which is
 * caught and tried again.
 *
 * Shows: a table freed by truncation while a fault fills it (lost), a page that
 * stays mapped after its hole was punched (stale), fault-around into a table
 * that is gone.
 *
 * Cannot show: what the disk holds; only what the mapping shows is checked.
 */
#include "filemap.h"

const struct race race = {
	.name = "truncate",
	.flags = RACE_KEEPS | RACE_BUS_OK,
	.setup = filemap_disk,
	.drop = filemap_punch,
	.antagonists = { filemap_truncate, filemap_dontneed, filemap_advise, filemap_sync },
	.drop_all = filemap_drop_all,
};
