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

static char *parked_at(unsigned int page)
{
	return parking + page * PAGE_SIZE;
}

static unsigned int get_parked(struct worker *w, unsigned int page, uint64_t value[NSLOTS])
{
	(void)w;
	page_to_slots(parked_at(page), value);
	return NSLOTS;
}

/* False with errno if nothing was moved. What has been is there, and nowhere else. */
static bool move_page(unsigned int page)
{
	struct uffdio_move move = {
		.dst = (uintptr_t)parked_at(page),
		.src = (uintptr_t)page_at(page),
		.len = PAGE_SIZE,
	};

	return !ioctl(uffd, UFFDIO_MOVE, &move);
}

static void leave_parking(unsigned int page)
{
	if (madvise(parked_at(page), PAGE_SIZE, MADV_DONTNEED))
		race_error("MADV_DONTNEED: %s", strerror(errno));
}

static void move_away(struct worker *w, unsigned int page)
{
	page_write(w, page, put_by_store);
	w->doing = "UFFDIO_MOVE";
	if (!move_page(page)) {
		/* Dropped meanwhile, or somebody is in the way. */
		if (errno != ENOENT && errno != EBUSY && errno != EAGAIN)
			race_error("UFFDIO_MOVE: %s", strerror(errno));
		return;
	}
	moved++;
	page_check(w, page, get_parked);
	page_is_empty(page);
	page_check(w, page, get_by_load);
	leave_parking(page);
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
	if (!moved)
		race_error("no page was moved");
	race_note("%lu pages moved", moved);
}

/* By moves alone: MADV_DONTNEED would free the tables that they leave. */
static void drop_all(void)
{
	unsigned int page;

	for (page = 0; page < arena.pages; page++) {
		if (!move_page(page) && errno != ENOENT)
			race_error("in the end: UFFDIO_MOVE of page %u: %s", page, strerror(errno));
		leave_parking(page);
	}
}

static void unmap_all(void)
{
	munmap(arena.base, arena.size);
	munmap(parking, arena.size);
}

const struct race race = {
	.name = "uffd-move",
	.setup = setup,
	.own = move_away,
	.antagonists = { drop_some },
	.quiesce = quiesce,
	.drop_all = drop_all,
	.unmap_all = unmap_all,
};
