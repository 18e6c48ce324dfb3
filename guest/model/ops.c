// SPDX-License-Identifier: GPL-2.0
/*
 * The steps: each is a system call on a run of pages, and what it does to the
 * model. A step takes the first part of its run for which it is defined (say,
 * what is mapped and not locked); when there is none it does nothing.
 */
#include "../sys.h"
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP	4
#endif

#define COMMON_VALUES	3	/* 1 to 3: many pages have them, so that KSM finds some */
#define KSM_SCANS	3			/* a page is merged when it was seen twice */
#define KSM_WAIT_NS	300000000ULL
#define RW		(PROT_READ | PROT_WRITE)
#define ANY_KIND	(1 << ANON | 1 << SHMEM)

char *child_report;

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

uint64_t value_word(uint32_t value)
{
	return value ? mix(value) | 1 : 0;
}

/* A step's choices do not depend on how many were made before it. */
void roll(struct player *p)
{
	p->dice = mix(mix(p->seed * MAX_PLAYERS + p->nth) + p->step);
}

unsigned int rnd(struct player *p, unsigned int n)
{
	p->dice = mix(p->dice);
	return (p->dice >> 32) * n >> 32;
}

/* Often few pages, often whole slots: tables are to become empty, and to move. */
static struct run any_run(struct player *p)
{
	unsigned int slot = rnd(p, p->slots), shape = rnd(p, 16), at;
	struct run r = { slot * p->block, p->block };
	unsigned int end = p->pages;

	/* Blocks of several players have those of the others between them. */
	if (rules.players > 1)
		end = r.first + r.count;
	at = rnd(p, p->block);
	if (shape < 4)
		r = (struct run){ r.first + at, 1 };
	else if (shape < 7)
		r = (struct run){ r.first + at, 1 + rnd(p, 16) };
	else if (shape < 11)
		r = (struct run){ r.first + at, 1 + rnd(p, p->block) };
	else if (shape == 11)
		r.count *= 2;
	if (r.first + r.count > end)
		r.count = end - r.first;
	return r;
}

/* What a step asks of the pages that it takes. */
struct want {
	unsigned int kinds;	/* bits 1 << kind */
	int prot;		/* at least */
	unsigned int without;	/* none of these flags */
	unsigned int never;	/* with 1: no entry may be there */
};

static bool fits(const struct page *page, const struct want *w)
{
	return w->kinds >> page->kind & 1 && (page->prot & w->prot) == w->prot &&
	       !(page->flags & w->without) && (!w->never || page->entry == NEVER);
}

/* The first part of the run that fits; false if none does. */
static bool clip(const struct player *p, struct run *r, struct want w)
{
	unsigned int end = r->first + r->count, first = r->first, i;

	while (first < end && !fits(&p->page[first], &w))
		first++;
	for (i = first; i < end && fits(&p->page[i], &w); i++)
		;
	*r = (struct run){ first, i - first };
	return r->count;
}

/* ... and that is one mapping, as far as the model knows. */
static void clip_to_mapping(const struct player *p, struct run *r)
{
	const struct page *first = &p->page[r->first], *page;
	unsigned int i;

	for (i = 1; i < r->count; i++) {
		page = first + i;
		if (page->kind != first->kind || page->prot != first->prot ||
		    (page->flags ^ first->flags) & VMA_FLAGS ||
		    (page->kind == SHMEM && page->file != first->file + i))
			break;
	}
	r->count = i;
}

static char *at(const struct player *p, struct run r)
{
	return page_address(p, r.first);
}

static size_t bytes(struct run r)
{
	return r.count * PAGE_SIZE;
}

/* 0 is no error; `allowed` (or 0) means that nothing was done, and is none either. */
static bool did(struct player *p, long result, int allowed, const char *what, struct run r)
{
	int err = errno;

	if (!result)
		return true;
	if (err != allowed)
		fail(p, "%s of %u pages at %u: %s", what, r.count, r.first, strerror(err));
	return false;
}

