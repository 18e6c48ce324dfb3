// SPDX-License-Identifier: GPL-2.0
/*
 * race-uffd: userfaultfd on anonymous memory against faults and drops.
 *
 * Models: a monitor that fills missing pages by UFFDIO_COPY and _ZEROPAGE,
 * asked (by a fault) and unasked, and write-protects runs of pages, while the
 * owners use and drop them. What the monitor fills in counts as empty.
 *
 * Shows: must-wait reading a freed table, an entry installed by another thread
 * in a table being freed (lost), a protection that is lifted in the wrong
 * table (a thread that waits for ever: hang).
 *
 * Cannot show: a write that went through in spite of write protection.
 */
#include "uffd.h"

#include <linux/userfaultfd.h>

static const char *setup(void)
{
	return uffd_start(UFFD_FEATURE_PAGEFAULT_FLAG_WP,
			  UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP);
}

const struct race race = {
	.name = "uffd",
	.setup = setup,
	.antagonists = { uffd_prefill, uffd_protect },
	.quiesce = uffd_stop,
};
