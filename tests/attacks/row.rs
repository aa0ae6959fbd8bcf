//! One line of the attack table.

use std::time::Duration;

use crate::beside::Outside;

/// For whom an attack makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// An ordinary user and root.
    Everyone,
    /// Root; the kernel refuses it to everyone else by itself.
    Root,
    /// Root only: nobody else can make its surroundings.
    RootAlone,
    /// An ordinary user only.
    Ordinary,
    /// Whichever of the two is at hand: the outcome does not depend on it.
    Either,
}

/// What is expected in the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// No effect; with the protection off, an effect.
    Blocked,
    /// No effect even without a sandbox.
    RefusedByKernel,
    /// An effect: a hole that is known, with its reason.
    KnownHole(&'static str),
}

/// An attack and how its success is made possible.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Rules after the common ones; `$W` is the working directory.
    pub(crate) rules: &'static str,
    /// Options that switch off what holds it back.
    pub(crate) weakened: Vec<String>,
    pub(crate) who: Who,
    pub(crate) outside: Outside,
    pub(crate) expected: Expected,
    /// How long it races in the sandbox; none for what happens once.
    pub(crate) race: Option<Duration>,
}

impl Row {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            rules: "",
            weakened: Vec::new(),
            who: Who::Everyone,
            outside: Outside::Nobody,
            expected: Expected::Blocked,
            race: None,
        }
    }

    pub(crate) fn rules(self, rules: &'static str) -> Self {
        Self { rules, ..self }
    }

    /// Protections without which it succeeds (`src/sandbox/weaken.rs`).
    pub(crate) fn off(mut self, protections: &[&str]) -> Self {
        protections.iter().for_each(|name| self.weakened.extend(["--weaken".to_owned(), (*name).to_owned()]));
        self
    }

    /// Layers without which it succeeds.
    pub(crate) fn without(mut self, layers: &[&str]) -> Self {
        layers.iter().for_each(|name| self.weakened.extend(["--without-layer".to_owned(), (*name).to_owned()]));
        self
    }

    pub(crate) fn who(self, who: Who) -> Self {
        Self { who, ..self }
    }

    pub(crate) fn outside(self, outside: Outside) -> Self {
        Self { outside, ..self }
    }

    pub(crate) fn known(self, why: &'static str) -> Self {
        Self { expected: Expected::KnownHole(why), ..self }
    }
}

/// Held back by the canonical form of paths alone.
pub(crate) fn spelt(name: &'static str) -> Row {
    Row::new(name).off(&["canonical_paths"])
}

/// As [`spelt`], where only the program itself sees what the path leads to.
pub(crate) fn spelt_for_itself(name: &'static str) -> Row {
    Row::new(name).off(&["canonical_paths", "emulation"]).without(&["landlock"])
}

/// Held back by the filter, and by Landlock where that knows the right.
pub(crate) fn trapped(name: &'static str, calls: &[&str]) -> Row {
    let names: Vec<String> = calls.iter().map(|call| format!("call:{call}")).collect();
    Row::new(name).off(&names.iter().map(String::as_str).collect::<Vec<_>>()).without(&["landlock"])
}

/// Held back by the supervisor performing the call itself, and by Landlock where that knows the right.
pub(crate) fn raced(name: &'static str) -> Row {
    Row {
        race: Some(Duration::from_millis(600)),
        who: Who::Either,
        ..Row::new(name).off(&["emulation"]).without(&["landlock"])
    }
}

/// Held back by something else.
pub(crate) fn held(name: &'static str) -> Row {
    Row::new(name)
}

/// Something that this kernel offers to nobody.
pub(crate) fn refused(name: &'static str) -> Row {
    Row { expected: Expected::RefusedByKernel, ..Row::new(name) }
}
