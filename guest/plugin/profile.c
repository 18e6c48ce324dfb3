// SPDX-License-Identifier: GPL-2.0
/*
 * A TCG plugin that says where the kernel's instructions went.
 *
 * The translated code bumps counters inline, in each vCPU its own: no callback.
 * Instructions that are always executed together (a straight line up to one
 * that can fault) share a counter.
 * The guest marks windows by instructions that do nothing (see mark.h). At the
 * end of a window the counters that moved are written out. User space is one
 * counter a vCPU.
 *
 * In some windows ("followed" ones) call paths are kept as well: a call notes
 * its caller, the entry of a function pushes, a return pops. That is a
 * callback for each, so only some windows are followed. Threads change stacks
 * in __switch_to_asm, whose arguments name them. Exceptions, interrupts and
 * system calls begin a path of their own and iret or sysret ends it.
 *
 * With -icount the guest sees nothing of this: time is instructions.
 *
 * Arguments: out=FILE, entries=FILE (struct entry, ascending), follow=N (windows
 * of a series that are followed; default 1).
 * The format of the output is at the records below.
 */
#include "api.h"
#include "x86.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

EXPORT int qemu_plugin_version = API_VERSION;

#define KERNEL_START	(1ULL << 63)	/* with four levels of page tables and with five */
#define MAX_SLOTS	(1u << 19)	/* counters of a vCPU; 0 takes what finds no room */
#define MAX_VCPUS	64
#define MAX_DEPTH	192
#define MAX_NODES	(1u << 20)
#define MAX_IDS		(1u << 12)
#define NO_FUNCTION	0xffffffu

/*
 * What entries= holds: where functions begin (a number below is an index into
 * it), and after these the instructions that the kernel expects to fault: no
 * other one of its image does.
 */
enum kind { FUNCTION, SYSCALL, EXCEPTION, INTERRUPT, START, SWITCH, FAULTS };
struct entry {
	uint64_t address;
	uint32_t kind;
	uint32_t zero;
};

static struct entry *entries;
static size_t nr_entries;
static struct entry *faults;
static size_t nr_faults;

/*
 * The output: a header, then records. All numbers are little-endian; each
 * record is a multiple of 8 bytes and says how long it is.
 */
struct header {
	char magic[8];
	uint32_t vcpus, zero;
};

struct record {
	uint32_t tag, zero;
	uint64_t bytes;			/* that follow */
};

#define TAG_SITES	0x45544953u	/* "SITE": struct site, those since the last */
#define TAG_NODES	0x45444f4eu	/* "NODE": struct node_record, likewise */
#define TAG_WINDOW	0x444e4957u	/* "WIND" */

/*
 * An instruction: where, what, and its counters. It has several sites when it
 * is translated in several lines; it was executed as often as their sum says.
 */
struct site {
	uint64_t pc;
	uint32_t class, size;
	uint32_t executed, operations;	/* 0: has none */
};

/* A function in a call path; ids count from 1 in order of appearance. */
struct node_record {
	uint32_t parent, function, kind, zero;
};

#define WINDOW_FOLLOWED	1u
#define WINDOW_TORN	2u		/* another began before it was ended */
struct window_record {
	uint32_t id, series, nth, flags;
	uint64_t counts, nodes;
	/* uint64_t user[vcpus]; struct count[counts]; struct visit[nodes] */
};

struct count {
	uint32_t slot, vcpu;
	uint64_t value;
};

struct visit {
	uint32_t node, zero;
	uint64_t calls, self;
};

static struct {
	const char *path;
	int fd;
	unsigned int follow;
	int version;
} config = { .fd = -1, .follow = 1 };

static unsigned int nr_vcpus;

