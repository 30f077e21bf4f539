/* Up to ten attempts. RSI and RDI survive the call, RCX, RDX and R8 to R11 do not. */
#include "wrapper.h"

FUNCTION(page_remove)
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	movl %edx, %ebx			/* what is above the level may be anything */
	orq %rsi, %rbx
	movq %rcx, %r12			/* entry */
	movq %r8, %r13			/* state */
	movl $10, %ebp			/* attempts left */
.Lattempt:
	movq %rbx, %rcx
	movq %rdi, %rdx
	movl $29, %eax
.Lcall:
	SEAMCALL
	FIXUP(.Lcall, .Lfault, 2)
	jc .Lcarry
	movq %rax, %r8
	shrq $32, %r8
	cmpl $0x80000200, %r8d		/* busy, whatever the detail */
	jne .Ldone
	decl %ebp
	jnz .Lattempt
.Ldone:
	movq %rcx, (%r12)
	movq %rdx, (%r13)
.Lout:
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	RETURN
.Lfault:
	movabsq $0x8000ff0000000000, %rcx
	orq %rcx, %rax
	jmp .Lnothing
.Lcarry:
	movabsq $0x8000ff00ffff0000, %rax
.Lnothing:
	movq $0, (%r12)
	movq $0, (%r13)
	jmp .Lout
END(page_remove)
