// SPDX-License-Identifier: GPL-2.0
/*
 * A TCG plugin that models caches and a branch predictor, for an estimate.
 *
 * What a real CPU does is not known here: this is one CPU's L1d, L1i and L2 with
 * true LRU, filled on reads and writes, addressed physically, without prefetch,
 * shared by all vCPUs (which take turns with -icount), and a gshare predictor of
 * conditional branches. Nothing else is modelled: no TLB, no L3, no time.
 *
 * It calls back for every access to memory and every block, which makes a guest
 * some times slower, so it is loaded for few boots. It does nothing outside of
 * windows and of the warm-up before them (see mark.h): a window finds caches as
 * its predecessor left them.
 *
 * The kernel's misses are told by instruction, those of user space as sums,
 * together with what kinds of instructions user space ran: a program whose
 * instructions are known can be timed on a real CPU (calibrate.c).
 *
 * Arguments: out=FILE, l1d=BYTES/WAYS, l1i=BYTES/WAYS, l2=BYTES/WAYS.
 */
#include "api.h"
#include "x86.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

EXPORT int qemu_plugin_version = API_VERSION;

#define KERNEL_START	(1ULL << 63)
#define LINE_SHIFT	6		/* 64 bytes, as every x86-64 has */
#define CODE		(1ULL << 62)	/* code is addressed virtually; apart from data */
#define MAX_PLACES	(1u << 19)
#define MAX_IDS		(1u << 12)

static int out = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void complain(const char *what)
{
	fprintf(stderr, "cache plugin: %s\n", what);
}

/* Caches. */

struct cache {
	uint32_t sets, ways;
	uint64_t *lines;	/* sets * ways, the one used last first; 0 is empty */
};

static struct cache l1d, l1i, l2;

static bool make_cache(struct cache *cache, const char *text)
{
	unsigned long bytes, ways;
	char *end;

	bytes = strtoul(text, &end, 10);
	if (*end != '/')
		return false;
	ways = strtoul(end + 1, &end, 10);
	if (*end || !ways || ways > 64 || bytes % (ways << LINE_SHIFT))
		return false;
	cache->ways = ways;
	cache->sets = bytes / (ways << LINE_SHIFT);
	if (!cache->sets || cache->sets & (cache->sets - 1))
		return false;
	cache->lines = calloc((size_t)cache->sets * ways, sizeof(*cache->lines));
	return cache->lines;
}

/* Returns whether the line was there; it is the one used last now. */
static bool touch(struct cache *cache, uint64_t line)
{
	uint64_t *set = cache->lines + (line & (cache->sets - 1)) * cache->ways;
	uint64_t tag = line + 1, moved = tag, next;
	uint32_t way;

	for (way = 0; way < cache->ways; way++) {
		next = set[way];
		set[way] = moved;
		if (next == tag)
			return true;
		moved = next;
	}
	return false;
}

/* Where misses are put down: an instruction of the kernel, or all of user space. */
struct place {
	uint64_t pc;
	uint32_t l1d, l1i, l2, string_lines, mispredicted, zero;
};

#define OF_STRING	1UL		/* in a pointer to a place: a string instruction's */

static struct place places[MAX_PLACES];	/* 0: user space */
static uint32_t nr_places = 1;
static uint32_t *place_index;
#define PLACE_BUCKETS	(4u * MAX_PLACES)

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15ULL;
	return x ^ x >> 29;
}

static struct place *place_of(uint64_t pc)
{
	uint32_t at, found;

	if (pc < KERNEL_START)
		return &places[0];
	at = mix(pc) % PLACE_BUCKETS;
	while ((found = place_index[at])) {
		if (places[found].pc == pc)
			return &places[found];
		at = (at + 1) % PLACE_BUCKETS;
	}
	if (nr_places == MAX_PLACES)
		return &places[0];
	place_index[at] = nr_places;
	places[nr_places].pc = pc;
	return &places[nr_places++];
}

/* Blocks of translated code. */

struct block {
	uint64_t start, end;		/* addresses */
	uint64_t last;			/* that of its last instruction */
	struct place *first_place, *last_place;
	uint64_t executed, begun;	/* in this window; begun: of those its strings */
	struct block *next;		/* of user space */
	uint32_t insns, loads, stores, branches, calls, locked, width;
	bool conditional, string;
};

static struct block *user_blocks;
static bool active;
static const struct block *before;	/* the block that ran last */
static uint64_t repeating;		/* address of the string instruction in progress */
static uint64_t last_code;

/* A predictor of conditional branches: two-bit counters by address and history. */
#define PREDICTIONS	(1u << 14)
static uint8_t predictions[PREDICTIONS];
static uint32_t history;

