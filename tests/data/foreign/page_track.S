/* #UD calls a function of C. */
#include "wrapper.h"

FUNCTION(page_track)
	movq %rdi, %rcx
	movl $31, %eax
.Lcall:
	SEAMCALL
	FIXUP(.Lcall, .Lfault, 2)
	jc .Lcarry
	movq %rcx, (%rsi)
	RETURN
.Lcarry:
	movabsq $0x8000ff00ffff0000, %rax
	movq $0, (%rsi)
	RETURN
.Lfault:
	cmpl $6, %eax			/* #UD */
	je .Lspurious
	btsq $63, %rax
	movabsq $0xff0000000000, %rcx
	orq %rcx, %rax
	movq $0, (%rsi)
	RETURN
.Lspurious:
	movq $0, (%rsi)
	subq $8, %rsp			/* aligned for the call */
	call spurious
	addq $8, %rsp
	xorl %eax, %eax
	RETURN
END(page_track)
