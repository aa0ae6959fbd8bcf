//! The evaluator and the kernel agree: rows of profile, call and path, each answered twice.
//!
//! The evaluator (`runtime::sbpl`) is asked for every operation a call amounts to; the call itself is made inside `runtime sandbox
//! run`, many rows in one process. Compared are the decision, the record of a refusal (operation, target, rule, how
//! often) and what the files look like afterwards. The rows say by hand what is expected (`tables/*.sb`), so that both
//! sides being wrong in the same way shows too. Where the two differ on purpose, the row names an entry of [`deviations`].
//!
//! The twin of every row: the evaluator is given one rule more, one that turns the row's answer, and the comparison must
//! report that very row.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "tests start programs and look at files directly")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

mod accesses;
mod compare;
mod coverage;
mod deviations;
mod files;
mod ports;
mod run;
#[path = "../enforce/support.rs"]
#[expect(dead_code, reason = "shared with the enforcement tests, which use all of it")]
mod support;
mod table;

/// A test per table; `coverage` checks that no table is left out.
macro_rules! tables {
    ($($name:ident),* $(,)?) => {
        const TABLES: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            run::table(stringify!($name));
        })*
    };
}

tables!(attributes, combinations, entries, filters, links, names, network, paths, precedence, processes, wildcards);
