// SPDX-License-Identifier: GPL-2.0
/*
 * race-uffd-shmem: userfaultfd minor faults on shared memory.
 *
 * Models: a live migration target. The pages are in the page cache, entries
 * are installed by UFFDIO_CONTINUE, asked and unasked; MADV_DONTNEED takes the
 * entries away, hole punching the pages; where the kernel can, runs of pages
 * are write-protected, which leaves markers in empty entries.
 *
 * Shows: CONTINUE installing in a table being freed (lost), a table freed with
 * a marker in it, must-wait on a freed table (hang).
 *
 * Cannot show: a write that went through in spite of write protection.
 */
#include "filemap.h"
#include "uffd.h"

#include <linux/userfaultfd.h>

static const char *setup(void)
{
	const char *why = filemap_memfd();

	if (why)
		return why;
	if (!uffd_start(UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_PAGEFAULT_FLAG_WP |
			UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
			UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_WP))
		return NULL;
	race_note("no write protection of shmem");
	return uffd_start(UFFD_FEATURE_MINOR_SHMEM, UFFDIO_REGISTER_MODE_MINOR);
}

const struct race race = {
	.name = "uffd-shmem",
	.flags = RACE_KEEPS,
	.setup = setup,
	.drop = filemap_punch,
	.antagonists = { uffd_continue, filemap_dontneed, uffd_protect },
	.quiesce = uffd_stop,
	.drop_all = filemap_drop_all,
};
