// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * tdx_calls: every SEAMCALL wrapper of tdx/host.seam, for other modules to call.
 *
 * The wrappers are in host.o, and host_exports.c exports them. There is nothing to do here.
 */
#include <linux/module.h>

MODULE_DESCRIPTION("SEAMCALL wrappers made by seamir");
MODULE_LICENSE("Dual MIT/GPL");
