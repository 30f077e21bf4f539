/* As linkage.h, for functions that are called through pointers. */
#define SYM_TYPED_START(name, linkage, align)	\
	linkage(name); align; .byte 0xb8; .long __kcfi_typeid_##name; name:
#define SYM_TYPED_FUNC_START(name)		\
	SYM_TYPED_START(name, SYM_L_GLOBAL, SYM_A_ALIGN) ENDBR
