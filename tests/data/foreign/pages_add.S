/* Up to three pages: those past their number are not read. */
#include "wrapper.h"

FUNCTION(pages_add)
	cmpq $3, %rsi
	ja .Lmany
	movq %rdi, %rcx
	movq $-1, %r8
	movq %r8, %r9
	movq %r8, %r10
	testq %rsi, %rsi
	jz .Lload
	movq (%rdx), %r8
	cmpq $2, %rsi
	jb .Lload
	movq 8(%rdx), %r9
	je .Lload
	movq 16(%rdx), %r10
.Lload:
	movl $32, %eax
.Lcall:
	SEAMCALL
	FIXUP(.Lcall, .Lfault, 2)
	jnc .Lout
	movabsq $0x8000ff00ffff0000, %rax
.Lout:
	RETURN
.Lfault:
	movabsq $0x8000ff0000000000, %rcx
	orq %rcx, %rax
	jmp .Lout
.Lmany:
	movabsq $0xc000010000000000, %rax
	jmp .Lout
END(pages_add)
