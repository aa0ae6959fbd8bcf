//! Decision tables: which rule decides what, for three profiles of real size and for every filter, every wildcard and
//! every kind of precedence.
//!
//! A table below `fixtures/sbpl/table` is a profile that carries its own rows (`.sb`), or rows about another profile
//! (`.rows`, `;profile FILE`, `;imports DIRECTORY`, relative to `fixtures/sbpl`). What rows expect was read off the
//! profiles, not asked of the engine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod coverage;
mod profiles;
#[path = "../sbpl/rows.rs"]
mod rows;

use std::path::{Path, PathBuf};

use rows::{Labels, Row};
use runtime::sbpl::{Answer, ImportTexts, NoImports, Policy, Source};

/// A path below `fixtures/sbpl`.
fn fixture(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sbpl").join(relative)
}

/// A profile with everything a table says about it.
struct Table {
    name: String,
    policy: Policy,
    labels: Labels,
    rows: Vec<Row>,
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a directory with one of these endings, by name.
fn files(directory: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(fixture(directory))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|own| endings.iter().any(|ending| own == *ending)))
        .collect();
    found.sort();
    found
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The texts of a directory by the name that imports them.
fn import_texts(directory: &str) -> ImportTexts {
    let sources = files(directory, &["sb"]).into_iter().map(|path| Source::new(file_name(&path), read(&path)));
    ImportTexts(sources.map(|source| (source.name.clone(), source)).collect())
}

/// Reads and compiles one table.
fn table(path: &Path) -> Table {
    let (name, text) = (file_name(path), read(path));
    let directive = |word: &str| text.lines().find_map(|line| line.strip_prefix(word)).map(str::trim);
    let profile = match directive(";profile ") {
        Some(relative) => Source::new(relative, read(&fixture(relative))),
        None => Source::new(name.clone(), text.clone()),
    };
    let mut labels = rows::labels(&profile.name, &profile.text);
    let params = rows::params(&text);
    let compiled = match directive(";imports ") {
        None => Policy::compile(&[profile], &params, &NoImports),
        Some(directory) => {
            let imports = import_texts(directory);
            for source in imports.0.values() {
                labels.extend(rows::labels(&source.name, &source.text));
            }
            Policy::compile(&[profile], &params, &imports)
        }
    };
    let policy = compiled.unwrap_or_else(|diagnostics| panic!("{name}:\n{}", diagnostics.render(false)));
    Table { rows: rows::rows(&name, &text), name, policy, labels }
}

fn tables() -> Vec<Table> {
    files("table", &["sb", "rows"]).iter().map(|path| table(path)).collect()
}

#[test]
fn every_row_is_decided_by_the_rule_a_reader_would_name() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for table in tables() {
        assert!(!table.rows.is_empty(), "{} has no row", table.name);
        for row in &table.rows {
            checked += 1;
            wrong.extend(row.complaint(&table.name, &table.labels, &row.query.ask(&table.policy)));
        }
        println!("{}: {} rows, {} rules", table.name, table.rows.len(), table.policy.rules().len());
    }
    println!("{checked} rows");
    assert!(wrong.is_empty(), "{} of {checked} rows are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked >= 400, "only {checked} rows");
}

#[test]
fn a_changed_answer_is_noticed_in_every_row() {
    for table in tables() {
        for row in &table.rows {
            let answer = row.query.ask(&table.policy);
            let other_decision = if answer.decision == "allow" { "deny" } else { "allow" };
            let mut other_rule = answer.rule.clone();
            match &mut other_rule {
                Some(rule) => rule.line += 1,
                None => other_rule = table.policy.rules().first().map(|rule| rule.reference.clone()),
            }
            for changed in
                [Answer { decision: other_decision, ..answer.clone() }, Answer { rule: other_rule, ..answer.clone() }]
            {
                assert!(row.complaint(&table.name, &table.labels, &changed).is_some(), "{}:{}", table.name, row.line);
            }
        }
    }
}

#[test]
fn conditions_that_differ_are_told_apart() {
    use runtime::sbpl::Params;
    for text in [
        "(if (entitlement \"e\") (deny signal) (allow signal))",
        "(cond ((entitlement \"e\") (deny signal)) (#t (allow signal)))",
        "(define (f class) (allow signal (extension class))) (f \"a\") (f \"b\")",
    ] {
        let source = Source::new("t.sb", format!("(version 1)\n{text}"));
        let policy = Policy::compile(&[source], &Params::new(), &NoImports).unwrap();
        let [first, second] = policy.rules() else { panic!("{text}") };
        assert_ne!(first.filter, second.filter, "{text}");
    }
}
