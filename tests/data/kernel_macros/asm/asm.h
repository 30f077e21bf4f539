/* As linkage.h, for the exception table. */
#define _ASM_EXTABLE_FAULT(from, to)		\
	.pushsection __ex_table, "a";		\
	.balign 4;				\
	.long from - .;				\
	.long to - .;				\
	.long 2;				\
	.popsection
