// SPDX-License-Identifier: GPL-2.0
/*
 * A reader of prefixes and opcodes, no more: 64-bit mode, legacy and REX
 * prefixes, the one- and two-byte maps, 0f 38 for invpcid. VEX and EVEX
 * instructions are arithmetic and have class 0.
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

uint32_t x86_class(const uint8_t *code, size_t size)
{
	const uint8_t *end = code + size;
	struct prefixes p = { 0 };
	const uint8_t *at = skip_prefixes(code, end, &p);
	uint32_t class;

	if (at >= end)
		return 0;
	class = one_byte_class(at, end, &p);
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
