/* The first attempt apart from the others, which wait a little for all caches but 0. */
#include "wrapper.h"

FUNCTION(cache_flush)
	movl $1000, %esi
	movq %rdi, %rcx
	movl $35, %eax
.Lfirst:
	SEAMCALL
	FIXUP(.Lfirst, .Lfault, 2)
	jc .Lcarry
	movq %rax, %rcx
	shrq $32, %rcx
	cmpl $0x80000200, %ecx
	jne .Lout
	testq %rdi, %rdi
	jz .Lagain
	pause
.Lagain:
	subl $1, %esi
	js .Lout
	movq %rdi, %rcx
	movl $35, %eax
.Lcall:
	SEAMCALL
	FIXUP(.Lcall, .Lfault, 2)
	jc .Lcarry
	movl $0x80000200, %edx
	movq %rax, %rcx
	shrq $32, %rcx
	cmpl %edx, %ecx
	je .Lagain
.Lout:
	RETURN
.Lcarry:
	movabsq $0x8000ff00ffff0000, %rax
	RETURN
.Lfault:
	movabsq $0x8000ff0000000000, %rcx
	orq %rcx, %rax
	RETURN
END(cache_flush)
