//! Shrinking: which parts of a profile the target can do without, each shown by running it.
//!
//! Order: two runs that must succeed (fresh, and again on what the first left) tell which element decided which access; then
//! what must stay is read off refusals as far as they tell it, and searched for beyond that; then two runs under the result. What was kept on the ground of an earlier, larger profile and decides nothing
//! any more is tried again. An answer is remembered by the text of its profile, so nothing is run twice, and an
//! interrupted search goes on where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ShrinkError;
use super::candidates::Candidates;
use super::guided::{self, Guide};
use super::layout::{self, Layout, Phase};
use super::lint;
use super::progress::{Event, Observer};
use super::search::{self, Found, Likelihood, Oracle, Plan, Required, Trial};
use super::target::{Place, Ran, Target, TargetError};
use super::worker::Mode;
use crate::base::cancel::Cancel;
use crate::base::digest::Sha256Hex;
use crate::base::json as document;
use crate::denial::{DecisionRecord, target_bytes};
use crate::os::workspace;
use crate::sbpl::{Params, Policy, Query, Source};
use crate::vocab::{Decision, Operation};

/// How often a failure that no refusal explains is looked at again.
const MOST_RETRIES: usize = 2;

/// How to shrink.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    /// Most runs at a time.
    pub(super) jobs: usize,
    /// Try every element that is kept once more under the very result.
    pub(super) prove: bool,
    /// Do not look at what the target asked for.
    pub(super) blind: bool,
    /// Go on with what an interrupted search found out.
    pub(super) resume: bool,
    /// Refuse to begin when more runs might be needed.
    pub(super) max_runs: Option<usize>,
}

/// One element after the search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Decided {
    pub(super) line: u32,
    pub(super) kind: super::candidates::ElementKind,
    pub(super) text: String,
    pub(super) rule: String,
    /// `removed` or `kept_required`.
    pub(super) decision: &'static str,
    /// For kept ones: taking it out of the very `result` was seen to fail, or out of a `larger_profile`, or a run with the
    /// `same_answers` was.
    pub(super) shown_on: Option<&'static str>,
    /// Accesses it decided in the runs under the input.
    pub(super) accesses: Vec<String>,
    /// What was refused when it was out, maybe with others.
    pub(super) refused: Option<String>,
}

/// What came of shrinking.
#[derive(Debug)]
pub(super) struct Shrunk {
    pub(super) text: String,
    pub(super) decided: Vec<Decided>,
    pub(super) runs: usize,
    pub(super) bound: usize,
    pub(super) flaky: Vec<String>,
    pub(super) output_same: bool,
    /// Exit statuses of the two runs under the input.
    pub(super) before: (i32, i32),
    /// Exit status under the result, and of the second run where the first succeeded.
    pub(super) fresh: i32,
    pub(super) repeat: Option<i32>,
}

/// How shrinking ended.
#[derive(Debug)]
pub(super) enum End {
    Done(Box<Shrunk>),
    /// The input itself does not do: statuses of the two runs; the second is not run when the first fails.
    PreFailed {
        first: i32,
        second: Option<i32>,
        why: Option<String>,
    },
    /// The result does not do when it is run once more.
    PostFailed {
        shrunk: Box<Shrunk>,
    },
}