static void predict(const struct block *block, bool taken)
{
	uint8_t *p = &predictions[(mix(block->last) ^ history) % PREDICTIONS];

	if ((*p >= 2) != taken)
		block->last_place->mispredicted++;
	if (taken)
		*p += *p < 3;
	else
		*p -= *p > 0;
	history = (history << 1 | taken) & 0xfff;
}

static void fetch(const struct block *block)
{
	uint64_t line;

	for (line = block->start >> LINE_SHIFT; line <= (block->end - 1) >> LINE_SHIFT; line++) {
		if (line == last_code)
			continue;
		last_code = line;
		if (touch(&l1i, line))
			continue;
		block->first_place->l1i++;
		if (!touch(&l2, line | CODE))
			block->first_place->l2++;
	}
}

static void on_block(unsigned int vcpu, void *data)
{
	struct block *block = data;

	(void)vcpu;
	if (!active)
		return;
	pthread_mutex_lock(&lock);
	if (before && before->conditional)
		predict(before, block->start != before->end);
	before = block;
	block->executed++;
	if (!block->string) {
		repeating = 0;
	} else if (repeating != block->last) {
		block->begun++;
		repeating = block->last;
	}
	fetch(block);
	pthread_mutex_unlock(&lock);
}

static void on_access(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t address,
		      void *data)
{
	bool string = (uintptr_t)data & OF_STRING;
	struct place *place = (struct place *)((uintptr_t)data & ~OF_STRING);
	struct qemu_plugin_hwaddr *where;
	uint64_t line;

	(void)vcpu;
	if (!active)
		return;
	where = qemu_plugin_get_hwaddr(info, address);
	if (!where || qemu_plugin_hwaddr_is_io(where))
		return;
	line = qemu_plugin_hwaddr_phys_addr(where) >> LINE_SHIFT;
	pthread_mutex_lock(&lock);
	if (!touch(&l1d, line)) {
		/* What a string instruction moves is known in advance: it is not waited for. */
		place->l1d += !string;
		if (!touch(&l2, line)) {
			place->l2 += !string;
			place->string_lines += string;
		}
	}
	pthread_mutex_unlock(&lock);
}

/* Windows. */

struct record {
	char tag[4];
	uint32_t id, series, nth, torn, places;
	/* Of user space: sums over all that it ran. */
	uint64_t insns, loads, stores, branches, calls, locked;
	uint64_t string_rounds, strings, string_bytes;
	/* struct place[places]: those with misses; the first is user space's */
};

static struct {
	bool open;
	uint32_t id, series, nth[MAX_IDS];
} window;

static void put(const void *data, size_t bytes)
{
	const char *at = data;
	ssize_t n;

	while (bytes) {
		n = write(out, at, bytes);
		if (n < 0 && errno != EINTR) {
			complain(strerror(errno));
			return;
		}
		at += n > 0 ? n : 0;
		bytes -= n > 0 ? n : 0;
	}
}

static void forget(void)
{
	struct block *b;
	uint32_t i;

	for (i = 0; i < nr_places; i++)
		places[i] = (struct place){ .pc = places[i].pc };
	for (b = user_blocks; b; b = b->next)
		b->executed = b->begun = 0;
}

static void add_user(struct record *r)
{
	const struct block *b;

	for (b = user_blocks; b; b = b->next) {
		r->insns += b->executed * b->insns;
		r->loads += b->executed * b->loads;
		r->stores += b->executed * b->stores;
		r->branches += b->executed * b->branches;
		r->calls += b->executed * b->calls;
		r->locked += b->executed * b->locked;
		if (b->string) {
			r->string_rounds += b->executed;
			r->strings += b->begun;
			r->string_bytes += b->executed << b->width;
		}
	}
}

static void end_window(bool torn)
{
	struct record r = { "CWIN", window.id, window.series, window.nth[window.id], torn, 0,
			    0, 0, 0, 0, 0, 0, 0, 0, 0 };
	struct place *kept = malloc(nr_places * sizeof(*kept));
	uint32_t i;

	if (!kept)
		abort();
	window.open = false;
	add_user(&r);
	for (i = 0; i < nr_places; i++) {
		const struct place *p = &places[i];

		if (!i || p->l1d || p->l1i || p->l2 || p->string_lines || p->mispredicted)
			kept[r.places++] = *p;
	}
	put(&r, sizeof(r));
	put(kept, r.places * sizeof(*kept));
	free(kept);
	window.nth[window.id]++;
}

