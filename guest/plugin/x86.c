// SPDX-License-Identifier: GPL-2.0
/*
 * A reader of prefixes and opcodes, no more: 64-bit mode, legacy and REX
 * prefixes, the one- and two-byte maps, a little of 0f 38. VEX and EVEX
 * instructions have class 0: the kernel hardly has any.
 */
#include "x86.h"

#include <string.h>

struct prefixes {
	bool lock, rep, operand16, rex_w;
};

static const uint8_t *skip_prefixes(const uint8_t *at, const uint8_t *end,
				    struct prefixes *p)
{
	for (; at < end; at++) {
		switch (*at) {
		case 0xf0:
			p->lock = true;
			break;
		case 0xf2: case 0xf3:
			p->rep = true;
			break;
		case 0x66:
			p->operand16 = true;
			break;
		case 0x26: case 0x2e: case 0x36: case 0x3e:
		case 0x64: case 0x65: case 0x67:
			break;
		default:
			if ((*at & 0xf0) == 0x40) {
				p->rex_w = *at & 8;
				at++;
			}
			return at;
		}
	}
	return at;
}

static uint32_t string_class(uint8_t opcode, const struct prefixes *p)
{
	uint32_t width = !(opcode & 1) ? 0 : p->rex_w ? 3 : p->operand16 ? 1 : 2;

	return p->rep ? X86_REP | width << X86_WIDTH : 0;
}

static uint32_t two_byte_class(const uint8_t *at, const uint8_t *end)
{
	uint8_t opcode, modrm, reg;

	if (at >= end)
		return 0;
	opcode = at[0];
	modrm = at + 1 < end ? at[1] : 0;
	reg = modrm >> 3 & 7;
	switch (opcode) {
	case 0x01:	/* a memory operand and /7; swapgs is a register form of it */
		return reg == 7 && modrm >> 6 != 3 ? X86_TLB : 0;
	case 0x07: case 0x35:
		return X86_IRET;
	case 0x22:
		return reg == 3 ? X86_TLB : 0;
	case 0x30:
		return X86_MSR;
	case 0x38:
		return modrm == 0x82 ? X86_TLB : 0;
	case 0x80 ... 0x8f:
		return X86_JCC;
	case 0xae:
		return modrm >> 6 == 3 && reg >= 5 ? X86_FENCE : 0;
	}
	return 0;
}

static uint32_t one_byte_class(const uint8_t *at, const uint8_t *end,
			       const struct prefixes *p)
{
	uint8_t modrm = at + 1 < end ? at[1] : 0;

	switch (at[0]) {
	case 0x0f:
		return two_byte_class(at + 1, end);
	case 0x70 ... 0x7f: case 0xe0 ... 0xe3:
		return X86_JCC;
	case 0x86: case 0x87:
		return modrm >> 6 != 3 ? X86_LOCKED : 0;
	case 0x9d: case 0xfa: case 0xfb:
		return X86_IRQFLAG;
	case 0xa4 ... 0xa7: case 0xaa ... 0xaf:
		return string_class(at[0], p);
	case 0xc2: case 0xc3:
		return X86_RET;
	case 0xcf:
		return X86_IRET;
	case 0xe4 ... 0xe7: case 0xec ... 0xef:
		return X86_IO;
	case 0xe8:
		return X86_CALL;
	case 0xe9: case 0xeb:
		return X86_JMP;
	case 0xff:
		switch (modrm >> 3 & 7) {
		case 2:
			return X86_CALL | X86_INDIRECT;
		case 4:
			return X86_JMP | X86_INDIRECT;
		}
	}
	return 0;
}

/*
 * Who reads memory (R) and who writes it (W). By its operand, where that is in
 * memory; by its opcode, whatever the operand is (the stack, a string). Opcodes
 * that the middle bits of modrm tell apart are in group_access().
 */
#define R	X86_LOAD
#define W	X86_STORE

static const uint16_t operand_access[256] = {
	[0x00 ... 0x01] = R | W, [0x02 ... 0x03] = R, [0x08 ... 0x09] = R | W, [0x0a ... 0x0b] = R,
	[0x10 ... 0x11] = R | W, [0x12 ... 0x13] = R, [0x18 ... 0x19] = R | W, [0x1a ... 0x1b] = R,
	[0x20 ... 0x21] = R | W, [0x22 ... 0x23] = R, [0x28 ... 0x29] = R | W, [0x2a ... 0x2b] = R,
	[0x30 ... 0x31] = R | W, [0x32 ... 0x33] = R, [0x38 ... 0x3b] = R,
	[0x63] = R, [0x69] = R, [0x6b] = R, [0x84 ... 0x85] = R, [0x86 ... 0x87] = R | W,
	[0x88 ... 0x89] = W, [0x8a ... 0x8b] = R, [0x8c] = W, [0x8e] = R, [0x8f] = W,
	[0xc0 ... 0xc1] = R | W, [0xc6 ... 0xc7] = W, [0xd0 ... 0xd3] = R | W, [0xfe] = R | W,
};

