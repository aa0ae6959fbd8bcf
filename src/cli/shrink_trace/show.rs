//! What the commands tell while they work and at their end.

use std::ffi::OsString;

use serde_json::Value;

use crate::base::json as document;
use crate::base::text::counted;
use crate::cli::context::Context;
use crate::cli::exit::{CliResult, Exit};
use crate::cli::{note_line, print_line, printable};
use crate::shrink::{Event, Observer, Outcome};

/// Steps on stderr.
pub(super) struct Progress {
    terminal: bool,
}

impl Progress {
    pub(super) fn new(context: &Context) -> Self {
        Self { terminal: context.stderr_is_terminal }
    }
}

impl Observer for Progress {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Iteration { number, observed, status, denials, new_rules } => {
                let what = if *observed { "observed" } else { "enforced" };
                let denials = counted(*denials, "refusal", "refusals");
                let rules = counted(*new_rules, "new rule", "new rules");
                note_line(&format!("trace {number}: {what}, status {status}, {denials}, {rules}"));
            }
            Event::Generalized { adds, rule } => {
                note_line(&format!("generalized: allows {}: {}", printable(adds), printable(rule)))
            }
            Event::Bound { candidates, runs } => {
                let (candidates, runs) =
                    (counted(*candidates, "candidate", "candidates"), counted(*runs, "run", "runs"));
                note_line(&format!("shrink: {candidates}, at most {runs}"))
            }
            // One line per run is for somebody who watches.
            Event::Trial { runs, removed, group, success } if self.terminal => {
                let word = if *success { "works" } else { "fails" };
                note_line(&format!("shrink run {runs}: without {removed} ({group} of them new): {word}"));
            }
            Event::Trial { .. } => {}
            Event::Flaky { what } => note_line(&format!("flaky: {what}")),
            Event::Warning { text } => note_line(&format!("warning: {}", printable(text))),
        }
    }
}

/// The end of a run: the record, or some lines about it and how to use the profile.
pub(super) fn outcome(outcome: &Outcome, argv: &[OsString], json: bool) -> CliResult {
    if json {
        print_line(&document::to_pretty_sorted(&outcome.record))?;
    } else {
        lines(outcome, argv).iter().try_for_each(|line| print_line(line))?;
    }
    Ok(if outcome.success { Exit::Yes } else { Exit::No })
}

fn lines(outcome: &Outcome, argv: &[OsString]) -> Vec<String> {
    let at = |pointer: &str| outcome.record.pointer(pointer).unwrap_or(&Value::Null);
    let text = |pointer: &str| match at(pointer) {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text),
        other => other.to_string(),
    };
    let some = |pointer: &str, noun: &str| match at(pointer).as_u64() {
        Some(number) => counted(number, noun, &format!("{noun}s")),
        None => format!("- {noun}s"),
    };
    let mut lines = Vec::new();
    if outcome.record["command"] != "shrink" {
        lines.push(format!(
            "trace: {} after {}, {}, completeness {}",
            text("/trace/status"),
            some("/trace/iterations", "iteration"),
            some("/trace/profile_lines", "line"),
            text("/trace/completeness/verdict"),
        ));
        if at("/trace/why") != &Value::Null {
            lines.push(format!("  {}", text("/trace/why")));
        }
        if at("/trace/status") == "max_iters" {
            lines.push("  names that are made up anew in every run never end: see --generalize".to_owned());
        }
    }
    if outcome.record["command"] != "trace" {
        let (status, reason) = (text("/shrink/status"), text("/shrink/reason"));
        // Most statuses are their own reason.
        lines.push(if status == reason { format!("shrink: {status}") } else { format!("shrink: {status} ({reason})") });
        if at("/shrink/why") != &Value::Null {
            lines.push(format!("  {}", text("/shrink/why")));
        }
        if at("/shrink/removed").is_number() {
            lines.push(format!(
                "  removed {}, kept {}, {}; {} (bound {}); one-minimality {}",
                text("/shrink/removed"),
                text("/shrink/kept"),
                some("/shrink/profile_lines", "line"),
                some("/shrink/runs", "run"),
                text("/shrink/bound"),
                text("/shrink/one_minimal"),
            ));
            let wider = match (at("/shrink/diff/wider") == 0, at("/shrink/diff/undecided_wider") == false) {
                (true, true) => "no",
                (true, false) => "not decided for all rules (see `sbpl diff`)",
                (false, _) => "YES",
            };
            lines.push(format!(
                "  under the result: fresh {}, repeat {}; wider than the input: {}",
                text("/shrink/post_shrink_fresh_rc"),
                text("/shrink/post_shrink_repeat_rc"),
                wider,
            ));
        }
    }
    for flaky in at("/shrink/flaky").as_array().into_iter().flatten() {
        lines.push(format!("  flaky: {}", flaky.as_str().map(printable).unwrap_or_default()));
    }
    let profile =
        if at("/paths/profiles/shrunk").is_string() { "/paths/profiles/shrunk" } else { "/paths/profiles/trace" };
    lines.push(format!("profile: {}", text(profile)));
    if outcome.success {
        let params: Vec<String> =
            outcome.params.iter().map(|(name, value)| format!("-D {name}={}", quoted(value))).collect();
        let words: Vec<String> = argv.iter().map(|word| quoted(&word.to_string_lossy())).collect();
        lines.push(format!(
            "use: runtime sandbox run --profile {} {} -- {}",
            text(profile),
            params.join(" "),
            words.join(" ")
        ));
    }
    lines
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", printable(word).replace('\'', "'\\''"))
    }
}
