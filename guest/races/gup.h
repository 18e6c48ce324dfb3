/* SPDX-License-Identifier: GPL-2.0 */
/* Access to arena pages through the kernel's get_user_pages(), fast and slow. */
#ifndef GUP_H
#define GUP_H

#include "race.h"

/* Pipes and, where there is a disk file system, a file. To be called by setup(). */
void gup_setup(void);

unsigned int put_by_remote(struct worker *w, unsigned int page,
			   const uint64_t value[NSLOTS]);	/* process_vm_writev */
unsigned int get_by_remote(struct worker *w, unsigned int page,
			   uint64_t value[NSLOTS]);		/* process_vm_readv */
unsigned int get_by_splice(struct worker *w, unsigned int page,
			   uint64_t value[NSLOTS]);		/* vmsplice, GUP-fast */
/* O_DIRECT from and to a file; GUP-fast. They do nothing without a file. */
unsigned int put_by_direct(struct worker *w, unsigned int page,
			   const uint64_t value[NSLOTS]);
unsigned int get_by_direct(struct worker *w, unsigned int page,
			   uint64_t value[NSLOTS]);
/* GUP-fast without data: a shared futex is looked up by its page. */
void touch_by_futex(unsigned int page);

/* One of the above at random, on a page of the owner's. */
void gup_own(struct worker *w, unsigned int page);

#endif