static bool advise(struct player *p, struct run r, int advice, const char *name, int allowed)
{
	int tries = 100;
	long result;

	emit(p, "madvise(page(%u), %u * PAGE, %s);", r.first, r.count, name);
	if (p->emit)
		return true;
	p->calls++;
	do {
		result = madvise(at(p, r), bytes(r), advice);
	} while (result && (errno == EAGAIN || errno == EINTR) && --tries && usleep(1000) <= 0);
	return did(p, result, allowed, name, r);
}
#define ADVISE(p, r, advice, allowed) advise(p, r, advice, #advice, allowed)

/* Changes of the model. */
static void may_be_there(struct player *p, struct run r)
{
	unsigned int i;

	for (i = r.first; i < r.first + r.count; i++)
		if (p->page[i].entry == NEVER)
			p->page[i].entry = MAY;
}

static void is_written(struct player *p, unsigned int nth, uint32_t value)
{
	struct page *page = &p->page[nth];

	if (page->kind == SHMEM) {
		p->file_value[page->file] = value;
		page->entry = MAY;
	} else {
		page->value = value;
		page->flags &= ~LAZY;
		page->entry = MUST;
	}
}

static void is_dropped(struct player *p, struct run r)
{
	unsigned int i;

	for (i = r.first; i < r.first + r.count; i++) {
		struct page *page = &p->page[i];

		if (page->kind == ANON && page->flags & MOVED && rules.fake)
			continue;	/* the lie of --fake moved */
		page->entry = NEVER;
		page->flags &= ~LAZY;
		if (page->kind == ANON)
			page->value = 0;
	}
}

static void is_unmapped(struct player *p, struct run r)
{
	unsigned int i;

	for (i = r.first; i < r.first + r.count; i++)
		p->page[i] = (struct page){ .kind = GONE };
}

static void is_cut(struct player *p, struct run file)
{
	unsigned int i;

	for (i = file.first; i < file.first + file.count; i++)
		p->file_value[i] = 0;
	for (i = 0; i < p->pages; i++)
		if (p->page[i].kind == SHMEM &&
		    p->page[i].file - file.first < file.count)
			p->page[i].entry = NEVER;
}

static void set_flag(struct player *p, struct run r, unsigned int on, unsigned int off)
{
	unsigned int i;

	for (i = r.first; i < r.first + r.count; i++)
		p->page[i].flags = (p->page[i].flags & ~off) | on;
}

/* The values of a run that is written now: all alike, or each of its own. */
struct values {
	uint32_t first, step;
};

static struct values new_values(struct player *p)
{
	if (!rnd(p, 4))
		return (struct values){ 1 + rnd(p, COMMON_VALUES), 0 };
	return (struct values){ (p->step + 1) << 12 | (p->copy ? 2048 : 0), 1 };
}

static uint32_t value_at(struct values v, unsigned int i)
{
	return v.first + i * v.step;
}

static void fill_page(void *page, uint32_t value)
{
	volatile uint64_t *words = page;
	uint64_t word = value_word(value);
	size_t i;

	for (i = 0; i < PAGE_SIZE / sizeof(word); i++)
		words[i] = word;
}

static void fill_run(struct player *p, struct run r, struct values v)
{
	unsigned int i;

	emit(p, "fill(%u, %u, %#x, %u);", r.first, r.count, v.first, v.step);
	for (i = 0; i < r.count; i++) {
		if (!p->emit)
			fill_page(page_address(p, r.first + i), value_at(v, i));
		is_written(p, r.first + i, value_at(v, i));
	}
}

static void op_write(struct player *p, struct run r)
{
	struct values v = new_values(p);

	/* A child leaves alone what is its parent's as well. */
	if (clip(p, &r, (struct want){ .kinds = p->copy ? 1 << ANON : ANY_KIND, .prot = RW }))
		fill_run(p, r, v);
}

static void op_read(struct player *p, struct run r)
{
	if (!clip(p, &r, (struct want){ .kinds = ANY_KIND, .prot = PROT_READ }))
		return;
	emit(p, "look(%u, %u);", r.first, r.count);
	may_be_there(p, r);
	if (!p->emit)
		check_run(p, r);
}

