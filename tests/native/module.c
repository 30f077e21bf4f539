#include "platform.h"

enum {
	ATTEMPTS = 4096,
	SLOTS = 64,
	REGIONS = 64,
	OUTPUTS = 64,
	CALLED = 8,
	PROBLEMS = 8,
	ARGUMENT_REGISTERS = 6,
	SAVED = 6,	 /* rbx, rbp, r12 to r15 */
	CALL_LENGTH = 4, /* bytes of the instruction */
	UD2_LENGTH = 2,
	CARRY_FLAG = 1 << 0,
	DIRECTION_FLAG = 1 << 10,
	STATUS_FLAGS = 0x8D5,	/* CF, PF, AF, ZF, SF, OF */
	FLAGS_AT_ENTRY = 0x202, /* interrupts on, and the bit that is always 1 */
	LINE = 64,		/* bytes of memory compared at once */
};

/* How an attempt ends, and what that does to CF. */
enum outcome { COMPLETED, CARRY, FAULT };
enum carry { CLEAR, SET, ANY };

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

/* -- of thunk.S */

extern HIDDEN uint64_t module_after[SAVED], module_entry[SAVED + 3], module_flags;
extern HIDDEN uint64_t module_rsp, module_rsp_after, module_flags_after;
extern HIDDEN uint64_t module_may_return, module_stack_slots, module_keep[SLOTS], module_dirt[SLOTS];
extern HIDDEN const unsigned char module_returned_anyway[];
HIDDEN void module_enter(void (*call)(const uint64_t *slots), const uint64_t *slots);

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

/* -- junk, for all that the script leaves open (xorshift64*) */

static uint64_t junk_state = 1;

static uint64_t junk(void)
{
	junk_state ^= junk_state >> 12;
	junk_state ^= junk_state << 25;
	junk_state ^= junk_state >> 27;
	return junk_state * 0x2545F4914F6CDD1DULL;
}

void module_junk(void *place, size_t size)
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
		module_bad_script("it ends too soon");
	return script[script_position++];
}

static size_t next_below(size_t limit, const char *what)
{
	uint64_t word = next();

	if (word >= limit)
		module_bad_script(what);
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
		module_bad_script("memory that is not the caller's");
	memcpy(data + offset, script + script_position, region.size);
	memcpy(expected + offset, script + script_position, region.size);
	script_position += words;
	return region;
}

/* -- what the other side does */

static void set_flags(struct machine *machine, enum carry carry)
{
	uint64_t flags = junk() & STATUS_FLAGS;

	if (carry != ANY)
		flags = (flags & ~(uint64_t)CARRY_FLAG) | (carry == SET ? CARRY_FLAG : 0);
	machine->flags = (machine->flags & ~(uint64_t)STATUS_FLAGS) | flags;
}

static void destroy(struct machine *machine, uint16_t set, int vectors)
{
	for (int i = 0; i < REGISTERS; i++)
		if (set >> i & 1)
			machine->registers[i] = junk();
	if (vectors && module_program.vectors)
		module_junk(machine->vectors, machine->vectors_size);
}

static enum verdict attempt(struct machine *machine)
{
	uint64_t named;
	enum outcome outcome;
	enum carry carry;

	if (now.attempt_count == now.outcome_count) {
		problem("more than %zu attempts", now.outcome_count);
		return ABANDON;
	}
	memcpy(attempts[now.attempt_count++], machine->registers, sizeof(machine->registers));
	now.stored_early |= memcmp(data, expected, DATA_SIZE) != 0;
	outcome = (enum outcome)next_below(FAULT + 1, "an outcome");
	machine->vector = next();
	carry = (enum carry)next_below(ANY + 1, "what becomes of CF");
	destroy(machine, (uint16_t)next(), now.wrapper->destroys_simd && outcome != FAULT);
	named = next();
	for (int i = 0; i < REGISTERS; i++)
		if (named >> i & 1)
			machine->registers[i] = next();
	for (size_t writes = next(); writes; writes--)
		next_bytes();
	if (outcome == FAULT)
		return FAULTS;
	set_flags(machine, carry);
	machine->ip += CALL_LENGTH;
	return GO_ON;
}

/* A function of somebody else: it keeps the calling convention and nothing more. */
static enum verdict call_stub(struct machine *machine, size_t index)
{
	const char *symbol = module_program.callees[index].symbol;

