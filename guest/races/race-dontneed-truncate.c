// SPDX-License-Identifier: GPL-2.0
/*
 * race-dontneed-truncate: a whole table of dirty shared memory is unmapped while its pages go.
 *
 * Models: an allocator of shared memory that gives back 2 MiB at once by
 * MADV_DONTNEED, which frees the page table as well, while another thread
 * punches holes there or cuts the file, and others write.
 *
 * Shows: a table that is taken away before the pages that it mapped have lost
 * their rmap. Truncation finds no table, and takes pages out of the file that
 * are still mapped: a VM_BUG_ON with CONFIG_DEBUG_VM, else "Bad page cache", and
 * what is written through a translation that nobody has flushed yet is lost.
 *
 * Cannot show: what the disk holds; see race-dontneed-writeback.
 */
#include "filemap.h"

const struct race race = {
	.name = "dontneed-truncate",
	.flags = RACE_KEEPS | RACE_BUS_OK | RACE_FEW_DROPS,
	.ranges = 2,
	.setup = filemap_memfd,
	.drop = filemap_punch,
	.antagonists = { filemap_table, filemap_punch_some, filemap_table, filemap_punch_some,
			 filemap_truncate },
	.drop_all = filemap_drop_all,
};