static void complain(const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	n = snprintf(text, sizeof(text), "profile plugin: ");
	va_start(ap, fmt);
	n += vsnprintf(text + n, sizeof(text) - n, fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s\n", text);
}

/*
 * Counters. QEMU's are one for each vCPU ("scoreboards"), but where several
 * vCPUs share a thread, as with -icount, QEMU 10.0 takes the vCPU that has
 * translated a block for the one that runs it, and spoils what it multiplies
 * that vCPU's index by. Elements of one byte are not multiplied. So there is a
 * scoreboard of those, from which we reach counters of our own, the same for
 * all vCPUs: one thread needs no more. An address is then off by the index of
 * the vCPU that translates, which is known by its GS base.
 */

static struct qemu_plugin_scoreboard *anchor;
static uint64_t counters[MAX_SLOTS];

/* What translated code writes without asking us. */
static struct state {
	uint64_t user;		/* instructions outside the kernel */
	uint64_t total;		/* of the kernel; ahead by what is left of block and string */
	uint64_t pending;	/* function that has just called, plus 1 */
	uint64_t follow;	/* paths are wanted now */
	uint64_t repeating;	/* address of the string instruction in progress */
} state;

static unsigned int translator;		/* vCPU that translates now */

static qemu_plugin_u64 reach(uint64_t *what)
{
	uintptr_t from = (uintptr_t)qemu_plugin_scoreboard_find(anchor, 0);

	return (qemu_plugin_u64){ anchor, (uintptr_t)what - from - translator };
}

/*
 * Under translation threads of their own, several vCPUs translate at once. A
 * followed window's paths are shared as well. (With -icount there is one.)
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define MAX_SITES	(2u * MAX_SLOTS)
static struct site sites[MAX_SITES];
static uint32_t nr_sites, written_sites;
static uint32_t nr_slots = 1;
#define SITE_BUCKETS	(2u * MAX_SLOTS)
static struct {
	uint64_t key;
	uint32_t site;
} *line_index;				/* hash */

/* Where string instructions end, so that their last round is noticed. */
#define REP_ENDS	4096u
static uint64_t rep_ends[REP_ENDS];

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15ULL;
	return x ^ x >> 29;
}

static qemu_plugin_u64 counter(uint32_t slot)
{
	return reach(&counters[slot]);
}

#define STATE(member)	reach(&state.member)

static uint32_t new_slot(void)
{
	return nr_slots < MAX_SLOTS ? nr_slots++ : 0;
}

/* A straight line of instructions, of which only the last may fault. */
#define MAX_LINE	32u
struct line {
	uint64_t pc;
	uint32_t n;
	struct {
		uint32_t class, size;
	} insn[MAX_LINE];
};

static uint64_t line_key(const struct line *line)
{
	uint64_t key = mix(line->pc);
	uint32_t i;

	/* By class too: text that is patched at run time is another instruction. */
	for (i = 0; i < line->n; i++)
		key = mix(key ^ line->insn[i].class) + line->insn[i].size;
	return key | 1;
}

/* Its first site; the others follow it. NULL when there is no room left. */
static struct site *find_line(const struct line *line)
{
	uint64_t key = line_key(line);
	uint32_t at = key % SITE_BUCKETS, i, slot;
	uint64_t pc = line->pc;
	struct site *last;

	while (line_index[at].key) {
		if (line_index[at].key == key)
			return &sites[line_index[at].site];
		at = (at + 1) % SITE_BUCKETS;
	}
	if (nr_slots + 2 > MAX_SLOTS || nr_sites + line->n > MAX_SITES)
		return NULL;
	line_index[at].key = key;
	line_index[at].site = nr_sites;
	slot = new_slot();
	for (i = 0; i < line->n; i++) {
		sites[nr_sites++] = (struct site){
			.pc = pc, .class = line->insn[i].class,
			.size = line->insn[i].size, .executed = slot,
		};
		pc += line->insn[i].size;
	}
	last = &sites[nr_sites - 1];
	if (last->class & X86_REP)
		last->operations = new_slot();
	return &sites[line_index[at].site];
}

static bool is_rep_end(uint64_t pc)
{
	uint32_t at = mix(pc) % REP_ENDS;

	while (rep_ends[at]) {
		if (rep_ends[at] == pc)
			return true;
		at = (at + 1) % REP_ENDS;
	}
	return false;
}

static void add_rep_end(uint64_t pc)
{
	uint32_t at = mix(pc) % REP_ENDS, tries = 0;

	while (rep_ends[at] && rep_ends[at] != pc && ++tries < REP_ENDS / 2)
		at = (at + 1) % REP_ENDS;
	if (tries < REP_ENDS / 2)
		rep_ends[at] = pc;
}

