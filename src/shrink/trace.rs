//! Learning: observe the target once, make rules of what would be refused, then run it under the profile until it succeeds a
//! number of times in a row without a new rule.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::completeness::Completeness;
use super::layout::{self, Layout, Phase};
use super::learn::{Learner, logged};
use super::preflight;
use super::progress::{Event, Observer};
use super::session::is_interrupt;
use super::target::{Place, Ran, Target};
use super::worker::Mode;
use super::{ShrinkError, lint};
use crate::base::cancel::Cancel;
use crate::base::digest::Sha256Hex;
use crate::base::json as document;
use crate::base::text::counted;
use crate::denial::log::Logged;
use crate::denial::refusal_line;
use crate::os::workspace;
use crate::sandbox::EnforcementReport;
use crate::sbpl::Source;

/// Schema tag of the phase's `status.json`.
pub(super) const STATUS_SCHEMA: &str = "runtime-tools.shrink_trace_status.v0.1";

/// Most iterations of a trace.
pub const MAX_ITERATIONS: u32 = 50;

/// How a trace is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    pub(super) success_streak: u32,
    pub(super) max_iterations: u32,
    pub(super) generalize: bool,
}

/// What is traced, and where its files go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial<'a> {
    pub(super) layout: &'a Layout,
    /// The profile that grows.
    pub(super) profile: &'a Path,
    pub(super) target: &'a Target,
    /// Working directory of the target.
    pub(super) work: &'a Path,
}

/// Where refusals come from: the supervisor of Linux, which tells every one of them, or the live log of macOS.
pub(super) trait DenialSource {
    /// What the record calls it.
    fn name(&self) -> &'static str;

    /// Whether a run can refuse nothing and tell what it would refuse.
    fn observes(&self) -> bool {
        true
    }

    /// What is known about having seen everything, as long as nothing speaks against it.
    fn completeness(&self) -> Completeness {
        Completeness::observed(self.name())
    }

    /// Runs the target once under `profile`.
    fn run(&mut self, profile: &str, mode: Mode, fresh: bool) -> Result<Ran, ShrinkError>;
}

/// The supervisor of Linux: refusals of the supervised tree and of nobody else.
pub(super) struct Supervisor<'a> {
    pub(super) target: &'a Target,
    pub(super) place: &'a Place,
    pub(super) expected: Option<Sha256Hex>,
    pub(super) cancel: &'a Cancel,
}

impl DenialSource for Supervisor<'_> {
    fn name(&self) -> &'static str {
        "supervisor"
    }

    fn run(&mut self, profile: &str, mode: Mode, fresh: bool) -> Result<Ran, ShrinkError> {
        let ran = self.target.run(profile, mode, self.place, fresh, self.expected.as_ref(), self.cancel)?;
        if mode == Mode::Observe && self.expected.is_none() {
            self.expected.clone_from(&ran.output);
        }
        Ok(ran)
    }
}

/// How a trace ended.
#[derive(Debug)]
pub(super) struct Traced {
    pub(super) status: &'static str,
    pub(super) completeness: Completeness,
    pub(super) report: Option<EnforcementReport>,
    /// Runs of the target.
    pub(super) runs: u32,
    pub(super) issue_dir: Option<String>,
    /// By process name: refusals of others that were left out.
    pub(super) foreign: BTreeMap<String, usize>,
}

impl Traced {
    pub(super) fn succeeded(&self) -> bool {
        self.status == "success"
    }
}

/// One end of the loop: status, reason, further keys.
struct End {
    status: &'static str,
    reason: &'static str,
    more: Value,
}

/// Traces; the learner's profile is written after every iteration.
pub(super) fn trace(
    source: &mut dyn DenialSource,
    learner: &mut Learner,
    steps: Steps,
    trial: &Trial<'_>,
    observer: &mut dyn Observer,
) -> Result<Traced, ShrinkError> {
    let mut run = Loop {
        iteration: 0,
        streak: 0,
        mode: if source.observes() { Mode::Observe } else { Mode::Enforce },
        observes: source.observes(),
        foreign: BTreeMap::new(),
        fresh: true,
        completeness: source.completeness(),
        report: None,
        observed: Vec::new(),
        later: Vec::new(),
        issue_dir: None,
        layout: trial.layout,
    };
    let end = run.until_end(source, learner, steps, trial, observer);
    let end = match end {
        Ok(end) => end,
        Err(error) => {
            run.write_profile(learner, trial.profile)?;
            let reason = if is_interrupt(&error) { "interrupted" } else { "error" };
            run.write_status(
                &End { status: "unknown", reason, more: json!({"error": crate::base::error_chain(&error)}) },
                source.name(),
            )?;
            return Err(error);
        }
    };
    if end.status != "success" {
        run.completeness.lower("the target did not succeed under the profile as often in a row as asked");
    }
    run.write_status(&end, source.name())?;
    Ok(Traced {
        status: end.status,
        completeness: run.completeness,
        report: run.report,
        runs: run.iteration,
        issue_dir: run.issue_dir,
        foreign: run.foreign,
    })
}

