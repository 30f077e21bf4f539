/* Calls two wrappers from C. Without a TDX module both fault, and say so in their status. */
#include <stdio.h>

#include "calls.h"

int catch_faults(void);

__attribute__((noinline)) u64 remove_page(u64 tdr, u64 gpa)
{
	u64 page, info;
	u64 status = page_remove(tdr, gpa, 0, &page, &info);

	return status ? status : page;
}

__attribute__((noinline)) u64 advance_epoch(u64 tdr)
{
	return track(tdr);
}

int main(void)
{
	if (catch_faults())
		return 1;
	printf("TDH.MEM.TRACK: %#llx\n", (unsigned long long)advance_epoch(0x1000));
	printf("TDH.MEM.PAGE.REMOVE: %#llx\n", (unsigned long long)remove_page(0x1000, 0x2000));
	return 0;
}