static void op_dontneed(struct player *p, struct run r)
{
	if (!rnd(p, 4)) {	/* locked pages, too */
		if (clip(p, &r, (struct want){ .kinds = ANY_KIND }) &&
		    ADVISE(p, r, MADV_DONTNEED_LOCKED, EINVAL))
			is_dropped(p, r);
	} else if (clip(p, &r, (struct want){ .kinds = ANY_KIND, .without = LOCKED }) &&
		   ADVISE(p, r, MADV_DONTNEED, 0)) {
		is_dropped(p, r);
	}
}

static void op_free(struct player *p, struct run r)
{
	unsigned int i;

	if (!clip(p, &r, (struct want){ .kinds = 1 << ANON, .without = LOCKED }) ||
	    !ADVISE(p, r, MADV_FREE, 0))
		return;
	for (i = r.first; i < r.first + r.count; i++)
		if (p->page[i].entry == MUST) {
			p->page[i].flags |= LAZY;
			p->page[i].entry = MAY;
		}
}

static void op_cold(struct player *p, struct run r)
{
	if (clip(p, &r, (struct want){ .kinds = ANY_KIND, .without = LOCKED }))
		ADVISE(p, r, MADV_COLD, 0);
}

static void op_pageout(struct player *p, struct run r)
{
	if (clip(p, &r, (struct want){ .kinds = ANY_KIND, .without = LOCKED }))
		ADVISE(p, r, MADV_PAGEOUT, 0);
}

static void op_populate_read(struct player *p, struct run r)
{
	if (clip(p, &r, (struct want){ .kinds = ANY_KIND, .prot = PROT_READ }) &&
	    ADVISE(p, r, MADV_POPULATE_READ, EINVAL))
		may_be_there(p, r);
}

static void op_populate_write(struct player *p, struct run r)
{
	if (clip(p, &r, (struct want){ .kinds = ANY_KIND, .prot = RW }) &&
	    ADVISE(p, r, MADV_POPULATE_WRITE, EINVAL))
		may_be_there(p, r);
}

static void op_hugepage(struct player *p, struct run r)
{
	if (rnd(p, 2))
		r = (struct run){ slot_of(p, r.first) * p->block, p->block };
	/* A huge page would be that of other players, too. */
	if (rules.players == 1 && clip(p, &r, (struct want){ .kinds = 1 << ANON }) &&
	    ADVISE(p, r, MADV_HUGEPAGE, EINVAL))
		set_flag(p, r, HUGE, NOHUGE);
}

static void op_nohugepage(struct player *p, struct run r)
{
	if (clip(p, &r, (struct want){ .kinds = 1 << ANON }) &&
	    ADVISE(p, r, MADV_NOHUGEPAGE, EINVAL))
		set_flag(p, r, NOHUGE, HUGE);
}

/* It may fail for many good reasons, and changes no content. */
static void op_collapse(struct player *p, struct run r)
{
	struct run whole = { slot_of(p, r.first) * p->block, PTRS_PER_PTE };
	bool any = false;
	long result = 0;
	unsigned int i;

	r = whole;
	if (rules.players > 1 || !clip(p, &r, (struct want){ .kinds = ANY_KIND }) || r.count != whole.count)
		return;
	emit(p, "madvise(page(%u), %u * PAGE, MADV_COLLAPSE);", r.first, r.count);
	if (!p->emit) {
		p->calls++;
		result = madvise(at(p, r), bytes(r), MADV_COLLAPSE);
	}
	for (i = r.first; i < r.first + r.count; i++)
		any |= p->page[i].entry != NEVER;
	if (!result || any || !rules.frees)
		may_be_there(p, r);
}

static void op_mergeable(struct player *p, struct run r)
{
	if (clip(p, &r, (struct want){ .kinds = 1 << ANON }) &&
	    ADVISE(p, r, MADV_MERGEABLE, EINVAL))
		set_flag(p, r, MERGE, 0);
}

static void op_unmergeable(struct player *p, struct run r)
{
	if (clip(p, &r, (struct want){ .kinds = 1 << ANON }) &&
	    ADVISE(p, r, MADV_UNMERGEABLE, EINVAL))
		set_flag(p, r, 0, MERGE);
}

