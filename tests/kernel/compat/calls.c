// SPDX-License-Identifier: MIT
/*
 * What tests/native/module.c plays: the functions of callers.c. The script has the arguments, and
 * where a function stores a word; the report says what it returned.
 */
#include "callers.h"
#include "module.h"

MODULE_STUB(kvm_spurious_fault);

#define SEAMCALL { 0x66, 0x0f, 0x01, 0xcf }

#define CALLER(function, ...)                                   \
	static void call_##function(const uint64_t *slots)      \
	{                                                       \
		module_status((s64)function(__VA_ARGS__));      \
	}

CALLER(td_create, slots[0], slots[1])
CALLER(td_configure_key, slots[0])
CALLER(td_init, slots[0], slots[1], module_pointer(slots[2]))
CALLER(td_vmcs_read, slots[0], slots[1], module_pointer(slots[2]))
CALLER(td_vmcs_write, slots[0], slots[1], slots[2], slots[3])
CALLER(td_page_aug, slots[0], slots[1], slots[2], module_pointer(slots[3]))
CALLER(td_page_drop, slots[0], slots[1], slots[2])
CALLER(td_page_reclaim, slots[0], module_pointer(slots[1]))
CALLER(td_cache_write_back)

#define WRAPPER(function) { #function, call_##function, SEAMCALL, 0, 1, 0 }

static const struct wrapper wrappers[] = {
	WRAPPER(td_create),	WRAPPER(td_configure_key), WRAPPER(td_init),
	WRAPPER(td_vmcs_read),	WRAPPER(td_vmcs_write),	   WRAPPER(td_page_aug),
	WRAPPER(td_page_drop),	WRAPPER(td_page_reclaim),  WRAPPER(td_cache_write_back),
};

static const struct callee callees[] = {
	{ "kvm_spurious_fault", kvm_spurious_fault },
};

const struct program module_program = {
	.wrappers = wrappers,
	.wrapper_count = sizeof(wrappers) / sizeof(wrappers[0]),
	.callees = callees,
	.callee_count = 1,
};
