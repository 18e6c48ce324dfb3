// SPDX-License-Identifier: GPL-2.0
/* The memory against the model: every byte, every entry, page tables, RSS. */
#include "model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORDS		(PAGE_SIZE / sizeof(uint64_t))
#define GRACE_NS	1000000000ULL	/* in which a table that is empty must be gone */

struct status start;

static uint32_t expected(const struct player *p, const struct page *page)
{
	return page->kind == SHMEM ? p->file_value[page->file] : page->value;
}

/* The first word that is not as wanted; WORDS if all are. */
static size_t first_wrong(const volatile uint64_t *words, uint64_t want, size_t stride)
{
	size_t i;

	for (i = 0; i < WORDS; i += stride)
		if (words[i] != want)
			return i;
	return WORDS;
}

static void check_content(struct player *p, unsigned int nth, size_t stride)
{
	const volatile uint64_t *words = (void *)page_address(p, nth);
	struct page *page = &p->page[nth];
	uint32_t value = expected(p, page);
	size_t wrong;

	p->checks++;
	wrong = first_wrong(words, value_word(value), stride);
	if (wrong == WORDS)
		return;
	/* From now on it is zero; reclaim may have come in between. */
	if (page->flags & LAZY && first_wrong(words, 0, 1) == WORDS) {
		page->value = 0;
		page->flags &= ~LAZY;
		return;
	}
	fail(p, "page %u: word %zu is %#llx, expected %#llx%s%s", nth, wrong,
	     (unsigned long long)words[wrong], (unsigned long long)value_word(value),
	     page->flags & LAZY ? " or zero" : "",
	     words[wrong] ? "" : " (the page's content is lost)");
}

/*
 * What is not present is not touched: a check must not change what it looks
 * at. Its content is looked at when a step reads it.
 */
void check_pages(struct player *p, bool every_byte)
{
	static uint64_t entries[MAX_PLAYERS][MAX_PAGES];
	uint64_t *map = entries[p->nth];
	ssize_t size = p->block * sizeof(*map);
	unsigned int i, there;

	if (p->failed)
		return;
	for (i = 0; i < p->pages; i += p->block)
		if (pread(p->pagemap, map + i, size,
			  (uintptr_t)page_address(p, i) / PAGE_SIZE * sizeof(*map)) != size) {
			fail(p, "/proc/self/pagemap cannot be read");
			return;
		}
	for (i = 0; i < p->pages && !p->failed; i++) {
		const struct page *page = &p->page[i];

		there = map[i] >> 62;	/* 2: present, 1: swapped */
		if (there && page->entry == NEVER)
			fail(p, "page %u has a page-table entry (pagemap %#llx) where none may be",
			     i, (unsigned long long)map[i]);
		else if (!there && page->entry == MUST)
			fail(p, "page %u has lost its page-table entry", i);
		else if (there & 2 && page->prot & PROT_READ &&
			 !(p->copy && page->kind == SHMEM))
			check_content(p, i, every_byte ? 1 : WORDS / 4 - 1);
	}
}

static void check_file(struct player *p, struct run r)
{
	static uint64_t words[MAX_PLAYERS][WORDS];
	unsigned int i;

	for (i = r.first; i < r.first + r.count && !p->failed; i++) {
		if (pread(p->fd, words[p->nth], PAGE_SIZE, i * PAGE_SIZE) != PAGE_SIZE)
			fail(p, "page %u of the memfd cannot be read", i);
		else if (first_wrong(words[p->nth], value_word(p->file_value[i]), 1) != WORDS)
			fail(p, "page %u of the memfd does not read as %#llx", i,
			     (unsigned long long)value_word(p->file_value[i]));
	}
}

void check_run(struct player *p, struct run r)
{
	unsigned int i;

	for (i = r.first; i < r.first + r.count && !p->failed; i++) {
		check_content(p, i, 1);
		if (p->page[i].kind == SHMEM)
			check_file(p, (struct run){ p->page[i].file, 1 });
	}
}