/* How many of a table's addresses are not above one. */
static size_t up_to(const struct entry *table, size_t high, uint64_t pc)
{
	size_t low = 0, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (table[middle].address <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The function that an address lies in. */
static uint32_t function_at(uint64_t pc)
{
	size_t n = up_to(entries, nr_entries, pc);

	return n ? n - 1 : NO_FUNCTION;
}

static bool may_fault(uint64_t pc)
{
	size_t n;

	/* Outside of the image, or when we were not told: any may. */
	if (!nr_faults || pc < entries[0].address || pc >= entries[nr_entries - 1].address)
		return true;
	n = up_to(faults, nr_faults, pc);
	return n && faults[n - 1].address == pc;
}

/* Call paths. */

struct node {
	uint32_t parent, function, kind;
	uint64_t calls, self;
};

static struct node nodes[MAX_NODES];	/* 0 is the root */
static uint32_t nr_nodes = 1, written_nodes = 1;
static uint32_t *node_index;		/* hash: the node */
#define NODE_BUCKETS	(4u * MAX_NODES)

/*
 * `entry` is not 0 where the kernel was entered: the node of the entry, which
 * stays although the code jumps on from function to function.
 */
struct frame {
	uint32_t node, entry;
};

struct stack {
	uint64_t task;
	uint32_t depth;
	struct frame frames[MAX_DEPTH];
	struct stack *next;
};

static struct vcpu {
	struct stack *stack;
	uint64_t user;			/* state.user when the kernel was entered last */
	uint64_t gs;			/* its GS base in the kernel */
	bool known, checked;
} vcpus[MAX_VCPUS];

static uint64_t last;			/* state.total when time was charged last */
static struct qemu_plugin_register *rcx, *rdi, *rsi, *gs_base, *k_gs_base;
static GByteArray *register_buffer;

#define STACK_BUCKETS	1024u
static struct stack *stacks[STACK_BUCKETS];

/* What a callback is told, packed into its pointer: function, kind, what is left of the block. */
static void *pack(uint32_t function, uint32_t kind, uint32_t rest)
{
	return (void *)((uintptr_t)function << 32 | kind << 16 | rest);
}

static uint32_t packed_function(void *data)
{
	return (uintptr_t)data >> 32;
}

static uint32_t packed_kind(void *data)
{
	return (uintptr_t)data >> 16 & 0xffff;
}

static uint32_t packed_rest(void *data)
{
	return (uintptr_t)data & 0xffff;
}

static uint32_t child(uint32_t parent, uint32_t function, uint32_t kind)
{
	uint32_t at = mix((uint64_t)parent << 32 | function) % NODE_BUCKETS, found;

	while ((found = node_index[at])) {
		if (nodes[found].parent == parent && nodes[found].function == function)
			return found;
		at = (at + 1) % NODE_BUCKETS;
	}
	if (nr_nodes == MAX_NODES)
		return parent;
	found = nr_nodes++;
	node_index[at] = found;
	nodes[found] = (struct node){ parent, function, kind, 0, 0 };
	return found;
}

static struct stack *stack_of(uint64_t task)
{
	struct stack **at = &stacks[mix(task) % STACK_BUCKETS];

	for (; *at; at = &(*at)->next)
		if ((*at)->task == task)
			return *at;
	*at = calloc(1, sizeof(**at));
	if (!*at)
		abort();
	(*at)->task = task;
	return *at;
}

/* Which vCPU this is. Only where one runs: QEMU 10.0 crashes when asked at their creation. */

static uint64_t read_register(struct qemu_plugin_register *which)
{
	uint64_t value = 0;

	if (!which)
		return 0;
	g_byte_array_set_size(register_buffer, 0);
	qemu_plugin_read_register(which, register_buffer);
	if (register_buffer->len >= sizeof(value))
		memcpy(&value, register_buffer->data, sizeof(value));
	return value;
}

static void find_registers(void)
{
	static const struct {
		const char *name;
		struct qemu_plugin_register **where;
	} wanted[] = { { "rcx", &rcx }, { "rdi", &rdi }, { "rsi", &rsi },
		       { "gs_base", &gs_base }, { "k_gs_base", &k_gs_base } };
	GArray *registers;
	unsigned int i, w;

	if (register_buffer || !qemu_plugin_get_registers)
		return;
	register_buffer = g_byte_array_new();
	registers = qemu_plugin_get_registers();
	for (i = 0; registers && i < registers->len; i++) {
		qemu_plugin_reg_descriptor *r = (qemu_plugin_reg_descriptor *)registers->data + i;

		for (w = 0; w < sizeof(wanted) / sizeof(*wanted); w++)
			if (!strcmp(r->name, wanted[w].name))
				*wanted[w].where = r->handle;
	}
}

/* Where the kernel keeps a CPU's own data; it is in one of two registers. 0 early in a boot. */
static uint64_t kernel_gs(void)
{
	uint64_t gs = read_register(gs_base);

	if (gs < KERNEL_START)
		gs = read_register(k_gs_base);
	return gs < KERNEL_START ? 0 : gs;
}

static struct vcpu *find_vcpu(void)
{
	uint64_t gs;
	unsigned int i;

	if (nr_vcpus == 1)
		return &vcpus[0];
	find_registers();
	gs = kernel_gs();
	for (i = 0; gs && i < nr_vcpus; i++)
		if (vcpus[i].known && vcpus[i].gs == gs)
			return &vcpus[i];
	return NULL;
}

/* A vCPU that runs; early in a boot, when nothing is followed, it may be any. */
static struct vcpu *running(void)
{
	struct vcpu *v = find_vcpu();

	return v ? v : &vcpus[0];
}

static struct stack *current_stack(struct vcpu *v)
{
	/* Until it first switches, what it runs has no name. */
	if (!v->stack)
		v->stack = stack_of(v - vcpus + 1);
	return v->stack;
}

static uint32_t top(const struct stack *s)
{
	return s->depth ? s->frames[(s->depth < MAX_DEPTH ? s->depth : MAX_DEPTH) - 1].node : 0;
}

static void push(struct stack *s, uint32_t node, uint32_t entry)
{
	if (s->depth < MAX_DEPTH)
		s->frames[s->depth] = (struct frame){ node, entry };
	s->depth++;
	nodes[node].calls++;
}

/* Charge what ran since the last charge to the innermost function. */
static void charge(struct stack *s, uint32_t rest)
{
	uint64_t now = state.total - rest;

	nodes[top(s)].self += now - last;
	last = now;
}

/* A stack that we came to know halfway: at least its innermost function is known now. */
static void learn(struct stack *s, uint32_t function)
{
	if (!s->depth) {
		push(s, child(0, function, FUNCTION), 0);
		nodes[top(s)].calls--;
	}
}

static void on_entry(unsigned int translated_by, void *data)
{
	uint32_t function = packed_function(data), kind = packed_kind(data);
	struct vcpu *v;
	struct stack *s;
	struct frame *f;
	uint32_t node;

	(void)translated_by;
	pthread_mutex_lock(&lock);
	v = running();
	s = current_stack(v);
	if (kind == FUNCTION && state.pending)
		learn(s, state.pending - 1);
	charge(s, packed_rest(data));
	if (kind != FUNCTION) {
		/* From user space, or a thread that is new: whatever was there is over. */
		if (kind == START || state.user != v->user)
			s->depth = 0;
		v->user = state.user;
		node = child(top(s), function, kind);
		push(s, node, node);
	} else if (state.pending || !s->depth) {
		push(s, child(top(s), function, FUNCTION), 0);
	} else if (s->depth <= MAX_DEPTH) {
		/* Jumped to: it returns where the one before would have. */
		f = &s->frames[s->depth - 1];
		f->node = child(f->entry ? f->entry : nodes[f->node].parent, function, FUNCTION);
		nodes[f->node].calls++;
	}
	state.pending = 0;
	pthread_mutex_unlock(&lock);
}

static void on_return(unsigned int translated_by, void *data)
{
	struct stack *s;

	(void)translated_by;
	pthread_mutex_lock(&lock);
	s = current_stack(running());
	learn(s, packed_function(data));
	charge(s, packed_rest(data));
	if (state.pending)
		state.pending = 0;	/* of a call within a function: nothing was pushed */
	else if (s->depth > MAX_DEPTH || !s->frames[s->depth - 1].entry)
		s->depth--;
	pthread_mutex_unlock(&lock);
}

static void on_iret(unsigned int translated_by, void *data)
{
	struct stack *s;

	(void)translated_by;
	pthread_mutex_lock(&lock);
	s = current_stack(running());
	learn(s, packed_function(data));
	charge(s, packed_rest(data));
	while (s->depth) {
		s->depth--;
		if (s->depth < MAX_DEPTH && s->frames[s->depth].entry)
			break;
	}
	state.pending = 0;
	pthread_mutex_unlock(&lock);
}

/* At the first instruction of __switch_to_asm(prev, next), followed or not. */
static void on_switch(unsigned int translated_by, void *data)
{
	uint64_t prev, next;
	struct vcpu *v;
	struct stack *s;

	(void)translated_by;
	(void)data;
	find_registers();
	prev = read_register(rdi);
	next = read_register(rsi);
	v = find_vcpu();
	if (!next || !v)
		return;
	pthread_mutex_lock(&lock);
	s = current_stack(v);
	if (state.follow) {
		charge(s, 0);
		if (prev && s->task != prev) {
			struct stack *named = stack_of(prev);

			named->depth = s->depth;
			memcpy(named->frames, s->frames, sizeof(s->frames));
		}
	}
	v->stack = stack_of(next);
	pthread_mutex_unlock(&lock);
}

/* Windows. */

static struct {
	bool open;
	uint32_t id, series;
	uint32_t nth[MAX_IDS];		/* windows of each number in this series */
	bool followed;
	uint64_t base[MAX_SLOTS];
	uint64_t user;
} window;

static char *buffer;
static size_t buffered, buffer_size;

static void *reserve(size_t bytes)
{
	void *at;

	if (buffered + bytes > buffer_size) {
		buffer_size = 2 * (buffered + bytes);
		buffer = realloc(buffer, buffer_size);
		if (!buffer)
			abort();
	}
	at = buffer + buffered;
	buffered += bytes;
	return at;
}

static void put(const void *data, size_t bytes)
{
	memcpy(reserve(bytes), data, bytes);
}

static void put_record(uint32_t tag, uint64_t bytes)
{
	struct record r = { .tag = tag, .bytes = bytes };

	put(&r, sizeof(r));
}

static void flush(void)
{
	size_t at = 0;
	ssize_t n;

	while (at < buffered) {
		n = write(config.fd, buffer + at, buffered - at);
		if (n < 0 && errno != EINTR) {
			complain("%s: %s", config.path, strerror(errno));
			break;
		}
		at += n > 0 ? n : 0;
	}
	buffered = 0;
}

static void put_news(void)
{
	uint32_t i;

	if (nr_sites > written_sites) {
		put_record(TAG_SITES, (nr_sites - written_sites) * sizeof(struct site));
		put(sites + written_sites, (nr_sites - written_sites) * sizeof(struct site));
		written_sites = nr_sites;
	}
	if (nr_nodes > written_nodes) {
		put_record(TAG_NODES, (nr_nodes - written_nodes) * sizeof(struct node_record));
		for (i = written_nodes; i < nr_nodes; i++) {
			struct node_record r = { nodes[i].parent, nodes[i].function,
						 nodes[i].kind, 0 };

			put(&r, sizeof(r));
		}
		written_nodes = nr_nodes;
	}
}

static void follow(bool on)
{
	struct stack *s;
	uint32_t b;

	if (on && !state.follow) {
		last = state.total;
		state.pending = 0;
	}
	state.follow = on;
	for (b = 0; !on && b < STACK_BUCKETS; b++)
		for (s = stacks[b]; s; s = s->next)
			s->depth = 0;
}

static void begin_window(uint32_t id)
{
	uint32_t n;

	window.id = id;
	window.open = true;
	/* The first ones, and with them what lies in between. */
	window.followed = window.nth[id] < config.follow;
	follow(window.followed);
	if (window.followed)
		current_stack(running())->depth = 0;	/* a marker stands in user space */
	for (n = 0; n < nr_nodes; n++)
		nodes[n].calls = nodes[n].self = 0;
	/* The others were 0 and will have begun at 0. */
	memcpy(window.base, counters, nr_slots * sizeof(*counters));
	window.user = state.user;
	last = state.total;
}

static void end_window(bool torn)
{
	struct window_record w = { window.id, window.series, window.nth[window.id], 0, 0, 0 };
	uint64_t user = state.user - window.user;
	size_t at_record, start;
	struct record *r;
	uint32_t n;

	window.open = false;
	w.flags = (window.followed ? WINDOW_FOLLOWED : 0) | (torn ? WINDOW_TORN : 0);
	if (window.followed)
		charge(current_stack(running()), 0);
	put_news();
	at_record = buffered;
	put_record(TAG_WINDOW, 0);
	start = buffered;
	put(&w, sizeof(w));
	put(&user, sizeof(user));
	for (n = 0; n < nr_slots; n++) {
		struct count c = { n, 0, counters[n] - window.base[n] };

		if (c.value) {
			put(&c, sizeof(c));
			w.counts++;
		}
	}
	for (n = 0; window.followed && n < nr_nodes; n++) {
		struct visit v = { n, 0, nodes[n].calls, nodes[n].self };

		if (v.calls || v.self) {
			put(&v, sizeof(v));
			w.nodes++;
		}
	}
	memcpy(buffer + start, &w, sizeof(w));
	r = (struct record *)(buffer + at_record);
	r->bytes = buffered - start;
	flush();
	window.nth[window.id]++;
}

static void on_marker(unsigned int translated_by, void *data)
{
	uint32_t mark = (uintptr_t)data >> 12, id = (uintptr_t)data & 0xfff;

	(void)translated_by;
	pthread_mutex_lock(&lock);
	if (window.open && mark != MARK_END)
		end_window(true);
	switch (mark) {
	case MARK_SERIES:
		window.series++;
		memset(window.nth, 0, sizeof(window.nth));
		break;
	case MARK_WARM:
		if (config.follow) {
			follow(true);
			current_stack(running())->depth = 0;
		}
		break;
	case MARK_BEGIN:
		begin_window(id);
		break;
	case MARK_END:
		if (window.open)
			end_window(false);
		break;
	}
	pthread_mutex_unlock(&lock);
}

/* Translation. */

static void bump(struct qemu_plugin_insn *insn, qemu_plugin_u64 what)
{
	qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
		insn, QEMU_PLUGIN_INLINE_ADD_U64, what, 1);
}

static void store(struct qemu_plugin_insn *insn, qemu_plugin_u64 where, uint64_t value)
{
	qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
		insn, QEMU_PLUGIN_INLINE_STORE_U64, where, value);
}

