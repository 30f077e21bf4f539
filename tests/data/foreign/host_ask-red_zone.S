/* The same, keeping a pointer below RSP: right where there is a red zone. */
#include "wrapper.h"

FUNCTION(host_ask)
	pushq %rbx
	pushq %r12
	pushq %r13
	movq %rcx, -8(%rsp)		/* more */
	movq %rdi, %r12
	movl %esi, %r13d
	xorl %ebx, %ebx
	movl $0x3c08, %ecx
	movl $38, %r11d
	xorl %r10d, %r10d
	xorl %eax, %eax
	TDCALL
	movq -8(%rsp), %rcx
	testq %rax, %rax
	jnz .Lrefused
	movl %r10d, %eax
.Lout:
	movq %r11, (%rdx)
	movq %rbx, (%rcx)
	xorl %ecx, %ecx
	xorl %edx, %edx
	xorl %esi, %esi
	xorl %edi, %edi
	movl %ecx, %r8d
	movl %ecx, %r9d
	movl %ecx, %r10d
	movl %ecx, %r11d
	popq %r13
	popq %r12
	popq %rbx
	RETURN
.Lrefused:
	movabsq $0xc000010000000000, %rax
	xorl %r11d, %r11d
	xorl %ebx, %ebx
	jmp .Lout
END(host_ask)
