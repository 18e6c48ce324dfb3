// SPDX-License-Identifier: GPL-2.0
/*
 * race-kvm: memory that a virtual machine inside the guest uses as well.
 *
 * Models: QEMU whose memory is ballooned, collapsed and forked under its
 * vCPUs. The arena is the memory of a small virtual machine; each owner has a
 * vCPU of it, and writes and reads its pages now by loads and stores of its
 * own, now by those of its vCPU, which go through the page tables that KVM
 * keeps: a secondary MMU, which has to be told when an entry goes. Two more
 * vCPUs look at pages of all owners.
 *
 * Shows: a translation of the secondary MMU that stays (a stale page, a page
 * that is not empty after its drop, a lost write), a page table that is freed
 * while KVM looks for the size of a page in it.
 *
 * Cannot show: what an IOMMU that walks the process's own page tables would do.
 * Under emulation it needs QEMU's SVM, which "-cpu max" has.
 */
#include "race.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define GIB		(1UL << 30)
#define ARENA_GPA	GIB	/* where the machine has the arena */
#define ENTRY		3UL	/* present, writable */
#define LARGE_ENTRY	0x83UL
#define LONG_MODE	0x500	/* EFER: LME, LMA */
#define PAGING		0x80000031UL
#define PAE		0x20UL
#define LOOKS		32	/* of a forked child, at as many pages, twice */
#define LOOKERS		2	/* antagonists with a vCPU; they come first */
#define FLAGS		2	/* the bit of RFLAGS that is always set */

/* What the vCPUs run: four stores, or four loads, and back to their owner. */
asm(".pushsection .rodata\n"
    "vcpu_put: mov %rax, (%rsi); mov %rbx, (%r8); mov %rcx, (%r9); mov %rdx, (%r10); hlt\n"
    "vcpu_get: mov (%rsi), %rax; mov (%r8), %rbx; mov (%r9), %rcx; mov (%r10), %rdx; hlt\n"
    "vcpu_end: .popsection");
extern const char vcpu_put[], vcpu_get[], vcpu_end[];

/* The machine's own memory, from its address 0 on. */
struct low_memory {
	char code[PAGE_SIZE];
	uint64_t pml4[PTRS_PER_PTE], pdpt[PTRS_PER_PTE];
	uint64_t low[PTRS_PER_PTE], high[PTRS_PER_PTE];
};

static int vcpu[MAX_THREADS + LOOKERS];
static struct kvm_run *state[MAX_THREADS + LOOKERS];
static _Atomic unsigned long entered;

static void fill_low_memory(struct low_memory *low)
{
	unsigned int i;

	memcpy(low->code, vcpu_put, vcpu_end - vcpu_put);
	low->pml4[0] = offsetof(struct low_memory, pdpt) | ENTRY;
	low->pdpt[0] = offsetof(struct low_memory, low) | ENTRY;
	low->pdpt[ARENA_GPA / GIB] = offsetof(struct low_memory, high) | ENTRY;
	low->low[0] = LARGE_ENTRY;
	for (i = 0; i < arena.size / PMD_SIZE; i++)
		low->high[i] = (ARENA_GPA + i * PMD_SIZE) | LARGE_ENTRY;
}

static bool add_memory(int vm, unsigned int slot, uint64_t gpa, void *at, size_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)at,
	};

	return !ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static bool start_vcpu(int fd, const struct kvm_cpuid2 *cpuid)
{
	struct kvm_segment data = {
		.limit = ~0U, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1,
	};
	struct kvm_segment code = {
		.limit = ~0U, .selector = 8, .type = 11, .present = 1, .l = 1, .s = 1, .g = 1,
	};
	struct kvm_sregs sregs;

	if (ioctl(fd, KVM_SET_CPUID2, cpuid) || ioctl(fd, KVM_GET_SREGS, &sregs))
		return false;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr3 = offsetof(struct low_memory, pml4);
	sregs.cr4 = PAE;
	sregs.cr0 = PAGING;
	sregs.efer = LONG_MODE;
	return !ioctl(fd, KVM_SET_SREGS, &sregs);
}

static const char *setup(void)
{
	static union {
		struct kvm_cpuid2 cpuid;
		char room[sizeof(struct kvm_cpuid2) + 256 * sizeof(struct kvm_cpuid_entry2)];
	} supported = { .cpuid.nent = 256 };
	struct low_memory *low;
	int kvm, vm, size;
	unsigned int i;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return race_skip("/dev/kvm");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vm < 0 || size < 0 || ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &supported.cpuid))
		return race_skip("a virtual machine");
	low = mmap(NULL, sizeof(*low), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (low == MAP_FAILED)
		return race_skip("mmap");
	fill_low_memory(low);
	if (!add_memory(vm, 0, 0, low, sizeof(*low)) ||
	    !add_memory(vm, 1, ARENA_GPA, arena.base, arena.size))
		return race_skip("memory of a virtual machine");
	for (i = 0; i < nr_owners + LOOKERS; i++) {
		vcpu[i] = ioctl(vm, KVM_CREATE_VCPU, i);
		if (vcpu[i] < 0 || !start_vcpu(vcpu[i], &supported.cpuid))
			return race_skip("a vCPU");
		state[i] = mmap(NULL, size, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_POPULATE, vcpu[i], 0);
		if (state[i] == MAP_FAILED)
			return race_skip("mmap of a vCPU");
	}
	return NULL;
}

