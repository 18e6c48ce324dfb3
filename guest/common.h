/* SPDX-License-Identifier: GPL-2.0 */
/* What every guest program needs: errors, clocks, sizes, /proc counters. */
#ifndef GUEST_COMMON_H
#define GUEST_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE	4096UL
#define PMD_SIZE	(2UL << 20)		/* what one PTE table maps */
#define PTRS_PER_PTE	(PMD_SIZE / PAGE_SIZE)

#define EXIT_USAGE	2
#define EXIT_SKIP	77			/* cannot be tried here */

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define round_up(x, to)	(((x) + (to) - 1) / (to) * (to))

/* Newer than the C library's headers on some build machines. */
#ifndef MADV_COLD
#define MADV_COLD	20
#define MADV_PAGEOUT	21
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

/* Print "program: message" to stderr and exit with EXIT_USAGE. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* The same with ": strerror(errno)". */
void die_errno(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));

uint64_t now_ns(void);				/* CLOCK_MONOTONIC */

/* "64", "64K", "2M", "50G" to bytes; dies on anything else. */
uint64_t parse_bytes(const char *what, const char *text);
/* A decimal number within [min, max]; dies on anything else. */
uint64_t parse_number(const char *what, const char *text,
		      uint64_t min, uint64_t max);

/* "VmPTE" of /proc/self/status in kB; -1 when there is no such line. */
long status_kb(const char *field);
/* "pte_table_freed" of /proc/vmstat; -1 when this kernel has no such counter. */
long long vmstat(const char *name);
/* The word in brackets of .../transparent_hugepage/enabled, or "absent". */
const char *thp_enabled(void);

/* Whole content of a small file, without the last newline; false if unreadable. */
bool read_text(const char *path, char *buf, size_t size);
/* Write text to an existing (sysfs, procfs) file; false with errno set. */
bool write_text(const char *path, const char *text);

/*
 * Reserve and map private anonymous memory of `size` bytes that starts at a
 * multiple of `align` plus `offset`, with nothing else in the first and the
 * last 2 MiB it touches. Dies when there is no room.
 */
void *map_aligned(size_t size, size_t align, size_t offset);
/*
 * The same for memory whose page tables are counted: it shares its PMD page
 * with a page below that is in use, so that the upper levels are there before
 * the first touch and stay. Up to 1 GiB lies in one PMD page; each further one
 * needs one more, which VmPTE counts with the tables.
 */
char *map_beside_anchor(size_t size);

/* Pin the calling thread to one of the CPUs it may run on: the nth, wrapping. */
void pin_to_cpu(unsigned int nth);

#endif
