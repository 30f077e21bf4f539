/* The other side changes RAX only, so all else waits where it is; the count is on the stack. */
#include "wrapper.h"

FUNCTION(cache_probe)
	subq $16, %rsp
	movl $3, 8(%rsp)
	movq %rdi, %rcx
.Lattempt:
	movl $39, %eax
.Lcall:
	SEAMCALL
	FIXUP(.Lcall, .Lfault, 2)
	jc .Lcarry
	movq %rax, %rdx
	shrq $32, %rdx
	cmpl $0x80000200, %edx
	jne .Lout
	decl 8(%rsp)
	jnz .Lattempt
.Lout:
	addq $16, %rsp
	RETURN
.Lcarry:
	movabsq $0x8000ff00ffff0000, %rax
	jmp .Lout
.Lfault:
	movabsq $0x8000ff0000000000, %rdx
	orq %rdx, %rax
	jmp .Lout
END(cache_probe)
