//! Executing the scenario and baseline lanes with a bounded number of threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use indexmap::IndexMap;

use crate::base::cancel::Cancel;
use crate::event::{BaselineRow, OracleRow, ResultRow, RunnerInfo, baseline_row, classify, meets_expectation};
use crate::fixture::{FixtureDir, FixtureError, FixtureField, FixtureSet};
use crate::host::Host;
use crate::lane::{Execution, PreflightMode, Prepared, Workers, execute, not_applied, observe};
use crate::plan::Lanes;
use crate::sandbox::EnforcementReport;
use crate::vocab::Lane;

use super::progress::{Observer, Progress};

/// What executing the lanes needs.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub prepared: &'a Prepared,
    pub fixtures: &'a FixtureSet,
    /// Where fixtures are built.
    pub field: &'a FixtureField,
    pub lanes: Lanes,
    pub preflight: PreflightMode,
    pub plan_id: &'a str,
    pub jobs: usize,
    pub host: &'a Host,
    pub runner: &'a RunnerInfo,
    pub observer: &'a dyn Observer,
    pub cancel: &'a Cancel,
}

/// What the lanes gave, in plan order.
#[derive(Debug, Default)]
pub(super) struct Executed {
    /// Scenario rows by profile.
    pub scenario: IndexMap<String, Vec<ResultRow>>,
    /// Baseline rows.
    pub baseline: Vec<BaselineRow>,
    /// Oracle rows; asked when the other lanes have ended.
    pub oracle: Vec<OracleRow>,
    /// By profile, what the first worker that applied it says was enforced.
    pub reports: IndexMap<String, EnforcementReport>,
    /// What the witness observer printed, with the names of the files it goes to.
    pub observed: Vec<(String, Vec<u8>)>,
}

/// One execution: profile and probe by position, and the lane.
type Step = (usize, usize, Lane);

enum Row {
    Scenario(Box<ResultRow>, Option<Box<EnforcementReport>>, Option<(String, Vec<u8>)>),
    Baseline(Box<BaselineRow>),
}

/// Executes everything; stops early, with what there is, when cancelled.
pub(super) fn execute_lanes(task: &Task<'_>) -> Result<Executed, FixtureError> {
    let steps = steps(task.prepared, task.lanes);
    let next = AtomicUsize::new(0);
    let rows: Mutex<Vec<Option<Row>>> = Mutex::new(steps.iter().map(|_| None).collect());
    let open: Vec<AtomicUsize> = (0..task.prepared.profiles.len())
        .map(|p| AtomicUsize::new(steps.iter().filter(|s| s.0 == p).count()))
        .collect();
    let work = |fixture_dir: FixtureDir| {
        let mut workers = Workers::default();
        while !task.cancel.is_set() {
            let position = next.fetch_add(1, Ordering::Relaxed);
            let Some(&step) = steps.get(position) else { break };
            workers.expect(next.load(Ordering::Relaxed) < steps.len());
            let row = one(task, step, &fixture_dir, &mut workers);
            rows.lock().expect("no thread panics while it holds the rows")[position] = Some(row);
            announce(task, step, &open, &rows, &steps);
        }
    };
    let threads = task.jobs.clamp(1, steps.len().max(1));
    // Made before any thread starts: a host where they cannot be made fails the run once, not every row.
    let dirs: Vec<FixtureDir> =
        (0..threads).map(|_| FixtureDir::create(task.field.path())).collect::<Result<_, _>>()?;
    std::thread::scope(|scope| {
        for dir in dirs {
            scope.spawn(move || work(dir));
        }
    });
    let rows = rows.into_inner().expect("all threads have ended");
    Ok(collect(task, &steps, rows))
}

/// Number of executions that `lanes` make.
pub(super) fn execution_count(prepared: &Prepared, lanes: Lanes) -> usize {
    steps(prepared, lanes).len()
}

