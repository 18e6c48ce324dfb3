/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a program changes in the system to make its case, and puts back: sysfs
 * settings and a swap area of its own. And what it reads back: pagemap.
 */
#ifndef GUEST_SYS_H
#define GUEST_SYS_H

#include <stdbool.h>
#include <stddef.h>

#define KSM_DIR "/sys/kernel/mm/ksm/"
#define THP_DIR "/sys/kernel/mm/transparent_hugepage/"

/*
 * Write a setting; its first value is remembered for settings_restore(). A
 * file of the form "a [b] c" is remembered by the word in brackets.
 * False (with errno) if that cannot be done here.
 */
bool setting_change(const char *path, const char *value);
/* Latest change first. Async-signal-safe. */
void settings_restore(void);

/* A number in a small file; -1 if there is none. */
long long read_number(const char *path);

/*
 * Create a swap area of `size` bytes of our own: a file on a disk file system,
 * or else a loop device over tmpfs. NULL, or the reason why not. swap_off()
 * and swap_on() toggle it; swap_destroy() leaves nothing behind (it may be
 * called at any time, and is async-signal-safe).
 */
const char *swap_create(size_t size);
/*
 * The same on a loop device over tmpfs only: no disk to wait for, so that a
 * guest that counts instructions never sleeps through guest time.
 */
const char *swap_create_in_memory(size_t size);
bool swap_on(void);
bool swap_off(void);
void swap_destroy(void);

/* An unlinked file of `size` bytes on a disk file system (O_RDWR | flags). */
int disk_file(size_t size, int flags);
/* Read all pages of an arena as the pagemap has them. */
struct census {
	size_t none, present, swapped;
};
bool take_census(const void *start, size_t size, struct census *census);

#endif
