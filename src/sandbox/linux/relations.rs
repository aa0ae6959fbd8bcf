//! How one process stands to another, and steering calls, decided on register values alone.

use rustix::io::Errno;

use super::call::{Answer, Answered, Call, REFUSED};
use super::processes::Processes;
use crate::os::linux::process::ids_of;
use crate::sbpl::{Fact, ProcessTarget, Target};

const NEVER: &str = "refused whatever the profile says";

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
        self.plain("process-fork")
    }

    /// A decision without an object.
    pub(super) fn plain(&mut self, operation: &'static str) -> Answered {
        if self.allowed_on(operation, Target::None, String::new()) { Ok(Answer::Run) } else { Err(REFUSED) }
    }

    /// A call that is refused whatever the profile says; the record names the rule where the profile refuses too.
    pub(super) fn refuse(&mut self, operation: &'static str) -> Answered {
        if self.allowed_on(operation, Target::None, String::new()) {
            return Err(self.turn_down(operation, b"", NEVER));
        }
        Err(REFUSED)
    }

    /// Process of the calling thread.
    pub(super) fn own_process(&self) -> Result<i32, Errno> {
        Processes::process_of(self.tid())
    }

    /// How process `own`, the caller's, stands to another.
    pub(super) fn relation(&self, own: i32, other: i32) -> Result<Relation, Errno> {
        let ids = ids_of(other)?;
        let child = ids.is_some_and(|ids| ids.parent == own);
        let mine = if ids.is_some() { ids_of(own)? } else { None };
        let same_group = ids.zip(mine).is_some_and(|(ids, mine)| mine.group == ids.group);
        let inside = other == own || self.shared.processes.is_inside(other)?;
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
        if pid <= 0 || !self.shared.processes.is_inside(pid)? {
            return Err(Errno::PERM);
        }
        // Group, session, priority and scheduling: getpgid(2), ioprio_get(2), sched_getparam(2) and the like.
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
        if pid > 0 && self.shared.processes.is_inside(pid)? { Ok(Answer::Run) } else { Err(Errno::PERM) }
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
