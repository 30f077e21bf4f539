/* Goes on where an interrupted attempt stopped, up to five times. */
#include "wrapper.h"

FUNCTION(list_export)
	pushq %rbx
	pushq %rbp
	pushq %r12
	movq %rdx, %rbx			/* pages */
	movq (%rdi), %rcx
	xorl %r12d, %r12d		/* bit 63: resumed */
	xorl %ebp, %ebp			/* resumptions */
.Lattempt:
	movl $34, %eax
	movq %rsi, %rdx
	movq %r12, %r10
.Lcall:
	SEAMCALL
	FIXUP(.Lcall, .Lfault, 2)
	jc .Lcarry
	movq %rax, %r8
	shrq $32, %r8
	movl $0x80000003, %r9d
	cmpq %r9, %r8
	jne .Ldone
	cmpl $5, %ebp
	jae .Ldone
	incl %ebp
	btsq $63, %r12
	jmp .Lattempt
.Ldone:
	movq %rcx, (%rdi)
	shrq $30, %r8			/* bits 63:62 of the status: 0 is success */
	jz .Lpages
	xorl %edx, %edx
.Lpages:
	movq %rdx, (%rbx)
.Lout:
	popq %r12
	popq %rbp
	popq %rbx
	RETURN
.Lcarry:
	movabsq $0x8000ff00ffff0000, %rax
	jmp .Lnothing
.Lfault:
	movabsq $0x8000ff0000000000, %rcx
	orq %rcx, %rax
.Lnothing:
	movq $0, (%rbx)
	jmp .Lout
END(list_export)
