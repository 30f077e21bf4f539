/* As linkage.h, for functions that are called through pointers. */
#ifdef CONFIG_CALL_PADDING
#define CFI_PRE_PADDING
#define CFI_POST_PADDING	.skip 11, 0x90;
#else
#define CFI_PRE_PADDING		.skip 11, 0x90;
#define CFI_POST_PADDING
#endif

#ifdef CONFIG_CFI
#define __CFI_TYPE(name)			\
	__cfi_##name: CFI_PRE_PADDING		\
	.byte 0xb8;				\
	.long __kcfi_typeid_##name;		\
	CFI_POST_PADDING			\
	SYM_FUNC_END(__cfi_##name);
#define SYM_TYPED_FUNC_START(name)		\
	SYM_L_GLOBAL(name); SYM_A_ALIGN; __CFI_TYPE(name) name: ENDBR
#else
#define SYM_TYPED_FUNC_START(name)		SYM_START(name, SYM_L_GLOBAL, SYM_F_ALIGN) ENDBR
#endif
