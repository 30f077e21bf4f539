/* Fills a structure, unless its address is NULL or the call did not complete. */
#include "wrapper.h"

FUNCTION(field_read)
	movq %rdi, %rdx
	movl $33, %eax
.Lcall:
	SEAMCALL
	FIXUP(.Lcall, .Lfault, 2)
	jc .Lcarry
	testq %rsi, %rsi
	jz .Lout
	movb %dh, (%rsi)
	shrq $16, %rdx
	movw %dx, 2(%rsi)
	movq %rax, %rcx
	shrq $62, %rcx			/* 0: success */
	movl $0, %ecx
	cmovzq %r8, %rcx
	movq %rcx, 8(%rsi)
	movl %r9d, 16(%rsi)
.Lout:
	RETURN
.Lcarry:
	movabsq $0x8000ff00ffff0000, %rax
	RETURN
.Lfault:
	movabsq $0x8000ff0000000000, %rcx
	orq %rcx, %rax
	RETURN
END(field_read)