fn steps(prepared: &Prepared, lanes: Lanes) -> Vec<Step> {
    let mut steps = Vec::new();
    for (number, profile) in prepared.profiles.iter().enumerate() {
        for probe in 0..profile.probes.len() {
            for lane in [Lane::Scenario, Lane::Baseline] {
                if lanes.has(lane) && profile.supports[probe].has(lane) {
                    steps.push((number, probe, lane));
                }
            }
        }
    }
    steps
}

fn one(task: &Task<'_>, (profile, probe, lane): Step, fixture_dir: &FixtureDir, workers: &mut Workers) -> Row {
    let prepared = &task.prepared.profiles[profile];
    let what = Execution {
        probe: &prepared.probes[probe],
        sources: (lane == Lane::Scenario).then_some(prepared.sources.as_slice()),
        compiled: prepared.compiled && lane == Lane::Scenario,
        fixtures: task.fixtures,
        fixture_dir,
    };
    if let Some(signature) = prepared.gate(task.preflight).filter(|_| lane == Lane::Scenario) {
        return Row::Scenario(Box::new(classify(what.probe, not_applied(signature), task.runner)), None, None);
    }
    let (facts, seen, report) = execute(&what, workers, task.host, task.cancel);
    match lane {
        Lane::Scenario => {
            let started = !seen.command.is_empty();
            let mut row = classify(&facts, seen, task.runner);
            let mut printed = None;
            if let Some(observer) = task.host.witness_observer.as_ref().filter(|_| started) {
                let (record, text) = observe(observer, (&prepared.id, task.plan_id), &row, task.cancel);
                row.observer = Some(record);
                printed = text;
            }
            Row::Scenario(Box::new(row), report.map(Box::new), printed)
        }
        Lane::Baseline | Lane::Oracle => Row::Baseline(Box::new(baseline_row(&facts, seen))),
    }
}

fn announce(task: &Task<'_>, step: Step, open: &[AtomicUsize], rows: &Mutex<Vec<Option<Row>>>, steps: &[Step]) {
    let (profile, probe, lane) = step;
    let prepared = &task.prepared.profiles[profile];
    let probe_name = prepared.probes[probe].name.clone();
    task.observer.on(&Progress::Executed { lane, profile_id: prepared.id.clone(), probe: probe_name });
    if open[profile].fetch_sub(1, Ordering::AcqRel) == 1 {
        let rows = rows.lock().expect("no thread panics while it holds the rows");
        // A probe's steps follow each other: the scenario's, then its control's.
        let first = steps.partition_point(|step| step.0 < profile);
        let own = rows[first..].iter().enumerate().take_while(|(at, _)| steps[first + at].0 == profile);
        let matches = own
            .filter(|(at, row)| {
                let control = match rows.get(first + at + 1) {
                    Some(Some(Row::Baseline(control))) if steps[first + at].1 == steps[first + at + 1].1 => {
                        Some(&**control)
                    }
                    _ => None,
                };
                matches!(row, Some(Row::Scenario(row, ..)) if meets_expectation(row, control))
            })
            .count();
        let probes = prepared.probes.len();
        task.observer.on(&Progress::ProfileDone { profile_id: prepared.id.clone(), probes, matches });
    }
}

fn collect(task: &Task<'_>, steps: &[Step], rows: Vec<Option<Row>>) -> Executed {
    let mut executed = Executed::default();
    for (&(profile, _, _), row) in steps.iter().zip(rows) {
        let id = &task.prepared.profiles[profile].id;
        match row {
            Some(Row::Scenario(row, report, printed)) => {
                executed.observed.extend(printed);
                executed.scenario.entry(id.clone()).or_default().push(*row);
                if let Some(report) = report {
                    executed.reports.entry(id.clone()).or_insert(*report);
                }
            }
            Some(Row::Baseline(row)) => executed.baseline.push(*row),
            None => {}
        }
    }
    executed
}
