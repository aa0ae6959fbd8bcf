//! The seccomp filter of one profile: table and profile in, classic BPF out. Pure.
//!
//! Shape: architecture, then number (a binary tree of comparisons over ranges), then, for some calls, tests on register
//! values. A foreign architecture and numbers outside the table get `ENOSYS`.

mod assemble;
mod calls;
#[cfg(test)]
mod tests;

pub(super) use calls::{F_SETOWN_EX, FLAG_REQUESTS, FLAG_STRUCTURE_REQUEST, LOCK_COMMANDS, SIGNAL_REQUESTS};

use assemble::{Assembler, Block, Label, Test};

#[cfg(test)]
use super::table::Class;
use super::table::{self, Handler};
use crate::os::linux::seccomp::Instruction;
use crate::sandbox::weaken::{Protection, off};

/// What the profile allows everywhere, as far as the filter asks.
pub(super) trait Free {
    /// Whether the call of this handler may run without asking.
    fn handler(&self, handler: Handler) -> bool;
    /// Whether opening for reading, and looking, may run without asking.
    fn plain_read(&self) -> bool;
    /// Whether the profile allows all these operations on everything.
    fn operations(&self, names: &[&str]) -> bool;
    /// Whether a [`table::Class::Judge`] call may run without asking.
    fn judge(&self, operation: &str) -> bool;
    /// What happens to forks.
    fn forks(&self) -> Forks;
    /// What of the network may run without asking.
    fn network(&self) -> Network;
    /// Whether the profile allows the operation on everything.
    fn everywhere(&self, operation: &str) -> bool;
    /// Whether the program's own opening of files is bounded by Landlock.
    fn bounded(&self) -> bool;
}

/// What happens to forks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forks {
    /// Left to the kernel.
    Free,
    /// Left to the kernel, and the first call of the new process tells of them. Brought before the supervisor they could be
    /// interrupted before it takes them, and a shell gives up when the end of one child makes the fork of the next one fail.
    Told,
    /// Brought before the supervisor.
    Judged,
}

/// What of the network may run without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    /// Connecting, and sending to any address.
    pub(super) outbound: bool,
    /// Making sockets for IP datagrams; where sending is restricted, each of their addresses is asked about.
    pub(super) ip_datagrams: bool,
    /// The same for unix datagrams.
    pub(super) unix_datagrams: bool,
    /// Sending without an address in a register: no datagram socket can be there, or `outbound` holds.
    pub(super) messages: bool,
    /// Asking for the own address: no unix socket can have been bound to a path on behalf.
    pub(super) names: bool,
    /// Options that choose another way than the address says.
    pub(super) routes: bool,
}

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

// linux/audit.h
#[cfg(target_arch = "x86_64")]
const NATIVE_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE_ARCH: u32 = 0xc000_00b7;

/// Set in x32 numbers (asm/unistd.h); above every table elsewhere, so the test is harmless there.
const X32_BIT: u32 = 0x4000_0000;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const EOPNOTSUPP: u32 = libc::SECCOMP_RET_ERRNO | libc::EOPNOTSUPP as u32;
const EBUSY: u32 = libc::SECCOMP_RET_ERRNO | libc::EBUSY as u32;
/// Answers 0 without running the call.
const NO_EFFECT: u32 = libc::SECCOMP_RET_ERRNO;

/// Builds the filter.
pub(super) fn program(free: &dyn Free) -> Vec<Instruction> {
    let ranges = ranges(free);
    let mut code = Assembler::default();
    let numbers = tree(&mut code, &ranges);
    let unknown = code.ret(ENOSYS);
    let number = code.test(Test::AnyBit, X32_BIT, unknown, numbers);
    let native = code.load(NUMBER, number);
    let foreign = code.ret(if off(Protection::Architecture) { ALLOW } else { ENOSYS });
    let architecture = code.test(Test::Equal, NATIVE_ARCH, native, foreign);
    let entry = code.load(ARCH, architecture);
    code.finish(entry)
}

/// One run of consecutive numbers with the same treatment.
struct Range {
    first: u32,
    treatment: Block,
}

fn ranges(free: &dyn Free) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    let mut next = 0;
    let mut push = |first: u32, treatment: Block| {
        if ranges.last().is_none_or(|last| last.treatment != treatment) {
            ranges.push(Range { first, treatment });
        }
    };
    for (number, name, class) in table::native() {
        if number > next {
            push(next, Block::new(ENOSYS));
        }
        push(number, calls::treatment(class, name, free));
        next = number + 1;
    }
    push(next, Block::new(ENOSYS));
    ranges
}

/// A comparison tree over the ranges; the accumulator holds the number.
fn tree<'r>(code: &mut Assembler<'r>, ranges: &'r [Range]) -> Label {
    match ranges {
        [] => code.ret(ENOSYS),
        [one] => code.block(&one.treatment),
        _ => {
            let middle = ranges.len() / 2;
            let from_middle = tree(code, &ranges[middle..]);
            let before = tree(code, &ranges[..middle]);
            code.test(Test::AtLeast, ranges[middle].first, from_middle, before)
        }
    }
}
