/* Lets faults take the wrappers' fault edges, as a kernel does: see docs/cli.md. */
#define _GNU_SOURCE
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

struct fixup {
	int32_t instruction, edge, type;
};
extern const struct fixup __start_seamir_ex_table[], __stop_seamir_ex_table[];

static void take_fault_edge(int number, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	const struct fixup *row = __start_seamir_ex_table;

	(void)info;
	for (; row != __stop_seamir_ex_table; row++) {
		if ((intptr_t)&row->instruction + row->instruction != registers[REG_RIP])
			continue;
		if (row->type == 2)
			registers[REG_RAX] = registers[REG_TRAPNO];
		registers[REG_RIP] = (intptr_t)&row->edge + row->edge;
		return;
	}
	signal(number, SIG_DFL); /* not of a wrapper: the same fault again ends the program */
}

int catch_faults(void)
{
	struct sigaction action = {.sa_sigaction = take_fault_edge, .sa_flags = SA_SIGINFO};

	if (sigaction(SIGILL, &action, NULL) || sigaction(SIGBUS, &action, NULL))
		return -1;
	return sigaction(SIGSEGV, &action, NULL);
}
