// SPDX-License-Identifier: GPL-2.0
/*
 * race-dontneed-direct: a whole table of a dirty file is unmapped during direct I/O.
 *
 * Models: a file that is mapped by one part of a program and written with
 * O_DIRECT by another, which takes its pages out of the page cache.
 *
 * Shows: invalidation that finds no table and a page that is still mapped, for
 * which folio_unmap_invalidate() has a BUG_ON() in every kernel.
 *
 * Cannot show: what is in the file. Direct I/O against a mapping promises nothing.
 */
#include "filemap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int direct = -1;
static char *buffer;

static const char *setup(void)
{
	const char *why = filemap_disk();

	if (why)
		return why;
	direct = filemap_direct();
	buffer = map_aligned(PMD_SIZE, PMD_SIZE, 0);
	memset(buffer, 0, PMD_SIZE);
	if (direct < 0 || pwrite(direct, buffer, PMD_SIZE, 0) != PMD_SIZE)
		return race_skip("O_DIRECT in /var/tmp");
	return NULL;
}

static void write_through(struct worker *w)
{
	unsigned int page, count;

	w->doing = "pwrite with O_DIRECT";
	page = rnd_run_in_range(w, &count);
	if (count > 16)
		count = 16;
	/* EIO: a page was dirtied anew in between, as the man page warns. */
	if (pwrite(direct, buffer, (size_t)count * PAGE_SIZE, (off_t)page * PAGE_SIZE) < 0 &&
	    errno != EIO && errno != EBUSY)
		race_error("pwrite: %s", strerror(errno));
}

static void dirty_one(struct worker *w)
{
	unsigned int i;

	w->doing = "write";
	for (i = 0; i < 64 && !stopping(); i++)
		page_dirty(w, rnd(w, arena.pages));
}

const struct race race = {
	.name = "dontneed-direct",
	.flags = RACE_KEEPS | RACE_NO_OWNERS,
	.ranges = 1,
	.setup = setup,
	.antagonists = { filemap_table, write_through, filemap_table, write_through, dirty_one,
			 dirty_one },
	.drop_all = filemap_drop_all,
};
