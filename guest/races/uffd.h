/* SPDX-License-Identifier: GPL-2.0 */
/* A userfaultfd over the arena, and the thread that answers its faults. */
#ifndef UFFD_H
#define UFFD_H

#include "race.h"

/* NULL, or why not. Registers the arena in `mode` and starts the thread. */
const char *uffd_start(uint64_t features, uint64_t mode);
/* Ends the thread and unregisters the arena; to be called by quiesce(). */
void uffd_stop(void);

/* Antagonists: put pages in place unasked, write-protect and the reverse. */
void uffd_prefill(struct worker *w);
void uffd_continue(struct worker *w);
void uffd_protect(struct worker *w);

#endif