static void when_following(struct qemu_plugin_insn *insn, qemu_plugin_vcpu_udata_cb_t cb,
			   void *data)
{
	qemu_plugin_register_vcpu_insn_exec_cond_cb(
		insn, cb, QEMU_PLUGIN_CB_R_REGS, QEMU_PLUGIN_COND_NE, STATE(follow), 0, data);
}

static size_t bytes_of(struct qemu_plugin_insn *insn, uint8_t *code, size_t room)
{
	const void *(*old)(const struct qemu_plugin_insn *insn);
	size_t size = qemu_plugin_insn_size(insn);

	size = size < room ? size : room;
	if (config.version >= 3)
		return qemu_plugin_insn_data(insn, code, size);
	memcpy(&old, &(void *){ (void *)qemu_plugin_insn_data }, sizeof(old));
	memcpy(code, old(insn), size);
	return size;
}

static void note_marker(struct qemu_plugin_insn *insn, const uint8_t *code, size_t size)
{
	uint16_t mark = x86_marker(code, size);

	if (mark)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_marker, QEMU_PLUGIN_CB_R_REGS,
						       (void *)(uintptr_t)mark);
}

/*
 * A string instruction that moves or sets runs once for each element and once
 * more, each time as a block of its own. That is most of what a kernel does that
 * clears pages, so that these rounds are not counted one by one: where it begins
 * rcx says how many there will be. What was interrupted goes on as it would
 * have, at the same end with less to do, and is not counted again; what a fault
 * ends before its time is counted whole. A comparison may end early: its rounds
 * are counted.
 */
