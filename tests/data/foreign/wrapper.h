/*
 * What the wrappers in this folder share. They are for both targets: with LINUX_KERNEL defined for
 * linux-kernel, else for linux-user.
 */
#ifdef LINUX_KERNEL
#define FAULT_TABLE	__ex_table
#define LANDING		endbr64
#define RETURN		jmp __x86_return_thunk; int3
#else
#define FAULT_TABLE	seamir_ex_table
#define LANDING
#define RETURN		ret
#endif

#define FUNCTION(name)	.text; .globl name; .type name, @function; name: LANDING
#define END(name)	.size name, . - name; .section .note.GNU-stack, "", @progbits

#define SEAMCALL	.byte 0x66, 0x0f, 0x01, 0xcf
#define TDCALL		.byte 0x66, 0x0f, 0x01, 0xcc

/* A fault at one label goes on at the other; type 2 puts the vector into RAX. */
#define FIXUP(from, to, type) \
	.pushsection FAULT_TABLE, "a"; \
	.balign 4; \
	.long from - .; \
	.long to - .; \
	.long type; \
	.popsection