/// Shrinks the profile `source`.
pub(super) fn shrink(
    target: &Target,
    source: &Source,
    steps: Steps,
    layout: &Layout,
    cancel: &Cancel,
    observer: &mut dyn Observer,
) -> Result<End, ShrinkError> {
    let text = source.text.as_str();
    let candidates = Candidates::read(source).map_err(|found| ShrinkError::Profile(found.to_string()))?;
    let places = (0..steps.jobs.max(1)).map(|job| layout.place(Phase::Shrink, job)).collect::<Result<Vec<_>, _>>()?;
    let params = target.params_in(&places[0].work);
    let mut runs = Runs {
        target,
        candidates: &candidates,
        places,
        layout,
        cancel,
        observer,
        memory: Memory::open(layout, target, text, steps.resume)?,
        expected: None,
        blind: steps.blind,
        used: 0,
        retries: 0,
        flaky: Vec::new(),
        refused: BTreeMap::new(),
        tolerated: BTreeSet::new(),
        decided: BTreeMap::new(),
        deciders: BTreeMap::new(),
        input: lint::compile(source, &params).map_err(|found| ShrinkError::Profile(found.to_string()))?,
        params,
        alone: Alone::default(),
    };
    let nothing = BTreeSet::new();
    let pre_fresh = runs.validate(&nothing, true, "pre_shrink_run1")?;
    let pre_repeat = if pre_fresh.success { Some(runs.validate(&nothing, false, "pre_shrink_run2")?) } else { None };
    let pre_ok = pre_repeat.as_ref().is_some_and(|ran| ran.success);
    runs.metrics(&json!({
        "event": "precheck", "decision": if pre_ok { "ok" } else { "failed" }, "fresh_rc": pre_fresh.status,
        "repeat_rc": pre_repeat.as_ref().map(|ran| ran.status),
        "profile_lines": text.matches('\n').count(),
    }))?;
    let pre_repeat = match pre_repeat {
        Some(ran) if ran.success => ran,
        failed => {
            let why = why_failed(failed.as_ref().unwrap_or(&pre_fresh), &source.name);
            return Ok(End::PreFailed { first: pre_fresh.status, second: failed.map(|ran| ran.status), why });
        }
    };
    runs.tolerated =
        [&pre_fresh, &pre_repeat].into_iter().flat_map(|ran| ran.refusals()).map(|(record, _)| asked(record)).collect();
    let traced = [&pre_fresh, &pre_repeat].into_iter().filter(|_| !steps.blind);
    let cover = Coverage::of(&candidates, &runs.params, traced);
    runs.decided.clone_from(&cover.accesses);
    runs.deciders = inverted(&cover.accesses);
    let n = candidates.elements().len();
    let bound = most_runs(n, steps.prove);
    runs.observer.event(&Event::Bound { candidates: n, runs: bound });
    if steps.max_runs.is_some_and(|most| bound > most) {
        return Err(ShrinkError::TooManyRuns { bound, most: steps.max_runs.unwrap_or(0) });
    }
    let likelihood = |own| if steps.blind { Likelihood::Unknown } else { cover.likelihood(own) };
    let mut pending: Vec<(usize, Likelihood)> = (0..n).rev().map(|own| (own, likelihood(own))).collect();
    pending.sort_by_key(|(_, class)| *class);
    let most_trials = search::most_trials(n);
    let mut plan = Plan { jobs: steps.jobs.max(1), repeat_each: false, sensitive: &cover.repeat_only, most_trials };
    let mut found = locate(&mut runs, &pending, &plan)?;
    let mut shown = by_element(&found.required);
    let (mut fresh, mut repeat) = runs.confirm(&found.removed)?;
    if fresh.success && !repeat.as_ref().is_some_and(|ran| ran.success) {
        // Something matters only the second time: every trial is run twice from here.
        plan.repeat_each = true;
        found = locate(&mut runs, &pending, &plan)?;
        shown = by_element(&found.required);
        (fresh, repeat) = runs.confirm(&found.removed)?;
    }
    // One-minimality: what was kept under a larger profile and decides nothing under this one is tried again.
    loop {
        let ok = fresh.success && repeat.as_ref().is_some_and(|ran| ran.success);
        let again: Vec<(usize, Likelihood)> = {
            let used = Coverage::of(&candidates, &runs.params, [Some(&fresh), repeat.as_ref()].into_iter().flatten());
            let larger = |own: &Required| own.at < found.removed.len();
            shown
                .values()
                .filter(|own| {
                    let unneeded = !steps.blind && larger(own) && !used.uses(own.element);
                    unneeded || (steps.prove && (own.inferred || larger(own)))
                })
                .map(|own| (own.element, Likelihood::Used))
                .collect()
        };
        // Twice for each of them, and for the result twice more.
        let room = bound.saturating_sub(runs.used + MOST_CONFIRMING);
        if !ok || again.is_empty() || room < 2 * again.len() {
            break;
        }
        plan.most_trials = again.len();
        let before = found.removed.len();
        let more = search::minimise(&mut runs, found.removed.clone(), &again, &plan)?;
        shown.retain(|element, _| !more.removed.contains(element));
        shown.extend(by_element(&more.required));
        found = Found { removed: more.removed, ..found };
        if found.removed.len() == before {
            break;
        }
        (fresh, repeat) = runs.confirm(&found.removed)?;
    }
    let shrunk = Shrunk {
        text: candidates.without(&found.removed),
        decided: runs.decisions(&found.removed, &shown, &cover),
        runs: runs.used,
        bound,
        flaky: runs.flaky.clone(),
        output_same: pre_fresh.output.is_some() && pre_fresh.output == fresh.output,
        before: (pre_fresh.status, pre_repeat.status),
        fresh: fresh.status,
        repeat: repeat.as_ref().map(|ran| ran.status),
    };
    let ok = fresh.success && repeat.as_ref().is_some_and(|ran| ran.success);
    runs.finish()?;
    let shrunk = Box::new(shrunk);
    Ok(if ok { End::Done(shrunk) } else { End::PostFailed { shrunk } })
}

