// SPDX-License-Identifier: GPL-2.0
/* A userfaultfd over the arena, and the thread that answers its faults. */
#include "uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

static int uffd = -1;
static pthread_t handler;
static _Atomic bool handler_stop;
static uint64_t registered;
static char stack[256 << 10] __attribute__((aligned(4096)));
static struct worker handler_worker;
static char handler_page[PAGE_SIZE] __attribute__((aligned(4096)));

static void wake(unsigned int page)
{
	struct uffdio_range range = { (uintptr_t)page_at(page), PAGE_SIZE };

	if (ioctl(uffd, UFFDIO_WAKE, &range))
		race_error("UFFDIO_WAKE: %s", strerror(errno));
}

/*
 * EEXIST: somebody was faster. EAGAIN: the address space was changing. ENOENT,
 * EFAULT: gone meanwhile (a hole punched under UFFDIO_CONTINUE). In all of
 * these the faulting thread, if any, is woken and tries again.
 */
static bool race_lost(const char *what)
{
	if (errno != EEXIST && errno != EAGAIN && errno != ENOENT && errno != EFAULT)
		race_error("%s: %s", what, strerror(errno));
	return true;
}

static bool copy(struct worker *w, unsigned int page)
{
	struct uffdio_copy c = {
		.dst = (uintptr_t)page_at(page),
		.src = (uintptr_t)w->bounce,
		.len = PAGE_SIZE,
	};

	if (registered & UFFDIO_REGISTER_MODE_WP && !rnd(w, 4))
		c.mode = UFFDIO_COPY_MODE_WP;
	fill_page(page, w->bounce);
	return !ioctl(uffd, UFFDIO_COPY, &c) || !race_lost("UFFDIO_COPY");
}

static bool zero(unsigned int page)
{
	struct uffdio_zeropage z = {
		.range = { (uintptr_t)page_at(page), PAGE_SIZE },
	};

	return !ioctl(uffd, UFFDIO_ZEROPAGE, &z) || !race_lost("UFFDIO_ZEROPAGE");
}

static bool cont(unsigned int page)
{
	struct uffdio_continue c = {
		.range = { (uintptr_t)page_at(page), PAGE_SIZE },
	};

	return !ioctl(uffd, UFFDIO_CONTINUE, &c) || !race_lost("UFFDIO_CONTINUE");
}

static void protect(unsigned int page, unsigned int count, bool on)
{
	struct uffdio_writeprotect wp = {
		.range = { (uintptr_t)page_at(page), count * PAGE_SIZE },
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	if (ioctl(uffd, UFFDIO_WRITEPROTECT, &wp))
		race_lost("UFFDIO_WRITEPROTECT");
}

static void answer(struct worker *w, const struct uffd_msg *msg)
{
	unsigned int page = (msg->arg.pagefault.address - (uintptr_t)arena.base) / PAGE_SIZE;
	uint64_t flags = msg->arg.pagefault.flags;

	if (page >= arena.pages)
		race_error("a fault message for %#llx",
			   (unsigned long long)msg->arg.pagefault.address);
	else if (flags & UFFD_PAGEFAULT_FLAG_WP)
		protect(page, 1, false);
	else if (flags & UFFD_PAGEFAULT_FLAG_MINOR)
		cont(page);
	else if (rnd(w, 3))
		copy(w, page);
	else
		zero(page);
	/* Whatever became of it: the thread shall look again. */
	if (page < arena.pages)
		wake(page);
}

static void *handle(void *arg)
{
	struct worker *w = arg;
	struct uffd_msg msg;

	while (!atomic_load(&handler_stop)) {
		struct pollfd pfd = { .fd = uffd, .events = POLLIN };

		if (poll(&pfd, 1, 20) <= 0)
			continue;
		if (read(uffd, &msg, sizeof(msg)) != sizeof(msg))
			continue;	/* another wake-up took it */
		if (msg.event == UFFD_EVENT_PAGEFAULT)
			answer(w, &msg);
	}
	return NULL;
}

const char *uffd_start(uint64_t features, uint64_t mode)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register reg = {
		.range = { (uintptr_t)arena.base, arena.size },
		.mode = mode,
	};
	pthread_attr_t attr;

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (uffd < 0)
		uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (uffd < 0)
		return race_skip("userfaultfd");
	if (ioctl(uffd, UFFDIO_API, &api))
		return race_skip("UFFDIO_API with the features wanted");
	if (ioctl(uffd, UFFDIO_REGISTER, &reg))
		return race_skip("UFFDIO_REGISTER");
	registered = mode;

	memset(stack, 1, sizeof(stack));
	memset(handler_page, 1, sizeof(handler_page));
	handler_worker.rng = seed | 1;
	handler_worker.bounce = handler_page;
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, stack, sizeof(stack));
	if (pthread_create(&handler, &attr, handle, &handler_worker))
		return "no thread for the userfaultfd";
	return NULL;
}

void uffd_stop(void)
{
	struct uffdio_range range = { (uintptr_t)arena.base, arena.size };

	if (uffd < 0)
		return;
	atomic_store(&handler_stop, true);
	pthread_join(handler, NULL);
	if (ioctl(uffd, UFFDIO_UNREGISTER, &range))
		race_error("UFFDIO_UNREGISTER: %s", strerror(errno));
	close(uffd);
}

void uffd_prefill(struct worker *w)
{
	unsigned int page = rnd(w, arena.pages);

	w->doing = "prefill";
	if (rnd(w, 2))
		copy(w, page);
	else
		zero(page);
}

void uffd_continue(struct worker *w)
{
	w->doing = "UFFDIO_CONTINUE";
	cont(rnd(w, arena.pages));
}

void uffd_protect(struct worker *w)
{
	unsigned int page, count;

	w->doing = "UFFDIO_WRITEPROTECT";
	page = rnd_run_in_range(w, &count);
	protect(page, count, rnd(w, 2));
}
