//! Installing a filter with a listener, and the listener's protocol (seccomp_unotify(2)).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{checked, last_errno};

/// One instruction of classic BPF (linux/filter.h, `struct sock_filter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when the test holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// A system call that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub struct Notification {
    /// Names this wait; never reused while the listener lives.
    pub id: u64,
    /// Thread that asks, as seen from the listener's pid namespace.
    pub tid: i32,
    /// System call number of the native table.
    pub number: i32,
    /// Raw arguments.
    pub args: [u64; 6],
}

/// The listening side of an installed filter.
#[derive(Debug)]
pub struct Listener(OwnedFd);

/// linux/seccomp.h; not in libc.
const FD_SYNC_WAKE_UP: u64 = 1;

/// Installs a filter on the calling thread and returns the listener's descriptor (close-on-exec). The thread must have
/// `no_new_privs` set or hold CAP_SYS_ADMIN.
///
/// # Errors
/// EBUSY when a filter with a listener is in force already; EACCES without the precondition; EINVAL for a program the
/// kernel does not accept or flags it does not know (before Linux 5.19).
pub fn install(program: &[Instruction]) -> Result<OwnedFd, Errno> {
    let raw: Vec<libc::sock_filter> =
        program.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
    let len = u16::try_from(raw.len()).map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog { len, filter: raw.as_ptr().cast_mut() };
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    // SAFETY: `program` and the instructions it points to live until the call returns; the kernel only reads them.
    let fd = checked(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, std::ptr::from_ref(&program))
    })?;
    let fd = i32::try_from(fd).map_err(|_| Errno::BADF)?;
    // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether the kernel knows an action (`SECCOMP_GET_ACTION_AVAIL`).
#[must_use]
pub fn action_available(action: u32) -> bool {
    // SAFETY: the kernel reads one u32 behind the pointer.
    let returned =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, std::ptr::from_ref(&action)) };
    returned == 0
}

impl Listener {
    /// Takes over a listener's descriptor. Wake-ups stay on one CPU where the kernel can do that (Linux 6.6).
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        // SAFETY: the request takes its flags by value and has no other effect; older kernels answer EINVAL.
        unsafe { libc::ioctl(fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, FD_SYNC_WAKE_UP) };
        Self(fd)
    }

    /// Waits for the next call.
    ///
    /// # Errors
    /// EINTR; ENOENT when the caller died meanwhile, or (since Linux 6.11) nobody is left under the filter.
    pub fn receive(&self) -> Result<Notification, Errno> {
        // SAFETY: all-zero bytes are a valid `seccomp_notif`, and the kernel demands zeroes.
        let mut raw: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: `raw` is writable and has the size the request number encodes.
        let returned = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut raw) };
        if returned < 0 {
            return Err(last_errno());
        }
        Ok(Notification { id: raw.id, tid: raw.pid.cast_signed(), number: raw.data.nr, args: raw.data.args })
    }

    /// Whether a call waits that nobody has received yet.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok() && fds[0].revents().contains(PollFlags::IN)
    }

    /// Whether no process is left under the filter, so that no call will ever come (poll tells since Linux 5.8,
    /// seccomp_unotify(2)).
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::empty())];
        poll(&mut fds, Some(&Timespec::default())).is_ok() && fds[0].revents().contains(PollFlags::HUP)
    }

    /// Whether the caller still waits for this answer.
    #[must_use]
    pub fn is_waiting(&self, id: u64) -> bool {
        // SAFETY: the kernel reads one u64 behind the pointer.
        unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, std::ptr::from_ref(&id)) == 0 }
    }

    /// Answers with a value or an errno, without running the call.
    ///
    /// # Errors
    /// ENOENT when the caller is gone.
    pub fn answer(&self, id: u64, result: Result<i64, Errno>) -> Result<(), Errno> {
        let (val, error) = match result {
            Ok(value) => (value, 0),
            Err(errno) => (0, -errno.raw_os_error()),
        };
        self.send(libc::seccomp_notif_resp { id, val, error, flags: 0 })
    }

    /// Lets the kernel run the call as if there were no listener. The kernel reads all memory arguments again: sound only
    /// for decisions on register values.
    ///
    /// # Errors
    /// ENOENT when the caller is gone.
    pub fn run_unchanged(&self, id: u64) -> Result<(), Errno> {
        let flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(1);
        self.send(libc::seccomp_notif_resp { id, val: 0, error: 0, flags })
    }

    fn send(&self, response: libc::seccomp_notif_resp) -> Result<(), Errno> {
        let mut response = response;
        // SAFETY: `response` is valid for reading and writing and has the size the request number encodes.
        let returned = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) };
        if returned < 0 { Err(last_errno()) } else { Ok(()) }
    }

    /// Puts a copy of `fd` into the caller's descriptor table and answers with its number, in one step (Linux 5.14).
    ///
    /// # Errors
    /// ENOENT when the caller is gone, EMFILE when its table is full, EBADF for an `O_PATH` descriptor.
    pub fn answer_with_descriptor(&self, id: u64, fd: BorrowedFd<'_>, close_on_exec: bool) -> Result<i32, Errno> {
        self.add(id, fd, close_on_exec, u32::try_from(libc::SECCOMP_ADDFD_FLAG_SEND).unwrap_or(2))
    }

    /// Puts a copy of `fd` into the caller's descriptor table; the caller goes on waiting for its answer. The number is the
    /// copy's.
    ///
    /// # Errors
    /// As [`Listener::answer_with_descriptor`].
    pub fn add_descriptor(&self, id: u64, fd: BorrowedFd<'_>, close_on_exec: bool) -> Result<i32, Errno> {
        self.add(id, fd, close_on_exec, 0)
    }

    fn add(&self, id: u64, fd: BorrowedFd<'_>, close_on_exec: bool, flags: u32) -> Result<i32, Errno> {
        let request = libc::seccomp_notif_addfd {
            id,
            flags,
            srcfd: fd.as_raw_fd().cast_unsigned(),
            newfd: 0,
            newfd_flags: if close_on_exec { libc::O_CLOEXEC.cast_unsigned() } else { 0 },
        };
        // SAFETY: the kernel reads one structure of the size the request number encodes; `fd` is open during the call.
        let returned =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, std::ptr::from_ref(&request)) };
        if returned < 0 { Err(last_errno()) } else { Ok(returned) }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
