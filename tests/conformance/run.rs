//! Runs a table and its twins.

use std::io::{Seek as _, Write as _};

use runtime::sandbox::overlay;
use runtime::sbpl::{NoImports, Params, Policy, Source};
use runtime::vocab::Decision;

use super::accesses::{self, Question};
use super::compare::{At, Outcome, compare, deciding, refusals};
use super::deviations;
use super::files::Files;
use super::support::{Place, User, each_user};
use super::table::{self, Row, Section};

/// What one section of a table came to.
struct Seen {
    questions: Vec<Vec<Question>>,
    outcomes: Vec<Outcome>,
    refused: std::collections::BTreeMap<(String, String, Option<String>), u64>,
    sources: Vec<Source>,
    params: Params,
    wrong: Vec<String>,
}

pub(crate) fn table(name: &str) {
    each_user(|place| {
        let mut wrong = Vec::new();
        let mut count = 0;
        for section in table::read(name) {
            count += section.rows.len();
            wrong.extend(check(&section, place.user).into_iter().map(|text| format!("[{}] {text}", section.name)));
        }
        assert!(wrong.is_empty(), "{:?}: {} problems:\n{}", place.user, wrong.len(), wrong.join("\n"));
        println!("{name}, {:?}: {count} rows agree", place.user);
    });
}

/// Everything that is wrong with a section.
fn check(section: &Section, user: User) -> Vec<String> {
    let seen = see(section, user);
    let mut wrong = seen.wrong.clone();
    let policy = seen.policy(None);
    let differences = compare(&section.rows, &seen.questions, &seen.outcomes, &seen.refused, &policy);
    for difference in &differences {
        match difference.at {
            At::Row(index) if section.rows[index].deviates.is_some() => {}
            _ => wrong.push(difference.text.clone()),
        }
    }
    for (index, row) in section.rows.iter().enumerate() {
        let (question, decision, _) = deciding(&seen.questions[index], &policy);
        if decision != row.expected {
            wrong.push(format!("{}: {}: the evaluator says {decision:?}", row.place, row.text));
        }
        match &row.deviates {
            Some(name) => {
                deviations::find(name);
                if !differences.iter().any(|difference| difference.at == At::Row(index)) {
                    wrong.push(format!("{}: {}: does not deviate any more", row.place, row.text));
                }
            }
            None => wrong.extend(twin(section, &seen, index, question, decision)),
        }
    }
    wrong
}

/// The twin of a row: with one more rule the evaluator answers differently, and the comparison says so at this row or at its
/// refusal.
fn twin(section: &Section, seen: &Seen, index: usize, question: &Question, decision: Decision) -> Option<String> {
    let turned = if decision == Decision::Allow { Decision::Deny } else { Decision::Allow };
    let policy = seen.policy(Some(&question.rule(turned)));
    let differences = compare(&section.rows, &seen.questions, &seen.outcomes, &seen.refused, &policy);
    let row = &section.rows[index];
    let here = [At::Row(index), At::Refusals(question.operation.to_owned(), question.shown().to_owned())];
    (!differences.iter().any(|difference| here.contains(&difference.at)))
        .then(|| format!("{}: {}: a wrong evaluator is not noticed", row.place, row.text))
}

impl Seen {
    fn policy(&self, more: Option<&str>) -> Policy {
        let mut sources = self.sources.clone();
        sources.extend(more.map(|text| Source::new("turned.sb", text)));
        Policy::compile(&sources, &self.params, &NoImports).unwrap()
    }
}

/// Runs a section's rows in one process and looks at the disk afterwards.
fn see(section: &Section, user: User) -> Seen {
    let place = Place::new(user);
    let root = place.root().to_str().unwrap().to_owned();
    let options: Vec<String> = section.options.iter().map(|option| option.replace("$W", &root)).collect();
    let words: Vec<&str> = options.iter().map(String::as_str).collect();
    let place = place.with(&words);
    let mut files = Files::make(section, &place);
    let rules = files.expand(&section.rules);
    let mut input = tempfile::tempfile().unwrap();
    for (number, row) in section.rows.iter().enumerate() {
        writeln!(input, "{number}\t{}", files.expand(&line(row))).unwrap();
    }
    input.rewind().unwrap();
    let ran = place.run_reading(&rules, &[&place.fake(), "rows"], input);
    let mut wrong = Vec::new();
    let mut outcomes: Vec<Outcome> = ran.stdout.lines().map(outcome).collect();
    if ran.status != 0 || outcomes.len() != section.rows.len() {
        wrong.push(format!("the process stopped early: {} of {}: {}", outcomes.len(), section.rows.len(), ran.stderr));
        outcomes.resize_with(section.rows.len(), || Outcome { errno: -1, detail: String::new() });
    }
    let mut questions = Vec::new();
    for (row, outcome) in section.rows.iter().zip(&mut outcomes) {
        if matches!(row.action.as_str(), "signal" | "info-file" | "limits" | "set-limits")
            && let Some((errno, target)) = outcome.detail.clone().split_once(' ')
        {
            *outcome = Outcome { errno: errno.parse().unwrap(), detail: target.to_owned() };
        }
        questions.push(accesses::of(row, &files, &outcome.detail));
        if outcome.errno == 0 {
            if let Some(detail) = files.detail(row)
                && detail.trim_end() != outcome.detail.trim_end()
            {
                wrong.push(format!("{}: {}: got `{}`, not `{detail}`", row.place, row.text, outcome.detail));
            }
            files.apply(row);
        }
    }
    wrong.extend(files.differences());
    let profile = place.profile(&rules);
    let shipped = overlay::shipped("linux-base.sb").unwrap();
    let text = std::fs::read_to_string(&profile).unwrap();
    let sources = vec![Source::new(profile.to_str().unwrap(), text), Source::new(shipped.name, shipped.text)];
    let params = options
        .iter()
        .filter_map(|option| option.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Seen { questions, outcomes, refused: refusals(&ran), sources, params, wrong }
}

fn line(row: &Row) -> String {
    let directory = if row.directory.is_empty() { String::new() } else { format!("$W/{}", row.directory) };
    let path = |index: usize| row.spelled.get(index).map_or("", String::as_str);
    [&row.action, &row.argument, row.form, &directory, path(0), path(1)].join("\t")
}

fn outcome(line: &str) -> Outcome {
    let mut fields = line.split('\t').skip(1);
    Outcome { errno: fields.next().unwrap().parse().unwrap(), detail: fields.next().unwrap_or_default().to_owned() }
}
