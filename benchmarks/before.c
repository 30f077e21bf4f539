/*
 * "Before": one wrapper in the style that was reviewed for KVM in March 2024, in our own words.
 *
 * Each SEAMCALL copies the structure of input registers into the structure for outputs and lets a
 * routine in assembly load the registers from there; an inner loop repeats the call while the
 * module lacks entropy, an outer one while the Secure EPT is locked, and every attempt copies
 * anew. What C makes of it is what README.md compares with.
 */
typedef unsigned long long u64;
typedef u64 hpa_t;
typedef u64 gpa_t;

struct tdx_module_args {
	u64 rcx, rdx, r8, r9, r10, r11;
	u64 r12, r13, r14, r15, rbx, rdi, rsi;
};

#define TDH_MEM_PAGE_REMOVE	29
#define TDX_SEAMCALL_UD		0x8000ff0000000006ULL
#define TDX_RND_NO_ENTROPY	0x8000020300000000ULL
#define TDX_BUSY_SEPT		0x8000020000000092ULL
#define ENTROPY_ATTEMPTS	10
#define SEPT_ATTEMPTS		16

u64 __seamcall(u64 fn, struct tdx_module_args *args);
u64 __seamcall_ret(u64 fn, struct tdx_module_args *args);
void kvm_spurious_fault(void);

static inline u64 call_once(u64 fn, struct tdx_module_args *in, struct tdx_module_args *out)
{
	u64 ret;

	if (out) {
		*out = *in;
		ret = __seamcall_ret(fn, out);
	} else {
		ret = __seamcall(fn, in);
	}
	if (__builtin_expect(ret == TDX_SEAMCALL_UD, 0)) {
		kvm_spurious_fault();
		return 0;
	}
	return ret;
}

static inline u64 call(u64 fn, struct tdx_module_args *in, struct tdx_module_args *out)
{
	int left = ENTROPY_ATTEMPTS;
	u64 ret;

	do {
		ret = call_once(fn, in, out);
	} while (ret == TDX_RND_NO_ENTROPY && --left);
	return ret;
}

static inline u64 call_sept(u64 fn, struct tdx_module_args *in, struct tdx_module_args *out)
{
	int left = SEPT_ATTEMPTS;
	u64 ret;

	do {
		ret = call(fn, in, out);
	} while (ret == TDX_BUSY_SEPT && left-- > 0);
	return ret;
}

u64 tdh_mem_page_remove(hpa_t tdr, gpa_t gpa, int level, struct tdx_module_args *out)
{
	struct tdx_module_args in = {
		.rcx = gpa | level,
		.rdx = tdr,
	};

	return call_sept(TDH_MEM_PAGE_REMOVE, &in, out);
}