/// What is known about why a run under the input failed: the last of its refusals, where nothing else says it.
fn why_failed(ran: &Ran, profile: &str) -> Option<String> {
    if let Some(why) = ran.why_not {
        return Some(why.to_owned());
    }
    let (last, _) = ran.refusals().last()?;
    let by = last.rule.as_ref().map_or("no rule".to_owned(), |rule| format!("{profile}:{}", rule.line));
    Some(format!("status {}; the last refusal: {}, by {by}", ran.status, asked(last)))
}

/// Most runs of [`Runs::confirm`].
const MOST_CONFIRMING: usize = 4;

/// Most runs of the target for so many elements. Each trial may take two.
fn most_runs(elements: usize, prove: bool) -> usize {
    let search = guided::most_trials(elements) + search::most_trials(elements);
    // A second search when something matters only in the second run; what became unneeded is tried again.
    2 + 2 * (2 * search) + 4 * MOST_RETRIES + 3 * MOST_CONFIRMING + if prove { 2 * elements } else { 0 }
}

/// What must stay: read off refusals first, searched for where these tell too little.
fn locate(runs: &mut Runs<'_>, pending: &[(usize, Likelihood)], plan: &Plan<'_>) -> Result<Found, ShrinkError> {
    if runs.blind {
        return search::minimise(runs, BTreeSet::new(), pending, plan);
    }
    let elements: Vec<usize> = pending.iter().map(|(element, _)| *element).collect();
    let guessed = guided::guess(runs, &elements, plan)?;
    if guessed.removed.is_empty() {
        return search::minimise(runs, BTreeSet::new(), pending, plan);
    }
    let open: Vec<(usize, Likelihood)> = guessed.open.iter().map(|&element| (element, Likelihood::Used)).collect();
    for (element, access) in guessed.reasons() {
        runs.refused.insert(element, access.text());
    }
    let mut found = search::minimise(runs, guessed.removed.clone(), &open, plan)?;
    let elements: BTreeSet<usize> = elements.into_iter().collect();
    let searched: BTreeSet<usize> = found.required.iter().map(|own| own.element).collect();
    // What the first runs showed about a profile that was larger than the result, as far as they show nothing about the result.
    let mut inferred = by_element(&guessed.required(runs, &guessed.removed));
    inferred.extend(by_element(&guessed.required(runs, &found.removed)));
    found.required.extend(inferred.into_values().filter(|own| {
        elements.contains(&own.element) && !found.removed.contains(&own.element) && !searched.contains(&own.element)
    }));
    Ok(found)
}

