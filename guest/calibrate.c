// SPDX-License-Identifier: GPL-2.0
/*
 * calibrate: what events cost on a real CPU, for the estimate of cycles.
 *
 * Models: programs of two kinds. Some do one thing again and again: add, follow
 * pointers, lock, clear pages, guess branches. Others are small programs of the
 * shape that kernels have: tables walked level by level, hash chains, trees,
 * lists, bitmaps, pages handed out and cleared.
 *
 * The same binary runs twice. On the host it says how long a round takes; in a
 * guest the cache plugin (plugin/caches.c) says which events a round is made
 * of. From both the harness finds what an event costs, and how far off an
 * estimate is for a program that it was not made from.
 *
 * Cannot show: system calls, exceptions, TLB flushes, other CPUs.
 *
 * Exit code: 0 measured.
 */
#include "common.h"
#include "options.h"
#include "rounds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAR	(32UL << 20)		/* beyond L2, within most L3 */

DEFINE_ROUNDS(rounds)
static char *memory;
static volatile uint64_t sink;
static uint64_t seed;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

/* Things done again and again. */

/* Each waits for the one before: a cycle, by which the others are measured. */
static void do_adds(void)
{
	uint64_t x = 1, i;

	for (i = 0; i < 40000; i++)
		__asm__ volatile(".rept 50; add %0, %0; .endr" : "+r" (x));
	sink = x;
}

static void do_hash(void)
{
	const uint8_t *at = (uint8_t *)memory;
	uint64_t h = 1469598103934665603ULL, i;

	for (i = 0; i < 400000; i++)
		h = (h ^ at[i & 4095]) * 1099511628211ULL;
	sink = h;
}

/* A ring of pointers through all lines of `bytes`, in an order that is not guessed. */
static void set_up_ring(size_t bytes)
{
	size_t n = bytes / 64, i, j;
	uint32_t *order = malloc(n * sizeof(*order)), swapped;

	if (!order)
		die("no memory");
	for (i = 0; i < n; i++)
		order[i] = i;
	for (i = n - 1; i > 0; i--) {
		j = random64() % i;
		swapped = order[i];
		order[i] = order[j];
		order[j] = swapped;
	}
	for (i = 0; i < n; i++)
		*(char **)(memory + 64UL * order[i]) = memory + 64UL * order[(i + 1) % n];
	free(order);
}

static void set_up_near(void) { set_up_ring(16UL << 10); }
static void set_up_middle(void) { set_up_ring(512UL << 10); }
static void set_up_far(void) { set_up_ring(FAR); }

static void chase(unsigned int steps)
{
	char **at = (char **)memory;

	while (steps--)
		at = (char **)*at;
	sink = (uintptr_t)at;
}

static void do_near(void) { chase(400000); }
static void do_middle(void) { chase(200000); }
static void do_far(void) { chase(60000); }

static void do_sum(void)
{
	const uint64_t *at = (uint64_t *)memory;
	uint64_t sum = 0, i;

	for (i = 0; i < (4UL << 20) / 8; i++)
		sum += at[i];
	sink = sum;
}

static void do_locked(void)
{
	uint64_t *at = (uint64_t *)memory, i;

	for (i = 0; i < 100000; i++)
		__atomic_fetch_add(at, i, __ATOMIC_SEQ_CST);
}

static void clear(char *at)
{
	size_t bytes = PAGE_SIZE;

	__asm__ volatile("rep stosb" : "+D" (at), "+c" (bytes) : "a" (0) : "memory");
}

static void do_clear(void)
{
	unsigned int i;

	for (i = 0; i < 400; i++)
		clear(memory + i % 64 * PAGE_SIZE);
}

static void do_clear_far(void)
{
	static size_t at;
	unsigned int i;

	for (i = 0; i < 400; i++) {
		at = (at + 13 * PAGE_SIZE) % FAR;
		clear(memory + at);
	}
}

static void do_copy(void)
{
	unsigned int i;

	for (i = 0; i < 300; i++) {
		char *to = memory + (1UL << 20) + i % 64 * PAGE_SIZE;
		char *from = memory + i % 64 * PAGE_SIZE;
		size_t bytes = PAGE_SIZE;

		__asm__ volatile("rep movsb" : "+D" (to), "+S" (from), "+c" (bytes) : : "memory");
	}
}

static void do_branches(void)
{
	uint64_t odd = 0, i, x;

	for (i = 0; i < 100000; i++) {
		x = random64();
		if (x & 64)
			__asm__ volatile("inc %0" : "+r" (odd));
		else
			__asm__ volatile("dec %0" : "+r" (odd));
	}
	sink = odd;
}

static uint64_t __attribute__((noinline)) one_call(uint64_t x)
{
	__asm__ volatile("" : "+r" (x));
	return x + 1;
}

static uint64_t __attribute__((noinline)) other_call(uint64_t x)
{
	return one_call(x) ^ 1;
}