void spread(struct player *p)
{
	unsigned int slot, i, end;
	bool any, any_shmem;
	struct page *page;

	for (slot = 0; slot < p->slots; slot++) {
		any = any_shmem = false;
		end = (slot + 1) * p->block;
		for (i = slot * p->block; i < end; i++) {
			page = &p->page[i];
			any |= page->entry != NEVER;
			any_shmem |= page->entry != NEVER && page->kind == SHMEM;
		}
		if (!any)
			continue;
		p->touched[slot] = true;
		for (i = slot * p->block; i < end; i++) {
			page = &p->page[i];
			if (page->entry != NEVER || page->kind == GONE)
				continue;
			if (page->kind == SHMEM ? any_shmem : !(page->flags & NOHUGE) &&
			    (page->flags & HUGE || rules.thp_always))
				page->entry = MAY;
		}
	}
}

static bool slot_has(const struct player *p, unsigned int slot, enum entry least)
{
	unsigned int i;

	for (i = slot * p->block; i < (slot + 1) * p->block; i++)
		if (p->page[i].entry >= least)
			return true;
	return false;
}

unsigned int tables_possible(const struct player *all, unsigned int count)
{
	unsigned int slot, i, tables = 0;

	for (slot = 0; slot < all->slots; slot++)
		for (i = 0; i < count; i++)
			if (rules.frees ? slot_has(&all[i], slot, MAY) : all[i].touched[slot]) {
				tables++;
				break;
			}
	return tables;
}

unsigned int tables_certain(const struct player *all, unsigned int count)
{
	unsigned int slot, i, tables = 0;

	for (slot = 0; slot < all->slots; slot++)
		for (i = 0; i < count; i++)
			if (slot_has(&all[i], slot, MUST)) {
				tables++;
				break;
			}
	return tables;
}

static long field(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	return line ? strtol(line + strlen(name), NULL, 10) : 0;
}

bool read_status(struct status *s)
{
	char text[8192];

	if (!read_text("/proc/self/status", text, sizeof(text)))
		return false;
	s->tables = field(text, "\nVmPTE:");
	s->anon = field(text, "\nRssAnon:");
	s->shmem = field(text, "\nRssShmem:");
	s->swap = field(text, "\nVmSwap:");
	return true;
}

struct bounds {
	long least_tables, most_tables, least_anon, most_anon, most_shmem;
};

static struct bounds bounds_of(const struct player *all, unsigned int count)
{
	const struct page *page, *end;
	struct bounds b = {
		.least_tables = 4 * tables_certain(all, count),
		.most_tables = 4 * tables_possible(all, count),
	};
	unsigned int i;

	for (i = 0; i < count; i++) {
		end = all[i].page + all[i].pages;
		for (page = all[i].page; page < end; page++) {
			b.least_anon += 4 * (page->entry == MUST);
			b.most_anon += 4 * (page->entry != NEVER && page->kind == ANON);
			b.most_shmem += 4 * (page->entry != NEVER && page->kind == SHMEM);
		}
	}
	return b;
}

void check_status(struct player *p, struct player *all, unsigned int count)
{
	struct bounds b = bounds_of(all, count);
	uint64_t end = now_ns() + GRACE_NS;
	struct status s;
	long anon;

	if (p->failed)
		return;
	while (read_status(&s) && s.tables - start.tables > b.most_tables && now_ns() < end)
		usleep(2000);
	s.tables -= start.tables;
	anon = s.anon + s.swap - start.anon - start.swap;
	if (s.tables > b.most_tables)
		fail(p, "VmPTE: %ld kB of page tables, and entries can be in %ld kB at most",
		     s.tables, b.most_tables);
	else if (s.tables < b.least_tables)
		fail(p, "VmPTE: %ld kB of page tables, and entries are in %ld kB at least",
		     s.tables, b.least_tables);
	else if (anon > b.most_anon + rules.slack_kb || anon < b.least_anon - rules.slack_kb)
		fail(p, "RssAnon and VmSwap: %ld kB, expected %ld to %ld kB, give or take %ld",
		     anon, b.least_anon, b.most_anon, rules.slack_kb);
	else if (s.shmem - start.shmem > b.most_shmem + rules.slack_kb)
		fail(p, "RssShmem: %ld kB, expected %ld kB at most, give or take %ld",
		     s.shmem - start.shmem, b.most_shmem, rules.slack_kb);
}