static bool run_vcpu(struct worker *w, unsigned int page, const char *code,
		     struct kvm_regs *regs)
{
	uint64_t at = ARENA_GPA + page * PAGE_SIZE;
	int err;

	regs->rip = code - vcpu_put;
	regs->rflags = FLAGS;
	regs->rsi = at + slot_offset[0];
	regs->r8 = at + slot_offset[1];
	regs->r9 = at + slot_offset[2];
	regs->r10 = at + slot_offset[3];
	if (ioctl(vcpu[w->nth], KVM_SET_REGS, regs)) {
		race_error("KVM_SET_REGS: %s", strerror(errno));
		return false;
	}
	do {
		err = ioctl(vcpu[w->nth], KVM_RUN, 0);
	} while (err && errno == EINTR);
	if (err) {
		race_error("KVM_RUN at page %u: %s", page, strerror(errno));
		return false;
	}
	if (state[w->nth]->exit_reason != KVM_EXIT_HLT) {
		race_error("a vCPU left with %u at page %u", state[w->nth]->exit_reason, page);
		return false;
	}
	entered++;
	if (ioctl(vcpu[w->nth], KVM_GET_REGS, regs)) {
		race_error("KVM_GET_REGS: %s", strerror(errno));
		return false;
	}
	return true;
}

static unsigned int put_by_vcpu(struct worker *w, unsigned int page,
				const uint64_t value[NSLOTS])
{
	struct kvm_regs regs = {
		.rax = value[0], .rbx = value[1], .rcx = value[2], .rdx = value[3],
	};

	return run_vcpu(w, page, vcpu_put, &regs) ? NSLOTS : 0;
}

static unsigned int get_by_vcpu(struct worker *w, unsigned int page, uint64_t value[NSLOTS])
{
	struct kvm_regs regs = { 0 };

	if (!run_vcpu(w, page, vcpu_get, &regs))
		return 0;
	value[0] = regs.rax;
	value[1] = regs.rbx;
	value[2] = regs.rcx;
	value[3] = regs.rdx;
	return NSLOTS;
}

/* The vCPU has the page in its TLB and in KVM's tables; then it goes. */
static void own(struct worker *w, unsigned int page)
{
	w->doing = "vCPU";
	switch (rnd(w, 4)) {
	case 0:
		page_write(w, page, put_by_vcpu);
		page_check(w, page, get_by_load);
		break;
	case 1:
		page_write(w, page, put_by_store);
		page_check(w, page, get_by_vcpu);
		break;
	case 2:
		page_write(w, page, put_by_vcpu);
		page_drop(w, page);
		page_check(w, page, get_by_vcpu);
		break;
	default:
		page_look(w, rnd(w, arena.pages), get_by_vcpu);
	}
}

static void look(struct worker *w)
{
	w->doing = "look by a vCPU";
	page_look(w, rnd(w, arena.pages), get_by_vcpu);
}

static void drop_some(struct worker *w)
{
	unsigned int page, count;

	w->doing = "MADV_DONTNEED";
	page = rnd_run_in_range(w, &count);
	drop_run(page, count);
}

/* The child's memory is of the moment of the fork: nobody may write to it. */
static void look_twice(struct worker *w)
{
	uint64_t before[LOOKS][NSLOTS], after[NSLOTS];
	unsigned int page[LOOKS], i;

	for (i = 0; i < LOOKS; i++) {
		page[i] = rnd(w, arena.pages);
		page_to_slots(page_at(page[i]), before[i]);
	}
	usleep(1000);
	for (i = 0; i < LOOKS; i++) {
		page_to_slots(page_at(page[i]), after);
		if (memcmp(before[i], after, sizeof(after)))
			race_error("page %u changed in a child that does not write", page[i]);
	}
}

/* All pages become copy-on-write: what the vCPUs may write has to go. */
static void fork_once(struct worker *w)
{
	pid_t pid;

	w->doing = "fork";
	pid = race_fork();
	if (!pid) {
		look_twice(w);
		_exit(0);
	}
	race_wait(pid, 0);
}

/* Both are slow, and all others wait for them: now and then. */
static void disturb(struct worker *w)
{
	switch (rnd(w, 32)) {
	case 0:
		w->doing = "MADV_COLLAPSE";
		/* It may fail for many a reason, and older kernels have none. */
		madvise(page_at(rnd(w, arena.size / PMD_SIZE) * PTRS_PER_PTE), PMD_SIZE,
			MADV_COLLAPSE);
		break;
	case 1:
		fork_once(w);
		break;
	default:
		drop_some(w);
	}
	breathe(w);
}

static void quiesce(void)
{
	if (!entered)
		race_error("no vCPU was entered");
	race_note("vCPUs entered %lu times", entered);
}

const struct race race = {
	.name = "kvm",
	.setup = setup,
	.own = own,
	.antagonists = { look, look, disturb },
	.quiesce = quiesce,
};
