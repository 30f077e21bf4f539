//! The same from Rust.

unsafe extern "C" {
    fn catch_faults() -> i32;
    fn track(tdr: u64) -> u64;
    fn page_remove(tdr: u64, gpa: u64, level: u32, page: *mut u64, info: *mut u64) -> u64;
}

#[unsafe(no_mangle)]
#[inline(never)]
fn remove_page(tdr: u64, gpa: u64) -> Result<u64, u64> {
    let (mut page, mut info) = (0, 0);
    match unsafe { page_remove(tdr, gpa, 0, &mut page, &mut info) } {
        0 => Ok(page),
        status => Err(status),
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
fn advance_epoch(tdr: u64) -> u64 {
    unsafe { track(tdr) }
}

fn main() {
    if unsafe { catch_faults() } != 0 {
        std::process::exit(1);
    }
    println!("TDH.MEM.TRACK: {:#x}", advance_epoch(0x1000));
    let (Ok(word) | Err(word)) = remove_page(0x1000, 0x2000);
    println!("TDH.MEM.PAGE.REMOVE: {word:#x}");
}
