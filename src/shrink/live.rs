//! Refusals from the system's live log: every run between two sentinels, and whose refusals count.

use std::collections::BTreeSet;
use std::path::Path;

use super::learn::Scope;
use super::session::DenyScope;
use super::target::{Heard, Place, Ran, Target, TargetError};
use super::trace::DenialSource;
use super::worker::Mode;
use super::{Completeness, ShrinkError};
use crate::base::cancel::Cancel;
use crate::base::digest::Sha256Hex;
use crate::base::ids::RunId;
use crate::unified_log::{Capture, Capturing};

/// What a rule must look like to be marked: alone on its line, as seeds write it.
const DEFAULT: &str = "(deny default)";

/// The live log of macOS. It cannot only observe: what a profile allows is not logged.
pub(super) struct LiveLog<'a> {
    pub(super) target: &'a Target,
    pub(super) place: &'a Place,
    pub(super) how: Capturing,
    pub(super) scope: DenyScope,
    pub(super) expected: Option<Sha256Hex>,
    pub(super) cancel: &'a Cancel,
}

impl DenialSource for LiveLog<'_> {
    fn name(&self) -> &'static str {
        "live log"
    }

    fn observes(&self) -> bool {
        false
    }

    fn completeness(&self) -> Completeness {
        Completeness::whole("the live log is whole from the first sentinel to the last of every run")
    }

    fn run(&mut self, profile: &str, _mode: Mode, fresh: bool) -> Result<Ran, ShrinkError> {
        let tag = format!("runtime-{}", RunId::random().as_str());
        let marked = marked(profile, &tag);
        let begun = Capture::begin(&self.how, self.cancel);
        let capture = begun.map_err(|gap| TargetError::Unseen(gap.to_string()))?;
        let text = marked.as_deref().unwrap_or(profile);
        let ran = self.target.run(text, Mode::Enforce, self.place, fresh, self.expected.as_ref(), self.cancel);
        let captured = capture.end(&Cancel::default());
        let mut ran = ran?;
        let own_status = matches!(ran.status, 64 | 65 | 71) && ran.signal.is_none();
        if own_status && !ran.pid.is_some_and(|pid| captured.applied.contains(&pid)) {
            let why = format!("sandbox-exec ended with status {}, and the log has no notice of it", ran.status);
            return Err(TargetError::Refused(why).into());
        }
        let mut gaps: Vec<String> = captured.gaps.iter().map(ToString::to_string).collect();
        if marked.is_none() && self.scope == DenyScope::Tree {
            gaps.push(format!("no line of the profile is `{DEFAULT}`, so refusals of child processes cannot be told"));
        }
        let scope = Scope {
            all: self.scope == DenyScope::All,
            children: self.scope == DenyScope::Tree,
            roots: ran.pid.into_iter().collect::<BTreeSet<i32>>(),
            tag: marked.is_some().then_some(tag).filter(|_| self.scope == DenyScope::Tree),
        };
        let denied = captured.entries.into_iter().filter(|entry| entry.denied).collect();
        let selected = scope.select(denied);
        if !ran.success && !gaps.is_empty() {
            ran.why_not = Some("it failed, and the log of the run is not whole");
        }
        if self.expected.is_none() && ran.success {
            self.expected.clone_from(&ran.output);
        }
        ran.heard = Some(Heard { entries: selected.entries, foreign: selected.foreign, gaps, text: captured.text });
        Ok(ran)
    }
}

/// The profile with its default refusal marked, so that refusals of every process of the run carry `tag`.
fn marked(profile: &str, tag: &str) -> Option<String> {
    let mut found = false;
    let lines = profile.split('\n').map(|line| {
        if !found && line.trim() == DEFAULT {
            found = true;
            return line.replace(DEFAULT, &format!("(deny default (with message \"{tag}\"))"));
        }
        line.to_owned()
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    found.then_some(text)
}

/// Makes the directory of the sentinels' files.
pub(super) fn directory(path: &Path) -> Result<std::path::PathBuf, ShrinkError> {
    crate::os::workspace::make_fresh(None, path, path)?;
    Ok(crate::os::fs::resolved(path)?)
}

#[cfg(test)]
mod tests {
    use super::marked;

    #[test]
    fn only_the_default_refusal_is_marked_and_only_as_a_rule() {
        let profile = "(version 1)\n; (deny default)\n  (deny default)\n(deny default)\n";
        let expected = "(version 1)\n; (deny default)\n  (deny default (with message \"t\"))\n(deny default)\n";
        assert_eq!(marked(profile, "t").as_deref(), Some(expected));
        assert_eq!(marked("(version 1)\n(allow default)\n", "t"), None);
    }
}
