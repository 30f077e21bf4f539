/* The other side destroys all registers but RSI, RDI and RSP. */
#include "wrapper.h"

FUNCTION(cpu_enter)
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movl %esi, %ebx
	xchgq %rdi, %rdx		/* upper */
	xchgq %rcx, %rdx
	movq %rdx, %rsi			/* byte */
	movl $36, %eax
.Lcall:
	SEAMCALL
	FIXUP(.Lcall, .Lfault, 2)
	jc .Lcarry
	shrq $32, %r12
	movl %r12d, (%rdi)
	movb %bl, (%rsi)
.Lout:
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	RETURN
.Lcarry:
	movabsq $0x8000ff00ffff0000, %rax
	jmp .Lnothing
.Lfault:
	movabsq $0x8000ff0000000000, %rcx
	orq %rcx, %rax
.Lnothing:
	movl $0, (%rdi)
	movb $0, (%rsi)
	jmp .Lout
END(cpu_enter)
