// SPDX-License-Identifier: GPL-2.0
/* Access to arena pages through the kernel's get_user_pages(): see gup.h. */
#include "gup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int pipes[MAX_THREADS + MAX_ANTAGONISTS][2];
static int direct_fd = -1;
static pid_t pid;

void gup_setup(void)
{
	unsigned int i;

	pid = getpid();
	for (i = 0; i < ARRAY_SIZE(pipes); i++)
		if (pipe2(pipes[i], O_CLOEXEC | O_NONBLOCK))
			die_errno("pipe");
	direct_fd = disk_file(arena.size, O_DIRECT);
	if (direct_fd < 0)
		race_note("no O_DIRECT in /var/tmp: %s", strerror(errno));
}

/* Only a race that takes pages away may see EFAULT. */
static unsigned int failed(const char *what, unsigned int page)
{
	if (errno == EFAULT && race.flags & (RACE_SEGV_OK | RACE_BUS_OK))
		return 0;
	race_error("%s at page %u: %s", what, page, strerror(errno));
	return 0;
}

static ssize_t remote(unsigned int page, uint64_t value[NSLOTS], bool write)
{
	struct iovec local = { value, NSLOTS * sizeof(value[0]) };
	struct iovec there[NSLOTS];
	char *at = page_at(page);
	unsigned int s;

	for (s = 0; s < NSLOTS; s++) {
		there[s].iov_base = at + slot_offset[s];
		there[s].iov_len = sizeof(value[0]);
	}
	if (write)
		return process_vm_writev(pid, &local, 1, there, NSLOTS, 0);
	return process_vm_readv(pid, &local, 1, there, NSLOTS, 0);
}

unsigned int put_by_remote(struct worker *w, unsigned int page,
			   const uint64_t value[NSLOTS])
{
	uint64_t copy[NSLOTS];
	ssize_t n;

	(void)w;
	memcpy(copy, value, sizeof(copy));
	n = remote(page, copy, true);
	return n < 0 ? failed("process_vm_writev", page) : n / sizeof(value[0]);
}

unsigned int get_by_remote(struct worker *w, unsigned int page,
			   uint64_t value[NSLOTS])
{
	ssize_t n;

	(void)w;
	n = remote(page, value, false);
	return n < 0 ? failed("process_vm_readv", page) : n / sizeof(value[0]);
}

unsigned int get_by_splice(struct worker *w, unsigned int page,
			   uint64_t value[NSLOTS])
{
	struct iovec iov = { page_at(page), PAGE_SIZE };
	int *fds = pipes[w->nth];

	if (vmsplice(fds[1], &iov, 1, SPLICE_F_NONBLOCK) != (ssize_t)PAGE_SIZE)
		return failed("vmsplice", page);
	if (read(fds[0], w->bounce, PAGE_SIZE) != (ssize_t)PAGE_SIZE)
		return failed("reading what was spliced", page);
	page_to_slots(w->bounce, value);
	return NSLOTS;
}

unsigned int put_by_direct(struct worker *w, unsigned int page,
			   const uint64_t value[NSLOTS])
{
	off_t at = (off_t)page * PAGE_SIZE;

	if (direct_fd < 0)
		return 0;
	slots_to_page(value, w->bounce);
	if (pwrite(direct_fd, w->bounce, PAGE_SIZE, at) != (ssize_t)PAGE_SIZE ||
	    pread(direct_fd, page_at(page), PAGE_SIZE, at) != (ssize_t)PAGE_SIZE)
		return failed("O_DIRECT read", page);
	return NSLOTS;
}

unsigned int get_by_direct(struct worker *w, unsigned int page,
			   uint64_t value[NSLOTS])
{
	off_t at = (off_t)page * PAGE_SIZE;

	if (direct_fd < 0)
		return 0;
	if (pwrite(direct_fd, page_at(page), PAGE_SIZE, at) != (ssize_t)PAGE_SIZE ||
	    pread(direct_fd, w->bounce, PAGE_SIZE, at) != (ssize_t)PAGE_SIZE)
		return failed("O_DIRECT write", page);
	page_to_slots(w->bounce, value);
	return NSLOTS;
}

void touch_by_futex(unsigned int page)
{
	/* Nobody waits there: the look-up is all. */
	syscall(SYS_futex, page_at(page) + 8, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void gup_own(struct worker *w, unsigned int page)
{
	switch (rnd(w, 8)) {
	case 0:
		page_write(w, page, put_by_remote);
		break;
	case 1:
		page_check(w, page, get_by_remote);
		break;
	case 2:
	case 3:
		page_check(w, page, get_by_splice);
		break;
	case 4:
		page_write(w, page, put_by_direct);
		break;
	case 5:
		page_check(w, page, get_by_direct);
		break;
	default:
		touch_by_futex(page);
	}
}
