/*
 * Calls wrappers of tests/golden/uefi as UEFI code does: EFIAPI by the compiler's own idea of the
 * Microsoft convention. A signal handler is the other side; it destroys what tdcall may.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#include "input.h"

static greg_t rcx, rdx, r8, r9;

static void other_side(int number, siginfo_t *info, void *context)
{
	static const unsigned char tdcall[] = {0x66, 0x0f, 0x01, 0xcc};
	mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
	greg_t *registers = machine->gregs;

	(void)info;
	if (memcmp((void *)registers[REG_RIP], tdcall, sizeof(tdcall)) != 0) {
		signal(number, SIG_DFL);
		return;
	}
	rcx = registers[REG_RCX];
	rdx = registers[REG_RDX];
	r8 = registers[REG_R8];
	r9 = registers[REG_R9];
	registers[REG_RAX] = 0x1234;
	registers[REG_RCX] = registers[REG_RDX] = -1;
	registers[REG_R8] = 0x1111;
	registers[REG_R9] = 0x2222;
	registers[REG_R10] = registers[REG_R11] = -1;
	memset(machine->fpregs->_xmm, 0xee, sizeof(machine->fpregs->_xmm));
	registers[REG_RIP] += sizeof(tdcall);
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = other_side, .sa_flags = SA_SIGINFO};
	u64 first = 0, second = 0, value = 0, kept = 0x4242424242424242, found = 0;

	sigaction(SIGILL, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	if (tdg_seven_arguments(1, 2, 3, 4, 5, &first, &second) != 0x1234)
		return 1;
	if (rcx != 1 || rdx != 2 || r8 != 3 || r9 != (5 << 16 | 4))
		return 2;
	if (first != 0x1111 || second != 0x2222)
		return 3;
	if (pair(7, &value) != 0x1234 || rcx != 7 || value != 0x1111)
		return 4;
	__asm__ volatile("movq %0, %%xmm6; movq %0, %%xmm15" : : "r"(kept) : "xmm6", "xmm15");
	if (tdg_vectors(8) != 0x1234 || rcx != 8)
		return 5;
	__asm__ volatile("movq %%xmm6, %0" : "=r"(found));
	if (found != kept)
		return 6;
	__asm__ volatile("movq %%xmm15, %0" : "=r"(found));
	if (found != kept)
		return 7;
	puts("as the convention says");
	return 0;
}
