/*
 * The same with all that outlives the call on the stack, and the count taken down between the call
 * and the test of its carry flag, which `dec` leaves alone.
 */
#include "wrapper.h"

FUNCTION(page_remove)
	subq $40, %rsp
	movl %edx, %edx
	orq %rsi, %rdx
	movq %rdx, (%rsp)
	movq %rdi, 8(%rsp)
	movq %rcx, 16(%rsp)
	movq %r8, 24(%rsp)
	movb $10, 32(%rsp)
.Lattempt:
	movq (%rsp), %rcx
	movq 8(%rsp), %rdx
	movl $29, %eax
.Lcall:
	SEAMCALL
	FIXUP(.Lcall, .Lfault, 2)
	decb 32(%rsp)
	jc .Lcarry
	jz .Ldone
	movq %rax, %r11
	sarq $32, %r11
	cmpq $-0x7ffffe00, %r11		/* 0xffffffff80000200 */
	je .Lattempt
.Ldone:
	movq 16(%rsp), %r8
	movq %rcx, (%r8)
	movq 24(%rsp), %r8
	movq %rdx, (%r8)
	addq $40, %rsp
	RETURN
.Lcarry:
	movabsq $0x8000ff00ffff0000, %rax
	jmp .Lnothing
.Lfault:
	movabsq $0x8000ff0000000000, %rcx
	orq %rcx, %rax
.Lnothing:
	xorl %ecx, %ecx
	xorl %edx, %edx
	jmp .Ldone
END(page_remove)