struct Loop<'a> {
    iteration: u32,
    streak: u32,
    mode: Mode,
    /// Whether the source can only observe.
    observes: bool,
    /// By process name: refusals that were left out.
    foreign: BTreeMap<String, usize>,
    fresh: bool,
    completeness: Completeness,
    report: Option<EnforcementReport>,
    /// What the first observation saw, for comparing names.
    observed: Vec<Logged>,
    /// What was refused in later runs, for the same.
    later: Vec<Logged>,
    issue_dir: Option<String>,
    layout: &'a Layout,
}

impl Loop<'_> {
    fn until_end(
        &mut self,
        source: &mut dyn DenialSource,
        learner: &mut Learner,
        steps: Steps,
        trial: &Trial<'_>,
        observer: &mut dyn Observer,
    ) -> Result<End, ShrinkError> {
        let Trial { profile, target, work, .. } = *trial;
        self.write_profile(learner, profile)?;
        loop {
            if self.iteration >= steps.max_iterations {
                return Ok(End { status: "max_iters", reason: "max_iters", more: json!({}) });
            }
            self.iteration += 1;
            if let Some(end) = self.preflight(learner, profile)? {
                return Ok(end);
            }
            if let Some(end) = self.invalid(learner, profile, target, work)? {
                return Ok(end);
            }
            let (mode, fresh) = (self.mode, self.fresh);
            let ran = source.run(&learner.text, mode, fresh)?;
            let entries: Vec<Logged> = match &ran.heard {
                Some(heard) => heard.entries.clone(),
                None => ran.refusals().map(|(record, (count, _))| logged(record, count)).collect(),
            };
            self.note_losses(&ran, target);
            if mode == Mode::Observe && steps.generalize && self.iteration <= 2 {
                if self.iteration == 1 {
                    // Names are compared before any of them becomes a rule.
                    self.observed = entries;
                    self.write_iteration(&ran, 0, learner)?;
                    observer.event(&Event::Iteration {
                        number: 1,
                        observed: true,
                        status: ran.status,
                        denials: self.observed.len(),
                        new_rules: 0,
                    });
                    if let Some(end) = self.failing_observation(&ran, 0, self.observed.len()) {
                        return Ok(end);
                    }
                    continue;
                }
                let first = std::mem::take(&mut self.observed);
                for (adds, rule) in learner.generalise(&first, &entries, 1, (work, target.home.as_deref())) {
                    observer.event(&Event::Generalized { adds, rule });
                }
                learner.learn(&first, 1, "run");
            } else if steps.generalize {
                // What is refused after that was not seen before; names that come one a run have their rule after the third.
                for (adds, rule) in learner.generalise(&self.later, &entries, 2, (work, target.home.as_deref())) {
                    observer.event(&Event::Generalized { adds, rule });
                }
                self.later.extend(entries.iter().cloned());
            }
            let new_rules = learner.learn(&entries, self.iteration, "run");
            self.write_profile(learner, profile)?;
            self.write_iteration(&ran, new_rules, learner)?;
            if let Some(report) = ran.report.clone().filter(|_| mode != Mode::Observe) {
                self.report = Some(report);
            }
            observer.event(&Event::Iteration {
                number: self.iteration,
                observed: mode == Mode::Observe,
                status: ran.status,
                denials: entries.len(),
                new_rules,
            });
            if let Some(end) = self.decide(&ran, new_rules, entries.len(), steps)? {
                return Ok(end);
            }
        }
    }

    /// Applies the stop rules and chooses the next run.
    fn decide(&mut self, ran: &Ran, new_rules: usize, denies: usize, steps: Steps) -> Result<Option<End>, ShrinkError> {
        if self.mode == Mode::Observe {
            if let Some(end) = self.failing_observation(ran, new_rules, denies) {
                return Ok(Some(end));
            }
            (self.mode, self.fresh, self.streak) = (Mode::Enforce, true, 0);
            return Ok(None);
        }
        let counts = json!({"return_code": ran.status, "new_rules": new_rules, "denies_seen": denies});
        if ran.success && new_rules == 0 {
            self.streak += 1;
            self.fresh = false;
            if self.streak >= steps.success_streak {
                let mut more = counts;
                more["success_streak"] = json!(self.streak);
                return Ok(Some(End { status: "success", reason: "success_streak", more }));
            }
            return Ok(None);
        }
        self.streak = 0;
        if new_rules > 0 {
            // After a failure everything else it would have needed is seen by looking on once more.
            let failed = !ran.success;
            self.mode = if failed && self.observes { Mode::Observe } else { Mode::Enforce };
            self.fresh = self.fresh || !failed;
            return Ok(None);
        }
        if ran.signal.is_some() || ran.status >= 128 {
            let issue = self.issue("stall", "signal_abort")?;
            let mut more = counts;
            more["issue_dir"] = json!(issue);
            return Ok(Some(End { status: "stalled", reason: "signal_abort", more }));
        }
        let mut more = counts;
        if let Some(why) = ran.why_not {
            more["why"] = json!(why);
        }
        Ok(Some(End { status: "no_new_rules", reason: "no_new_rules", more }))
    }

    /// A target that fails although nothing is refused cannot be learned.
    fn failing_observation(&self, ran: &Ran, new_rules: usize, denies: usize) -> Option<End> {
        (!ran.success).then(|| End {
            status: "no_new_rules",
            reason: "no_new_rules",
            more: json!({
                "return_code": ran.status, "new_rules": new_rules, "denies_seen": denies,
                "why": ran.why_not.unwrap_or("the target fails although nothing is refused"),
            }),
        })
    }

    fn note_losses(&mut self, ran: &Ran, target: &Target) {
        if ran.records_dropped > 0 {
            self.completeness.lossy(&format!("{} not kept", counted(ran.records_dropped, "decision", "decisions")));
        }
        if let Some(heard) = &ran.heard {
            heard.gaps.iter().for_each(|gap| self.completeness.lossy(gap));
            for (process, count) in &heard.foreign {
                *self.foreign.entry(process.clone()).or_default() += count;
            }
        }
        if ran.timed_out && !target.limit_is_success {
            self.completeness.lower("a run was ended by its time limit");
        } else if ran.timed_out && self.mode == Mode::Observe {
            self.completeness.lower("the observed run was ended by its time limit: what it does later was not seen");
        }
    }

    /// The static look at the profile that precedes every run.
    fn preflight(&mut self, learner: &Learner, profile: &Path) -> Result<Option<End>, ShrinkError> {
        let (record, code) = preflight::record(&learner.text, &self.layout.stored(profile), "");
        let path = self.layout.phase(Phase::Trace, &format!("logs/iter_{}_preflight.json", self.iteration));
        layout::write(&path, document::to_pretty(&record).as_bytes())?;
        Ok((code == 2).then(|| End {
            status: "preflight_failed",
            reason: "preflight_failed",
            more: json!({
                "preflight_rc": code, "preflight_json": self.layout.stored(&path), "why": record[0]["findings"][0],
            }),
        }))
    }

    /// A profile that does not compile is never run.
    fn invalid(
        &mut self,
        learner: &Learner,
        profile: &Path,
        target: &Target,
        work: &Path,
    ) -> Result<Option<End>, ShrinkError> {
        let source = Source::new(self.layout.stored(profile), learner.text.as_str());
        let Err(diagnostics) = lint::compile(&source, &target.params_in(work)) else { return Ok(None) };
        self.metrics(65, 0, 0, learner)?;
        let issue = self.issue("profile_invalid", &diagnostics.render(false))?;
        let more = json!({
            "issue_dir": issue, "return_code": 65, "new_rules": 0, "denies_seen": 0, "message": diagnostics.to_string(),
        });
        Ok(Some(End { status: "profile_invalid", reason: "profile_invalid", more }))
    }

    fn issue(&mut self, kind: &str, reason: &str) -> Result<String, ShrinkError> {
        let directory = self.layout.phase(Phase::Trace, &format!("issues/{kind}_iter_{}", self.iteration));
        let text = |name: &str, bytes: &[u8]| layout::write(&directory.join(name), bytes);
        text("reason.txt", format!("{reason}\n").as_bytes())?;
        let logs = self.layout.phase(Phase::Trace, "logs");
        for (from, to) in [
            (self.layout.trace_profile(), "profile.sb".to_owned()),
            (logs.join(format!("iter_{}.log", self.iteration)), format!("iter_{}.log", self.iteration)),
            (logs.join(format!("iter_{}_preflight.json", self.iteration)), "preflight.json".to_owned()),
            (self.layout.phase(Phase::Trace, "stdout.txt"), "stdout.txt".to_owned()),
            (self.layout.phase(Phase::Trace, "stderr.txt"), "stderr.txt".to_owned()),
        ] {
            // What a run did not get to is not there.
            if let Ok(bytes) = crate::os::fs::read_bounded(&from, layout::MAX_BYTES) {
                text(&to, &bytes)?;
            }
        }
        let stored = self.layout.stored(&directory);
        self.issue_dir = Some(stored.clone());
        Ok(stored)
    }

    fn write_profile(&self, learner: &Learner, profile: &Path) -> Result<(), ShrinkError> {
        layout::write(&self.layout.trace_profile(), learner.text.as_bytes())?;
        if profile != self.layout.trace_profile() {
            layout::write(profile, learner.text.as_bytes())?;
        }
        layout::write_sorted(&self.layout.rules(), &learner.provenance.document())?;
        Ok(())
    }

    fn write_iteration(&self, ran: &Ran, new_rules: usize, learner: &Learner) -> Result<(), ShrinkError> {
        let logs = self.layout.phase(Phase::Trace, "logs");
        let name = |suffix: &str| logs.join(format!("iter_{}{suffix}", self.iteration));
        let mut log = String::new();
        let mut denies = 0;
        for (record, (count, last)) in ran.refusals() {
            denies += 1;
            log.push_str(&(document::to_line(&refusal_line(record, count, last)) + "\n"));
        }
        if let Some(heard) = &ran.heard {
            denies = heard.entries.len();
            log.clone_from(&heard.text);
        }
        layout::write(&name(".log"), log.as_bytes())?;
        for output in ["stdout", "stderr"] {
            let from = self.layout.phase(Phase::Trace, &format!("{output}.txt"));
            let bytes = crate::os::fs::read_bounded(&from, layout::MAX_BYTES).unwrap_or_default();
            layout::write(&name(&format!("_{output}.txt")), &bytes)?;
        }
        let pid = ran.pid.or(ran.records.first().map(|record| record.pid)).unwrap_or(0);
        layout::write(&name("_pid.txt"), format!("{pid}\n").as_bytes())?;
        self.metrics(ran.status, denies, new_rules, learner)?;
        let lines = |lines: &[String]| lines.iter().fold(String::new(), |text, line| text + line + "\n");
        layout::write(&self.layout.phase(Phase::Trace, "bad_rules.txt"), lines(&learner.bad).as_bytes())?;
        if let Some(rule) = &learner.last_rule {
            layout::write(&self.layout.phase(Phase::Trace, "last_rule.txt"), format!("{rule}\n").as_bytes())?;
        }
        Ok(())
    }

    fn metrics(&self, status: i32, denies: usize, new_rules: usize, learner: &Learner) -> Result<(), ShrinkError> {
        let path = self.layout.phase(Phase::Trace, "metrics.jsonl");
        let line = json!({
            "iter": self.iteration, "return_code": status, "denies_seen": denies, "new_rules": new_rules,
            "profile_lines": learner.text.matches('\n').count(),
            "mode": if self.mode == Mode::Observe { "observe" } else { "enforce" }, "fresh": self.fresh,
        });
        workspace::append_line(&path, &document::to_line(&line))?;
        Ok(())
    }

    fn write_status(&self, end: &End, source: &str) -> Result<(), ShrinkError> {
        let mut status = json!({
            "schema_version": STATUS_SCHEMA, "status": end.status, "iter": self.iteration, "reason": end.reason,
            "completeness": self.completeness, "source": source,
        });
        if let (Some(fields), Some(more)) = (status.as_object_mut(), end.more.as_object()) {
            fields.extend(more.clone());
        }
        layout::write_sorted(&self.layout.phase(Phase::Trace, "status.json"), &status)?;
        Ok(())
    }
}
