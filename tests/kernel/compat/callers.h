/* SPDX-License-Identifier: MIT */
#ifndef CALLERS_H
#define CALLERS_H

#include <linux/kvm_types.h>

int td_create(hpa_t tdr, int hkid);
int td_configure_key(hpa_t tdr);
int td_init(hpa_t tdr, hpa_t params, u64 *bad_field);
int td_vmcs_read(hpa_t tdvpr, u64 field, u64 *value);
int td_vmcs_write(hpa_t tdvpr, u64 field, u64 value, u64 mask);
int td_page_aug(hpa_t tdr, gpa_t gpa, hpa_t page, u64 *entry);
int td_page_drop(hpa_t tdr, gpa_t gpa, int level);
int td_page_reclaim(hpa_t page, u64 *owner);
int td_cache_write_back(void);

#endif