#define STRINGS		4096u
static struct string {
	uint64_t pc, end, left;
} strings[STRINGS];

static bool counts_ahead(uint32_t class)
{
	return class & X86_REP && class & X86_STORE &&
	       qemu_plugin_register_vcpu_insn_exec_cond_cb && qemu_plugin_get_registers;
}

/* The instruction is a line of its own; where it is the end of another, that has its first round. */
static void count_string(const struct site *site, bool inside)
{
	uint64_t left, end;
	struct string *s;

	find_registers();
	left = read_register(rcx);
	end = read_register(rdi) + (left << (site->class >> X86_WIDTH));
	s = &strings[mix(site->pc ^ mix(end)) % STRINGS];
	state.repeating = site->pc;
	if (!inside && s->pc == site->pc && s->end == end && left < s->left)
		return;
	*s = (struct string){ site->pc, end, left };
	left += !inside;
	counters[site->executed] += left;
	counters[site->operations]++;
	state.total += left;
}

static void on_string(unsigned int translated_by, void *data)
{
	(void)translated_by;
	count_string(data, false);
}

static void on_string_inside(unsigned int translated_by, void *data)
{
	(void)translated_by;
	count_string(data, true);
}

/* Of others the first round is told from those that follow. */
static void on_rep(unsigned int translated_by, void *data)
{
	const struct site *site = data;

	(void)translated_by;
	counters[site->operations]++;
	state.repeating = site->pc;
}

