/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Marks for the profile plugin (plugin/): instructions that do nothing, which
 * it recognises when QEMU translates them. Without it, and on a real CPU, they
 * are one nop each.
 *
 * A window is what lies between MARK_BEGIN and MARK_END, on all CPUs; there is
 * one at a time. Windows that repeat each other are a series. A window has a
 * number from 0 to 4095 to tell different ones of a program apart.
 *
 * Marks count only in user space.
 */
#ifndef GUEST_MARK_H
#define GUEST_MARK_H

#define MARK_MAGIC	0x6b7e0000

#define MARK(what, id) \
	__asm__ volatile("nopl %c0(%%rax)" \
			 : : "i" (MARK_MAGIC | (what) << 12 | (id)) : "memory")

/* The next window is the first of a series: what follows are repetitions. */
#define mark_series()	MARK(1, 0)
/* What comes now is like the windows that follow; it is not kept. */
#define mark_warm()	MARK(2, 0)
#define mark_begin(id)	MARK(3, id)
#define mark_end(id)	MARK(4, id)

#endif