static void do_calls(void)
{
	uint64_t x = 0, i;

	for (i = 0; i < 150000; i++)
		x = other_call(x);
	sink = x;
}

/* Code that no L1i holds: blocks of a line each that jump to one another, 512 KiB of them. */
#define CODE_BLOCKS	"2048"

void code_walk(uint64_t steps);
__asm__(".pushsection .text\n"
	".balign 256\n"
	"code_blocks:\n"
	".set i, 0\n"
	".rept " CODE_BLOCKS "\n"
	".balign 256\n"
	"add $1, %rax\n"
	"lea 3(%rax), %rdx\n"
	"xor %rdx, %rax\n"
	"and $0xffff, %rdx\n"
	"dec %rdi\n"
	"jz code_out\n"
	"jmp code_blocks + 256 * ((i * 1101 + 7) % " CODE_BLOCKS ")\n"
	".set i, i + 1\n"
	".endr\n"
	"code_out: ret\n"
	".globl code_walk\n"
	"code_walk: jmp code_blocks\n"
	".popsection\n");

static void do_code(void)
{
	code_walk(60000);
}

/* Programs. */

/* Four levels of 512, the lowest two of them many: addresses are looked up. */
static uint64_t *levels[4];

static void set_up_radix(void)
{
	uint64_t *at = (uint64_t *)memory;
	size_t i;

	for (i = 0; i < 512; i++)
		at[i] = (uintptr_t)(at + 512);
	for (i = 0; i < 512; i++)
		at[512 + i] = (uintptr_t)(at + 1024 + i % 8 * 512);
	for (i = 0; i < 8 * 512; i++)
		at[1024 + i] = (uintptr_t)(at + 1024 + 8 * 512 + i % 1024 * 512);
	for (i = 0; i < 1024 * 512; i++)
		at[1024 + 8 * 512 + i] = i << 12 | 1;
	levels[0] = at;
}

static void do_radix(void)
{
	uint64_t found = 0, i, address;

	for (i = 0; i < 40000; i++) {
		const uint64_t *at = levels[0];

		address = random64();
		if (i & 3)	/* most look near the last one */
			address = (found << 12) + (i << 12);
		at = (uint64_t *)at[address >> 39 & 511];
		at = (uint64_t *)at[address >> 30 & 511];
		at = (uint64_t *)at[address >> 21 & 511];
		if (at[address >> 12 & 511] & 1)
			found += at[address >> 12 & 511] >> 12;
	}
	sink = found;
}

struct item {
	struct item *next, *previous;
	uint64_t key;
	uint32_t users, flags;
	uint64_t payload[4];
};

#define BUCKETS	4096u
#define ITEMS	16384u

static struct item *items_at(void)
{
	return (struct item *)(memory + BUCKETS * sizeof(void *));
}

static void set_up_hashed(void)
{
	struct item **table = (struct item **)memory, *items = items_at();
	unsigned int i;

	memset(table, 0, BUCKETS * sizeof(*table));
	for (i = 0; i < ITEMS; i++) {
		items[i].key = i * 0x9e3779b97f4a7c15ULL;
		items[i].next = table[items[i].key >> 52];
		table[items[i].key >> 52] = &items[i];
	}
}

static void do_hashed(void)
{
	struct item **table = (struct item **)memory, *at;
	uint64_t key, sum = 0;
	unsigned int i;

	for (i = 0; i < 30000; i++) {
		key = random64() % ITEMS * 0x9e3779b97f4a7c15ULL;
		for (at = table[key >> 52]; at; at = at->next)
			if (at->key == key)
				break;
		if (at)
			sum += __atomic_add_fetch(&at->users, 1, __ATOMIC_SEQ_CST);
	}
	sink = sum;
}

/* Taken from one place of a ring and put at its head, as pages of a list are. */
static void set_up_lists(void)
{
	struct item *items = items_at();
	unsigned int i;

	for (i = 0; i < ITEMS; i++) {
		items[i].next = &items[(i + 1) % ITEMS];
		items[i].previous = &items[(i + ITEMS - 1) % ITEMS];
	}
}

