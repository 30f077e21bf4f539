/* Up to 1001 attempts, counted down. */
#include "wrapper.h"

FUNCTION(cache_flush)
	movl $1000, %esi
.Lattempt:
	movq %rdi, %rcx
	movl $35, %eax
.Lcall:
	SEAMCALL
	FIXUP(.Lcall, .Lfault, 2)
	jc .Lcarry
	movq %rax, %rcx
	shrq $32, %rcx
	cmpl $0x80000200, %ecx
	jne .Lout
	subl $1, %esi
	jns .Lattempt
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
