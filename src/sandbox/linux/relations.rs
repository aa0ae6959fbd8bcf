//! How one process stands to another, and steering calls, decided on register values alone.

use rustix::io::Errno;

use super::call::{Answer, Answered, Call, REFUSED, Recorded};
use super::path::join;
use super::processes::{Processes, capabilities_of, link_of};
use super::table::Class;
use crate::denial::target_text;
use crate::os::linux::process::{ids_of, parent_of};
use crate::sbpl::{Fact, ProcessTarget, Target};

/// The operation of making a process.
pub(super) const FORK: &str = "process-fork";

const NEVER: &str = "refused whatever the profile says";

/// The arguments by which calls that are never performed name what they act on: the directory it is below, if there is one beside
/// the working directory, and the path.
const NAMED: [(&str, Option<usize>, usize); 12] = [
    ("acct", None, 0),
    ("chroot", None, 0),
    ("fspick", Some(0), 1),
    ("mount", None, 1),
    ("mount_setattr", Some(0), 1),
    ("move_mount", Some(2), 3),
    ("open_tree", Some(0), 1),
    ("open_tree_attr", Some(0), 1),
    ("pivot_root", None, 0),
    ("swapoff", None, 0),
    ("swapon", None, 0),
    ("umount2", None, 0),
];

/// Versions of capget(2): sets of one word, and of two (linux/capability.h).
const CAPABILITIES_1: u32 = 0x1998_0330;
const CAPABILITIES_2: u32 = 0x2007_1026;
const CAPABILITIES_3: u32 = 0x2008_0522;

/// `struct __user_cap_data_struct` for this many words of each set.
fn told(sets: [u64; 3], words: usize) -> Vec<u8> {
    let mut data = Vec::new();
    for word in [0..4, 4..8].into_iter().take(words) {
        for set in sets {
            data.extend_from_slice(&set.to_le_bytes()[word.clone()]);
        }
    }
    data
}

/// Every relation of the `target` filter that holds between the calling process and another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation {
    strongest: ProcessTarget,
    facts: Vec<Fact<'static>>,
    /// Whether the other process belongs to the tree.
    pub(super) inside: bool,
}

impl Relation {
    fn new(itself: bool, child: bool, same_group: bool, inside: bool) -> Self {
        let held = [
            (itself, "self", ProcessTarget::Itself),
            (child, "children", ProcessTarget::Children),
            (same_group, "pgrp", ProcessTarget::ProcessGroup),
            (inside, "same-sandbox", ProcessTarget::SameSandbox),
            (!itself, "others", ProcessTarget::Others),
        ];
        let mut held =
            held.into_iter().filter(|(holds, ..)| *holds).map(|(_, value, target)| (value, target)).peekable();
        let strongest = held.peek().map_or(ProcessTarget::Others, |(_, target)| *target);
        Self { strongest, facts: held.map(|(value, _)| Fact { filter: "target", value }).collect(), inside }
    }
}