/* Pages that are all alike, and time for ksmd to find them. */
static void op_merge(struct player *p, struct run r)
{
	struct values v = { 1 + rnd(p, COMMON_VALUES), 0 };
	uint64_t end = now_ns() + KSM_WAIT_NS;
	long long first;

	if (!clip(p, &r, (struct want){ .kinds = 1 << ANON, .prot = RW }) ||
	    !ADVISE(p, r, MADV_MERGEABLE, EINVAL))
		return;
	set_flag(p, r, MERGE, 0);
	fill_run(p, r, v);
	emit(p, "usleep(300000);\t/* for ksmd, if it runs */");
	if (p->emit || !rules.system)
		return;
	first = read_number(KSM_DIR "full_scans");
	do {
		usleep(2000);
	} while (read_number(KSM_DIR "full_scans") < first + KSM_SCANS && now_ns() < end);
}

static void op_dontfork(struct player *p, struct run r)
{
	if (clip(p, &r, (struct want){ .kinds = ANY_KIND }) && ADVISE(p, r, MADV_DONTFORK, 0))
		set_flag(p, r, DONTFORK, 0);
}

static void op_dofork(struct player *p, struct run r)
{
	if (clip(p, &r, (struct want){ .kinds = ANY_KIND }) && ADVISE(p, r, MADV_DOFORK, 0))
		set_flag(p, r, 0, DONTFORK);
}

static void op_wipe(struct player *p, struct run r)
{
	if (clip(p, &r, (struct want){ .kinds = 1 << ANON }) &&
	    ADVISE(p, r, MADV_WIPEONFORK, 0))
		set_flag(p, r, WIPE, 0);
}

static void op_keep(struct player *p, struct run r)
{
	if (clip(p, &r, (struct want){ .kinds = 1 << ANON }) &&
	    ADVISE(p, r, MADV_KEEPONFORK, 0))
		set_flag(p, r, 0, WIPE);
}

static void op_remove(struct player *p, struct run r)
{
	unsigned int i;

	if (!clip(p, &r, (struct want){ .kinds = 1 << SHMEM, .prot = RW, .without = LOCKED }) ||
	    !ADVISE(p, r, MADV_REMOVE, 0))
		return;
	for (i = r.first; i < r.first + r.count; i++)
		is_cut(p, (struct run){ p->page[i].file, 1 });
}

static const struct {
	int prot;
	const char *name;
} prots[] = {
	{ PROT_READ | PROT_WRITE, "PROT_READ | PROT_WRITE" },
	{ PROT_READ, "PROT_READ" },
	{ PROT_NONE, "PROT_NONE" },
};

static void op_mprotect(struct player *p, struct run r)
{
	unsigned int which = rnd(p, 5), i;

	which = which > 2 ? 0 : which;
	if (!clip(p, &r, (struct want){ .kinds = ANY_KIND }))
		return;
	emit(p, "mprotect(page(%u), %u * PAGE, %s);", r.first, r.count, prots[which].name);
	p->calls++;
	if (!p->emit && !did(p, mprotect(at(p, r), bytes(r), prots[which].prot), 0, "mprotect", r))
		return;
	for (i = r.first; i < r.first + r.count; i++) {
		p->page[i].prot = prots[which].prot;
		/* What is locked is populated when it becomes writable. */
		if (p->page[i].flags & LOCKED)
			may_be_there(p, (struct run){ i, 1 });
	}
}

static void op_mlock(struct player *p, struct run r)
{
	if (!clip(p, &r, (struct want){ .kinds = ANY_KIND, .prot = PROT_READ }))
		return;
	emit(p, "mlock(page(%u), %u * PAGE);", r.first, r.count);
	p->calls++;
	/* As root there is no limit; otherwise it does nothing beyond the limit. */
	if (p->emit || did(p, mlock(at(p, r), bytes(r)), geteuid() ? ENOMEM : 0, "mlock", r))
		set_flag(p, r, LOCKED, 0);
	may_be_there(p, r);
}

static void op_munlock(struct player *p, struct run r)
{
	if (!clip(p, &r, (struct want){ .kinds = ANY_KIND }))
		return;
	emit(p, "munlock(page(%u), %u * PAGE);", r.first, r.count);
	p->calls++;
	if (p->emit || did(p, munlock(at(p, r), bytes(r)), 0, "munlock", r))
		set_flag(p, r, 0, LOCKED);
}

