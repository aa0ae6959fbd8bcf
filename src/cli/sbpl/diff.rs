//! `sbpl diff`

use std::path::PathBuf;

use super::profile::{ProfileArgs, compile, key_value, show_diagnostics};
use crate::base::json as document;
use crate::cli::context::Context;
use crate::cli::exit::{CliResult, Exit};
use crate::cli::print_line;
use crate::sbpl::{self, Change, ProfileDiff};
use crate::vocab::RuleRef;

// Arguments of `sbpl diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// The profile to compare with
    a: PathBuf,
    /// The profile to look at
    b: PathBuf,
    /// Value of (param "KEY") in both
    #[arg(short = 'D', value_name = "KEY=VALUE", value_parser = key_value)]
    define: Vec<(String, String)>,
    /// Text appended to both; may be given several times. A bare name of a shipped overlay means that one
    #[arg(long, value_name = "FILE")]
    overlay: Vec<PathBuf>,
    /// Directory in which (import "name") is looked up; may be given several times
    #[arg(long, value_name = "DIR")]
    import_dir: Vec<PathBuf>,
    /// End with 1 when B allows more, with 3 when that cannot be decided
    #[arg(long)]
    fail_if_wider: bool,
}

const HELP: &str = "\
Every difference is a pair of deciding rules with an access that shows it: a target and its attributes as `sbpl explain` \
takes them, among them what the process holds (extension=none, entitlement=NAME). Where the answer depends on something \
that no attribute says, the difference is listed as undecided. No output means: proved to allow the same.

Examples:
  runtime sbpl diff old.sb new.sb
  runtime sbpl diff old.sb new.sb --fail-if-wider -D HOME=/home/u
  runtime sbpl diff old.sb new.sb --overlay linux-base.sb

Exit status: 0 compared, 1 B is wider (--fail-if-wider), 2 usage, 3 a profile cannot be read or compiled, or with \
--fail-if-wider: not decided.";

/// Compares two profiles.
pub(super) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let mut policies = Vec::new();
    for file in [&args.a, &args.b] {
        let profile = ProfileArgs {
            profile: file.clone(),
            define: args.define.clone(),
            overlay: args.overlay.clone(),
            import_dir: args.import_dir.clone(),
        };
        match compile(&profile, context)? {
            Ok(policy) => policies.push(policy),
            Err(diagnostics) => return show_diagnostics(&diagnostics, json, context),
        }
    }
    let found = sbpl::diff(&policies[0], &policies[1]);
    if json {
        print_line(&document::to_pretty(&found))?;
    } else {
        lines(&found).iter().try_for_each(|line| print_line(line))?;
    }
    Ok(match (args.fail_if_wider, found.wider.is_empty(), found.may_widen()) {
        (true, false, _) => Exit::No,
        (true, true, true) => Exit::CannotAnswer,
        _ => Exit::Yes,
    })
}

fn lines(found: &ProfileDiff) -> Vec<String> {
    let mut lines = Vec::new();
    let mut changes = |heading: &str, changes: &[Change]| {
        for change in changes {
            lines.push(format!("{heading} {}", change.operations.join(" ")));
            let made_up = if change.made_up { " (made up: no rule names it in full)" } else { "" };
            lines.push(format!("  for example {}{made_up}", change.witness));
            lines.push(format!("  A {}", place(change.a.as_ref())));
            lines.push(format!("  B {}", place(change.b.as_ref())));
        }
    };
    changes("wider", &found.wider);
    changes("narrower", &found.narrower);
    for open in &found.undecided {
        let direction = if open.may_widen { "wider" } else { "narrower" };
        lines.push(format!("undecided, perhaps {direction} {}", open.operations.join(" ")));
        lines.push(format!("  if {}", open.reason));
        // Beyond a bound no rules are known.
        if open.a.is_none() && open.b.is_none() {
            continue;
        }
        lines.push(format!("  A {}", place(open.a.as_ref())));
        lines.push(format!("  B {}", place(open.b.as_ref())));
    }
    lines
}

fn place(rule: Option<&RuleRef>) -> String {
    rule.map_or_else(|| "no rule: deny".to_owned(), |rule| format!("{rule}: {}", rule.text))
}