impl Call<'_> {
    pub(super) fn fork(&mut self) -> Answered {
        self.plain(FORK)
    }

    /// Where forks are only told of, the first call of a process tells of the one that made it.
    pub(super) fn tell_of_fork(&mut self) {
        let Some(born) = &self.shared.born else { return };
        let begins = self.class == Class::Begin;
        let processes = self.shared.processes;
        let pid = processes.recorded_process_of(self.tid(), begins);
        if !born.is_new(pid, begins) {
            return;
        }
        // A parent that is gone by now is not known any more.
        let parent = parent_of(pid).ok().flatten().filter(|parent| !processes.keeps_the_tree(*parent));
        let _ = self.plain(FORK);
        // Which call it was is not known: one of the family.
        self.record(None, &Recorded::now(self.shared, "fork", parent.unwrap_or(pid), self.has_refused()));
    }

    /// A decision without an object.
    pub(super) fn plain(&mut self, operation: &'static str) -> Answered {
        if self.allowed_on(operation, Target::None, String::new()) { Ok(Answer::Run) } else { Err(REFUSED) }
    }

    /// A call that is refused whatever the profile says; the record names the rule where the profile refuses too.
    pub(super) fn refuse(&mut self, operation: &'static str) -> Answered {
        let target = self.named_target();
        let allowed = self.allowed_on(operation, Target::None, target_text(&target));
        // Where nothing is refused that a profile could allow, this still is, and the profile's own refusal is a record already.
        if allowed && !self.has_refused() {
            return Err(self.turn_down(operation, &target, NEVER));
        }
        Err(REFUSED)
    }

    /// What the call would act on, as text for its record: nothing is looked up, because nothing is done.
    fn named_target(&self) -> Vec<u8> {
        match self.name {
            "sethostname" => return b"kernel.hostname".to_vec(),
            "setdomainname" => return b"kernel.domainname".to_vec(),
            _ => {}
        }
        let named = NAMED.iter().find(|(name, ..)| *name == self.name);
        let Some((path, directory)) = named.and_then(|(_, directory, path)| Some((self.path(*path).ok()?, directory)))
        else {
            return Vec::new();
        };
        if path.is_empty() || path.starts_with(b"/") {
            return path;
        }
        let directory = directory.map_or(libc::AT_FDCWD, |at| self.int(at));
        match link_of(self.tid(), directory) {
            Ok(directory) => join(&directory, &path),
            Err(_) => path,
        }
    }

    /// Process of the calling thread.
    pub(super) fn own_process(&self) -> Result<i32, Errno> {
        Processes::process_of(self.tid())
    }

    /// How process `own`, the caller's, stands to another. ESRCH for a number that is nobody's: there is nothing to decide, and
    /// programs learn from it that a process has ended.
    pub(super) fn relation(&self, own: i32, other: i32) -> Result<Relation, Errno> {
        let ids = ids_of(other)?.ok_or(Errno::SRCH)?;
        let child = ids.parent == own;
        let same_group = ids_of(own)?.is_some_and(|mine| mine.group == ids.group);
        let inside = other == own || self.shared.processes.is_inside(other)?;
        // One that has ended since is nobody by now, not somebody outside.
        if !inside && ids_of(other)?.is_none() {
            return Err(Errno::SRCH);
        }
        Ok(Relation::new(other == own, child, same_group || other == own, inside))
    }

    /// Decides an operation on another process.
    pub(super) fn allowed_on_process(&mut self, operation: &'static str, relation: &Relation, shown: String) -> bool {
        let target = Target::Process(relation.strongest);
        self.allowed_on(operation, Target::Described { target: &target, facts: &relation.facts }, shown)
    }

    /// Steering another process or asking about it: only inside the tree, whatever the profile says.
    pub(super) fn steer(&mut self, pid: i32) -> Answered {
        let changes = self.name != "prlimit64" || self.word(2) != 0;
        if pid < 0 {
            return Ok(Answer::Run);
        }
        let inside = self.demand_inside(pid);
        // Whoever may not trace a process learns nothing of this one, not even that somebody is there.
        let traces = self.name == "get_robust_list";
        inside.map_err(|errno| if traces { Errno::SRCH } else { errno })?;
        // Group, session, priority and scheduling: getpgid(2), ioprio_get(2), sched_getparam(2) and the like. For the list of
        // robust locks the kernel asks for the right to trace.
        if self.name.contains("get") {
            return Ok(Answer::Run);
        }
        let own = self.own_process()?;
        let process = Processes::process_of(pid)?;
        if process == own {
            return Ok(Answer::Run);
        }
        let relation = self.relation(own, process)?;
        let operation = if changes { "process-info-setcontrol" } else { "process-info-pidinfo" };
        if self.allowed_on_process(operation, &relation, format!("process {process}")) {
            Ok(Answer::Run)
        } else {
            Err(REFUSED)
        }
    }

    /// pidfd_open(2): what is done with the descriptor is judged when it is done.
    pub(super) fn open_pidfd(&mut self) -> Answered {
        let pid = self.int(0);
        if pid > 0 {
            self.demand_inside(pid)?;
        }
        Ok(Answer::Run)
    }

    /// clock_gettime(2) and other calls on the processor time of a process or thread. The clock's number holds the other one,
    /// inverted, above three bits (linux/posix-timers.h).
    pub(super) fn clock(&mut self) -> Answered {
        // As the kernel says it of clocks.
        self.demand_inside(!(self.int(0) >> 3))
            .map_err(|errno| if errno == Errno::SRCH { Errno::INVAL } else { errno })?;
        Ok(Answer::Run)
    }

    /// Fails for a process outside the tree (EPERM) and for a number that is nobody's (ESRCH). The kernel is asked about neither: by
    /// then the number may be somebody's outside.
    fn demand_inside(&self, pid: i32) -> Result<(), Errno> {
        if self.shared.processes.is_inside(pid)? {
            return Ok(());
        }
        Err(if ids_of(pid)?.is_some() { Errno::PERM } else { Errno::SRCH })
    }

    /// capget(2). Its process is named in memory, so the kernel is not let run it: the answer is what `/proc` says.
    pub(super) fn capget(&mut self) -> Answered {
        let mut header = [0; 8];
        self.read(0, &mut header)?;
        let [a, b, c, d, e, f, g, h] = header;
        let (version, pid) = (u32::from_ne_bytes([a, b, c, d]), i32::from_ne_bytes([e, f, g, h]));
        let words = match version {
            CAPABILITIES_1 => 1,
            CAPABILITIES_2 | CAPABILITIES_3 => 2,
            _ => {
                self.write(0, &CAPABILITIES_3.to_ne_bytes())?;
                return Err(Errno::INVAL);
            }
        };
        let thread = match pid {
            ..0 => return Err(Errno::INVAL),
            0 => self.tid(),
            pid => {
                self.demand_inside(pid)?;
                pid
            }
        };
        let sets = capabilities_of(thread)?;
        self.write(1, &told(sets, words))?;
        Ok(Answer::DONE)
    }

    /// setpriority(2), ioprio_set(2) and the calls that read what these set: groups and users are refused, single
    /// processes as in [`Call::steer`].
    pub(super) fn priority(&mut self) -> Answered {
        let process = i32::from(self.name.starts_with("ioprio"));
        if self.int(0) != process {
            return Err(Errno::PERM);
        }
        self.steer(self.int(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbpl::{Access, NoImports, Params, Policy, Source};
    use crate::vocab::{Decision, Operation};

    #[test]
    fn capabilities_are_told_as_the_kernel_tells_them() {
        let sets = [0x1_0000_0002, 0x3_0000_0004, 0x5_0000_0006];
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        assert_eq!(told(sets, 1), words(&[2, 4, 6]));
        assert_eq!(told(sets, 2), words(&[2, 4, 6, 1, 3, 5]));
    }

    #[test]
    fn every_relation_that_holds_decides() {
        let child_in_group = Relation::new(false, true, true, true);
        let stranger_in_group = Relation::new(false, false, true, false);
        let sibling = Relation::new(false, false, true, true);
        let own = Relation::new(true, false, true, true);
        let stranger = Relation::new(false, false, false, false);
        for (filter, expected) in [
            ("self", [false, false, false, true, false]),
            ("children", [true, false, false, false, false]),
            ("pgrp", [true, true, true, true, false]),
            ("same-sandbox", [true, false, true, true, false]),
            ("others", [true, true, true, false, true]),
        ] {
            let text = format!("(version 1)(deny default)(allow signal (target {filter}))");
            let policy = Policy::compile(&[Source::new("p.sb", text)], &Params::new(), &NoImports).unwrap();
            for (relation, allowed) in
                [&child_in_group, &stranger_in_group, &sibling, &own, &stranger].into_iter().zip(expected)
            {
                let target = Target::Process(relation.strongest);
                let access = Access {
                    operation: &Operation::new("signal"),
                    target: Target::Described { target: &target, facts: &relation.facts },
                };
                let decision = if allowed { Decision::Allow } else { Decision::Deny };
                assert_eq!(policy.judge(&access).decision(), Some(decision), "{filter} {relation:?}");
            }
        }
    }
}