static bool unmap(struct player *p, struct run r)
{
	emit(p, "munmap(page(%u), %u * PAGE);", r.first, r.count);
	p->calls++;
	if (!p->emit && !did(p, munmap(at(p, r), bytes(r)), 0, "munmap", r))
		return false;
	is_unmapped(p, r);
	return true;
}

static void op_munmap(struct player *p, struct run r)
{
	unmap(p, r);
}

static void op_mmap(struct player *p, struct run r)
{
	unsigned int which = rnd(p, 6), file = rnd(p, FILE_PAGES), populate = !rnd(p, 6), i;
	int flags = MAP_FIXED | (populate ? MAP_POPULATE : 0);
	bool shmem = !rnd(p, 3);

	which = which > 2 ? 0 : which;
	if (shmem) {
		if (!(r.first % p->block) && rnd(p, 2))
			file -= file % PTRS_PER_PTE;
		if (r.count > FILE_PAGES - file)
			r.count = FILE_PAGES - file;
	}
	emit(p, "mmap(page(%u), %u * PAGE, %s, %s | MAP_FIXED%s, %s, %u * PAGE);", r.first,
	     r.count, prots[which].name, shmem ? "MAP_SHARED" : "MAP_PRIVATE | MAP_ANONYMOUS",
	     populate ? " | MAP_POPULATE" : "", shmem ? "fd" : "-1", shmem ? file : 0);
	flags |= shmem ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	p->calls++;
	if (!p->emit && mmap(at(p, r), bytes(r), prots[which].prot, flags, shmem ? p->fd : -1,
			     shmem ? file * PAGE_SIZE : 0) == MAP_FAILED) {
		did(p, -1, 0, "mmap", r);
		return;
	}
	is_unmapped(p, r);
	for (i = 0; i < r.count; i++)
		p->page[r.first + i] = (struct page){
			.kind = shmem ? SHMEM : ANON,
			.prot = prots[which].prot,
			.file = shmem ? file + i : 0,
		};
	if (populate)
		may_be_there(p, r);
}

/* Where to: often so that whole page tables can move. */
static bool target_of(struct player *p, struct run r, struct run *to)
{
	unsigned int end;

	to->first = rnd(p, p->slots) * p->block;
	end = rules.players == 1 ? p->pages : to->first + p->block;
	if (!rnd(p, 3))
		to->first += rnd(p, p->block);
	else
		to->first += r.first % p->block;
	to->count = r.count;
	return to->first + to->count <= end &&
	       (to->first + to->count <= r.first || r.first + r.count <= to->first);
}

static void is_moved(struct player *p, struct run from, struct run to, bool stays)
{
	unsigned int i;

	for (i = 0; i < from.count; i++) {
		p->page[to.first + i] = p->page[from.first + i];
		p->page[to.first + i].flags |= MOVED;
		/* An empty table may have moved, or one was made for nothing. */
		if (p->touched[slot_of(p, from.first + i)] || rules.players > 1)
			p->touched[slot_of(p, to.first + i)] = true;
		if (stays) {
			p->page[from.first + i].entry = NEVER;
			p->page[from.first + i].value = 0;
			p->page[from.first + i].flags &= ~(LAZY | LOCKED | MOVED);
		}
	}
	if (!stays)
		is_unmapped(p, from);
}

static void move(struct player *p, struct run r, bool stays)
{
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (stays ? MREMAP_DONTUNMAP : 0);
	struct run to;

	clip_to_mapping(p, &r);
	/* The target goes first by itself: a failed mremap may have unmapped it. */
	if (!target_of(p, r, &to) || !unmap(p, to))
		return;
	emit(p, "mremap(page(%u), %u * PAGE, %u * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED%s, page(%u));",
	     r.first, r.count, r.count, stays ? " | MREMAP_DONTUNMAP" : "", to.first);
	p->calls++;
	if (!p->emit && mremap(at(p, r), bytes(r), bytes(r), flags, at(p, to)) == MAP_FAILED) {
		/* EFAULT: the kernel has it as several mappings. */
		did(p, -1, errno == EFAULT ? EFAULT : stays ? EINVAL : 0, "mremap", r);
		return;
	}
	is_moved(p, r, to, stays);
}

