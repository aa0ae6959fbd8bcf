//! What the profile allows everywhere, and therefore need not be brought before the supervisor.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

use rustix::net::{AddressFamily, SocketType, sockopt};

use super::filter::{Forks, Free, Network};
use super::network::{BIND, INBOUND, OUTBOUND};
use super::relations::FORK;
use super::signals::SIGNAL;
use super::table::Handler;
use super::tree::Becomes;
use crate::sandbox::Trap;
use crate::sandbox::lower::POSIX_IPC;
use crate::sbpl::Policy;
use crate::vocab::{Decision, Operation};

const READING: [&str; 2] = ["file-read-data", "file-read-metadata"];

/// Everything that would have to be allowed everywhere for changing files to be left to the kernel. Kernel settings, and the
/// objects of [`POSIX_IPC`], are files to it.
const WRITING: [&str; 15] = [
    "file-read-data",
    "file-read-metadata",
    "file-link",
    "file-mknod",
    "file-write-create",
    "file-write-data",
    "file-write-flags",
    "file-write-mode",
    "file-write-owner",
    "file-write-setugid",
    "file-write-times",
    "file-write-unlink",
    "file-write-xattr",
    "file-test-existence",
    "sysctl-write",
];

/// Answers the filter's questions for one job.
#[derive(Debug)]
pub(super) struct Allowances<'p> {
    policy: &'p Policy,
    trap: Trap,
    observe: bool,
    bounded: bool,
    first: Becomes,
    /// Whether a descriptor that the program is handed is a datagram socket, or may bring some.
    handed_datagrams: bool,
    /// Asked for by several calls' treatments.
    network: OnceCell<Network>,
    /// By operation; most calls ask for the same few.
    everywhere: RefCell<BTreeMap<String, bool>>,
}

impl<'p> Allowances<'p> {
    /// `bounded`: whether the program enters a Landlock domain.
    pub(super) fn new(
        policy: &'p Policy,
        trap: Trap,
        observe: bool,
        bounded: bool,
        first: Becomes,
        handed: &[BorrowedFd<'_>],
    ) -> Self {
        // Any unix socket may bring descriptors of others.
        let datagrams = |fd: &BorrowedFd<'_>| {
            sockopt::socket_type(fd) == Ok(SocketType::DGRAM) || sockopt::socket_domain(fd) == Ok(AddressFamily::UNIX)
        };
        let handed_datagrams = handed.iter().any(datagrams);
        Self {
            policy,
            trap,
            observe,
            bounded,
            first,
            handed_datagrams,
            network: OnceCell::new(),
            everywhere: RefCell::default(),
        }
    }

    fn untrapped(&self) -> bool {
        self.trap == Trap::AsNeeded
    }

    /// Whether changing files is left to the kernel, but for opening them.
    pub(super) fn write_alone(&self) -> bool {
        self.untrapped() && WRITING.iter().chain(&POSIX_IPC).all(|name| self.everywhere(name))
    }
}

impl Free for Allowances<'_> {
    fn everywhere(&self, operation: &str) -> bool {
        if let Some(known) = self.everywhere.borrow().get(operation) {
            return *known;
        }
        // While observing no domain keeps signals inside, and one to what keeps the sandbox would take the records along.
        let kept = operation == SIGNAL && self.observe;
        let decided = !kept && self.policy.unconditional(&Operation::new(operation)) == Some(Decision::Allow);
        self.everywhere.borrow_mut().insert(operation.to_owned(), decided);
        decided
    }

    fn bounded(&self) -> bool {
        self.bounded
    }

    fn handler(&self, handler: Handler) -> bool {
        let operations = handler.operations();
        self.untrapped()
            && !operations.is_empty()
            && operations.iter().all(|name| self.everywhere(name))
            && (!handler.looks() || self.plain_read())
            && (!handler.writes() || self.write_alone())
    }

    fn plain_read(&self) -> bool {
        self.untrapped() && READING.iter().all(|name| self.everywhere(name))
    }

    /// When nothing is to be refused, what cannot be decided one by one runs.
    fn operations(&self, names: &[&str]) -> bool {
        self.observe || names.iter().all(|name| self.everywhere(name))
    }

    fn judge(&self, operation: &str) -> bool {
        self.untrapped() && self.everywhere(operation)
    }

    /// A worker's own forks are what is probed, and nothing interrupts them.
    fn forks(&self) -> Forks {
        let allowed = self.everywhere(FORK);
        match self.first {
            _ if self.untrapped() && allowed => Forks::Free,
            Becomes::Program if self.observe || allowed => Forks::Told,
            Becomes::Program | Becomes::Worker => Forks::Judged,
        }
    }

    fn network(&self) -> Network {
        *self.network.get_or_init(|| self.find_network())
    }
}

impl Allowances<'_> {
    fn find_network(&self) -> Network {
        let outbound = self.handler(Handler::Connect);
        let reach = self.policy.allow_reach(&Operation::new(OUTBOUND));
        let all = self.trap == Trap::All || self.observe;
        let (ip_datagrams, unix_datagrams) = (all || reach.datagrams, all || reach.unix);
        // Whoever connects to a unix socket may bring one.
        let brought = self.handed_datagrams || self.policy.allow_reach(&Operation::new(INBOUND)).unix;
        Network {
            outbound,
            ip_datagrams,
            unix_datagrams,
            messages: outbound || !ip_datagrams && !unix_datagrams && !brought,
            names: self.handler(Handler::Bind) || !all && !self.policy.allow_reach(&Operation::new(BIND)).unix,
            routes: self.observe || self.everywhere(OUTBOUND),
        }
    }
}
