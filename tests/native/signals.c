/*
 * User space as the platform of module.c: signals are the exceptions, the script comes from
 * standard input and the report goes to standard output.
 */
#define _GNU_SOURCE
#include "platform.h"

#include <signal.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>

enum {
	RED_ZONE = 128,
	PAGE_FAULT = 14,
	ALTERNATE_STACK = 1 << 16,
};

static const int place_of[REGISTERS] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8,	 REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

void module_print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
}

void module_bad_script(const char *what)
{
	fprintf(stderr, "bad script: %s\n", what);
	_exit(MODULE_BAD_SCRIPT);
}

/* -- exceptions */

static void unknown(int number, const siginfo_t *info, const greg_t *registers)
{
	fprintf(stderr, "%s: signal %d (code %d, address %p) at %#llx\n", module_symbol(), number,
		info->si_code, info->si_addr, registers[REG_RIP]);
	_exit(MODULE_UNKNOWN_SIGNAL);
}

/* What a kernel does about a fault: it looks for the instruction in the table. */
static void fault(struct machine *machine)
{
	const struct fixup *row;

	for (row = module_fixups.rows; row < module_fixups.end; row++) {
		if ((uint64_t)&row->from + (uint64_t)row->from != machine->ip)
			continue;
		if (row->type == module_fixups.type)
			machine->registers[0] = machine->vector;
		machine->ip = (uint64_t)&row->to + (uint64_t)row->to;
		return;
	}
	module_escaped(machine->vector);
	machine->ip = (uint64_t)module_abandon;
}

static void on_signal(int number, siginfo_t *info, void *place)
{
	mcontext_t *context = &((ucontext_t *)place)->uc_mcontext;
	greg_t *registers = context->gregs;
	struct machine machine = {
		.ip = (uint64_t)registers[REG_RIP],
		.flags = (uint64_t)registers[REG_EFL],
		.vectors = context->fpregs->_xmm,
		.vectors_size = sizeof(context->fpregs->_xmm),
	};

	if (registers[REG_TRAPNO] == PAGE_FAULT)
		unknown(number, info, registers);
	for (int i = 0; i < REGISTERS; i++)
		machine.registers[i] = (uint64_t)registers[place_of[i]];
	switch (module_stopped(&machine)) {
	case GO_ON:
		break;
	case FAULTS:
		fault(&machine);
		break;
	case ABANDON:
		machine.ip = (uint64_t)module_abandon;
		break;
	case UNKNOWN:
		unknown(number, info, registers);
	}
	if (!module_program.red_zone) /* an interrupt may come at any time */
		module_junk((char *)registers[REG_RSP] - RED_ZONE, RED_ZONE);
	for (int i = 0; i < REGISTERS; i++)
		registers[place_of[i]] = (greg_t)machine.registers[i];
	registers[REG_RIP] = (greg_t)machine.ip;
	registers[REG_EFL] = (greg_t)machine.flags;
}

/* -- the program */

static uint64_t *read_script(size_t *words)
{
	size_t size = 0, room = 1 << 20, got;
	char *bytes = malloc(room);

	while (bytes && (got = fread(bytes + size, 1, room - size, stdin)) > 0) {
		size += got;
		if (size == room)
			bytes = realloc(bytes, room *= 2);
	}
	if (!bytes || size % 8)
		module_bad_script("no whole number of words");
	*words = size / 8;
	return (uint64_t *)(void *)bytes;
}

void module_load(void)
{
	static char stack[ALTERNATE_STACK];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	/* Not blocked while it runs, so that its own mistakes are reported too. */
	struct sigaction action = { .sa_sigaction = on_signal,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	const uint64_t *script;
	size_t words;

	sigaltstack(&alternate, NULL);
	sigaction(SIGILL, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	script = read_script(&words);
	module_prepare(script, words);
}

int module_main(void)
{
	module_load();
	while (module_begin() >= 0) {
		module_run();
		module_end();
	}
	return fflush(stdout) ? 1 : 0;
}