static void do_lists(void)
{
	struct item *items = items_at(), *head = items, *at;
	unsigned int i;

	for (i = 0; i < 25000; i++) {
		at = &items[1 + random64() % (ITEMS - 1)];
		at->next->previous = at->previous;
		at->previous->next = at->next;
		at->next = head->next;
		at->previous = head;
		head->next->previous = at;
		head->next = at;
		if (++at->users & 1)
			at->flags |= 4;
	}
	sink = head->next->key;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void do_sort(void)
{
	uint32_t *at = (uint32_t *)memory;
	unsigned int i;

	for (i = 0; i < 8192; i++)
		at[i] = random64();
	qsort(at, 8192, sizeof(*at), by_value);
	sink = at[77];
}

/* A tree without balance, of random keys: searched and added to. */
struct leaf {
	struct leaf *child[2];
	uint64_t key, end;
};

static void do_tree(void)
{
	struct leaf *leaves = (struct leaf *)memory, *root = leaves, *at;
	unsigned int used = 1, i, side;
	uint64_t key, found = 0;

	*root = (struct leaf){ .key = 1ULL << 63 };
	for (i = 0; i < 8000; i++) {
		key = random64();
		at = root;
		for (;;) {
			side = key > at->key;
			if (!at->child[side])
				break;
			at = at->child[side];
			found += at->end;
		}
		if (i & 1) {
			leaves[used] = (struct leaf){ .key = key, .end = i };
			at->child[side] = &leaves[used++];
		}
	}
	sink = found;
}

static void do_bitmap(void)
{
	uint64_t *at = (uint64_t *)memory, found = 0, word;
	unsigned int i;

	for (i = 0; i < 60000; i++) {
		word = at[i % 8192];
		while (word) {
			found += __builtin_ctzl(word);
			word &= word - 1;
			if (found & 1)
				break;
		}
		at[i % 8192] |= 1ULL << (found & 63) | i;
	}
	sink = found;
}

static void set_up_text(void)
{
	size_t at = 0;

	while (at < 60000)
		at += sprintf(memory + at, "%lx-%lu ", random64() >> (random64() & 63),
			      random64() >> 40);
}

static void do_text(void)
{
	char *at = memory, *end;
	uint64_t sum = 0;

	while (at < memory + 59000) {
		sum += strtoul(at, &end, 16) + strtoul(end + 1, &at, 10);
		at++;
	}
	sink = sum;
}

/* Pages taken off a list and cleared, counted and put back. */
static void do_pages(void)
{
	struct item *items = items_at(), *at;
	uint64_t taken = 0;
	unsigned int i;

	for (i = 0; i < 1500; i++) {
		at = &items[(i * 37) % ITEMS];
		if (__atomic_fetch_add(&at->users, 1, __ATOMIC_ACQUIRE) & 1)
			taken++;
		at->flags = taken & 1 ? at->flags | 8 : at->flags & ~8u;
		clear(memory + (8UL << 20) + (i * 5 % 512) * PAGE_SIZE);
		at->key = random64();
		at->payload[i & 3] = taken;
		at->next->previous = at->previous;
		at->previous->next = at->next;
		at->next = items->next;
		at->previous = items;
		items->next->previous = at;
		items->next = at;
		__atomic_fetch_sub(&at->users, 1, __ATOMIC_RELEASE);
	}
	sink = taken;
}

static const struct op {
	const char *name;
	void (*set_up)(void);
	void (*round)(void);
	bool program;
} ops[] = {
	{ "adds", NULL, do_adds, false },
	{ "hash", NULL, do_hash, false },
	{ "near", set_up_near, do_near, false },
	{ "middle", set_up_middle, do_middle, false },
	{ "far", set_up_far, do_far, false },
	{ "sum", NULL, do_sum, false },
	{ "locked", NULL, do_locked, false },
	{ "clear", NULL, do_clear, false },
	{ "clear-far", NULL, do_clear_far, false },
	{ "copy", NULL, do_copy, false },
	{ "branches", NULL, do_branches, false },
	{ "calls", NULL, do_calls, false },
	{ "code", NULL, do_code, false },
	{ "radix", set_up_radix, do_radix, true },
	{ "hashed", set_up_hashed, do_hashed, true },
	{ "lists", set_up_lists, do_lists, true },
	{ "sort", NULL, do_sort, true },
	{ "tree", NULL, do_tree, true },
	{ "bitmap", NULL, do_bitmap, true },
	{ "text", set_up_text, do_text, true },
	{ "pages", set_up_lists, do_pages, true },
};

/* Where instructions are counted, the clock of the guest is they; a window is a round. */
static void measure(const struct op *op)
{
	uint64_t start;

	seed = 88172645463325252ULL;
	memset(memory, 0, FAR);
	if (op->set_up)
		op->set_up();
	rounds.done = 0;
	while (rounds_left(&rounds)) {
		start = rounds_begin(&rounds);
		op->round();
		rounds_end(&rounds, start);
	}
	printf("{\"op\":\"%s\",\"program\":%s,", op->name, op->program ? "true" : "false");
	rounds_print(&rounds);
	printf("}\n");
	fflush(stdout);
}

static bool is_wanted(const struct op *op, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(op->name, *names))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	static const struct command command = {
		.synopsis = "[options] [OPERATION...]",
		.options = { ROUNDS_OPTIONS },
		.notes = "Prints one JSON line for each operation: how long its rounds took.\n",
	};
	char **names = parse_options(&command, argc, argv);
	unsigned int i;

	pin_to_cpu(0);
	memory = map_aligned(FAR + PMD_SIZE, PMD_SIZE, 0);
	for (i = 0; i < ARRAY_SIZE(ops); i++)
		if (is_wanted(&ops[i], names))
			measure(&ops[i]);
	return 0;
}
