//! What the profile allows everywhere, and therefore need not be brought before the supervisor.

use super::filter::Free;
use super::table::Handler;
use crate::sandbox::Trap;
use crate::sbpl::Policy;
use crate::vocab::{Decision, Operation};

const READING: [&str; 2] = ["file-read-data", "file-read-metadata"];

/// Everything the inner domain would have to admit for writing to be left to the kernel.
const WRITING: [&str; 13] = [
    "file-read-data",
    "file-read-metadata",
    "file-link",
    "file-mknod",
    "file-write-create",
    "file-write-data",
    "file-write-flags",
    "file-write-mode",
    "file-write-owner",
    "file-write-times",
    "file-write-unlink",
    "file-write-xattr",
    "file-test-existence",
];

/// Answers the filter's questions for one job.
#[derive(Debug)]
pub(super) struct Allowances<'p> {
    policy: &'p Policy,
    trap: Trap,
    observe: bool,
}

impl<'p> Allowances<'p> {
    pub(super) fn new(policy: &'p Policy, trap: Trap, observe: bool) -> Self {
        Self { policy, trap, observe }
    }

    fn untrapped(&self) -> bool {
        self.trap == Trap::AsNeeded
    }

    /// Whether every kind of writing is left to the kernel.
    pub(super) fn write_alone(&self) -> bool {
        self.untrapped() && WRITING.iter().all(|name| self.everywhere(name))
    }
}

impl Free for Allowances<'_> {
    fn everywhere(&self, operation: &str) -> bool {
        self.policy.unconditional(&Operation::new(operation)) == Some(Decision::Allow)
    }

    fn handler(&self, handler: Handler) -> bool {
        let operations = handler.operations();
        self.untrapped()
            && !operations.is_empty()
            && operations.iter().all(|name| self.everywhere(name))
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
}