fn by_element(required: &[Required]) -> BTreeMap<usize, Required> {
    required.iter().map(|own| (own.element, *own)).collect()
}

/// By access: the elements that decided it.
fn inverted(accesses: &BTreeMap<usize, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<usize>> {
    let mut deciders: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (element, accesses) in accesses {
        for access in accesses {
            deciders.entry(access.clone()).or_default().insert(*element);
        }
    }
    deciders
}

/// An access as text.
fn asked(record: &DecisionRecord) -> String {
    format!("{} {}", record.operation, record.target).trim_end().to_owned()
}

/// Which elements decided which accesses.
#[derive(Debug, Default)]
struct Coverage {
    accesses: BTreeMap<usize, BTreeSet<String>>,
    /// Elements that decided an access that succeeded, or whose outcome is not known.
    in_use: BTreeSet<usize>,
    /// Elements that decided something in the second run only.
    repeat_only: BTreeSet<usize>,
}

impl Coverage {
    fn of<'r>(candidates: &Candidates, params: &Params, runs: impl IntoIterator<Item = &'r Ran>) -> Self {
        let mut cover = Self::default();
        let mut alone = Alone::default();
        let mut first: Option<BTreeSet<usize>> = None;
        for ran in runs {
            let mut used = BTreeSet::new();
            for record in ran.records.iter().filter(|record| record.decision == Decision::Allow) {
                let Some(rule) = &record.rule else { continue };
                let elements = alone.deciding(candidates, params, &Asked::of(record), rule.line);
                for element in &elements {
                    cover.accesses.entry(*element).or_default().insert(asked(record));
                }
                if record.errno != Some(libc_enoent()) {
                    cover.in_use.extend(&elements);
                }
                used.extend(elements);
            }
            match &first {
                None => first = Some(used),
                Some(first) => cover.repeat_only = used.difference(first).copied().collect(),
            }
        }
        cover
    }

    fn uses(&self, element: usize) -> bool {
        self.accesses.contains_key(&element)
    }

    fn likelihood(&self, element: usize) -> Likelihood {
        match (self.uses(element), self.in_use.contains(&element)) {
            (false, _) => Likelihood::Unused,
            (true, false) => Likelihood::Vain,
            (true, true) => Likelihood::Used,
        }
    }
}

fn libc_enoent() -> i32 {
    rustix::io::Errno::NOENT.raw_os_error()
}

/// Profiles of one alternative each, compiled once; what is no profile stands for nothing.
#[derive(Debug, Default)]
struct Alone(BTreeMap<String, Option<Policy>>);

impl Alone {
    /// The elements behind the rule at `line`, which allowed the access.
    fn deciding(&mut self, candidates: &Candidates, params: &Params, access: &Asked, line: u32) -> BTreeSet<usize> {
        let query = access.query();
        candidates.deciding(line, &Operation::new(access.operation.as_str()), |text| {
            let Some(query) = &query else { return false };
            let policy = self.0.entry(text.to_owned()).or_insert_with(|| lint::compile_text(text, params).ok());
            policy.as_ref().is_some_and(|policy| query.decide(policy).decision == "allow")
        })
    }
}

/// One answer of the target.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answer {
    success: bool,
    #[serde(rename = "fresh_rc")]
    fresh: i32,
    #[serde(rename = "repeat_rc")]
    repeat: Option<i32>,
    /// Where it failed: what it was refused, but for what it gets along with. `None` when not all refusals were kept.
    refused: Option<Vec<Asked>>,
}

/// One access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    operation: String,
    target: String,
}

impl Asked {
    fn of(record: &DecisionRecord) -> Self {
        Self { operation: record.operation.clone(), target: record.target.clone() }
    }

    fn text(&self) -> String {
        format!("{} {}", self.operation, self.target).trim_end().to_owned()
    }