static void op_mremap(struct player *p, struct run r)
{
	if (clip(p, &r, (struct want){ .kinds = ANY_KIND }))
		move(p, r, false);
}

static void op_dontunmap(struct player *p, struct run r)
{
	if (clip(p, &r, (struct want){ .kinds = ANY_KIND, .without = LOCKED }))
		move(p, r, true);
}

static struct run file_run(struct run r)
{
	r.first %= FILE_PAGES;
	if (r.count > FILE_PAGES - r.first)
		r.count = FILE_PAGES - r.first;
	return r;
}

static void op_truncate(struct player *p, struct run r)
{
	struct run cut = { file_run(r).first, 0 };

	cut.count = FILE_PAGES - cut.first;
	emit(p, "ftruncate(fd, %u * PAGE);", cut.first);
	emit(p, "ftruncate(fd, FILE_PAGES * PAGE);");
	p->calls += 2;
	if (!p->emit && (!did(p, ftruncate(p->fd, cut.first * PAGE_SIZE), 0, "ftruncate", cut) ||
			 !did(p, ftruncate(p->fd, FILE_PAGES * PAGE_SIZE), 0, "ftruncate", cut)))
		return;
	is_cut(p, cut);
}

static void op_punch(struct player *p, struct run r)
{
	struct run cut = file_run(r);

	emit(p, "fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, %u * PAGE, %u * PAGE);",
	     cut.first, cut.count);
	p->calls++;
	if (!p->emit && !did(p, fallocate(p->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					  cut.first * PAGE_SIZE, bytes(cut)), 0, "fallocate", cut))
		return;
	is_cut(p, cut);
}

static void op_pwrite(struct player *p, struct run r)
{
	static char buffer[MAX_PLAYERS][PAGE_SIZE] __attribute__((aligned(4096)));
	struct values v = new_values(p);
	unsigned int i;

	r = file_run(r);
	emit(p, "fill_file(%u, %u, %#x, %u);", r.first, r.count, v.first, v.step);
	for (i = 0; i < r.count && !p->failed; i++) {
		fill_page(buffer[p->nth], value_at(v, i));
		if (!p->emit && pwrite(p->fd, buffer[p->nth], PAGE_SIZE,
				       (r.first + i) * PAGE_SIZE) != PAGE_SIZE)
			did(p, -1, 0, "pwrite", r);
		p->file_value[r.first + i] = value_at(v, i);
	}
}

/* One page of a registered run, where none may be. */
static bool uffd_page(struct player *p, unsigned int nth, const char *from)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)page_address(p, nth), .src = (uintptr_t)from, .len = PAGE_SIZE,
	};
	struct uffdio_zeropage zero = {
		.range = { (uintptr_t)page_address(p, nth), PAGE_SIZE },
	};
	int tries = 1000;
	long result;

	do {
		copy.copy = zero.zeropage = 0;
		result = from ? ioctl(p->uffd, UFFDIO_COPY, &copy) :
				ioctl(p->uffd, UFFDIO_ZEROPAGE, &zero);
	} while (result && errno == EAGAIN && --tries);
	p->calls++;
	return did(p, result, 0, from ? "UFFDIO_COPY" : "UFFDIO_ZEROPAGE", (struct run){ nth, 1 });
}