/* `site` is of the line that ends with it, or of itself alone where it is counted ahead. */
static void translate_rep(struct qemu_plugin_insn *insn, const struct site *site, bool inside)
{
	bool ahead = counts_ahead(site->class);

	if (inside && ahead) {
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_string_inside,
						       QEMU_PLUGIN_CB_R_REGS, (void *)site);
	} else if (inside) {	/* a block that begins before it: it is entered, not repeated */
		bump(insn, counter(site->operations));
		store(insn, STATE(repeating), site->pc);
	} else {
		qemu_plugin_register_vcpu_insn_exec_cond_cb(
			insn, ahead ? on_string : on_rep,
			ahead ? QEMU_PLUGIN_CB_R_REGS : QEMU_PLUGIN_CB_NO_REGS,
			QEMU_PLUGIN_COND_NE, STATE(repeating), site->pc, (void *)site);
	}
}

/* What belongs to one instruction of the kernel, before it is counted. */
static void note_paths(struct qemu_plugin_insn *insn, uint64_t pc, uint32_t class, size_t left)
{
	uint32_t function = function_at(pc), kind;

	if (function != NO_FUNCTION && entries[function].address == pc) {
		kind = entries[function].kind;
		when_following(insn, on_entry,
			       pack(function, kind == SWITCH ? FUNCTION : kind, left));
		if (kind == SWITCH)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_switch,
							       QEMU_PLUGIN_CB_R_REGS, NULL);
	}
	if (class & X86_CALL)
		store(insn, STATE(pending), (uint64_t)function + 1);
	else if (class & X86_RET)
		when_following(insn, on_return, pack(function, 0, left - 1));
	else if (class & X86_IRET)
		when_following(insn, on_iret, pack(function, 0, left - 1));
}

