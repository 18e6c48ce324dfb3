// SPDX-License-Identifier: GPL-2.0
/*
 * race-uffd-move: pages that are moved away entry by entry (UFFDIO_MOVE, from 6.8).
 *
 * Models: a compacting garbage collector. An owner writes a page, has it moved
 * to another range and looks for it there; its own place is empty then, and
 * so, sooner or later, is the table. Meanwhile all others fault and drop.
 *
 * Shows: a page that is lost on its way, one that is still seen where it was
 * (stale), a table of the source that stays, or goes with an entry in it.
 *
 * Cannot show: a move of huge pages.
 */
#include "race.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef UFFDIO_MOVE
#define UFFD_FEATURE_MOVE	(1 << 16)
struct uffdio_move {
	__u64 dst, src, len, mode;
	__s64 move;
};
#define UFFDIO_MOVE		_IOWR(UFFDIO, 0x05, struct uffdio_move)
#endif

static char *parking;
static int uffd = -1;
static _Atomic unsigned long moved;

static const char *setup(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_MOVE };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (uffd < 0)
		return race_skip("userfaultfd");
	if (ioctl(uffd, UFFDIO_API, &api))
		return race_skip("UFFD_FEATURE_MOVE");
	parking = map_beside_anchor(arena.size);
	reg.range.start = (uintptr_t)parking;
	reg.range.len = arena.size;
	if (ioctl(uffd, UFFDIO_REGISTER, &reg))
		return race_skip("UFFDIO_REGISTER");
	return NULL;
}

/* What has arrived must be what its owner wrote, or nothing if it was dropped. */
static void check_parked(unsigned int page, const char *at)
{
	uint64_t value[NSLOTS];
	uint32_t done, begun;
	unsigned int s;

	page_generations(page, &done, &begun);
	page_to_slots(at, value);
	for (s = 0; s < NSLOTS; s++)
		if (!slot_plausible(page, s, value[s], done, begun))
			race_error("page %u slot %u arrived with %#llx", page, s,
				   (unsigned long long)value[s]);
}

static void move_away(struct worker *w, unsigned int page)
{
	char *to = parking + page * PAGE_SIZE;
	struct uffdio_move move = {
		.dst = (uintptr_t)to,
		.src = (uintptr_t)page_at(page),
		.len = PAGE_SIZE,
	};

	page_write(w, page, put_by_store);
	w->doing = "UFFDIO_MOVE";
	if (ioctl(uffd, UFFDIO_MOVE, &move)) {
		/* Dropped meanwhile; shared with a reader; or somebody is in the way. */
		if (errno != ENOENT && errno != EBUSY && errno != EAGAIN)
			race_error("UFFDIO_MOVE: %s", strerror(errno));
		return;
	}
	moved++;
	page_is_empty(page);
	page_check(w, page, get_by_load);
	check_parked(page, to);
	if (madvise(to, PAGE_SIZE, MADV_DONTNEED))
		race_error("MADV_DONTNEED: %s", strerror(errno));
}

static void drop_some(struct worker *w)
{
	unsigned int page, count;

	w->doing = "MADV_DONTNEED";
	page = rnd_run_in_range(w, &count);
	drop_run(page, count);
	breathe(w);
}

static void quiesce(void)
{
	close(uffd);
	munmap(parking, arena.size);
	race_note("%lu pages moved", moved);
}

const struct race race = {
	.name = "uffd-move",
	.setup = setup,
	.own = move_away,
	.antagonists = { drop_some },
	.quiesce = quiesce,
};