    fn query(&self) -> Option<Query> {
        let target = String::from_utf8(target_bytes(&self.target)?).ok()?;
        Query::new(&self.operation, Some(target.as_str()).filter(|target| !target.is_empty()), &[]).ok()
    }
}

/// Answers of the target by the text of the profile, kept in a file as they come.
struct Memory {
    path: PathBuf,
    known: BTreeMap<String, Answer>,
}

/// One line of [`Memory`]'s file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    trial: String,
    #[serde(flatten)]
    answer: Answer,
}

impl Memory {
    fn open(layout: &Layout, target: &Target, text: &str, resume: bool) -> Result<Self, ShrinkError> {
        let path = layout.phase(Phase::Shrink, "state.jsonl");
        let about = json!({
            "schema_version": "runtime-tools.shrink_state.v0.1", "profile_sha256": Sha256Hex::of(text.as_bytes()),
            "target_sha256": Sha256Hex::of(document::to_line(&target.document()).as_bytes()),
        });
        let mut known = BTreeMap::new();
        if resume && crate::os::fs::exists(&path) {
            let bytes = crate::os::fs::read_bounded(&path, layout::MAX_BYTES)?;
            let text = String::from_utf8_lossy(&bytes);
            let mut lines = text.lines();
            if lines.next().and_then(|line| serde_json::from_str::<Value>(line).ok()) != Some(about.clone()) {
                return Err(ShrinkError::OtherState { path: path.display().to_string() });
            }
            // The last line may be cut off.
            for line in lines.filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
                known.insert(line.trial, line.answer);
            }
        } else {
            layout::write(&path, (document::to_line(&about) + "\n").as_bytes())?;
        }
        Ok(Self { path, known })
    }

    fn key(text: &str, repeat: bool) -> String {
        let kind = if repeat { "twice" } else { "once" };
        format!("{kind} {}", Sha256Hex::of(text.as_bytes()))
    }

    fn add(&mut self, key: String, answer: Answer) -> Result<(), ShrinkError> {
        let line = Line { trial: key, answer };
        workspace::append_line(&self.path, &document::to_line(&line))?;
        self.known.insert(line.trial, line.answer);
        Ok(())
    }
}

/// The target as an oracle, and the books about it.
struct Runs<'a> {
    target: &'a Target,
    candidates: &'a Candidates,
    places: Vec<Place>,
    layout: &'a Layout,
    cancel: &'a Cancel,
    observer: &'a mut dyn Observer,
    memory: Memory,
    expected: Option<Sha256Hex>,
    blind: bool,
    used: usize,
    retries: usize,
    flaky: Vec<String>,
    /// By element: what was refused when it was out.
    refused: BTreeMap<usize, String>,
    /// What was refused although the target succeeded, under the input.
    tolerated: BTreeSet<String>,
    /// What each element decided under the input.
    decided: BTreeMap<usize, BTreeSet<String>>,
    /// The same by access.
    deciders: BTreeMap<String, BTreeSet<usize>>,
    params: Params,
    input: Policy,
    alone: Alone,
}

/// What one trial showed.
struct Shown {
    fresh: Ran,
    repeat: Option<Ran>,
}

impl Shown {
    fn success(&self, repeat: bool) -> bool {
        self.fresh.success && (!repeat || self.repeat.as_ref().is_some_and(|ran| ran.success))
    }

    fn answer(&self, repeat: bool, tolerated: &BTreeSet<String>) -> Answer {
        let success = self.success(repeat);
        let runs = || [Some(&self.fresh), self.repeat.as_ref()].into_iter().flatten();
        let kept = !success && runs().all(|ran| ran.records_dropped == 0 && !ran.timed_out);
        let refused = kept.then(|| {
            let all = runs().flat_map(|ran| ran.refusals()).map(|(record, _)| record);
            all.filter(|record| !tolerated.contains(&asked(record))).map(Asked::of).collect()
        });
        Answer { success, fresh: self.fresh.status, repeat: self.repeat.as_ref().map(|ran| ran.status), refused }
    }

