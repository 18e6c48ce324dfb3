// SPDX-License-Identifier: GPL-2.0
/* System settings, a swap area, files and the pagemap: see sys.h. */
#include "common.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/swap.h>
#include <unistd.h>

#define DISK_DIR "/var/tmp"

static struct {
	char path[128];
	char value[64];
} saved[16];
static volatile int nr_saved;

bool setting_change(const char *path, const char *value)
{
	char text[256], *word = text, *end;
	int i;

	for (i = 0; i < nr_saved; i++)
		if (!strcmp(saved[i].path, path))
			return write_text(path, value);
	if (!read_text(path, text, sizeof(text)))
		return false;
	if (strchr(text, '[')) {
		word = strchr(text, '[') + 1;
		end = strchr(word, ']');
		if (end)
			*end = '\0';
	}
	if (nr_saved == ARRAY_SIZE(saved) ||
	    strlen(path) >= sizeof(saved[0].path) ||
	    strlen(word) >= sizeof(saved[0].value)) {
		errno = ENOSPC;
		return false;
	}
	if (!write_text(path, value))
		return false;
	strcpy(saved[nr_saved].path, path);
	strcpy(saved[nr_saved].value, word);
	nr_saved++;
	return true;
}

void settings_restore(void)
{
	while (nr_saved) {
		nr_saved--;
		write_text(saved[nr_saved].path, saved[nr_saved].value);
	}
}

long long read_number(const char *path)
{
	char text[64];

	return read_text(path, text, sizeof(text)) ? strtoll(text, NULL, 10) : -1;
}

int disk_file(size_t size, int flags)
{
	char path[] = DISK_DIR "/guest-XXXXXX";
	int fd;

	fd = mkostemp(path, flags | O_CLOEXEC);
	if (fd < 0)
		return -1;
	unlink(path);
	if (ftruncate(fd, size)) {
		close(fd);
		return -1;
	}
	return fd;
}

bool take_census(const void *start, size_t size, struct census *census)
{
	uint64_t entry[512];
	size_t at = 0, i, n;
	int fd;

	memset(census, 0, sizeof(*census));
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	for (; at < size / PAGE_SIZE; at += n) {
		n = size / PAGE_SIZE - at;
		if (n > ARRAY_SIZE(entry))
			n = ARRAY_SIZE(entry);
		if (pread(fd, entry, n * 8, ((uintptr_t)start / PAGE_SIZE + at) * 8) !=
		    (ssize_t)(n * 8)) {
			close(fd);
			return false;
		}
		for (i = 0; i < n; i++) {
			if (entry[i] >> 63)
				census->present++;
			else if (entry[i] >> 62)
				census->swapped++;
			else
				census->none++;
		}
	}
	close(fd);
	return true;
}

/* Our swap area: a file, or a loop device over one. */
static char swap_path[64];
static char swap_backing[64];
static int swap_loop = -1;
static volatile bool swap_active;

static bool swap_format(const char *path, size_t size)
{
	static char zero[64 << 10];
	struct {
		char bootbits[1024];
		uint32_t version, last_page, nr_badpages;
		char pad[PAGE_SIZE - 1024 - 12 - 10];
		char magic[10];
	} __attribute__((packed)) header = {
		.version = 1,
		.last_page = size / PAGE_SIZE - 1,
	};
	size_t at;
	int fd;

	memcpy(header.magic, "SWAPSPACE2", sizeof(header.magic));
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	/* No holes: the kernel takes a swap file's blocks as they are. */
	for (at = 0; at < size; at += sizeof(zero))
		if (write(fd, zero, sizeof(zero)) != sizeof(zero))
			goto fail;
	if (pwrite(fd, &header, sizeof(header), 0) != sizeof(header) || fsync(fd))
		goto fail;
	return !close(fd);
fail:
	close(fd);
	return false;
}

bool swap_on(void)
{
	if (swapon(swap_path, 0))
		return false;
	swap_active = true;
	return true;
}

bool swap_off(void)
{
	if (swapoff(swap_path))
		return false;
	swap_active = false;
	return true;
}

void swap_destroy(void)
{
	if (swap_path[0] && swap_active)
		swap_off();
	if (swap_loop >= 0) {
		ioctl(swap_loop, LOOP_CLR_FD, 0);
		close(swap_loop);
		swap_loop = -1;
	}
	if (swap_backing[0])
		unlink(swap_backing);
	swap_backing[0] = '\0';
	swap_path[0] = '\0';
}

static bool swap_on_loop(void)
{
	int control, nr, fd;

	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return false;
	nr = ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	if (nr < 0)
		return false;
	snprintf(swap_path, sizeof(swap_path), "/dev/loop%d", nr);
	swap_loop = open(swap_path, O_RDWR | O_CLOEXEC);
	if (swap_loop < 0)
		return false;
	fd = open(swap_backing, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (ioctl(swap_loop, LOOP_SET_FD, fd)) {
		close(fd);
		return false;
	}
	close(fd);
	return swap_on();
}

/* Both fail with errno set and leave nothing behind. */
static bool create_on_disk(size_t size)
{
	snprintf(swap_backing, sizeof(swap_backing), DISK_DIR "/guest-swap-%d", getpid());
	strcpy(swap_path, swap_backing);
	if (swap_format(swap_path, size) && swap_on())
		return true;
	unlink(swap_backing);
	return false;
}

static bool create_in_memory(size_t size)
{
	int err;

	snprintf(swap_backing, sizeof(swap_backing), "/tmp/guest-swap-%d", getpid());
	if (swap_format(swap_backing, size) && swap_on_loop())
		return true;
	err = errno;
	swap_destroy();
	errno = err;
	return false;
}

const char *swap_create(size_t size)
{
	static char reason[128];
	int err;

	if (geteuid())
		return "a swap area needs root";
	size = round_up(size, 64 << 10);
	if (create_on_disk(size))
		return NULL;
	err = errno;
	if (create_in_memory(size))
		return NULL;
	snprintf(reason, sizeof(reason),
		 "no swap area: in " DISK_DIR ": %s; on a loop device: %s",
		 strerror(err), strerror(errno));
	return reason;
}

const char *swap_create_in_memory(size_t size)
{
	static char reason[128];

	if (geteuid())
		return "a swap area needs root";
	if (create_in_memory(round_up(size, 64 << 10)))
		return NULL;
	snprintf(reason, sizeof(reason), "no swap area on a loop device: %s",
		 strerror(errno));
	return reason;
}
