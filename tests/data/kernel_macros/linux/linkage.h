/*
 * What the kernel's header of this name means for a .S file, in as few words as a test needs. The
 * configuration of the kernel comes from the command line.
 */
#define SYM_L_GLOBAL(name)			.globl name
#define SYM_A_ALIGN				.balign 16, 0x90
#define SYM_START(name, linkage, align)		linkage(name); align; name:
#define SYM_FUNC_START(name)			SYM_START(name, SYM_L_GLOBAL, SYM_F_ALIGN) ENDBR
#define SYM_FUNC_END(name)			.type name, @function; .size name, . - name

#ifdef CONFIG_CALL_PADDING
#define SYM_F_ALIGN	SYM_A_ALIGN; .skip 16, 0x90
#else
#define SYM_F_ALIGN	SYM_A_ALIGN
#endif

#ifdef CONFIG_X86_KERNEL_IBT
#define ENDBR	endbr64
#else
#define ENDBR
#endif

#if defined(CONFIG_MITIGATION_RETHUNK)
#define RET	jmp __x86_return_thunk
#elif defined(CONFIG_MITIGATION_SLS)
#define RET	ret; int3
#else
#define RET	ret
#endif
