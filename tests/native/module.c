#define _GNU_SOURCE
#include "module.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum {
	REGISTERS = 16,
	ATTEMPTS = 4096,
	SLOTS = 64,
	REGIONS = 64,
	OUTPUTS = 64,
	CALLED = 8,
	PROBLEMS = 8,
	ARGUMENT_REGISTERS = 6,
	SAVED = 6, /* rbx, rbp, r12 to r15 */
	RED_ZONE = 128,
	CALL_LENGTH = 4, /* bytes of the instruction */
	UD2_LENGTH = 2,
	CARRY_FLAG = 1 << 0,
	DIRECTION_FLAG = 1 << 10,
	STATUS_FLAGS = 0x8D5,	/* CF, PF, AF, ZF, SF, OF */
	FLAGS_AT_ENTRY = 0x202, /* interrupts on, and the bit that is always 1 */
	PAGE_FAULT = 14,
	ALTERNATE_STACK = 1 << 16,
};

/* How an attempt ends, and what that does to CF. */
enum outcome { COMPLETED, CARRY, FAULT };
enum carry { CLEAR, SET, ANY };

static const int place_of[REGISTERS] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8,	 REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};
static const uint16_t caller_saved = 0x0FC7; /* rax, rcx, rdx, rsi, rdi, r8 to r11 */

/* A range of the caller's memory. */
struct region {
	uint64_t address, size;
};

struct output {
	const char *name;
	uint64_t address;
	size_t size;
};

/* The call under way, and what was seen of it. */
static struct call {
	const struct wrapper *wrapper;
	uint64_t slots[SLOTS];
	struct region regions[REGIONS];
	size_t region_count;
	size_t outcome_count, next_call; /* in the script */
	size_t attempt_count, called_count, output_count, problem_count;
	int returned, trapped, escaped, stored_early;
	uint64_t status, vector, value;
	size_t value_size;
	const char *called[CALLED];
	struct output outputs[OUTPUTS];
	char problems[PROBLEMS][160];
} now;

static uint64_t attempts[ATTEMPTS][REGISTERS];
static unsigned char data[DATA_SIZE] __attribute__((aligned(64)));
static unsigned char expected[DATA_SIZE]; /* what it holds if the wrapper stores nothing */
static sigjmp_buf abandoned;

/* -- of thunk.S */

#define HIDDEN __attribute__((visibility("hidden")))

extern HIDDEN uint64_t module_after[SAVED], module_entry[SAVED + 3], module_flags;
extern HIDDEN uint64_t module_rsp, module_rsp_after, module_flags_after;
extern HIDDEN uint64_t module_may_return, module_stack_slots, module_keep[SLOTS], module_dirt[SLOTS];
extern HIDDEN const unsigned char module_returned_anyway[];

/* -- when something is wrong: with the wrapper, or with the test */