static const uint16_t opcode_access[256] = {
	[0x50 ... 0x57] = W, [0x58 ... 0x5f] = R, [0x68] = W, [0x6a] = W,
	[0x6c ... 0x6d] = W, [0x6e ... 0x6f] = R, [0x8f] = R, [0x9c] = W, [0x9d] = R,
	[0xa0 ... 0xa1] = R, [0xa2 ... 0xa3] = W, [0xa4 ... 0xa5] = R | W, [0xa6 ... 0xa7] = R,
	[0xaa ... 0xab] = W, [0xac ... 0xaf] = R, [0xc2 ... 0xc3] = R, [0xc8] = W, [0xc9] = R,
	[0xcf] = R, [0xe8] = W,
};

/* After 0f. Prefetches and nops have operands in memory that they do not touch. */
static const uint16_t operand_access_0f[256] = {
	[0x02 ... 0x03] = R, [0x10] = R, [0x11] = W, [0x12] = R, [0x13] = W, [0x14 ... 0x16] = R,
	[0x17] = W, [0x28] = R, [0x29] = W, [0x2a] = R, [0x2b] = W, [0x2c ... 0x2f] = R,
	[0x40 ... 0x7d] = R, [0x7e ... 0x7f] = W, [0x90 ... 0x9f] = W, [0xa3] = R,
	[0xa4 ... 0xa5] = R | W, [0xab ... 0xad] = R | W, [0xaf] = R, [0xb0 ... 0xb1] = R | W,
	[0xb2] = R, [0xb3] = R | W, [0xb4 ... 0xb8] = R, [0xbb] = R | W, [0xbc ... 0xbf] = R,
	[0xc0 ... 0xc1] = R | W, [0xc2] = R, [0xc3] = W, [0xc4 ... 0xc6] = R, [0xd0 ... 0xd5] = R,
	[0xd6] = W, [0xd7 ... 0xe6] = R, [0xe7] = W, [0xe8 ... 0xfe] = R,
};

static uint32_t group_access(uint8_t opcode, uint8_t reg, bool memory)
{
	switch (opcode) {
	case 0x80 ... 0x83:	/* the last is a comparison */
		return !memory ? 0 : reg == 7 ? R : R | W;
	case 0xf6 ... 0xf7:	/* not and neg among tests, products and divisions */
		return !memory ? 0 : reg == 2 || reg == 3 ? R | W : R;
	}
	switch (reg) {		/* ff */
	case 0: case 1:
		return memory ? R | W : 0;
	case 2: case 6:		/* call, push */
		return memory ? R | W : W;
	case 4:
		return memory ? R : 0;
	}
	return 0;
}

static uint32_t access_0f(const uint8_t *at, const uint8_t *end)
{
	uint8_t modrm, reg;
	bool memory;

	if (at >= end)
		return 0;
	modrm = at + 1 < end ? at[1] : 0xc0;
	reg = modrm >> 3 & 7;
	memory = modrm >> 6 != 3;
	switch (at[0]) {
	case 0x01:	/* sgdt, sidt; lgdt, lidt; smsw, lmsw */
		return !memory ? 0 : reg < 2 || reg == 4 ? W : reg == 7 ? 0 : R;
	case 0x38:	/* its operand is behind one more byte; f1 is movbe to memory */
		memory = at + 2 < end && at[2] >> 6 != 3;
		return !memory ? 0 : modrm == 0xf1 ? W : R;
	case 0xa0: case 0xa8:
		return W;
	case 0xa1: case 0xa9:
		return R;
	case 0xae:	/* fxsave and the like; clflush does neither */
		return !memory || reg == 7 ? 0 : reg == 1 || reg == 2 || reg == 5 ? R : W;
	case 0xba:
		return !memory ? 0 : reg == 4 ? R : R | W;
	case 0xc7:	/* cmpxchg16b, xrstors; xsavec, xsaves */
		return !memory ? 0 : reg == 1 ? R | W : reg == 3 ? R : W;
	}
	return memory ? operand_access_0f[at[0]] : 0;
}

