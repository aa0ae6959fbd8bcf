//! What only macOS has: how `sandbox_check` numbers filters, launchd's domains, the words of the log.

use serde_json::Value;

use super::{Caller, Check, attack};
use crate::denial::log;
use crate::host::{Tool, missing};
use crate::unified_log::{self, Capture, Capturing};

pub(super) fn checks(caller: &Caller<'_>) -> Vec<Check> {
    let mut checks = numbering(caller);
    checks.extend(domains(caller));
    checks.push(log_shapes(caller));
    checks.push(live_log(caller));
    checks.push(version(caller));
    checks
}

/// Under a profile that denies one path, the right numbering tells that path from another one; a number that means "no
/// filter" cannot.
fn numbering(caller: &Caller<'_>) -> Vec<Check> {
    // By their real paths: the directory of temporary files is usually reached through a link.
    let real = |name: &str| {
        let path = caller.write(name, "")?.canonicalize().map_err(|error| error.to_string())?;
        Ok::<_, String>(path.display().to_string())
    };
    let prepared = real("asked-denied").and_then(|denied| {
        let profile = caller.write("asked.sb", &attack::denying(&denied))?;
        Ok((real("asked-other")?, denied, profile))
    });
    let (other, denied, profile) = match prepared {
        Ok(prepared) => prepared,
        Err(why) => return vec![Check::untried("numbering", "an answer", why)],
    };
    let exe = caller.host.worker_exe.display().to_string();
    let ask = |numbering: &str, path: &str| -> Result<String, String> {
        let end = caller.confined(&profile, &[&exe, "__ask", numbering, "file-read-data", "path", path])?;
        let answer: Value = serde_json::from_slice(&end.stdout).map_err(|error| error.to_string())?;
        Ok(answer["decision"].as_str().unwrap_or("no answer").to_owned())
    };
    [
        ("numbering.sandbox_check.denied_path", "sandbox_check", &denied, "deny"),
        ("numbering.sandbox_check.other_path", "sandbox_check", &other, "allow"),
        // Number 0 asks without a filter, so both paths get the operation's own answer.
        ("numbering.compiled_profile.denied_path", "compiled_profile", &denied, "allow"),
        ("numbering.compiled_profile.other_path", "compiled_profile", &other, "allow"),
    ]
    .map(|(id, numbering, path, expected)| match ask(numbering, path) {
        Ok(decision) => Check::compare(id, expected, decision),
        Err(why) => Check::untried(id, expected, why),
    })
    .into()
}

/// Which domains of launchd there are for this user.
fn domains(caller: &Caller<'_>) -> Vec<Check> {
    let launchctl = Tool::Launchctl.path(&caller.host.stand_in_tools);
    let uid = rustix::process::getuid().as_raw();
    ["gui", "user"]
        .map(|kind| {
            let id = format!("launchd.{kind}");
            match caller.call(&launchctl, &["print", &format!("{kind}/{uid}")]) {
                Ok(end) => Check::compare(id, "status 0", format!("status {}", end.exit_status.unwrap_or(-1))),
                Err(why) => Check::untried(id, "status 0", why),
            }
        })
        .into()
}

/// Whether the refusals of the attacks are in the log, in a shape that is read.
fn log_shapes(caller: &Caller<'_>) -> Check {
    const ID: &str = "log.shapes";
    const EXPECTED: &str = "a refusal of file-read-data, and no message that cannot be read";
    let program = Tool::Log.path(&caller.host.stand_in_tools);
    let words = ["show", "--last", "2m", "--style", "json", "--info", "--debug", "--predicate", log::PREDICATE];
    match caller.call(&program, &words) {
        Ok(end) => {
            let found = log::read(&String::from_utf8_lossy(&end.stdout));
            let refusals = found.entries.iter().filter(|entry| entry.operation == "file-read-data").count();
            // Messages may be about any program of this user: they are counted, not shown.
            let observed = match (refusals, found.unread.len()) {
                (0, _) => format!("no refusal among {} messages", found.messages.len()),
                (_, 0) => EXPECTED.to_owned(),
                (_, unread) => format!("{unread} messages that cannot be read"),
            };
            Check::compare(ID, EXPECTED, observed)
        }
        Err(why) => Check::untried(ID, EXPECTED, why),
    }
}

/// Whether refusals that are provoked come through the live log, and nothing speaks against having all between them.
fn live_log(caller: &Caller<'_>) -> Check {
    const ID: &str = "log.live";
    const EXPECTED: &str = "both sentinels and no gap";
    let absent = missing(&unified_log::NEEDED, &caller.host.stand_in_tools);
    if !absent.is_empty() {
        return Check::untried(ID, EXPECTED, format!("not here: {}", absent.join(", ")));
    }
    let directory = match caller.work.canonicalize() {
        Ok(directory) => directory,
        Err(error) => return Check::untried(ID, EXPECTED, error.to_string()),
    };
    let how = Capturing { stand_in_tools: caller.host.stand_in_tools.clone(), directory, limit: super::LIMIT };
    match Capture::begin(&how, caller.cancel) {
        Ok(capture) => {
            let gaps = capture.end(caller.cancel).gaps;
            let told: Vec<String> = gaps.iter().map(ToString::to_string).collect();
            Check::compare(ID, EXPECTED, if told.is_empty() { EXPECTED.to_owned() } else { told.join("; ") })
        }
        Err(gap) => Check::compare(ID, EXPECTED, gap.to_string()),
    }
}

/// Which macOS this is, in its own words.
fn version(caller: &Caller<'_>) -> Check {
    const ID: &str = "system.version";
    const EXPECTED: &str = "ProductVersion and BuildVersion";
    match caller.call(&Tool::SwVers.path(&caller.host.stand_in_tools), &[]) {
        Ok(end) => {
            let text = String::from_utf8_lossy(&end.stdout).into_owned();
            let there = ["ProductVersion:", "BuildVersion:"].iter().all(|key| text.contains(key));
            let observed = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let verdict = if there { super::Verdict::Pass } else { super::Verdict::Fail };
            Check { verdict, ..Check::compare(ID, EXPECTED, observed) }
        }
        Err(why) => Check::untried(ID, EXPECTED, why),
    }
}
