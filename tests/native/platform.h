/* What module.c has from the platform it runs on, and what it does for it. */
#ifndef NATIVE_PLATFORM_H
#define NATIVE_PLATFORM_H

#ifdef __KERNEL__
#include <linux/kernel.h>
#include <linux/string.h>
#define PRIu64 "llu"
#define PRIx64 "llx"
/* By the kernel's own name of what never returns: objtool knows that. */
#define module_bad_script(what) panic("bad script: %s", what)
#else
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#endif

#include "module.h"

#define HIDDEN __attribute__((visibility("hidden")))

enum { REGISTERS = 16, RSP = 4 };

/* The processor where an exception stopped it. */
struct machine {
	uint64_t registers[REGISTERS]; /* in the order that instructions number them */
	uint64_t ip, flags;
	uint64_t vector; /* of the exception that is to be raised, if one FAULTS */
	void *vectors;	 /* the vector registers */
	size_t vectors_size;
};

/* -- what the platform has */

/* Adds to the report. */
void module_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says what is wrong with the script, and ends. */
#ifndef __KERNEL__
void module_bad_script(const char *what) __attribute__((noreturn));
#endif

/* -- what module.c has */

/* Begins with a script of so many words. */
void module_prepare(const uint64_t *words, size_t count);

/* Makes the call that was begun. */
void module_run(void);

/* What is to become of the processor. */
enum verdict {
	GO_ON,	 /* from `machine`, which was changed */
	FAULTS,	 /* the instruction raises the exception `machine.vector` */
	ABANDON, /* the call: it goes on at module_abandon */
	UNKNOWN, /* not by what the test does */
};

/* For every invalid instruction, and what else the wrapper's instruction may raise. */
enum verdict module_stopped(struct machine *machine);

/* The exception that an attempt raised has no row in the fixup table. */
void module_escaped(uint64_t vector);

/* The wrapper that is being called. */
const char *module_symbol(void);

/* Fills memory with what nobody expects: whole words of 8 bytes. */
void module_junk(void *place, size_t size);

/* In thunk.S: where a call ends that must not go on. */
extern HIDDEN const unsigned char module_abandon[];

#endif