static uint32_t access_class(const uint8_t *at, const uint8_t *end)
{
	bool memory = at + 1 < end && at[1] >> 6 != 3;

	switch (at[0]) {
	case 0x0f:
		return access_0f(at + 1, end);
	case 0x80 ... 0x83: case 0xf6 ... 0xf7: case 0xff:
		return group_access(at[0], at + 1 < end ? at[1] >> 3 & 7 : 0, memory);
	}
	return opcode_access[at[0]] | (memory ? operand_access[at[0]] : 0);
}

#undef R
#undef W

/*
 * The kernel maps the xAPIC's page at a fixed address among the last 16 MiB, and
 * sends an interrupt by a store of 32 bits to an address in it that is part of
 * the instruction.
 */
static bool sends_interrupt(const uint8_t *at, const uint8_t *end)
{
	uint32_t address;

	if (end - at < 7 || (at[0] != 0x87 && at[0] != 0x89 && at[0] != 0xc7))
		return false;
	if ((at[1] & 0xc7) != 0x04 || at[2] != 0x25)
		return false;
	memcpy(&address, at + 3, sizeof(address));
	return address >= 0xff000000 && (address & 0xfff) == 0x300;
}

uint32_t x86_class(const uint8_t *code, size_t size)
{
	const uint8_t *end = code + size;
	struct prefixes p = { 0 };
	const uint8_t *at = skip_prefixes(code, end, &p);
	uint32_t class;

	if (at >= end)
		return 0;
	class = one_byte_class(at, end, &p) | access_class(at, end);
	if (sends_interrupt(at, end))
		class |= X86_IPI;
	/* Before xbegin's and other uses of f2 and f3 there is no lock. */
	return p.lock ? class | X86_LOCKED : class;
}

static bool plain_two_byte(const uint8_t *at, const uint8_t *end)
{
	if (at >= end)
		return false;
	switch (at[0]) {
	case 0x1f:	/* nop: its operand is not read */
		return true;
	case 0x40 ... 0x4f: case 0x90 ... 0x9f:
	case 0xa3: case 0xab: case 0xb3: case 0xbb: case 0xba:
	case 0xa4: case 0xa5: case 0xac: case 0xad: case 0xaf:
	case 0xb6: case 0xb7: case 0xb8: case 0xbc: case 0xbd: case 0xbe: case 0xbf:
		return at + 1 < end && at[1] >> 6 == 3;
	case 0xc8 ... 0xcf:
		return true;
	}
	return false;
}

bool x86_is_plain(const uint8_t *code, size_t size)
{
	const uint8_t *end = code + size;
	struct prefixes p = { 0 };
	const uint8_t *at = skip_prefixes(code, end, &p);
	bool registers;

	if (at >= end || p.lock)
		return false;
	registers = at + 1 < end && at[1] >> 6 == 3;
	switch (at[0]) {
	case 0x0f:
		return plain_two_byte(at + 1, end);
	case 0x00 ... 0x05: case 0x08 ... 0x0d: case 0x10 ... 0x15: case 0x18 ... 0x1d:
	case 0x20 ... 0x25: case 0x28 ... 0x2d: case 0x30 ... 0x35: case 0x38 ... 0x3d:
		return (at[0] & 7) >= 4 || registers;
	case 0x63: case 0x69: case 0x6b: case 0x80: case 0x81: case 0x83 ... 0x8b:
	case 0xc0: case 0xc1: case 0xc6: case 0xc7: case 0xd0 ... 0xd3:
		return registers;
	case 0xf6: case 0xf7:	/* test, not, neg, mul; a division can fault */
		return registers && (at[1] >> 3 & 7) < 6;
	case 0xfe:
		return registers;
	case 0xff:
		return registers && (at[1] >> 3 & 7) < 2;
	case 0x8d:		/* lea */
	case 0x90 ... 0x99: case 0xa8: case 0xa9: case 0xb0 ... 0xbf:
		return true;
	}
	return false;
}

uint16_t x86_marker(const uint8_t *code, size_t size)
{
	uint32_t disp;

	if (size != 7 || code[0] != 0x0f || code[1] != 0x1f || code[2] != 0x80)
		return 0;
	memcpy(&disp, code + 3, sizeof(disp));
	return disp >> 16 == MARK_MAGIC ? (uint16_t)disp : 0;
}
