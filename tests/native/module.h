/*
 * Plays the other side of the instruction in a program that calls wrappers.
 *
 * SEAMCALL, TDCALL and PVALIDATE raise an exception where there is no module. A handler takes it,
 * records the registers and does what a script says: the call completes, or fails with CF set, or
 * faults. tests/native_program.py writes programs and scripts, and reads what is printed: one JSON
 * object a call.
 *
 * module.c is the part that knows no platform; platform.h is what it has from one. signals.c is
 * that of user space, where the handler is a signal's. tests/kernel/module/traps.c is the kernel's.
 */
#ifndef NATIVE_MODULE_H
#define NATIVE_MODULE_H

#ifdef __KERNEL__
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <linux/types.h>
#else
#include <stddef.h>
#include <stdint.h>
#define ANNOTATE_NOENDBR "" /* no indirect branch leads here */
#define ASM_REACHABLE "" /* after this ud2 it goes on */
#define ASM_RET "ret\n"
#endif

/* Exit codes beside 0, in user space. */
enum {
	MODULE_BAD_SCRIPT = 3,
	MODULE_UNKNOWN_SIGNAL = 4, /* neither the wrapper's instruction nor ud2 */
};

/* A wrapper. */
struct wrapper {
	const char *symbol;
	void (*call)(const uint64_t *slots); /* calls it through its prototype */
	unsigned char code[4];		     /* its instruction */
	int destroys_simd;
	int may_return;
	uint32_t final; /* bit i: it calls program.callees[i] as a function that never returns */
};

/* A function that wrappers call. */
struct callee {
	const char *symbol;
	void (*stub)(void);
};

/* Defines it: the invalid instruction ud2, and a return. */
#define MODULE_STUB(symbol)                                                 \
	void symbol(void);                                                  \
	__asm__(".pushsection .text\n"                                      \
		".globl " #symbol "\n"                                      \
		".type " #symbol ", @function\n"                            \
		#symbol ":\n"                                               \
		ANNOTATE_NOENDBR "\n"                                       \
		"ud2\n"                                                     \
		ASM_REACHABLE                                               \
		ASM_RET                                                     \
		".size " #symbol ", . - " #symbol "\n"                      \
		".popsection\n")

/* A row of the fixup table, relative to each word. */
struct fixup {
	int32_t from, to, type;
};

/* What the generated file says of itself. */
struct program {
	const struct wrapper *wrappers;
	size_t wrapper_count;
	const struct callee *callees;
	size_t callee_count;
	int vectors;  /* wrappers may use vector registers, and align the stack for others */
	int red_zone; /* they may use the 128 bytes below RSP */
};
extern const struct program module_program;

/* Its fixup table, where the platform has none of its own. */
struct fixups {
	const struct fixup *rows, *end;
	int type; /* of rows that put the exception's vector into RAX */
};
extern const struct fixups module_fixups;

/* The caller's memory. Scripts and reports call its first byte DATA_START. */
#define DATA_START ((uint64_t)0x7e0010000000)
enum { DATA_SIZE = 0x10000 };

/* Where an address of the script is; NULL for 0. */
void *module_pointer(uint64_t address);

/* Calls a function through its prototype, by way of module_thunk. */
#define MODULE_CALL(function) \
	(module_callee = (void (*)(void))(function), (__typeof__(&(function)))module_thunk)
extern void (*module_callee)(void) __attribute__((visibility("hidden")));
void module_thunk(void);

/* What the call returned, and where the header has an output. */
void module_status(uint64_t status);
void module_value(const void *value, size_t size);
void module_output(const char *name, const void *place, size_t size);

/* In user space: plays all calls of the script in standard input; returns the exit code. */
int module_main(void);

/*
 * The same in pieces, for those who make the call themselves: reads the script; prepares the next
 * call and returns the index of its wrapper, -1 if there is none; reports the call.
 */
void module_load(void);
int module_begin(void);
void module_end(void);

#endif
