/*
 * module_thunk calls module_callee with the arguments it was called with. Before, it puts known
 * values into all registers that carry no argument and into the bits above the arguments' types;
 * after, it notes what became of the registers that a function preserves.
 */

#ifdef __KERNEL__
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/nospec-branch.h>
#else
#define RET ret
	.macro ANNOTATE_RETPOLINE_SAFE	/* the call that follows is meant to be indirect */
	.endm
	.macro ANNOTATE_NOENDBR		/* no indirect branch leads here */
	.endm
#endif

	.macro store_saved array
	movq %rbx, \array+0(%rip)
	movq %rbp, \array+8(%rip)
	movq %r12, \array+16(%rip)
	movq %r13, \array+24(%rip)
	movq %r14, \array+32(%rip)
	movq %r15, \array+40(%rip)
	.endm

	.macro load_saved array
	movq \array+0(%rip), %rbx
	movq \array+8(%rip), %rbp
	movq \array+16(%rip), %r12
	movq \array+24(%rip), %r13
	movq \array+32(%rip), %r14
	movq \array+40(%rip), %r15
	.endm

	.macro load_flags		/* of what a caller may have: the direction flag is clear */
	pushq module_flags(%rip)
	popfq
	.endm

	.macro dirty register, index
	andq module_keep+8*\index(%rip), %\register
	orq module_dirt+8*\index(%rip), %\register
	.endm

	.macro variable name, words
	.globl \name
	.hidden \name
\name:	.skip 8*\words
	.endm

	.text
	.globl module_thunk
	.type module_thunk, @function
module_thunk:
	popq module_return(%rip)	/* so that the arguments on the stack stay where they are */
	store_saved module_caller
	dirty rdi, 0
	dirty rsi, 1
	dirty rdx, 2
	dirty rcx, 3
	dirty r8, 4
	dirty r9, 5
	xorl %eax, %eax
	leaq module_keep+8*6(%rip), %r10
	leaq module_dirt+8*6(%rip), %r11
1:	cmpq module_stack_slots(%rip), %rax
	jae 2f
	movq (%rsp,%rax,8), %rbx
	andq (%r10,%rax,8), %rbx
	orq (%r11,%rax,8), %rbx
	movq %rbx, (%rsp,%rax,8)
	incq %rax
	jmp 1b
2:	load_saved module_entry
	movq module_entry+48(%rip), %rax
	movq module_entry+56(%rip), %r10
	movq module_entry+64(%rip), %r11
	load_flags
	movq %rsp, module_rsp(%rip)
	ANNOTATE_RETPOLINE_SAFE
	call *module_callee(%rip)
	movq %rsp, module_rsp_after(%rip)
	movq module_rsp(%rip), %rsp
	pushfq
	popq module_flags_after(%rip)
	load_flags
	store_saved module_after
	load_saved module_caller
	cmpq $0, module_may_return(%rip)
	je module_returned_anyway
	pushq module_return(%rip)
	RET
	.size module_thunk, . - module_thunk

	.globl module_returned_anyway
	.hidden module_returned_anyway
module_returned_anyway:
	ANNOTATE_NOENDBR
	ud2

/* module_enter(function, argument) calls the function, which returns or goes on at module_abandon. */
	.globl module_enter
	.hidden module_enter
	.type module_enter, @function
module_enter:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	subq $8, %rsp
	movq %rsp, module_stack(%rip)
	movq %rdi, %rax
	movq %rsi, %rdi
	ANNOTATE_RETPOLINE_SAFE
	call *%rax
	.globl module_abandon
	.hidden module_abandon
module_abandon:
	ANNOTATE_NOENDBR
	movq module_stack(%rip), %rsp
	load_flags
	addq $8, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	RET
	.size module_enter, . - module_enter

#ifndef __KERNEL__
/* What the kernel's functions return through. */
	.globl __x86_return_thunk
	.type __x86_return_thunk, @function
__x86_return_thunk:
	ret
	int3
	.size __x86_return_thunk, . - __x86_return_thunk
#endif

	.bss
	.balign 8
	variable module_caller, 6	/* rbx, rbp, r12 to r15 */
	variable module_after, 6
	variable module_entry, 9	/* the same, then rax, r10, r11 */
	variable module_flags, 1
	variable module_flags_after, 1
	variable module_return, 1
	variable module_rsp, 1
	variable module_rsp_after, 1
	variable module_callee, 1
	variable module_stack, 1
	variable module_may_return, 1
	variable module_stack_slots, 1
	variable module_keep, 64	/* of each argument, the bits to keep and the bits to set */
	variable module_dirt, 64

	.section .note.GNU-stack, "", @progbits
