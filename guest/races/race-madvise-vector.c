// SPDX-License-Identifier: GPL-2.0
/*
 * race-madvise-vector: many ranges in one call (process_madvise, of oneself
 * from 6.13), while huge pages are faulted in at their places.
 *
 * Models: an allocator that gives all it can spare back at once. The kernel
 * takes page tables of one range away and flushes the TLB after the last: in
 * between others find nothing there, and with huge pages a whole 2 MiB.
 *
 * Shows: an entry, or a huge page, that is put where a table is on its way out
 * (lost), a page that is still seen through an old translation (stale).
 *
 * Cannot show: the CPU errata about translations of two sizes for one address.
 */
#include "race.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define RANGES	8
#define VECTOR	6

static int self = -1;
static long long huge_before;

static long advise(const struct iovec *iov, size_t nr)
{
	return syscall(SYS_process_madvise, self, iov, nr, MADV_DONTNEED, 0);
}

static const char *setup(void)
{
	struct iovec iov = { arena.base, PAGE_SIZE };

	self = syscall(SYS_pidfd_open, getpid(), 0);
	if (self < 0)
		return race_skip("pidfd_open");
	if (advise(&iov, 1) != (long)PAGE_SIZE)
		return race_skip("process_madvise(MADV_DONTNEED)");
	/* Without huge pages all goes page by page, which is a race as well. */
	if (setting_change(THP_DIR "enabled", "madvise"))
		madvise(arena.base, arena.size / 2, MADV_HUGEPAGE);
	huge_before = vmstat("thp_fault_alloc");
	return NULL;
}

static void drop_vector(struct worker *w)
{
	unsigned int page[VECTOR], count[VECTOR], i;
	struct iovec iov[VECTOR];
	long size = 0, done;

	for (i = 0; i < VECTOR; i++) {
		page[i] = rnd_run_in_range(w, &count[i]);
		iov[i] = (struct iovec){ page_at(page[i]), count[i] * PAGE_SIZE };
		size += iov[i].iov_len;
		drop_begin(page[i], count[i]);
	}
	w->doing = "process_madvise";
	done = advise(iov, VECTOR);
	if (done < 0)
		race_error("process_madvise: %s", strerror(errno));
	else if (done != size)
		race_error("process_madvise did %ld bytes of %ld", done, size);
	for (i = 0; i < VECTOR; i++)
		drop_end(page[i], count[i]);
}

/* khugepaged fills what it finds empty, and would undo the last drops. */
static void quiesce(void)
{
	madvise(arena.base, arena.size, MADV_NOHUGEPAGE);
	race_note("%lld huge pages by faults", vmstat("thp_fault_alloc") - huge_before);
}

const struct race race = {
	.name = "madvise-vector",
	.ranges = RANGES,
	.setup = setup,
	.antagonists = { drop_vector, drop_vector },
	.quiesce = quiesce,
};
