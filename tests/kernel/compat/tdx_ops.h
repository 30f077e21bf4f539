/* SPDX-License-Identifier: MIT */
/*
 * Takes the place of the header that KVM's TDX code of March 2024 had its wrappers of SEAMCALL
 * leaves from. The functions are those of tdx/linux_compat.seam.
 */
#ifndef TDX_OPS_H
#define TDX_OPS_H

#include <linux/kvm_types.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
#include <asm/shared/tdx.h>
#else
/* As kernels have it that know TDX calls with this many registers. */
struct tdx_module_args {
	u64 rcx;
	u64 rdx;
	u64 r8;
	u64 r9;
	u64 r10;
	u64 r11;
	u64 r12;
	u64 r13;
	u64 r14;
	u64 r15;
	u64 rbx;
	u64 rdi;
	u64 rsi;
};
#endif

#include "linux_compat.h"

SEAMIR_CHECK_TDX_MODULE_ARGS;

/* Without what its lower half says in detail. */
#define TDX_STATUS_MASK		0xffffffff00000000ULL

#endif
