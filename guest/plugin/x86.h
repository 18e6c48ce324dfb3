/* SPDX-License-Identifier: GPL-2.0 */
/* What kind of x86-64 instruction some bytes are, as far as a profile cares. */
#ifndef PLUGIN_X86_H
#define PLUGIN_X86_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bits of a class; the Python side (harness/measure/profiles/format.py) has the same. */
#define X86_CALL	0x0001u		/* call, direct or not */
#define X86_RET		0x0002u		/* near return */
#define X86_JMP		0x0004u		/* unconditional */
#define X86_JCC		0x0008u		/* conditional, loop and jrcxz too */
#define X86_INDIRECT	0x0010u		/* of a call or jump: through register or memory */
#define X86_LOCKED	0x0020u		/* lock prefix, or xchg with memory */
#define X86_REP		0x0040u		/* string instruction with rep */
#define X86_TLB		0x0080u		/* invlpg, invpcid, a write of CR3 */
#define X86_MSR		0x0100u		/* wrmsr: how an x2APIC sends interrupts */
#define X86_FENCE	0x0200u		/* lfence, mfence, sfence */
#define X86_IRET	0x0400u		/* iret, sysret, sysexit: leaves a kernel entry */
#define X86_IO		0x0800u		/* in, out */
#define X86_IRQFLAG	0x1000u		/* cli, sti, popf */
#define X86_LOAD	0x2000u		/* reads memory, the stack too */
#define X86_STORE	0x4000u		/* writes memory */
#define X86_IPI		0x8000u		/* writes the xAPIC's interrupt command register */
#define X86_WIDTH	16		/* shift: log2 of the bytes of a string element */

uint32_t x86_class(const uint8_t *code, size_t size);

/*
 * Whether the instruction certainly neither touches memory nor leaves the
 * straight line, so that the next one is executed as often as it is. False for
 * what is not known.
 */
bool x86_is_plain(const uint8_t *code, size_t size);

/*
 * A marker is `nopl disp32(%rax)`, seven bytes that do nothing, with
 * MARK_MAGIC in the upper half of the displacement.
 */
#define MARK_MAGIC	0x6b7eu
enum mark { MARK_SERIES = 1, MARK_WARM, MARK_BEGIN, MARK_END };

/* 0: no marker; else the lower half of the displacement. */
uint16_t x86_marker(const uint8_t *code, size_t size);

#endif