    /// The last refusal that is not among those the program gets along with.
    fn reason(&self, tolerated: &BTreeSet<String>) -> Option<String> {
        let last = self.repeat.as_ref().unwrap_or(&self.fresh);
        last.refusals().map(|(record, _)| asked(record)).filter(|own| !tolerated.contains(own)).last()
    }
}

fn run_trial(
    target: &Target,
    text: &str,
    repeat: bool,
    place: &Place,
    expected: Option<&Sha256Hex>,
    cancel: &Cancel,
) -> Result<Shown, TargetError> {
    let fresh = target.run(text, Mode::Enforce, place, true, expected, cancel)?;
    let again = repeat && fresh.success;
    let repeat = if again { Some(target.run(text, Mode::Enforce, place, false, expected, cancel)?) } else { None };
    Ok(Shown { fresh, repeat })
}

impl Oracle for Runs<'_> {
    type Error = ShrinkError;

    fn test(&mut self, trials: &[Trial]) -> Result<Vec<bool>, ShrinkError> {
        let texts: Vec<String> = trials.iter().map(|trial| self.candidates.masked(&trial.removed)).collect();
        let keys: Vec<String> = texts.iter().zip(trials).map(|(text, trial)| Memory::key(text, trial.repeat)).collect();
        let open: Vec<usize> = (0..trials.len()).filter(|&at| !self.memory.known.contains_key(&keys[at])).collect();
        let (target, cancel, expected) = (self.target, self.cancel, self.expected.as_ref());
        let shown: Vec<Result<Shown, TargetError>> = std::thread::scope(|scope| {
            let threads: Vec<_> = open
                .iter()
                .zip(&self.places)
                .map(|(&at, place)| {
                    let (text, repeat) = (&texts[at], trials[at].repeat);
                    scope.spawn(move || run_trial(target, text, repeat, place, expected, cancel))
                })
                .collect();
            let gone = || Err(TargetError::NoAnswer("the thread that ran the target ended early".to_owned()));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| gone())).collect()
        });
        for (&at, shown) in open.iter().zip(shown) {
            let shown = shown?;
            let answer = self.judge(&trials[at], &texts[at], shown)?;
            self.memory.add(keys[at].clone(), answer)?;
        }
        let mut answers = Vec::new();
        for (trial, key) in trials.iter().zip(&keys) {
            let missing = || TargetError::NoAnswer("a trial was not run".to_owned());
            let Answer { success, fresh, repeat, .. } = self.memory.known.get(key).cloned().ok_or_else(missing)?;
            self.observer.event(&Event::Trial {
                runs: self.used,
                removed: trial.removed.len(),
                group: trial.group.len(),
                success,
            });
            self.note_candidates(trial, success, fresh, repeat)?;
            answers.push(success);
        }
        Ok(answers)
    }
}

impl Guide for Runs<'_> {
    type Access = Asked;

    fn refused(&self, trial: &Trial) -> Vec<Asked> {
        let key = Memory::key(&self.candidates.masked(&trial.removed), trial.repeat);
        self.memory.known.get(&key).and_then(|answer| answer.refused.clone()).unwrap_or_default()
    }

    /// What a path leads through has no record of its own when it is allowed; the input says who does that.
    fn deciding(&mut self, access: &Asked) -> BTreeSet<usize> {
        if let Some(known) = self.deciders.get(&access.text()) {
            return known.clone();
        }
        let answer = access.query().map(|query| query.decide(&self.input));
        let rule = answer.filter(|answer| answer.decision == "allow").and_then(|answer| answer.rule);
        let elements = rule.map(|rule| self.alone.deciding(self.candidates, &self.params, access, rule.line));
        let elements = elements.unwrap_or_default();
        self.deciders.insert(access.text(), elements.clone());
        elements
    }

    fn refuses(&mut self, removed: &BTreeSet<usize>, accesses: &[Asked]) -> bool {
        let Ok(policy) = lint::compile_text(&self.candidates.without(removed), &self.params) else { return false };
        accesses.iter().all(|access| access.query().is_some_and(|query| query.decide(&policy).decision == "deny"))
    }
}