	if (now.called_count < CALLED)
		now.called[now.called_count++] = symbol;
	if (module_program.vectors && machine->registers[RSP] % 16 != 8)
		problem("the stack is not aligned at the call of %s", symbol);
	if (machine->flags & DIRECTION_FLAG)
		problem("the direction flag is set at the call of %s", symbol);
	if (now.wrapper->final >> index & 1) {
		now.trapped = 1;
		return ABANDON;
	}
	destroy(machine, caller_saved, 1);
	set_flags(machine, ANY);
	machine->ip += UD2_LENGTH;
	return GO_ON;
}

enum verdict module_stopped(struct machine *machine)
{
	const unsigned char *at = (const unsigned char *)(uintptr_t)machine->ip;

	if (!now.wrapper)
		return UNKNOWN;
	if (!memcmp(at, now.wrapper->code, CALL_LENGTH))
		return attempt(machine);
	for (size_t i = 0; i < module_program.callee_count; i++)
		if (at == (const unsigned char *)module_program.callees[i].stub)
			return call_stub(machine, i);
	if (at[0] != 0x0F || at[1] != 0x0B)
		return UNKNOWN;
	if (at == module_returned_anyway)
		problem("it returned and must not");
	else
		now.trapped = 1;
	return ABANDON;
}

void module_escaped(uint64_t vector)
{
	now.escaped = 1;
	now.vector = vector;
}

const char *module_symbol(void)
{
	return now.wrapper ? now.wrapper->symbol : "no wrapper";
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

static void print_regions(void)
{
	module_print("\"regions\":[");
	for (size_t i = 0; i < now.region_count; i++) {
		const struct region *region = &now.regions[i];

		module_print("%s[%" PRIu64 ",\"", i ? "," : "", region->address);
		for (uint64_t j = 0; j < region->size; j++)
			module_print("%02x", data[region->address - DATA_START + j]);
		module_print("\"]");
	}
	module_print("],");
}

/* Prints the bytes that were written, and takes them back. */
static void print_changes(void)
{
	const char *separator = "";

	module_print("\"changed\":[");
	for (size_t i = 0; i < DATA_SIZE; i++) {
		if (i % LINE == 0 && !memcmp(data + i, expected + i, LINE)) {
			i += LINE - 1;
			continue;
		}
		if (data[i] == expected[i])
			continue;
		module_print("%s[%" PRIu64 ",%u]", separator, DATA_START + i, data[i]);
		data[i] = expected[i];
		separator = ",";
	}
	module_print("]");
}

static void print_attempts(void)
{
	module_print("\"attempts\":[");
	for (size_t i = 0; i < now.attempt_count; i++) {
		for (int j = 0; j < REGISTERS; j++)
			module_print("%s%" PRIu64, j ? "," : i ? ",[" : "[", attempts[i][j]);
		module_print("]");
	}
	module_print("],");
}

static void report(void)
{
	module_print("{\"symbol\":\"%s\",", now.wrapper->symbol);
	print_attempts();
	if (now.returned)
		module_print("\"status\":%" PRIu64 ",", now.status);
	if (now.value_size)
		module_print("\"value\":[%" PRIu64 ",%zu],", now.value, now.value_size);
	if (now.escaped)
		module_print("\"escaped_fault\":%" PRIu64 ",", now.vector);
	module_print("\"trapped\":%s,\"called\":[", now.trapped ? "true" : "false");
	for (size_t i = 0; i < now.called_count; i++)
		module_print("%s\"%s\"", i ? "," : "", now.called[i]);
	module_print("],\"outputs\":[");
	for (size_t i = 0; i < now.output_count; i++)
		module_print("%s[\"%s\",%" PRIu64 ",%zu]", i ? "," : "", now.outputs[i].name,
			     now.outputs[i].address, now.outputs[i].size);
	module_print("],\"problems\":[");
	for (size_t i = 0; i < now.problem_count; i++)
		module_print("%s\"%s\"", i ? "," : "", now.problems[i]);
	module_print("],");
	print_regions();
	print_changes();
	module_print("}\n");
}

static void check_preserved(void)
{
	static const char *const names[SAVED] = { "rbx", "rbp", "r12", "r13", "r14", "r15" };

	for (int i = 0; i < SAVED; i++)
		if (module_after[i] != module_entry[i])
			problem("%s is %#" PRIx64 " at return and was %#" PRIx64, names[i],
				module_after[i], module_entry[i]);
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
	module_junk(module_entry, sizeof(module_entry));
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

void module_run(void)
{
	module_enter(now.wrapper->call, now.slots);
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

void module_prepare(const uint64_t *words, size_t count)
{
	module_junk(data, DATA_SIZE);
	memcpy(expected, data, DATA_SIZE);
	script = words;
	script_length = count;
	script_position = 0;
}
