// SPDX-License-Identifier: GPL-2.0
/*
 * race-shmem-punch: truncation and hole punching of mapped shared memory.
 *
 * Models: as race-truncate, but on shmem, whose holes are punched by most
 * allocators of shared memory, and whose pages reclaim cannot drop.
 *
 * Shows: a table freed by truncation while a fault fills it (lost), a page that
 * stays mapped after its hole was punched (stale).
 *
 * Cannot show: shmem in swap (see race-swap for anonymous memory).
 */
#include "filemap.h"

const struct race race = {
	.name = "shmem-punch",
	.flags = RACE_KEEPS | RACE_BUS_OK,
	.setup = filemap_memfd,
	.drop = filemap_punch,
	.antagonists = { filemap_truncate, filemap_dontneed, filemap_advise },
	.drop_all = filemap_drop_all,
};