impl Runs<'_> {
    /// Looks again at a failure that nothing explains: a target that then succeeds does not depend on the profile alone.
    fn judge(&mut self, trial: &Trial, text: &str, mut shown: Shown) -> Result<Answer, ShrinkError> {
        self.used += 1 + usize::from(shown.repeat.is_some());
        while !shown.success(trial.repeat) && !self.explains(trial, &shown) && self.retries < MOST_RETRIES {
            self.retries += 1;
            let place = &self.places[0];
            let again = run_trial(self.target, text, trial.repeat, place, self.expected.as_ref(), self.cancel)?;
            self.used += 1 + usize::from(again.repeat.is_some());
            if again.success(trial.repeat) {
                let what = format!(
                    "the target failed with status {} although nothing that it had used was refused, and succeeded when run again",
                    shown.fresh.status
                );
                self.note_flaky(what);
                // Two of three decide; a removal is accepted only where the target does without it more often than not.
                let place = &self.places[0];
                let third = run_trial(self.target, text, trial.repeat, place, self.expected.as_ref(), self.cancel)?;
                self.used += 1 + usize::from(third.repeat.is_some());
                if third.success(trial.repeat) {
                    shown = third;
                }
                break;
            }
            shown = again;
        }
        if let ([element], false) = (&trial.group[..], shown.success(trial.repeat))
            && let Some(reason) = shown.reason(&self.tolerated)
        {
            self.refused.insert(*element, reason);
        }
        Ok(shown.answer(trial.repeat, &self.tolerated))
    }

    /// Whether a refusal that can be the reason of a failure is about something that the group decided. Without one the failure may
    /// have nothing to do with the group.
    fn explains(&self, trial: &Trial, shown: &Shown) -> bool {
        let last = shown.repeat.as_ref().unwrap_or(&shown.fresh);
        if self.blind {
            return true;
        }
        // A start that is refused is no accident, and what it looks at on its way has no record when it is allowed.
        if matches!(last.status, 126 | 127) && last.refusals().next().is_some() {
            return true;
        }
        last.refusals().map(|(record, _)| asked(record)).any(|refused| {
            !self.tolerated.contains(&refused)
                && trial.group.iter().any(|own| self.decided.get(own).is_some_and(|own| own.contains(&refused)))
        })
    }

    fn note_flaky(&mut self, what: String) {
        self.observer.event(&Event::Flaky { what: what.clone() });
        if !self.flaky.contains(&what) {
            self.flaky.push(what);
        }
    }

    /// One run of which everything is recorded, with its file.
    fn validate(&mut self, removed: &BTreeSet<usize>, fresh: bool, name: &str) -> Result<Ran, ShrinkError> {
        let text = self.candidates.masked(removed);
        let place = &self.places[0];
        let expected = self.expected.as_ref();
        let ran = self.target.run(&text, Mode::EnforceAndRecord, place, fresh, expected, self.cancel)?;
        self.used += 1;
        if self.expected.is_none() {
            self.expected.clone_from(&ran.output);
        }
        let directory = self.layout.phase(Phase::Shrink, "validation");
        let output = |path: &PathBuf| crate::os::fs::read_bounded(path, layout::MAX_BYTES).unwrap_or_default();
        let (stdout, stderr) = (output(&place.stdout), output(&place.stderr));
        layout::write(&directory.join(format!("{name}.stdout.txt")), &stdout)?;
        layout::write(&directory.join(format!("{name}.stderr.txt")), &stderr)?;
        let profile = if removed.is_empty() { self.layout.trace_profile() } else { self.layout.shrunk_profile() };
        let refused: Vec<String> =
            ran.refusals().map(|(record, _)| format!("{} {}", record.operation, record.target)).collect();
        layout::write_sorted(
            &directory.join(format!("{name}.json")),
            &json!({
                "profile": self.layout.stored(&profile), "return_code": ran.status,
                "stderr": String::from_utf8_lossy(&stderr), "stdout": String::from_utf8_lossy(&stdout),
                "success": ran.success, "why_not": ran.why_not, "refused": refused,
                "duration_s": ran.duration.as_secs_f64(),
            }),
        )?;
        Ok(ran)
    }

    /// The result, fresh and again.
    fn confirm(&mut self, removed: &BTreeSet<usize>) -> Result<(Ran, Option<Ran>), ShrinkError> {
        layout::write(&self.layout.shrunk_profile(), self.candidates.without(removed).as_bytes())?;
        let mut fresh = self.validate(removed, true, "post_shrink_fresh")?;
        if !fresh.success && !removed.is_empty() {
            // This very profile was seen to succeed: either it does again, or nothing can be said about the target.
            let what = format!("the result failed with status {} after it had succeeded in the search", fresh.status);
            self.note_flaky(what);
            fresh = self.validate(removed, true, "post_shrink_fresh")?;
            if fresh.success {
                fresh = self.validate(removed, true, "post_shrink_fresh")?;
            }
        }
        let repeat = if fresh.success { Some(self.validate(removed, false, "post_shrink_repeat")?) } else { None };
        Ok((fresh, repeat))
    }

    /// One line per element that a trial was about.
    fn note_candidates(
        &self,
        trial: &Trial,
        success: bool,
        fresh: i32,
        repeat: Option<i32>,
    ) -> Result<(), ShrinkError> {
        if !success && trial.group.len() > 1 {
            let lines: Vec<u32> = trial.group.iter().map(|&own| self.candidates.elements()[own].line).collect();
            return self.metrics(
                &json!({"event": "group", "decision": "split", "lines": lines, "fresh_rc": fresh, "repeat_rc": repeat}),
            );
        }
        for &own in &trial.group {
            let element = &self.candidates.elements()[own];
            self.metrics(&json!({
                "event": "candidate", "line_number": element.line,
                "decision": if success { "removed" } else { "kept_required" }, "rule": self.candidates.form_text(own),
                "fresh_rc": fresh, "repeat_rc": repeat, "profile_lines": self.candidates.masked(&BTreeSet::new()).matches('\n').count(),
                "element": element.text, "kind": element.kind, "together": trial.group.len(),
            }))?;
        }
        Ok(())
    }

    fn metrics(&self, line: &Value) -> Result<(), ShrinkError> {
        workspace::append_line(&self.layout.phase(Phase::Shrink, "metrics.jsonl"), &spaced(line))?;
        Ok(())
    }

    /// What became of each element.
    fn decisions(
        &self,
        removed: &BTreeSet<usize>,
        shown: &BTreeMap<usize, Required>,
        cover: &Coverage,
    ) -> Vec<Decided> {
        let decided = self.candidates.elements().iter().enumerate().map(|(index, element)| {
            let out = removed.contains(&index);
            let exact = shown.get(&index).filter(|own| own.at == removed.len());
            let shown_on = exact.map_or("larger_profile", |own| if own.inferred { "same_answers" } else { "result" });
            Decided {
                line: element.line,
                kind: element.kind,
                text: element.text.clone(),
                rule: self.candidates.form_text(index).to_owned(),
                decision: if out { "removed" } else { "kept_required" },
                shown_on: (!out).then_some(shown_on),
                accesses: cover.accesses.get(&index).map(|own| own.iter().cloned().collect()).unwrap_or_default(),
                refused: self.refused.get(&index).filter(|_| !out).cloned(),
            }
        });
        decided.collect()
    }

    fn finish(&self) -> Result<(), ShrinkError> {
        self.layout.remove_jobs()?;
        Ok(())
    }
}

/// A line with a space after every comma and colon, in the order given.
fn spaced(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{}: {}", document::to_line(key), spaced(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        other => document::to_line(other),
    }
}