static void on_check(unsigned int translated_by, void *data)
{
	if (*(uint64_t *)data)
		return;
	complain("this QEMU counts otherwise than QEMU 10.0 (vCPU %u); nothing can be profiled",
		 translated_by);
	_exit(1);
}

/* The site of the string instruction that ends a line; that of itself alone if counted ahead. */
static const struct site *string_site(const struct line *line, const struct site *site,
				      uint64_t pc)
{
	struct line alone = { .pc = pc, .n = 1, .insn = { line->insn[line->n - 1] } };

	add_rep_end(pc + alone.insn[0].size);
	return counts_ahead(alone.insn[0].class) ? find_line(&alone) : &site[line->n - 1];
}

/* A line is counted where it begins. */
static void count_line(struct qemu_plugin_insn *const insn[], const struct line *line,
		       bool at_start)
{
	struct qemu_plugin_insn *first = insn[0], *last = insn[line->n - 1];
	bool can_store = qemu_plugin_register_vcpu_insn_exec_cond_cb != NULL;
	bool alone = at_start && line->n == 1, after_rep = false;
	uint32_t class = line->insn[line->n - 1].class, slot = 0;
	const struct site *site, *string = NULL;

	pthread_mutex_lock(&lock);
	site = find_line(line);
	if (site) {
		slot = site->executed;
		after_rep = is_rep_end(site->pc);
		if (class & X86_REP)
			string = string_site(line, site, qemu_plugin_insn_vaddr(last));
	}
	pthread_mutex_unlock(&lock);
	if (!(string && alone && counts_ahead(class))) {
		bump(first, counter(slot));
		if (!vcpus[translator].checked) {
			vcpus[translator].checked = true;
			qemu_plugin_register_vcpu_insn_exec_cb(
				first, on_check, QEMU_PLUGIN_CB_NO_REGS, &counters[slot]);
		}
	}
	if (!can_store)
		return;
	if (after_rep)
		store(first, STATE(repeating), 0);
	if (string && string->operations)
		translate_rep(last, string, !alone);
}

/* The index by which QEMU is off is what it tells a callback. */
static void on_calibration(unsigned int translated_by, void *data)
{
	struct vcpu *v;

	if (translated_by >= nr_vcpus)
		return;
	v = &vcpus[translated_by];
	v->gs = (uintptr_t)data;
	v->known = true;
}

