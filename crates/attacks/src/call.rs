//! Raw system calls, and the little that attempts need around them.

#![expect(unsafe_code, reason = "an attacker makes calls as the processor makes them: each block says why it is sound")]

use std::ffi::CString;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use syscall_policy::Arch;

use crate::Got;

/// What a call gives: its result or error number. `None`: this architecture does not have it.
pub(crate) type Called = Option<Result<usize, i32>>;

/// `AT_FDCWD`: paths start where the process is.
pub(crate) const HERE: usize = int(libc::AT_FDCWD);

/// The number of bytes that a page has at most, anywhere.
pub(crate) const PAGE: usize = 64 << 10;

/// A C int as the word that a register holds.
pub(crate) const fn int(value: i32) -> usize {
    (value as isize).cast_unsigned()
}

/// The address of something.
pub(crate) fn at<T: ?Sized>(value: &T) -> usize {
    std::ptr::from_ref(value).cast::<u8>().expose_provenance()
}

/// The address of something that the kernel writes to.
pub(crate) fn at_mut<T: ?Sized>(value: &mut T) -> usize {
    std::ptr::from_mut(value).cast::<u8>().expose_provenance()
}

/// Makes a call by name.
pub(crate) fn call(name: &str, arguments: &[usize]) -> Called {
    let number = Arch::native()?.number(name)?;
    Some(number_called(usize::try_from(number).ok()?, arguments))
}

/// `mmap(2)`, by whichever name the architecture has it. glibc's and the kernel's way on s390 is by a pointer to the arguments,
/// which musl's syscall(2) hides.
pub(crate) fn map_memory(arguments: &[usize; 6]) -> Called {
    if cfg!(all(target_arch = "s390x", not(target_env = "musl"))) {
        call("mmap", &[at(arguments)])
    } else {
        either(&["mmap2", "mmap"], arguments)
    }
}

/// Makes the first of these calls that the architecture has: older ones have other names.
pub(crate) fn either(names: &[&str], arguments: &[usize]) -> Called {
    names.iter().find_map(|name| call(name, arguments))
}

/// Makes a call by number.
pub(crate) fn number_called(number: usize, arguments: &[usize]) -> Result<usize, i32> {
    let mut six = [0; 6];
    for (register, argument) in six.iter_mut().zip(arguments) {
        *register = *argument;
    }
    let [a, b, c, d, e, f] = six;
    // SAFETY: attempts pass zeros, small numbers, addresses that are not mapped, or addresses of values that outlive the
    // call and are as large as the kernel takes them for. Calls that would change memory or descriptors of this process
    // concern such as the attempt itself has made.
    let result = unsafe { libc::syscall(number.cast_signed() as libc::c_long, a, b, c, d, e, f) };
    if result == -1 {
        return Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0));
    }
    Ok(usize::try_from(result).unwrap_or(usize::MAX))
}

/// Enters the kernel by the 32-bit gate of x86, for getpid.
#[cfg(target_arch = "x86_64")]
pub(crate) fn foreign_gate() -> usize {
    let result: u32;
    // SAFETY: getpid takes no arguments and touches no memory; the gate keeps all registers but the result's, and clears
    // r8 to r11, which are declared.
    unsafe {
        core::arch::asm!("int 0x80", inlateout("eax") 20 => result, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    usize::try_from(result).unwrap_or(0)
}

/// What is to be said of a call that must not have been made.
pub(crate) fn got(called: Called) -> Got {
    match called {
        None => Got::NotHere("no such call on this architecture".to_owned()),
        Some(Err(error)) => Got::Refused(error),
        Some(Ok(result)) => Got::Won(format!("the call returned {result}")),
    }
}

/// The same for one that gives a descriptor, which is closed again.
pub(crate) fn got_descriptor(called: Called, what: &str) -> Got {
    match called {
        Some(Ok(descriptor)) => {
            let _ = call("close", &[descriptor]);
            Got::Won(what.to_owned())
        }
        other => got(other),
    }
}

/// A path as the kernel reads it.
pub(crate) fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

/// `openat`.
pub(crate) fn open_at(directory: usize, path: &Path, flags: i32, mode: usize) -> Called {
    let path = c_path(path);
    call("openat", &[directory, at(path.as_c_str()), int(flags), mode])
}

/// Opens a file for reading, and reads.
pub(crate) fn read(directory: usize, path: &Path) -> Got {
    match open_at(directory, path, libc::O_RDONLY, 0) {
        Some(Ok(descriptor)) => {
            let mut buffer = [0_u8; 64];
            let read = call("read", &[descriptor, at_mut(&mut buffer), buffer.len()]);
            let _ = call("close", &[descriptor]);
            Got::Won(format!("opened, and read gave {read:?}"))
        }
        other => got(other),
    }
}

/// Opens something with these flags.
pub(crate) fn open(path: impl AsRef<Path>, flags: i32) -> Got {
    got_descriptor(open_at(HERE, path.as_ref(), flags, 0o600), "it was opened")
}

/// Opens something beneath a held directory with these flags.
pub(crate) fn open_beneath(directory: usize, path: impl AsRef<Path>, flags: i32) -> Got {
    got_descriptor(open_at(directory, path.as_ref(), flags, 0o600), "it was opened")
}

/// A call whose first arguments are a directory and a path.
pub(crate) fn path_call(name: &str, directory: usize, path: &Path, rest: &[usize]) -> Called {
    let path = c_path(path);
    let mut arguments = vec![directory, at(path.as_c_str())];
    arguments.extend_from_slice(rest);
    call(name, &arguments)
}

/// A call with two directories and paths.
pub(crate) fn two_paths(name: &str, from: (usize, &Path), to: (usize, &Path), rest: &[usize]) -> Called {
    let (old, new) = (c_path(from.1), c_path(to.1));
    let mut arguments = vec![from.0, at(old.as_c_str()), to.0, at(new.as_c_str())];
    arguments.extend_from_slice(rest);
    call(name, &arguments)
}

/// The descriptors that are open, up to a number that no role comes to.
pub(crate) fn descriptors() -> Vec<usize> {
    let control =
        |descriptor: &usize| matches!(either(&["fcntl", "fcntl64"], &[*descriptor, int(libc::F_GETFD)]), Some(Ok(_)));
    (0..1024).filter(control).collect()
}

/// Those of the open descriptors that are directories: paths can start from them.
pub(crate) fn directories() -> Vec<usize> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    let leads = |descriptor: &usize| match open_at(*descriptor, Path::new("."), flags, 0) {
        Some(Ok(opened)) => {
            let _ = call("close", &[opened]);
            true
        }
        _ => false,
    };
    descriptors().into_iter().filter(leads).collect()
}

/// An IPv4 address as the kernel reads it (`struct sockaddr_in`).
pub(crate) fn socket_address(address: SocketAddr) -> [u8; 16] {
    let mut bytes = [0; 16];
    let SocketAddr::V4(address) = address else { return bytes };
    let family = u16::try_from(libc::AF_INET).unwrap_or(0).to_ne_bytes();
    bytes[..2].copy_from_slice(&family);
    bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
    bytes[4..8].copy_from_slice(&address.ip().octets());
    bytes
}
