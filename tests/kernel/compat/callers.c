// SPDX-License-Identifier: MIT
/*
 * Calls wrappers of SEAMCALL leaves as KVM did in March 2024: a structure on the stack takes the
 * registers that come back, or NULL does, and errors become the kernel's.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/printk.h>

#include "callers.h"
#include "tdx_ops.h"

static u64 masked_status(u64 status)
{
	return status & TDX_STATUS_MASK;
}

int td_create(hpa_t tdr, int hkid)
{
	u64 err = tdh_mng_create(tdr, hkid);

	if (err == TDX_RND_NO_ENTROPY)
		return -EAGAIN;
	return err ? -EIO : 0;
}

/* Once in a package; the key generator runs dry now and then. */
int td_configure_key(hpa_t tdr)
{
	u64 err;

	do {
		err = tdh_mng_key_config(tdr);
	} while (err == TDX_KEY_GENERATION_FAILED);
	return err ? -EIO : 0;
}

int td_init(hpa_t tdr, hpa_t params, u64 *bad_field)
{
	struct tdx_module_args out;
	u64 err = tdh_mng_init(tdr, params, &out);

	if (masked_status(err) == TDX_OPERAND_INVALID) {
		*bad_field = out.rcx;
		return -EINVAL;
	}
	return err ? -EIO : 0;
}

int td_vmcs_read(hpa_t tdvpr, u64 field, u64 *value)
{
	struct tdx_module_args out;
	u64 err = tdh_vp_rd(tdvpr, field, &out);

	if (err)
		return -EIO;
	*value = out.r8;
	return 0;
}

int td_vmcs_write(hpa_t tdvpr, u64 field, u64 value, u64 mask)
{
	return tdh_vp_wr(tdvpr, field, value, mask, NULL) ? -EIO : 0;
}

/* `entry` gets what the Secure EPT has there if it is not free. */
int td_page_aug(hpa_t tdr, gpa_t gpa, hpa_t page, u64 *entry)
{
	struct tdx_module_args out;
	u64 err = tdh_mem_page_aug(tdr, gpa, page, &out);

	if (err == (TDX_OPERAND_BUSY | TDX_OPERAND_ID_SEPT))
		return -EBUSY;
	if (err == (TDX_EPT_ENTRY_STATE_INCORRECT | TDX_OPERAND_ID_RCX)) {
		*entry = out.rcx;
		return -EAGAIN;
	}
	return err ? -EIO : 0;
}

/* Block, track, remove: after that the page is the host's. */
int td_page_drop(hpa_t tdr, gpa_t gpa, int level)
{
	struct tdx_module_args out = {};
	u64 err;

	err = tdh_mem_range_block(tdr, gpa, level, NULL);
	if (err)
		return -EIO;
	do {
		err = tdh_mem_track(tdr);
	} while (masked_status(err) == TDX_OPERAND_BUSY);
	if (err)
		return -EIO;
	err = tdh_mem_page_remove(tdr, gpa, level, &out);
	if (err)
		return masked_status(err) == TDX_OPERAND_BUSY ? -EBUSY : -EIO;
	return 0;
}

int td_page_reclaim(hpa_t page, u64 *owner)
{
	struct tdx_module_args out;
	u64 err;

	do {
		err = tdh_phymem_page_reclaim(page, &out);
	} while (err == (TDX_OPERAND_BUSY | TDX_OPERAND_ID_RCX));
	if (err)
		return -EIO;
	if (tdh_phymem_page_wbinvd(page))
		return -EIO;
	*owner = out.rdx;
	return 0;
}

/* Gives way to interrupts, and goes on where it was. */
int td_cache_write_back(void)
{
	bool resume = false;
	u64 err;

	do {
		err = tdh_phymem_cache_wb(resume);
		resume = true;
	} while (masked_status(err) == TDX_INTERRUPTED_RESUMABLE);
	return err ? -EIO : 0;
}
