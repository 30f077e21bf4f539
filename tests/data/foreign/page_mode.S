/* Four narrow parameters: the caller leaves anything above them. */
#include "wrapper.h"

FUNCTION(page_mode)
	movslq %ecx, %r8
	movzbl %sil, %ecx
	shll $8, %ecx
	movzbl %dil, %eax
	orl %eax, %ecx
	movswq %dx, %rdx
	movl $30, %eax
.Lcall:
	SEAMCALL
	FIXUP(.Lcall, .Lfault, 2)
	jc .Lcarry
	RETURN
.Lcarry:
	movabsq $0x8000ff00ffff0000, %rax
	RETURN
.Lfault:
	movabsq $0x8000ff0000000000, %rcx
	addq %rcx, %rax			/* no bits in common */
	RETURN
END(page_mode)
