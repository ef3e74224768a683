//! Memory that code could be written to and run from.

use libc::{EACCES, EINVAL, ENOSYS, EPERM};

use crate::call::{HERE, PAGE, at, call, got, got_descriptor, int, map_memory, open_at};
use crate::{Attempt, Got};

const READ: usize = 1;
const WRITE: usize = 2;
const EXECUTE: usize = 4;
const PRIVATE_ANONYMOUS: usize = int(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);

/// Where s390 hides the arguments of `mmap` from filters there is the kernel's own setting, which lets executable memory
/// pass that was never writable.
fn map(protection: usize) -> Got {
    let no_descriptor = int(-1);
    let mapped = map_memory(&[0, PAGE, protection, PRIVATE_ANONYMOUS, no_descriptor, 0]);
    if let Some(Ok(address)) = mapped {
        let _ = call("munmap", &[address, PAGE]);
    }
    got(mapped)
}

/// With a page to read and write, which is given back.
fn with_page(how: impl FnOnce(usize) -> Got) -> Got {
    let no_descriptor = int(-1);
    let mapped = map_memory(&[0, PAGE, READ | WRITE, PRIVATE_ANONYMOUS, no_descriptor, 0]);
    match mapped {
        Some(Ok(address)) => {
            let got = how(address);
            let _ = call("munmap", &[address, PAGE]);
            got
        }
        other => got(other),
    }
}

#[rustfmt::skip]
pub(crate) const ALL: &[Attempt] = &[
    Attempt::refused("map-executable", "memory to write code to and run it", &[EACCES], |_| map(READ | WRITE | EXECUTE)).unclaimed(|_| cfg!(target_arch = "s390x").then_some("s390 hides what is asked for from filters, and a kernel before Linux 6.3 has nothing else to refuse it")),
    Attempt::refused("map-executable-only", "memory to run", &[EACCES], |_| map(EXECUTE)).only(|_| !cfg!(target_arch = "s390x")),
    Attempt::refused("map-executable-behind-high-bits", "the same, past a filter that compares too much", &[EACCES, EINVAL], |_| map((1 << (usize::BITS - 1)) | READ | WRITE | EXECUTE)).only(|_| !cfg!(target_arch = "s390x")),
    Attempt::refused("make-executable", "code in memory it has written", &[EACCES], |_| with_page(|page| got(call("mprotect", &[page, PAGE, READ | EXECUTE])))),
    Attempt::refused("make-executable-and-writable", "code in memory that it writes", &[EACCES], |_| with_page(|page| got(call("mprotect", &[page, PAGE, READ | WRITE | EXECUTE])))),
    Attempt::refused("make-executable-growing", "code in memory, by a protection that spreads", &[EACCES, EINVAL], |_| with_page(|page| got(call("mprotect", &[page, PAGE, 0x0100_0000 | READ | EXECUTE])))),
    Attempt::refused("make-executable-by-key", "code in memory, by protection keys", &[ENOSYS], |_| with_page(|page| got(call("pkey_mprotect", &[page, PAGE, READ | EXECUTE, int(-1)])))),
    Attempt::refused("protection-key", "protection keys", &[ENOSYS], |_| got(call("pkey_alloc", &[0, 0]))),
    Attempt::refused("all-executable", "all readable memory to be executable", &[EPERM], |_| got(call("personality", &[0x0040_0000]))),
    Attempt::refused("no-random-addresses", "programs at known addresses", &[EPERM], |_| got(call("personality", &[0x0004_0000]))),
    Attempt::refused("map-program", "another program's code in its memory", &[EACCES, libc::ENOENT], |_| match open_at(HERE, std::path::Path::new("/bin/sh"), libc::O_RDONLY, 0) {
        Some(Ok(file)) => {
            let mapped = map_memory(&[0, PAGE, READ | EXECUTE, int(libc::MAP_PRIVATE), file, 0]);
            let _ = call("close", &[file]);
            got(mapped)
        }
        other => got(other),
    }),
    Attempt::refused("rearrange-pages", "pages of a file elsewhere, by an old call", &[ENOSYS], |_| with_page(|page| got(call("remap_file_pages", &[page, PAGE, 0, 0, 0])))),
    Attempt::refused("memory-file", "a file in memory, to be run", &[ENOSYS], |_| got_descriptor(call("memfd_create", &[at(c"attack"), 0]), "there is a file")),
    Attempt::refused("memory-file-executable", "a file in memory, to be run", &[ENOSYS], |_| got_descriptor(call("memfd_create", &[at(c"attack"), 0x10]), "there is a file")),
    Attempt::refused("secret-memory-file", "memory that the kernel does not see", &[ENOSYS], |_| got_descriptor(call("memfd_secret", &[0]), "there is a file")),
    Attempt::refused("shadow-stack", "a stack of return addresses of its own", &[ENOSYS], |_| got(call("map_shadow_stack", &[0, PAGE, 0]))),
    Attempt::refused("shared-memory", "memory shared by number", &[EACCES], |_| got(call("shmget", &[0, PAGE, 0o1600]))),
    Attempt::refused("shared-memory-executable", "memory shared by number, to be run", &[EACCES], |_| got(call("shmat", &[0, 0, 0o100_000]))),
    Attempt::refused("pin-memory", "all memory of the machine, pinned", &[ENOSYS], |_| got(call("mlockall", &[1]))),
    Attempt::refused("merge-pages", "to find out what others have in memory", &[EINVAL], |_| with_page(|page| got(call("madvise", &[page, PAGE, 12])))),
    Attempt::refused("poison-page", "a page of the machine to be given up", &[EINVAL], |_| with_page(|page| got(call("madvise", &[page, PAGE, 100])))),
    Attempt::refused("resident-pages", "what of a file others have read", &[ENOSYS], |_| with_page(|page| {
        let mut seen = [0_u8; PAGE / 1024];
        got(call("mincore", &[page, PAGE, crate::call::at_mut(&mut seen)]))
    })),
    Attempt::refused("place-memory", "memory at a place of its own choice", &[ENOSYS], |_| with_page(|page| got(call("mbind", &[page, PAGE, 0, 0, 0, 0])))),
    Attempt::refused("much-memory", "all memory of the machine", &[libc::ENOMEM], |_| {
        // Asked for, never touched.
        let much = 1_usize << (usize::BITS / 2 + 4);
        let flags = PRIVATE_ANONYMOUS | int(libc::MAP_NORESERVE);
        let mapped = map_memory(&[0, much, READ | WRITE, flags, int(-1), 0]);
        if let Some(Ok(address)) = mapped {
            let _ = call("munmap", &[address, much]);
        }
        got(mapped)
    }).only(|_| cfg!(target_pointer_width = "64") && !cfg!(target_arch = "s390x")).unclaimed(|_| Some("memory is not limited: a role that was taken over can use it up")),
];
