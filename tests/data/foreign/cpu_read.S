/* Returns status and value in RAX and RDX. */
#include "wrapper.h"

FUNCTION(cpu_read)
	movq %rdi, %rcx
	movl $37, %eax
	TDCALL
	movq %r8, %rdx
	RETURN
END(cpu_read)
