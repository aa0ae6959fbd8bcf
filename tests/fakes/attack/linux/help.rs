//! System calls with their errno, texts for them, and how a success is told.

use std::ffi::{CStr, CString};

/// An argument of a system call.
pub(crate) trait Word {
    fn word(&self) -> i64;
}

macro_rules! words {
    ($($kind:ty => $as:expr;)*) => { $(impl Word for $kind {
        fn word(&self) -> i64 {
            let convert: fn(&$kind) -> i64 = $as;
            convert(self)
        }
    })* };
}

words! {
    i32 => |number| i64::from(*number);
    u32 => |number| i64::from(*number);
    i64 => |number| *number;
    u64 => |number| number.cast_signed();
    usize => |number| (*number as u64).cast_signed();
    CString => |text| text.as_ptr() as i64;
    &CStr => |text| text.as_ptr() as i64;
}

impl<T> Word for *const T {
    fn word(&self) -> i64 {
        *self as i64
    }
}

impl<T> Word for *mut T {
    fn word(&self) -> i64 {
        *self as i64
    }
}

/// Runs a system call with these words; `Err` is the errno.
pub(crate) fn syscall(number: libc::c_long, words: &[&dyn Word]) -> Result<i64, i32> {
    let mut all = [0_i64; 6];
    words.iter().zip(&mut all).for_each(|(word, place)| *place = word.word());
    let [a, b, c, d, e, f] = all;
    // SAFETY: the kernel checks addresses; callers keep the memory alive that they name.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 { Err(errno()) } else { Ok(result) }
}

/// `sys!(SYS_openat, a, b)` runs that call and gives its result or its errno.
macro_rules! sys {
    ($name:ident $(, $word:expr)* $(,)?) => {
        $crate::linux::help::syscall(libc::$name, &[$(&$word),*])
    };
}
pub(crate) use sys;

pub(crate) fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

pub(crate) fn text(text: impl AsRef<str>) -> CString {
    CString::new(text.as_ref()).unwrap()
}

/// The directory the attack was started in.
pub(crate) fn area() -> String {
    let mut buffer = [0_u8; 4096];
    let _ = sys!(SYS_getcwd, buffer.as_mut_ptr(), buffer.len());
    String::from_utf8_lossy(&buffer).trim_end_matches('\0').to_owned()
}

/// Tells that the attack saw an effect of its own.
pub(crate) fn won(what: impl std::fmt::Display) {
    println!("WON {what}");
}

/// Tells an outcome that is no success, for whoever reads the output.
pub(crate) fn note<T: std::fmt::Debug>(what: &str, outcome: &Result<T, i32>) {
    println!("{what}: {outcome:?}");
}

pub(crate) const CWD: i32 = libc::AT_FDCWD;

/// Opens for reading.
pub(crate) fn open(path: &str) -> Result<i32, i32> {
    open_at(CWD, path, libc::O_RDONLY)
}

pub(crate) fn open_at(directory: i32, path: &str, flags: i32) -> Result<i32, i32> {
    sys!(SYS_openat, directory, text(path), flags, 0o600).map(descriptor)
}

pub(crate) fn descriptor(result: i64) -> i32 {
    i32::try_from(result).unwrap()
}

/// What can be read from a descriptor, at most a page.
pub(crate) fn contents(fd: i32) -> String {
    let mut buffer = [0_u8; 4096];
    let length = sys!(SYS_read, fd, buffer.as_mut_ptr(), buffer.len()).unwrap_or(0);
    String::from_utf8_lossy(&buffer[..usize::try_from(length).unwrap()]).into_owned()
}

/// Shows what an opened file holds.
pub(crate) fn show(opened: Result<i32, i32>) {
    note("open", &opened);
    if let Ok(fd) = opened {
        println!("{}", contents(fd));
        let _ = sys!(SYS_close, fd);
    }
}

/// Opens by that path and shows what is there.
pub(crate) fn show_path(path: &str) {
    show(open(path));
}

/// Makes or replaces a file of one's own.
pub(crate) fn write_file(path: &str, contents: &str) {
    let fd = open_at(CWD, path, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC);
    if let Ok(fd) = fd {
        let _ = sys!(SYS_write, fd, contents.as_ptr(), contents.len());
        let _ = sys!(SYS_close, fd);
    }
}

/// All-zero memory of a kernel structure.
pub(crate) fn zeroed<T: Copy>() -> T {
    // SAFETY: used for the kernel's plain structures only, for which all-zero bytes are valid.
    unsafe { std::mem::zeroed() }
}

/// Forks; the child runs `child` and ends with what it returns. Gives the child's pid.
pub(crate) fn fork(child: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the attacks fork before they start threads.
    match unsafe { libc::fork() } {
        0 => {
            let status = child();
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(status) }
        }
        pid => pid,
    }
}

pub(crate) fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: a valid place for the status.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    status
}

/// Becomes another program, or notes why not. A file just written may still be open for writing for a moment.
pub(crate) fn exec_words(path: &CString, words: &[CString]) {
    let argv: Vec<_> = words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect();
    let env = [std::ptr::null::<libc::c_char>()];
    for _ in 0..20 {
        let done = sys!(SYS_execve, path.as_ptr(), argv.as_ptr(), env.as_ptr());
        note("exec", &done);
        if done != Err(libc::ETXTBSY) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Memory that a forked process shares.
pub(crate) fn shared_page() -> *mut u8 {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    sys!(SYS_mmap, 0, 4096, protection, flags, -1, 0).unwrap() as *mut u8
}

/// Starts a process that rewrites the word at `at` between `closed` and `opened` until `end`.
pub(crate) fn flipping(at: *mut u8, end: std::time::Instant) -> i32 {
    fork(|| {
        while std::time::Instant::now() < end {
            for name in ["closed", "opened"] {
                // SAFETY: callers give a shared page.
                unsafe { std::ptr::copy(name.as_ptr(), at, name.len()) };
            }
        }
        0
    })
}