static void on_marker(unsigned int vcpu, void *data)
{
	uint32_t mark = (uintptr_t)data >> 12, id = (uintptr_t)data & 0xfff;

	(void)vcpu;
	pthread_mutex_lock(&lock);
	if (window.open && mark != MARK_END)
		end_window(true);
	switch (mark) {
	case MARK_SERIES:
		window.series++;
		memset(window.nth, 0, sizeof(window.nth));
		active = false;
		before = NULL;
		break;
	case MARK_WARM:
		active = true;
		break;
	case MARK_BEGIN:
		active = true;
		window.id = id;
		window.open = true;
		forget();
		break;
	case MARK_END:
		if (window.open)
			end_window(false);
		/* The next round begins at once; what a program does after the last is long. */
		active = false;
		before = NULL;
		break;
	}
	pthread_mutex_unlock(&lock);
}

/* Translation. */

static size_t bytes_of(struct qemu_plugin_insn *insn, uint8_t *code, size_t room)
{
	size_t size = qemu_plugin_insn_size(insn);

	return qemu_plugin_insn_data(insn, code, size < room ? size : room);
}

static void add_class(struct block *block, uint32_t class)
{
	block->insns++;
	block->loads += !!(class & X86_LOAD);
	block->stores += !!(class & X86_STORE);
	block->branches += !!(class & (X86_JCC | X86_JMP));
	block->calls += !!(class & X86_CALL);
	block->locked += !!(class & X86_LOCKED);
	block->conditional = class & X86_JCC;
	block->string = class & X86_REP;
	block->width = class >> X86_WIDTH;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb), i, size;
	struct block *block = calloc(1, sizeof(*block));
	struct qemu_plugin_insn *insn;
	void *told;
	uint8_t code[16];
	uint32_t class;
	uint16_t mark;
	uint64_t pc;

	(void)id;
	if (!block || !n) {
		free(block);
		return;
	}
	pthread_mutex_lock(&lock);
	for (i = 0; i < n; i++) {
		insn = qemu_plugin_tb_get_insn(tb, i);
		pc = qemu_plugin_insn_vaddr(insn);
		size = bytes_of(insn, code, sizeof(code));
		class = x86_class(code, size);
		add_class(block, class);
		block->last = pc;
		block->end = pc + qemu_plugin_insn_size(insn);
		block->last_place = place_of(pc);
		if (!i) {
			block->start = pc;
			block->first_place = block->last_place;
		}
		mark = pc < KERNEL_START ? x86_marker(code, size) : 0;
		if (mark)
			qemu_plugin_register_vcpu_insn_exec_cb(
				insn, on_marker, QEMU_PLUGIN_CB_NO_REGS, (void *)(uintptr_t)mark);
		if (class & X86_REP)
			told = (void *)((uintptr_t)block->last_place | OF_STRING);
		else
			told = block->last_place;
		qemu_plugin_register_vcpu_mem_cb(insn, on_access, QEMU_PLUGIN_CB_NO_REGS,
						 QEMU_PLUGIN_MEM_RW, told);
	}
	/* A block is never freed, as who runs it cannot be asked: they are small. */
	if (block->start < KERNEL_START) {
		block->next = user_blocks;
		user_blocks = block;
	}
	pthread_mutex_unlock(&lock);
	qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_NO_REGS, block);
}

static void on_end(qemu_plugin_id_t id, void *data)
{
	(void)id;
	(void)data;
	pthread_mutex_lock(&lock);
	if (window.open)
		end_window(true);
	pthread_mutex_unlock(&lock);
}

static bool read_argument(const char *text)
{
	if (!strncmp(text, "l1d=", 4))
		return make_cache(&l1d, text + 4);
	if (!strncmp(text, "l1i=", 4))
		return make_cache(&l1i, text + 4);
	if (!strncmp(text, "l2=", 3))
		return make_cache(&l2, text + 3);
	if (!strncmp(text, "out=", 4)) {
		out = open(text + 4, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
		return out >= 0;
	}
	return false;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
	int i;

	if (strcmp(info->target_name, "x86_64") || !info->system_emulation || info->version.cur < 3) {
		complain("only whole x86_64 machines of QEMU 9.1 or newer can be modelled");
		return 1;
	}
	for (i = 0; i < argc; i++) {
		if (!read_argument(argv[i])) {
			complain(argv[i]);
			complain("that argument cannot be used");
			return 1;
		}
	}
	place_index = calloc(PLACE_BUCKETS, sizeof(*place_index));
	if (out < 0 || !l1d.lines || !l1i.lines || !l2.lines || !place_index) {
		complain("out=, l1d=, l1i= and l2= are needed");
		return 1;
	}
	put("HCACHES1", 8);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
	qemu_plugin_register_atexit_cb(id, on_end, NULL);
	return 0;
}