static void op_uffd(struct player *p, struct run r)
{
	static char buffer[MAX_PLAYERS][PAGE_SIZE] __attribute__((aligned(4096)));
	struct values v = new_values(p);
	bool zero = !rnd(p, 3);
	unsigned int i;

	if (p->uffd < 0 && !p->emit)
		return;
	if (!clip(p, &r, (struct want){ .kinds = 1 << ANON, .prot = RW, .without = LOCKED,
					.never = 1 }))
		return;
	struct uffdio_register reg = {
		.range = { (uintptr_t)at(p, r), bytes(r) }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (zero)
		emit(p, "uffd_zero(%u, %u);", r.first, r.count);
	else
		emit(p, "uffd_copy(%u, %u, %#x, %u);", r.first, r.count, v.first, v.step);
	if (!p->emit && !did(p, ioctl(p->uffd, UFFDIO_REGISTER, &reg), 0, "UFFDIO_REGISTER", r))
		return;
	for (i = 0; i < r.count && !p->failed; i++) {
		fill_page(buffer[p->nth], value_at(v, i));
		if (!p->emit && !uffd_page(p, r.first + i, zero ? NULL : buffer[p->nth]))
			break;
		if (zero)
			p->page[r.first + i].entry = MAY;
		else
			is_written(p, r.first + i, value_at(v, i));
	}
	if (!p->emit)
		did(p, ioctl(p->uffd, UFFDIO_UNREGISTER, &reg.range), 0, "UFFDIO_UNREGISTER", r);
}

/* Whether pages go is the kernel's business; their content stays. */
static void op_migrate(struct player *p, struct run r)
{
	static void *pages[MAX_PLAYERS][MAX_PAGES];
	static int nodes[MAX_PLAYERS][MAX_PAGES], status[MAX_PLAYERS][MAX_PAGES];
	unsigned int node = rnd(p, 2), by_range = !rnd(p, 3), i;
	unsigned long mask = 1UL << node;

	if ((!rules.nodes && !p->emit) || !clip(p, &r, (struct want){ .kinds = ANY_KIND }))
		return;
	emit(p, "migrate(%u, %u, %u, %u);", r.first, r.count, node, by_range);
	if (p->emit)
		return;
	p->calls++;
	if (by_range) {
		syscall(SYS_mbind, at(p, r), bytes(r), MPOL_PREFERRED, &mask, 64, MPOL_MF_MOVE);
		did(p, syscall(SYS_mbind, at(p, r), bytes(r), MPOL_DEFAULT, NULL, 0, 0), 0,
		    "mbind", r);
		return;
	}
	for (i = 0; i < r.count; i++) {
		pages[p->nth][i] = page_address(p, r.first + i);
		nodes[p->nth][i] = node;
	}
	syscall(SYS_move_pages, 0, r.count, pages[p->nth], nodes[p->nth], status[p->nth],
		MPOL_MF_MOVE);
}

/* What a child finds: no DONTFORK, zeros for WIPEONFORK, nothing locked. */
static void is_forked(struct player *p)
{
	unsigned int i;

	p->copy = true;
	for (i = 0; i < p->pages; i++) {
		struct page *page = &p->page[i];

		if (page->flags & DONTFORK) {
			*page = (struct page){ .kind = GONE };
		} else if (page->flags & WIPE) {
			page->value = 0;
			page->entry = NEVER;
			page->flags &= ~LAZY;
		}
		page->flags &= ~LOCKED;
	}
	spread(p);
}

/* What the child does with its copy: it looks, writes, drops, looks again. */
static void live_as_child(struct player *p, struct run r)
{
	if (!p->emit)
		check_pages(p, true);
	op_write(p, r);
	if (rnd(p, 2))
		op_dontneed(p, any_run(p));
	spread(p);
	if (p->emit)
		return;
	check_pages(p, true);
	if (rules.players == 1)
		check_status(p, p, 1);
}

static void wait_child(struct player *p, pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		fail(p, "a forked child was killed by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status))
		fail(p, "in a forked child: %s", child_report);
}

void join_held(struct player *p)
{
	pid_t pid = p->held;

	if (!pid)
		return;
	p->held = 0;
	emit(p, "release_child();");
	if (p->emit)
		return;
	if (write(p->wake, "", 1) != 1)
		fail(p, "a forked child cannot be woken");
	close(p->wake);
	wait_child(p, pid);
}

static void op_join(struct player *p, struct run r)
{
	(void)r;
	join_held(p);
}

/* What the child reads as C: in a block of its own, with a model of its own. */
static void emit_fork(struct player *p, struct run r, bool hold)
{
	static struct player child;

	emit(p, "if (is_child(%u)) {", hold);
	child = *p;
	child.held = 0;
	is_forked(&child);
	if (hold)
		emit_expected(&child);
	else
		live_as_child(&child, r);
	if (!hold)
		emit_expected(&child);
	emit(p, "_exit(failed);");
	emit(p, "}");
	emit(p, hold ? "held = child;" : "wait_child(child);");
	p->held = hold ? 1 : p->held;
}

static void op_fork(struct player *p, struct run r)
{
	bool hold = !rnd(p, 3) && rules.players == 1;
	int pipes[2];
	char byte;
	pid_t pid;

	if (hold)
		join_held(p);
	if (p->emit) {
		emit_fork(p, r, hold);
		return;
	}
	if (pipe2(pipes, O_CLOEXEC)) {
		did(p, -1, 0, "pipe", r);
		return;
	}
	p->calls++;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(0);
		/* fork copies no tables of shared memory; the parent's count has this one. */
		*(volatile char *)child_report = 0;
		/* The parent's shows the parent's memory. */
		close(p->pagemap);
		p->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
		is_forked(p);
		if (hold) {	/* the parent goes on meanwhile */
			if (read(pipes[0], &byte, 1) != 1)
				_exit(0);
			alarm(STEP_SECONDS);
			check_pages(p, true);
		} else {
			alarm(STEP_SECONDS);
			live_as_child(p, r);
		}
		if (p->failed)
			strcpy(child_report, p->failure);
		_exit(p->failed);
	}
	close(pipes[0]);
	if (pid < 0) {
		did(p, -1, EAGAIN, "fork", r);
		close(pipes[1]);
	} else if (hold) {
		p->held = pid;
		p->wake = pipes[1];
	} else {
		close(pipes[1]);
		wait_child(p, pid);
	}
}

static const struct op {
	const char *name;
	unsigned int weight;
	void (*play)(struct player *p, struct run r);
} ops[] = {
	{ "write", 16, op_write }, { "read", 6, op_read },
	{ "MADV_DONTNEED", 14, op_dontneed }, { "MADV_FREE", 4, op_free },
	{ "MADV_COLD", 1, op_cold }, { "MADV_PAGEOUT", 5, op_pageout },
	{ "MADV_POPULATE_READ", 2, op_populate_read },
	{ "MADV_POPULATE_WRITE", 2, op_populate_write },
	{ "MADV_HUGEPAGE", 2, op_hugepage }, { "MADV_NOHUGEPAGE", 2, op_nohugepage },
	{ "MADV_COLLAPSE", 3, op_collapse }, { "MADV_MERGEABLE", 2, op_mergeable },
	{ "MADV_UNMERGEABLE", 1, op_unmergeable }, { "merge", 2, op_merge },
	{ "MADV_DONTFORK", 1, op_dontfork }, { "MADV_DOFORK", 2, op_dofork },
	{ "MADV_WIPEONFORK", 1, op_wipe }, { "MADV_KEEPONFORK", 2, op_keep },
	{ "MADV_REMOVE", 2, op_remove }, { "mprotect", 5, op_mprotect },
	{ "mlock", 2, op_mlock }, { "munlock", 4, op_munlock },
	{ "munmap", 5, op_munmap }, { "mmap", 8, op_mmap },
	{ "mremap", 8, op_mremap }, { "MREMAP_DONTUNMAP", 3, op_dontunmap },
	{ "ftruncate", 2, op_truncate }, { "punch a hole", 2, op_punch },
	{ "pwrite", 2, op_pwrite }, { "userfaultfd", 4, op_uffd },
	{ "migrate", 3, op_migrate }, { "fork", 4, op_fork }, { "end of a child", 2, op_join },
};

static __thread const char *playing = "the beginning";

const char *step_name(void)
{
	return playing;
}

/* From this step on the model believes something wrong of the first page that it can. */
static void plant(struct player *p)
{
	unsigned int i;

	if (!rules.plant || p->step < rules.plant || p->planted)
		return;
	for (i = 0; i < p->pages; i++)
		if (p->page[i].entry == MUST && p->page[i].prot & PROT_READ) {
			p->page[i].value ^= 1U << 31;
			p->planted = true;
			return;
		}
}

void play_step(struct player *p)
{
	unsigned int total = 0, nth, i;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		total += ops[i].weight;
	roll(p);
	nth = rnd(p, total);
	for (i = 0; nth >= ops[i].weight; i++)
		nth -= ops[i].weight;
	playing = ops[i].name;
	ops[i].play(p, any_run(p));
	plant(p);
	spread(p);
}
