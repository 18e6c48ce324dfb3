// SPDX-License-Identifier: GPL-2.0
/*
 * race-ldt: the LDT of a process that changes, forks and ends.
 *
 * Models: modify_ldt() from several threads (each change makes a new LDT, and
 * with page table isolation maps it into the user page tables by the helper
 * for kernel-owned entries), reads through a segment register meanwhile, and
 * children that inherit the LDT, change it and end.
 *
 * Shows: a mapping that is lost (a fault through the segment), a table of the
 * LDT that is freed too early or never (a splat at exit).
 *
 * Cannot show: the user mapping itself without page table isolation; the
 * reason in the verdict tells whether it is on (pti=on turns it on).
 */
#include "race.h"

#include <asm/ldt.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORDS 512
#define LDT_PAGE 512		/* entries of 8 bytes in a page */

static uint32_t *low;		/* below 4 GiB: a segment base has 32 bits */

static int set_entry(unsigned int entry, const uint32_t *base, bool clear)
{
	struct user_desc desc = {
		.entry_number = entry,
		.base_addr = (uintptr_t)base,
		.limit = sizeof(*base) - 1,
		.seg_32bit = 1,
		.useable = 1,
	};

	if (clear) {
		memset(&desc, 0, sizeof(desc));
		desc.entry_number = entry;
		desc.read_exec_only = 1;
		desc.seg_not_present = 1;
	}
	return syscall(SYS_modify_ldt, 0x11, &desc, sizeof(desc));
}

static const char *setup(void)
{
	char text[8192] = "";
	unsigned int i;

	low = mmap(NULL, WORDS * sizeof(*low), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT | MAP_POPULATE, -1, 0);
	if (low == MAP_FAILED)
		return race_skip("memory below 4 GiB");
	for (i = 0; i < WORDS; i++)
		low[i] = i * 2654435761U;
	if (set_entry(0, low, false))
		return race_skip("modify_ldt");
	read_text("/proc/cpuinfo", text, sizeof(text));
	race_note("page table isolation is %s", strstr(text, " pti") ? "on" : "off");
	return NULL;
}

/* Nothing else uses %gs in a 64-bit program. */
static uint32_t read_through(unsigned int entry)
{
	unsigned short selector = entry << 3 | 7;
	uint32_t value;

	asm volatile("mov %1, %%gs\n\t"
		     "mov %%gs:0, %0\n\t"
		     "mov %2, %%gs"
		     : "=&r" (value) : "r" (selector), "r" ((unsigned short)0) : "memory");
	return value;
}

static void use(struct worker *w, unsigned int entry)
{
	unsigned int i = rnd(w, WORDS), tries;
	uint32_t got;

	if (set_entry(entry, &low[i], false)) {
		if (errno != ENOMEM)
			race_error("modify_ldt: %s", strerror(errno));
		return;
	}
	for (tries = 0; tries < 16; tries++) {
		got = read_through(entry);
		if (got != low[i])
			race_error("entry %u shows %#x, not %#x", entry, got, low[i]);
	}
	if (!rnd(w, 4))
		set_entry(entry, NULL, true);
}

/*
 * An entry of its own, within the first page of the LDT. An LDT of more is
 * vmalloc()ed anew with each change. nr_page_table_pages of 7.3 counts the page
 * tables of that memory, and they go late: the runner would take them for lost.
 */
static void change(struct worker *w)
{
	w->doing = "modify_ldt";
	use(w, w->nth);
}

static void fork_and_change(struct worker *w)
{
	pid_t pid;

	w->doing = "fork";
	pid = race_fork();
	if (!pid) {
		/* In one child of sixteen the LDT grows to a second page. */
		unsigned int i, entries = rnd(w, 16) ? LDT_PAGE : 2 * LDT_PAGE;

		for (i = 0; i < 4; i++)
			use(w, rnd(w, entries));
		_exit(0);
	}
	race_wait(pid, 0);
	rnd64(w);
}

const struct race race = {
	.name = "ldt",
	.flags = RACE_NO_OWNERS,
	.setup = setup,
	.antagonists = { change, change, change, fork_and_change },
};
