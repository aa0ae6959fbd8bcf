//! Progress of a run on stderr: a bar on a terminal, one line per profile otherwise, nothing in JSON mode.

use std::sync::OnceLock;

use indicatif::{ProgressBar, ProgressStyle};

use crate::base::text::counted;
use crate::run::{Observer, Progress};

/// Shows progress.
pub(super) struct RunProgress {
    terminal: bool,
    quiet: bool,
    bar: OnceLock<ProgressBar>,
}

impl RunProgress {
    pub(super) fn new(terminal: bool, quiet: bool) -> Self {
        Self { terminal, quiet, bar: OnceLock::new() }
    }

    /// Removes the bar, so that what follows starts on a clean line.
    pub(super) fn finish(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }

    fn start(&self, executions: usize) {
        let style =
            ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar.get_or_init(|| ProgressBar::new(executions as u64).with_style(style));
    }
}

impl Observer for RunProgress {
    fn on(&self, progress: &Progress) {
        if self.quiet {
            return;
        }
        match (progress, self.terminal) {
            (Progress::Swept { removed, kept }, _) => {
                for path in removed {
                    super::note_line(&format!("removed {}, left by a run that was killed", super::printable(path)));
                }
                for (path, why) in kept {
                    let text = super::printable;
                    super::note_line(&format!("warning: {} was left by a run and stays: {}", text(path), text(why)));
                }
            }
            (Progress::Channel(step), _) => super::note_line(&super::printable(step)),
            (Progress::Started { executions, .. }, true) => self.start(*executions),
            (Progress::Started { run_id, profiles, executions }, false) => {
                let profiles = counted(*profiles, "profile", "profiles");
                let executions = counted(*executions, "execution", "executions");
                super::note_line(&format!("run {run_id}: {profiles}, {executions}"));
            }
            (Progress::Executed { profile_id, .. }, true) => {
                if let Some(bar) = self.bar.get() {
                    bar.set_message(super::printable(profile_id));
                    bar.inc(1);
                }
            }
            (Progress::ProfileDone { profile_id, probes, matches }, false) => {
                super::note_line(&format!("{}: {matches} of {probes} match", super::printable(profile_id)));
            }
            _ => {}
        }
    }
}
