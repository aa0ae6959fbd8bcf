//! From a trapped call to its handler: which argument is what.

use rustix::io::Errno;

use super::call::{Answer, Answered, Call};
use super::metadata::{At, Subject};
use super::table::{Class, Handler, Registers};

const CWD: i32 = libc::AT_FDCWD;

/// Flags of calls that can mean a link itself or the descriptor's own object.
const LINK_OR_OWN: i32 = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;

impl Call<'_> {
    /// Handles the call: decides, performs, and says how to answer.
    pub(super) fn handle(&mut self) -> Answered {
        self.tell_of_fork();
        match self.class {
            Class::Trap(handler) => self.handle_with(handler),
            Class::Judge(operation) => self.plain(operation),
            Class::Refuse(operation) => self.refuse(operation),
            Class::Begin => Ok(Answer::Run),
            Class::Registers(Registers::Ioctl) => self.ioctl(),
            Class::Registers(Registers::Mmap) => self.map_executable(),
            Class::Registers(Registers::Clone) => self.fork(),
            Class::Registers(Registers::Fcntl) => self.fcntl(),
            Class::Registers(Registers::Flock) => self.lock(),
            Class::Registers(Registers::ProcessFirst) => self.steer(self.int(0)),
            Class::Registers(Registers::Clock) => self.clock(),
            Class::Registers(Registers::Capget) => self.capget(),
            Class::Registers(Registers::Priority) => self.priority(),
            Class::Registers(Registers::Socket | Registers::Socketpair) => self.new_socket(),
            Class::Registers(Registers::Setsockopt) => self.ask_for_credentials(),
            Class::Registers(Registers::Sendto) => self.sendto(),
            Class::Registers(Registers::Sendmsg) => self.sendmsg(),
            Class::Registers(Registers::Sendmmsg) => self.sendmmsg(),
            // The filter traps nothing else.
            _ => Err(Errno::NOSYS),
        }
    }

    fn handle_with(&mut self, handler: Handler) -> Answered {
        use Handler as H;
        match handler {
            H::Open => self.open(CWD, 0),
            H::Openat => self.open(self.int(0), 1),
            H::Openat2 => self.openat2(),
            H::Creat => self.creat(),
            H::Stat => self.stat(At::path(0), 1),
            H::Lstat => self.stat(At::path(0).keeping_link(), 1),
            H::Newfstatat => self.stat(At::of(self.int(0), 1, self.int(3)), 2),
            H::Statx => self.statx(),
            H::Statfs => self.statfs(),
            H::Access => self.access(At::path(0), self.int(1), 0),
            H::Faccessat => self.access(At::of(self.int(0), 1, 0), self.int(2), 0),
            H::Faccessat2 => {
                let flags = self.flags(3, LINK_OR_OWN | libc::AT_EACCESS)?;
                self.access(At::of(self.int(0), 1, flags), self.int(2), flags)
            }
            H::Readlink => self.readlink(CWD, 0),
            H::Readlinkat => self.readlink(self.int(0), 1),
            H::Getxattr | H::Lgetxattr | H::Fgetxattr => self.get_xattr(subject(handler)),
            H::Listxattr | H::Llistxattr | H::Flistxattr => self.list_xattr(subject(handler)),
            H::Setxattr | H::Lsetxattr | H::Fsetxattr => self.set_xattr(subject(handler)),
            H::Removexattr | H::Lremovexattr | H::Fremovexattr => self.remove_xattr(subject(handler)),
            H::Chmod => self.chmod(Subject::Path(At::path(0)), 1),
            H::Fchmodat => self.chmod(Subject::Path(At::of(self.int(0), 1, 0)), 2),
            H::Fchmod => self.chmod(Subject::Descriptor, 1),
            H::Chown => self.chown(Subject::Path(At::path(0)), 1),
            H::Lchown => self.chown(Subject::Path(At::path(0).keeping_link()), 1),
            H::Fchownat => {
                let flags = self.flags(4, LINK_OR_OWN)?;
                self.chown(Subject::Path(At::of(self.int(0), 1, flags)), 2)
            }
            H::Fchown => self.chown(Subject::Descriptor, 1),
            H::Utime => self.set_times_s(),
            H::Utimes => self.set_times_us(At::path(0), 1),
            H::Futimesat => self.set_times_us(At::of(self.int(0), 1, 0), 2),
            H::Utimensat => self.set_times_at(),
            H::Truncate => self.truncate(),
            H::Chdir => self.chdir(),
            H::Getcwd => self.getcwd(),
            H::Unlink => self.unlink(CWD, 0, 0),
            H::Rmdir => self.unlink(CWD, 0, libc::AT_REMOVEDIR),
            H::Unlinkat => self.unlink(self.int(0), 1, self.flags(2, libc::AT_REMOVEDIR)?),
            H::Mkdir => self.mkdir(CWD, 0),
            H::Mkdirat => self.mkdir(self.int(0), 1),
            H::Symlink => self.symlink(CWD, 1),
            H::Symlinkat => self.symlink(self.int(1), 2),
            H::Mknod => self.mknod(CWD, 0),
            H::Mknodat => self.mknod(self.int(0), 1),
            H::Rename => self.rename((CWD, 0), (CWD, 1), 0),
            H::Renameat => self.rename((self.int(0), 1), (self.int(2), 3), 0),
            H::Renameat2 => self.rename((self.int(0), 1), (self.int(2), 3), self.unsigned(4)),
            H::Link => self.link((CWD, 0), (CWD, 1), 0),
            H::Linkat => self.link((self.int(0), 1), (self.int(2), 3), self.int(4)),
            H::InotifyAddWatch => self.watch(),
            H::MemfdCreate => self.memfd_create(),
            H::Execve => self.execve(),
            H::Execveat => self.execveat(),
            H::Fork => self.fork(),
            H::Kill => self.kill(),
            H::Tkill => self.signal_thread(None, 0),
            H::Tgkill | H::RtTgsigqueueinfo => self.signal_thread(Some(0), 1),
            H::RtSigqueueinfo => self.signal_process(self.int(0)),
            H::PidfdSendSignal => self.signal_pidfd(),
            H::PidfdOpen => self.open_pidfd(),
            H::Connect => self.connect(),
            H::Bind => self.bind(),
            H::Listen => self.listen(),
            H::Getsockname => self.getsockname(),
        }
    }
}

/// The three forms of the attribute calls.
fn subject(handler: Handler) -> Subject {
    use Handler as H;
    match handler {
        H::Fgetxattr | H::Flistxattr | H::Fsetxattr | H::Fremovexattr => Subject::Descriptor,
        H::Lgetxattr | H::Llistxattr | H::Lsetxattr | H::Lremovexattr => Subject::Path(At::path(0).keeping_link()),
        _ => Subject::Path(At::path(0)),
    }
}