/* Finds out which vCPU translates; false when that is not known yet: nothing is counted then. */
static bool find_translator(struct qemu_plugin_tb *tb)
{
	struct vcpu *v = find_vcpu();
	uint64_t gs;

	if (v) {
		translator = v - vcpus;
		return true;
	}
	gs = kernel_gs();
	if (gs)
		qemu_plugin_register_vcpu_insn_exec_cb(
			qemu_plugin_tb_get_insn(tb, 0), on_calibration,
			QEMU_PLUGIN_CB_NO_REGS, (void *)(uintptr_t)gs);
	return false;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb), i, size;
	struct qemu_plugin_insn *insn, *of_line[MAX_LINE];
	struct line line = { .n = 0 };
	bool kernel = false, goes_on;
	uint8_t code[16];
	uint32_t class;
	uint64_t pc;

	(void)id;
	if (!find_translator(tb))
		return;
	for (i = 0; i < n; i++) {
		insn = qemu_plugin_tb_get_insn(tb, i);
		pc = qemu_plugin_insn_vaddr(insn);
		size = bytes_of(insn, code, sizeof(code));
		class = x86_class(code, size);
		if (!i) {
			kernel = pc >= KERNEL_START;
			if (kernel && config.follow && !counts_ahead(class))
				qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(
					tb, QEMU_PLUGIN_INLINE_ADD_U64, STATE(total), n);
		}
		if (!line.n)
			line.pc = pc;
		of_line[line.n] = insn;
		line.insn[line.n].class = class;
		line.insn[line.n].size = size;
		line.n++;
		if (!kernel)
			note_marker(insn, code, size);
		else if (config.follow)
			note_paths(insn, pc, class, n - i);
		goes_on = x86_is_plain(code, size) ||
			  (kernel && !(class & X86_REP) && !may_fault(pc));
		if (goes_on && line.n < MAX_LINE && i + 1 < n)
			continue;
		if (kernel)
			count_line(of_line, &line, i + 1 == line.n);
		else
			qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
				of_line[0], QEMU_PLUGIN_INLINE_ADD_U64, STATE(user), line.n);
		line.n = 0;
	}
}

static void on_end(qemu_plugin_id_t id, void *data)
{
	(void)id;
	(void)data;
	pthread_mutex_lock(&lock);
	if (window.open)
		end_window(true);
	if (nr_slots + 2 > MAX_SLOTS)
		complain("more instructions than counters; the rest went into counter 0");
	pthread_mutex_unlock(&lock);
}

/* Setting up. */

static bool read_entries(const char *path)
{
	struct stat st;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || st.st_size % sizeof(*entries)) {
		complain("%s: %s", path, fd < 0 ? strerror(errno) : "not a table of entries");
		return false;
	}
	entries = malloc(st.st_size);
	if (!entries || read(fd, entries, st.st_size) != st.st_size) {
		complain("%s: cannot be read", path);
		return false;
	}
	close(fd);
	nr_entries = st.st_size / sizeof(*entries);
	while (nr_entries && entries[nr_entries - 1].kind == FAULTS) {
		nr_entries--;
		nr_faults++;
	}
	faults = entries + nr_entries;
	return true;
}

static bool read_argument(const char *text)
{
	const char *value = strchr(text, '=');

	if (!value++)
		return false;
	if (!strncmp(text, "out=", 4))
		config.path = value;
	else if (!strncmp(text, "entries=", 8))
		return read_entries(value);
	else if (!strncmp(text, "follow=", 7))
		config.follow = strtoul(value, NULL, 10);
	else
		return false;
	return true;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
	struct header header = { "HPROFIL2", 0, 0 };
	unsigned int i;

	if (strcmp(info->target_name, "x86_64") || !info->system_emulation) {
		complain("only whole x86_64 machines can be profiled, not %s", info->target_name);
		return 1;
	}
	if (!qemu_plugin_scoreboard_new || !qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu) {
		complain("this QEMU's plugin interface (version %d) has no counters of each vCPU; QEMU 9.0 has",
			 info->version.cur);
		return 1;
	}
	config.version = info->version.cur;
	for (i = 0; i < (unsigned int)argc; i++) {
		if (!read_argument(argv[i])) {
			complain("cannot use the argument '%s'", argv[i]);
			return 1;
		}
	}
	nr_vcpus = info->system.smp_vcpus;
	if (nr_vcpus > 1 && config.version < 4) {
		complain("before QEMU 10.0 only guests with one vCPU can be profiled");
		return 1;
	}
	if (!config.path || nr_vcpus > MAX_VCPUS) {
		complain(config.path ? "more than 64 vCPUs" : "out=FILE is missing");
		return 1;
	}
	config.fd = open(config.path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	if (config.fd < 0) {
		complain("%s: %s", config.path, strerror(errno));
		return 1;
	}
	if (!qemu_plugin_register_vcpu_insn_exec_cond_cb || !nr_entries)
		config.follow = 0;
	anchor = qemu_plugin_scoreboard_new(1);
	line_index = calloc(SITE_BUCKETS, sizeof(*line_index));
	node_index = calloc(NODE_BUCKETS, sizeof(*node_index));
	if (!line_index || !node_index)
		return 1;
	header.vcpus = 1;	/* their counts cannot be told apart: see above */
	put(&header, sizeof(header));
	flush();
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
	qemu_plugin_register_atexit_cb(id, on_end, NULL);
	return 0;
}