static void problem(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void problem(const char *format, ...)
{
	va_list arguments;

	if (now.problem_count == PROBLEMS)
		return;
	va_start(arguments, format);
	vsnprintf(now.problems[now.problem_count++], sizeof(now.problems[0]), format, arguments);
	va_end(arguments);
}

static void bad_script(const char *what)
{
	fprintf(stderr, "bad script: %s\n", what);
	_exit(MODULE_BAD_SCRIPT);
}

/* -- junk, for all that the script leaves open (xorshift64*) */

static uint64_t junk_state = 1;

static uint64_t junk(void)
{
	junk_state ^= junk_state >> 12;
	junk_state ^= junk_state << 25;
	junk_state ^= junk_state >> 27;
	return junk_state * 0x2545F4914F6CDD1DULL;
}

static void junk_words(void *place, size_t size)
{
	for (size_t done = 0; done < size; done += sizeof(uint64_t)) {
		uint64_t word = junk();

		memcpy((char *)place + done, &word, sizeof(word));
	}
}

/* -- the script: 64-bit words */

static const uint64_t *script;
static size_t script_length, script_position;

static uint64_t next(void)
{
	if (script_position == script_length)
		bad_script("it ends too soon");
	return script[script_position++];
}

static size_t next_below(size_t limit, const char *what)
{
	uint64_t word = next();

	if (word >= limit)
		bad_script(what);
	return word;
}

/* Puts bytes, whole words of the script, into the caller's memory; returns where. */
static struct region next_bytes(void)
{
	struct region region;
	uint64_t words, offset;

	region.address = next();
	region.size = next();
	words = (region.size + 7) / 8;
	offset = region.address - DATA_START;
	if (offset > DATA_SIZE || region.size > DATA_SIZE - offset ||
	    words > script_length - script_position)
		bad_script("memory that is not the caller's");
	memcpy(data + offset, script + script_position, region.size);
	memcpy(expected + offset, script + script_position, region.size);
	script_position += words;
	return region;
}

static void read_script(void)
{
	size_t size = 0, room = 1 << 20, got;
	char *bytes = malloc(room);

	while (bytes && (got = fread(bytes + size, 1, room - size, stdin)) > 0) {
		size += got;
		if (size == room)
			bytes = realloc(bytes, room *= 2);
	}
	if (!bytes || size % 8)
		bad_script("no whole number of words");
	script = (const uint64_t *)(const void *)bytes;
	script_length = size / 8;
	script_position = 0;
}

/* -- what the other side does */

static void set_flags(greg_t *registers, enum carry carry)
{
	uint64_t flags = junk() & STATUS_FLAGS;

	if (carry != ANY)
		flags = (flags & ~(uint64_t)CARRY_FLAG) | (carry == SET ? CARRY_FLAG : 0);
	registers[REG_EFL] = (greg_t)(((uint64_t)registers[REG_EFL] & ~(uint64_t)STATUS_FLAGS) | flags);
}

static void destroy(ucontext_t *context, uint16_t set, int vectors)
{
	mcontext_t *machine = &context->uc_mcontext;

	for (int i = 0; i < REGISTERS; i++)
		if (set >> i & 1)
			machine->gregs[place_of[i]] = (greg_t)junk();
	if (vectors && module_program.vectors)
		junk_words(machine->fpregs->_xmm, sizeof(machine->fpregs->_xmm));
}

/* What a kernel does about a fault: it looks for the instruction in the table. */
static void fault(greg_t *registers, uint64_t vector)
{
	const struct fixup *row;
	greg_t at = registers[REG_RIP];

	for (row = module_program.fixups; row < module_program.fixups_end; row++) {
		if ((greg_t)&row->from + row->from != at)
			continue;
		if (row->type == module_program.fixup_type)
			registers[REG_RAX] = (greg_t)vector;
		registers[REG_RIP] = (greg_t)&row->to + row->to;
		return;
	}
	now.escaped = 1;
	now.vector = vector;
	siglongjmp(abandoned, 1);
}

static void attempt(ucontext_t *context)
{
	greg_t *registers = context->uc_mcontext.gregs;
	uint64_t vector, named;
	enum outcome outcome;
	enum carry carry;

	if (now.attempt_count == now.outcome_count) {
		problem("more than %zu attempts", now.outcome_count);
		siglongjmp(abandoned, 1);
	}
	for (int i = 0; i < REGISTERS; i++)
		attempts[now.attempt_count][i] = (uint64_t)registers[place_of[i]];
	now.attempt_count++;
	now.stored_early |= memcmp(data, expected, DATA_SIZE) != 0;
	if (!module_program.red_zone) /* an interrupt may come at any time */
		junk_words((char *)registers[REG_RSP] - RED_ZONE, RED_ZONE);
	outcome = (enum outcome)next_below(FAULT + 1, "an outcome");
	vector = next();
	carry = (enum carry)next_below(ANY + 1, "what becomes of CF");
	destroy(context, (uint16_t)next(), now.wrapper->destroys_simd && outcome != FAULT);
	named = next();
	for (int i = 0; i < REGISTERS; i++)
		if (named >> i & 1)
			registers[place_of[i]] = (greg_t)next();
	for (size_t writes = next(); writes; writes--)
		next_bytes();
	if (outcome == FAULT) {
		fault(registers, vector);
		return;
	}
	set_flags(registers, carry);
	registers[REG_RIP] += CALL_LENGTH;
}

/* A function of somebody else: it keeps the calling convention and nothing more. */
static void call_stub(ucontext_t *context, size_t index)
{
	greg_t *registers = context->uc_mcontext.gregs;
	const char *symbol = module_program.callees[index].symbol;

	if (now.called_count < CALLED)
		now.called[now.called_count++] = symbol;
	if (module_program.vectors && registers[REG_RSP] % 16 != 8)
		problem("the stack is not aligned at the call of %s", symbol);
	if (registers[REG_EFL] & DIRECTION_FLAG)
		problem("the direction flag is set at the call of %s", symbol);
	if (now.wrapper->final >> index & 1) {
		now.trapped = 1;
		siglongjmp(abandoned, 1);
	}
	destroy(context, caller_saved, 1);
	set_flags(registers, ANY);
	registers[REG_RIP] += UD2_LENGTH;
}

static void unknown(int number, const siginfo_t *info, const ucontext_t *context)
{
	const char *symbol = now.wrapper ? now.wrapper->symbol : "no wrapper";

	fprintf(stderr, "%s: signal %d (code %d, address %p) at %#llx\n", symbol, number, info->si_code,
		info->si_addr, context->uc_mcontext.gregs[REG_RIP]);
	_exit(MODULE_UNKNOWN_SIGNAL);
}

static void on_signal(int number, siginfo_t *info, void *place)
{
	ucontext_t *context = place;
	const unsigned char *at = (const unsigned char *)context->uc_mcontext.gregs[REG_RIP];

	if (!now.wrapper || context->uc_mcontext.gregs[REG_TRAPNO] == PAGE_FAULT)
		unknown(number, info, context);
	if (!memcmp(at, now.wrapper->code, CALL_LENGTH)) {
		attempt(context);
		return;
	}
	for (size_t i = 0; i < module_program.callee_count; i++) {
		if (at == (const unsigned char *)module_program.callees[i].stub) {
			call_stub(context, i);
			return;
		}
	}
	if (at[0] != 0x0F || at[1] != 0x0B)
		unknown(number, info, context);
	if (at == module_returned_anyway)
		problem("it returned and must not");
	else
		now.trapped = 1;
	siglongjmp(abandoned, 1);
}

/* -- for the calling functions */

void *module_pointer(uint64_t address)
{
	return address ? data + (address - DATA_START) : NULL;
}

void module_status(uint64_t status)
{
	now.returned = 1;
	now.status = status;
}

void module_value(const void *value, size_t size)
{
	memcpy(&now.value, value, size);
	now.value_size = size;
}

void module_output(const char *name, const void *place, size_t size)
{
	uint64_t address = DATA_START + (uint64_t)((const unsigned char *)place - data);

	now.outputs[now.output_count++] = (struct output){ name, address, size };
}

/* -- the report */

static void print_memory(void)
{
	const char *separator = "";

	printf("\"regions\":[");
	for (size_t i = 0; i < now.region_count; i++) {
		const struct region *region = &now.regions[i];

		printf("%s[%lu,\"", separator, region->address);
		for (uint64_t j = 0; j < region->size; j++)
			printf("%02x", data[region->address - DATA_START + j]);
		printf("\"]");
		separator = ",";
	}
	printf("],\"changed\":[");
	separator = "";
	for (size_t i = 0; i < DATA_SIZE; i++) {
		if (data[i] == expected[i])
			continue;
		printf("%s[%zu,%u]", separator, DATA_START + i, data[i]);
		data[i] = expected[i];
		separator = ",";
	}
	printf("]");
}

static void print_attempts(void)
{
	printf("\"attempts\":[");
	for (size_t i = 0; i < now.attempt_count; i++) {
		for (int j = 0; j < REGISTERS; j++)
			printf("%s%lu", j ? "," : i ? ",[" : "[", attempts[i][j]);
		printf("]");
	}
	printf("],");
}

static void report(void)
{
	printf("{\"symbol\":\"%s\",", now.wrapper->symbol);
	print_attempts();
	if (now.returned)
		printf("\"status\":%lu,", now.status);
	if (now.value_size)
		printf("\"value\":[%lu,%zu],", now.value, now.value_size);
	if (now.escaped)
		printf("\"escaped_fault\":%lu,", now.vector);
	printf("\"trapped\":%s,\"called\":[", now.trapped ? "true" : "false");
	for (size_t i = 0; i < now.called_count; i++)
		printf("%s\"%s\"", i ? "," : "", now.called[i]);
	printf("],\"outputs\":[");
	for (size_t i = 0; i < now.output_count; i++)
		printf("%s[\"%s\",%lu,%zu]", i ? "," : "", now.outputs[i].name,
		       now.outputs[i].address, now.outputs[i].size);
	printf("],\"problems\":[");
	for (size_t i = 0; i < now.problem_count; i++)
		printf("%s\"%s\"", i ? "," : "", now.problems[i]);
	printf("],");
	print_memory();
	printf("}\n");
}

static void check_preserved(void)
{
	static const char *const names[SAVED] = { "rbx", "rbp", "r12", "r13", "r14", "r15" };

	for (int i = 0; i < SAVED; i++)
		if (module_after[i] != module_entry[i])
			problem("%s is %#lx at return and was %#lx", names[i], module_after[i],
				module_entry[i]);
	if (module_rsp_after != module_rsp)
		problem("rsp is off by %ld bytes at return", (long)(module_rsp_after - module_rsp));
	if (module_flags_after & DIRECTION_FLAG)
		problem("the direction flag is set at return");
}

/* -- a call from beginning to end */

static void prepare_thunk(size_t slots)
{
	for (size_t i = slots; i < ARGUMENT_REGISTERS; i++) {
		module_keep[i] = 0;
		module_dirt[i] = junk();
	}
	module_stack_slots = slots > ARGUMENT_REGISTERS ? slots - ARGUMENT_REGISTERS : 0;
	module_may_return = (uint64_t)now.wrapper->may_return;
	module_flags = FLAGS_AT_ENTRY | (junk() & STATUS_FLAGS);
	junk_words(module_entry, sizeof(module_entry));
	module_callee = NULL;
}

int module_begin(void)
{
	size_t length, index, slots;

	memset(&now, 0, sizeof(now));
	if (script_position == script_length)
		return -1;
	length = next_below(script_length - script_position, "the length of a call");
	now.next_call = script_position + length;
	index = next_below(module_program.wrapper_count, "a wrapper");
	now.wrapper = &module_program.wrappers[index];
	junk_state = next() | 1;
	slots = next_below(SLOTS, "the number of arguments");
	for (size_t i = 0; i < slots; i++) {
		now.slots[i] = next();
		module_keep[i] = next();
		module_dirt[i] = next();
	}
	prepare_thunk(slots);
	now.region_count = next_below(REGIONS, "the number of regions");
	for (size_t i = 0; i < now.region_count; i++)
		now.regions[i] = next_bytes();
	now.outcome_count = next_below(ATTEMPTS, "the number of outcomes");
	return (int)index;
}

void module_end(void)
{
	if (now.stored_early)
		problem("stores before the last attempt");
	if (now.returned && module_callee)
		check_preserved();
	report();
	script_position = now.next_call;
}

void module_load(void)
{
	static char stack[ALTERNATE_STACK];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	/* Not blocked while it runs, so that its own mistakes are reported too. */
	struct sigaction action = { .sa_sigaction = on_signal,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	sigaltstack(&alternate, NULL);
	sigaction(SIGILL, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	junk_words(data, DATA_SIZE);
	memcpy(expected, data, DATA_SIZE);
	read_script();
}

int module_main(void)
{
	module_load();
	while (module_begin() >= 0) {
		if (!sigsetjmp(abandoned, 0))
			now.wrapper->call(now.slots);
		module_end();
	}
	return fflush(stdout) ? 1 : 0;
}
