/* The same with a frame, found again by RSP only, since RBP is gone after the call. */
#include "wrapper.h"

FUNCTION(cpu_enter)
	pushq %rbp
	movq %rsp, %rbp
	subq $48, %rsp
	movq %rbx, -8(%rbp)
	movq %r12, -16(%rbp)
	movq %r13, -24(%rbp)
	movq %r14, -32(%rbp)
	movq %r15, -40(%rbp)
	movq %rdx, -48(%rbp)
	movl %esi, %ebx
	movq %rcx, %rsi
	movq %rdi, %rcx
	movl $36, %eax
.Lcall:
	SEAMCALL
	FIXUP(.Lcall, .Lfault, 2)
	leaq 48(%rsp), %rbp
	jc .Lcarry
	movb %bl, %cl
	shrq $32, %r12
.Lstore:
	movq (%rsp), %rdx
	movl %r12d, (%rdx)
	movb %cl, (%rsi)
	movq -40(%rbp), %r15
	movq -32(%rbp), %r14
	movq -24(%rbp), %r13
	movq -16(%rbp), %r12
	movq -8(%rbp), %rbx
	leave
	RETURN
.Lcarry:
	movabsq $0x8000ff00ffff0000, %rax
	jmp .Lnothing
.Lfault:
	movabsq $0x8000ff0000000000, %rcx
	orq %rcx, %rax
.Lnothing:
	xorl %ecx, %ecx
	xorl %r12d, %r12d
	jmp .Lstore
END(cpu_enter)
