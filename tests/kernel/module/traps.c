// SPDX-License-Identifier: MIT
/*
 * The kernel as the platform of tests/native/module.c: a fake TDX module.
 *
 * A die notifier sees the invalid opcode that SEAMCALL is without a TDX module, before the kernel
 * looks into its exception table. It does what the script says. The exceptions of the script are
 * real ones: for #UD it lets the kernel go on, for #GP it puts an instruction that raises it in
 * the place of SEAMCALL.
 *
 * Script and report are in a range of physical memory that is shared with the host.
 */
#include <linux/io.h>
#include <linux/kdebug.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/panic.h>
#include <linux/sched.h>
#include <linux/version.h>
#include <linux/vmalloc.h>
#include <asm/ptrace.h>
#include <asm/trapnr.h>

#include "platform.h"

/* What is shared with the host. The report follows the script. */
struct mailbox {
	u64 script_words;
	u64 report_bytes;
	u64 script[];
};

static unsigned long address;
module_param(address, ulong, 0);
MODULE_PARM_DESC(address, "Physical address of the mailbox");

static unsigned long size;
module_param(size, ulong, 0);
MODULE_PARM_DESC(size, "Size of the mailbox in bytes");

static struct mailbox *mailbox;

/* -- the report */

void module_print(const char *format, ...)
{
	char *report = (char *)(mailbox->script + mailbox->script_words);
	size_t room = (char *)mailbox + size - report - mailbox->report_bytes;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(report + mailbox->report_bytes, room, format, arguments);
	va_end(arguments);
	if (length >= room)
		panic("the report does not fit");
	mailbox->report_bytes += length;
}

/* -- the text of this module, where it can be written */

static void *text, *text_alias;
static size_t text_size;

static int map_text(void)
{
	struct page **pages;
	size_t i, count;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	text = THIS_MODULE->mem[MOD_TEXT].base;
	text_size = THIS_MODULE->mem[MOD_TEXT].size;
#else
	text = THIS_MODULE->core_layout.base;
	text_size = THIS_MODULE->core_layout.text_size;
#endif
	count = DIV_ROUND_UP(text_size, PAGE_SIZE);
	pages = kvcalloc(count, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		pages[i] = vmalloc_to_page(text + i * PAGE_SIZE);
	text_alias = vmap(pages, count, VM_MAP, PAGE_KERNEL);
	kvfree(pages);
	return text_alias ? 0 : -ENOMEM;
}

/*
 * ltr %sp; nop. It is as long as SEAMCALL, and raises #GP whatever the registers hold: the stack
 * pointer is no selector within the GDT.
 */
static const u8 raises_gp[] = { 0x0f, 0x00, 0xdc, 0x90 };

static void *replaced; /* the instruction whose place it has taken */
static u8 original[sizeof(raises_gp)];

static void replace_instruction(unsigned long ip)
{
	replaced = text_alias + ((void *)ip - text);
	memcpy(original, replaced, sizeof(original));
	memcpy(replaced, raises_gp, sizeof(raises_gp));
}

static void restore_instruction(void)
{
	if (replaced)
		memcpy(replaced, original, sizeof(original));
	replaced = NULL;
}

/* -- exceptions */

/* Where the registers are in struct pt_regs, in the order that instructions number them. */
static const size_t offset_of[REGISTERS] = {
	offsetof(struct pt_regs, ax),  offsetof(struct pt_regs, cx),
	offsetof(struct pt_regs, dx),  offsetof(struct pt_regs, bx),
	offsetof(struct pt_regs, sp),  offsetof(struct pt_regs, bp),
	offsetof(struct pt_regs, si),  offsetof(struct pt_regs, di),
	offsetof(struct pt_regs, r8),  offsetof(struct pt_regs, r9),
	offsetof(struct pt_regs, r10), offsetof(struct pt_regs, r11),
	offsetof(struct pt_regs, r12), offsetof(struct pt_regs, r13),
	offsetof(struct pt_regs, r14), offsetof(struct pt_regs, r15),
};

static unsigned long *register_of(struct pt_regs *regs, int number)
{
	return (void *)regs + offset_of[number];
}

/* Raises the exception with the registers as they are. */
static int raise(struct pt_regs *regs, u64 vector)
{
	switch (vector) {
	case X86_TRAP_UD:
		return NOTIFY_DONE; /* the kernel goes on with this one */
	case X86_TRAP_GP:
		replace_instruction(regs->ip);
		return NOTIFY_STOP;
	default:
		panic("exception %llu cannot be played", vector);
	}
}

static int invalid_opcode(struct pt_regs *regs)
{
	struct machine machine = { .ip = regs->ip, .flags = regs->flags };
	int i;

	if ((void *)regs->ip < text || (void *)regs->ip >= text + text_size)
		return NOTIFY_DONE; /* a bug of the kernel */
	for (i = 0; i < REGISTERS; i++)
		machine.registers[i] = *register_of(regs, i);
	switch (module_stopped(&machine)) {
	case GO_ON:
		break;
	case FAULTS:
		return raise(regs, machine.vector);
	case ABANDON:
		machine.ip = (unsigned long)module_abandon;
		break;
	case UNKNOWN:
		return NOTIFY_DONE;
	}
	for (i = 0; i < REGISTERS; i++)
		*register_of(regs, i) = machine.registers[i];
	regs->ip = machine.ip;
	regs->flags = machine.flags;
	return NOTIFY_STOP;
}

static int on_die(struct notifier_block *block, unsigned long value, void *data)
{
	struct die_args *die = data;

	if (value == DIE_OOPS)
		pr_emerg("%s: died in a call of %s\n", KBUILD_MODNAME, module_symbol());
	if (value == DIE_TRAP && die->trapnr == X86_TRAP_UD && !user_mode(die->regs))
		return invalid_opcode(die->regs);
	return NOTIFY_DONE;
}

static struct notifier_block die_block = { .notifier_call = on_die };

/* -- the module */

static void play(void)
{
	while (module_begin() >= 0) {
		module_run();
		restore_instruction();
		module_end();
		cond_resched();
	}
}

/* Plays the whole script while it is being loaded. */
static int __init traps_init(void)
{
	int error = map_text();

	if (error)
		return error;
	mailbox = memremap(address, size, MEMREMAP_WB);
	if (!mailbox) {
		vunmap(text_alias);
		return -ENOMEM;
	}
	module_prepare(mailbox->script, mailbox->script_words);
	error = register_die_notifier(&die_block);
	if (!error) {
		play();
		unregister_die_notifier(&die_block);
	}
	memunmap(mailbox);
	vunmap(text_alias);
	return error;
}

static void __exit traps_exit(void)
{
}

module_init(traps_init);
module_exit(traps_exit);
MODULE_DESCRIPTION("Plays the TDX module for wrappers of SEAMCALL leaves");
MODULE_LICENSE("Dual MIT/GPL");
