//! The measuring program; `main.rs` says what it is for.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on stops")]
#![expect(clippy::disallowed_methods, reason = "whole processes are what is measured")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the result of a measurement")]

mod calls;
mod memory;
mod place;
mod works;

use std::path::Path;

use benchmarks::{Asked, Measured, find_program, load, version_of};
use place::Place;

/// A peer and how it stands in a command line; `None` when it is not installed.
pub(crate) struct Peers {
    pub(crate) strace: Option<String>,
    pub(crate) bwrap: Option<String>,
    pub(crate) syd: Option<String>,
}

impl Peers {
    fn find() -> Self {
        Self { strace: find_program("strace"), bwrap: find_program("bwrap"), syd: find_program("syd") }
    }

    fn shown(&self) -> Vec<(&'static str, Option<String>)> {
        let all = [("strace", &self.strace), ("bwrap", &self.bwrap), ("syd", &self.syd)];
        all.into_iter().map(|(name, path)| (name, version_of(path.as_deref()))).collect()
    }
}

pub(crate) fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [calls::WORD, action, count, path] = words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return calls::repeat(action, count, path);
    }
    let asked = Asked::from_arguments();
    let place = Place::new(asked.runtime());
    let peers = Peers::find();
    let before = load();
    let mut results = Vec::new();
    // Shown at once too: a run that is stopped has not measured for nothing.
    let mut found = |measured: Measured| {
        eprintln!("  {}", measured.line());
        results.push(measured);
    };
    works::all(&asked, &place, &peers, &mut found);
    if asked.wants("memory") {
        found(memory::of_100_processes(&place));
    }
    asked.print(&peers.shown(), &results, &before);
}

/// This program, which loops when asked to.
pub(crate) fn own_program() -> String {
    text(&std::env::current_exe().unwrap())
}

/// A path as text for command lines and profiles.
pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
