// SPDX-License-Identifier: GPL-2.0
/*
 * race-dax: a file in persistent memory that is mapped without a page cache.
 *
 * Models: a data base on DAX: page faults map the memory itself, 2 MiB at once
 * where the file is one piece, 4 KiB where it is not; such pages have no entry
 * of the page cache that could be mapped. Meanwhile the file is truncated and
 * punched, written and unmapped, and forked.
 *
 * Shows: a huge entry of DAX that is taken for a page table, a table freed by
 * truncation while a fault fills it (lost), a page that stays mapped after its
 * hole was punched (stale).
 *
 * Cannot show: what survives a power failure. It wants a memory device, which a
 * guest has with "memmap=256M!1G" on the kernel's command line; what is on that
 * device is lost, so it must be blank, or of an earlier run.
 */
#include "filemap.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEVICE "/dev/pmem0"

static char where[] = "/tmp/race-dax-XXXXXX";
static bool made, mounted;

static void cleanup(void)
{
	if (mounted)
		umount2(where, MNT_DETACH);
	if (made)
		rmdir(where);
}

#define LABEL		"race-dax"
#define LABEL_OFFSET	(1024 + 0x78)	/* in an ext4 super block */

static bool blank_or_ours(void)
{
	static char head[64 << 10], zero[64 << 10];
	int fd = open(DEVICE, O_RDONLY | O_CLOEXEC);
	bool known;

	known = fd >= 0 && read(fd, head, sizeof(head)) == sizeof(head) &&
		(!memcmp(head, zero, sizeof(head)) ||
		 !memcmp(head + LABEL_OFFSET, LABEL, sizeof(LABEL)));
	if (fd >= 0)
		close(fd);
	return known;
}

/* Blocks of 4 KiB, in pieces of 2 MiB that begin where a huge page can. */
static bool make_file_system(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		execlp("mke2fs", "mke2fs", "-q", "-F", "-L", LABEL, "-t", "ext4", "-b", "4096",
		       "-E", "stride=512,stripe_width=512", DEVICE, NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

static const char *setup(void)
{
	const char *why;

	if (access(DEVICE, W_OK))
		return race_skip(DEVICE);
	if (!blank_or_ours())
		return "something else is on " DEVICE;
	if (!mkdtemp(where))
		return race_skip("a directory in /tmp");
	made = true;
	if (!make_file_system())
		return "mke2fs of " DEVICE " failed";
	if (mount(DEVICE, where, "ext4", MS_NOATIME, "dax=always"))
		return race_skip("mounting " DEVICE " with dax=always");
	mounted = true;
	why = filemap_at(where);
	if (!why && !filemap_is_dax())
		why = "the file system maps files of " DEVICE " through the page cache";
	return why;
}

static void fork_once(struct worker *w)
{
	pid_t pid;

	w->doing = "fork";
	pid = race_fork();
	if (!pid) {
		page_look(w, rnd(w, arena.pages), get_by_load);
		_exit(0);
	}
	/* The page may lie beyond the end of the file at that moment. */
	race_wait(pid, SIGBUS);
	breathe(w);
}

const struct race race = {
	.name = "dax",
	.flags = RACE_KEEPS | RACE_BUS_OK,
	.setup = setup,
	.drop = filemap_punch,
	.antagonists = { filemap_truncate, filemap_dontneed, filemap_sync, fork_once },
	.drop_all = filemap_drop_all,
	.cleanup = cleanup,
};
