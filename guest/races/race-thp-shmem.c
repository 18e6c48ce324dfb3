// SPDX-License-Identifier: GPL-2.0
/*
 * race-thp-shmem: huge pages in shared memory.
 *
 * Models: MADV_COLLAPSE (and khugepaged) of a shared mapping: the small pages
 * of the file are replaced by a huge one and the page tables of all mappings
 * are retracted; hole punching splits it again; MADV_DONTNEED leaves the file
 * alone, so the next fault may map it huge or small.
 *
 * Shows: a retracted table that is in use by a fault, or freed twice; entries
 * of the old pages that stay (stale data).
 *
 * Cannot show: anything on kernels that do not collapse shmem; the reason in
 * the verdict tells how many collapses succeeded.
 */
#include "filemap.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned long collapses;

/* On memory of its own, so that the arena's tables stay as they are. */
static const char *try_collapse(void)
{
	char *at = map_aligned(PMD_SIZE, PMD_SIZE, 0);
	int fd = memfd_create("race-thp-shmem", MFD_CLOEXEC);
	int tries = 5, err;

	if (fd < 0 || ftruncate(fd, PMD_SIZE) ||
	    mmap(at, PMD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE,
		 fd, 0) == MAP_FAILED)
		return race_skip("memfd");
	close(fd);
	do
		err = madvise(at, PMD_SIZE, MADV_COLLAPSE);
	while (err && errno == EAGAIN && --tries);
	if (err)	/* also with CONFIG_BASE_FULL=n: too large for its page cache */
		return race_skip("MADV_COLLAPSE of shmem");
	munmap(at, PMD_SIZE);
	return NULL;
}

static const char *setup(void)
{
	const char *why = try_collapse();

	if (!why)
		why = filemap_memfd();
	if (why)
		return why;
	/* Without these two (no root) only MADV_COLLAPSE makes huge pages. */
	if (setting_change(THP_DIR "shmem_enabled", "advise") &&
	    setting_change(THP_DIR "khugepaged/scan_sleep_millisecs", "5"))
		setting_change(THP_DIR "khugepaged/alloc_sleep_millisecs", "5");
	if (madvise(arena.base, arena.size, MADV_HUGEPAGE))
		return race_skip("madvise(MADV_HUGEPAGE)");
	return NULL;
}

static void collapse(struct worker *w)
{
	unsigned int range = rnd(w, arena.size / PMD_SIZE);

	w->doing = "MADV_COLLAPSE";
	if (!madvise(arena.base + range * PMD_SIZE, PMD_SIZE, MADV_COLLAPSE))
		collapses++;
}

static void quiesce(void)
{
	race_note("%lu successful calls of MADV_COLLAPSE", collapses);
}

const struct race race = {
	.name = "thp-shmem",
	.flags = RACE_KEEPS,
	.setup = setup,
	.drop = filemap_punch,
	.antagonists = { collapse, filemap_dontneed },
	.quiesce = quiesce,
	.drop_all = filemap_drop_all,
};
