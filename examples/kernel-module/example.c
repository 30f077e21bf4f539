// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * tdx_example: calls two leaves as a kernel does, and says what came of it.
 *
 * A wrapper makes the call and nothing else. What the module asks of its caller beyond the
 * registers is here: to stay on one CPU, to keep account of its caches, and to flush a page before
 * the module writes it under another key.
 */
#define pr_fmt(format) KBUILD_MODNAME ": " format

#include <linux/cacheflush.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/preempt.h>

#include "host.h"

/*
 * Whether this CPU's caches may hold lines that the TDX module wrote. A kernel that starts another
 * by kexec has to write them back first. In the tree this is cache_state_incoherent of
 * <asm/processor.h>, or what your version has for it.
 */
static DEFINE_PER_CPU(bool, caches_are_dirty);

/* The mark comes before the call, and both happen on one CPU. */
#define seamcall_dirty_cache(call)				\
({								\
	u64 status_;						\
								\
	preempt_disable();					\
	this_cpu_write(caches_are_dirty, true);			\
	status_ = (call);					\
	preempt_enable();					\
	status_;						\
})

/* Gives a page to a TD as its root. The kernel wrote it, and lines of it may be cached. */
static u64 create_td(struct page *page, u16 hkid)
{
	clflush_cache_range(page_address(page), PAGE_SIZE);
	return seamcall_dirty_cache(tdh_mng_create(page_to_phys(page), hkid));
}

#define MAX_TDMRS	0x9100000100000008 /* how many regions of memory the module can manage */

/* Reads a field of the module's metadata. */
static u64 read_field(tdx_md_field_id_t field, u64 *data)
{
	tdx_md_field_id_t next;

	return seamcall_dirty_cache(tdh_sys_rd(field, &next, data));
}

static void say(const char *leaf, u64 status)
{
	if (status == TDX_SUCCESS)
		pr_info("%s: done\n", leaf);
	else if (status == TDX_SEAMCALL_UD)
		pr_info("%s: %#llx, no TDX, or this CPU is not in VMX operation\n", leaf, status);
	else if (status == TDX_SEAMCALL_GP)
		pr_info("%s: %#llx, the BIOS has not set TDX up\n", leaf, status);
	else if (status == TDX_SEAMCALL_VMFAILINVALID)
		pr_info("%s: %#llx, no TDX module is loaded\n", leaf, status);
	else
		pr_info("%s: %#llx\n", leaf, status);
}

static int __init example_init(void)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	u64 data, status;

	if (!page)
		return -ENOMEM;

	say("TDH.SYS.RD", read_field(MAX_TDMRS, &data));

	/* Without a module nobody took the page; with one it would be the TD's now. */
	status = create_td(page, 1);
	say("TDH.MNG.CREATE", status);
	if (status != TDX_SUCCESS)
		__free_page(page);
	return 0;
}

static void __exit example_exit(void)
{
}

module_init(example_init);
module_exit(example_exit);

MODULE_DESCRIPTION("Calls of SEAMCALL wrappers made by seamir");
MODULE_LICENSE("Dual MIT/GPL");
