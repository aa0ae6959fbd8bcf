//! The tables: sections of a profile's rules with rows in comments.
//!
//! ```text
//! ;== NAME                          a section starts; its rules and comments follow
//! ;! -D D=$W/d                      options of `sandbox run`
//! ;= link l a                       an object that is there before the run (see `files`)
//! ;? allow read a                   a row: expected answer, call, path
//! ;? deny read l -> a               the path that is judged, where it is not the one given
//! ;? deny read l -> a via l         links met on the way, in order; each is judged too
//! ;? allow rename a b               calls with two paths
//! ;? allow chmod=640 a              a call with an argument
//! ;? deny read,stat a               several rows at once
//! ;? deny fork deviates NAME        an entry of `deviations`: the evaluator's answer is given, and is not enforced
//! ```
//!
//! `$W` is the working directory, `$NAME` a name of the run's own, ports stand in `ports`. A path is below it; `rel:TEXT` is given as it stands from there, `cd:DIR:TEXT` from DIR,
//! `at:DIR:TEXT` relative to a descriptor of DIR, `fd:PATH` is `/proc/self/fd/N` of the opened PATH, `abs:TEXT` is absolute.

use std::path::PathBuf;

use runtime::vocab::Decision;

/// Rules and what is asked about them.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) rules: String,
    pub(crate) options: Vec<String>,
    pub(crate) makes: Vec<Vec<String>>,
    pub(crate) rows: Vec<Row>,
}

/// One call and the answer that is expected.
#[derive(Debug)]
pub(crate) struct Row {
    /// Table and line.
    pub(crate) place: String,
    pub(crate) text: String,
    pub(crate) expected: Decision,
    pub(crate) action: String,
    pub(crate) argument: String,
    /// `path`, `cd`, `at`, `fd`.
    pub(crate) form: &'static str,
    /// The directory of `cd` and `at`, below `$W`.
    pub(crate) directory: String,
    /// Path arguments as they are passed.
    pub(crate) spelled: Vec<String>,
    /// Canonical paths below `$W`, or absolute ones.
    pub(crate) canonical: Vec<String>,
    pub(crate) via: Vec<String>,
    pub(crate) deviates: Option<String>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/tables")
}

/// Names of the tables on disk, sorted.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

pub(crate) fn read(name: &str) -> Vec<Section> {
    let text = std::fs::read_to_string(folder().join(format!("{name}.sb"))).unwrap();
    let mut sections: Vec<Section> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = format!("{name}.sb:{}", index + 1);
        if let Some(name) = line.strip_prefix(";== ") {
            let name = name.to_owned();
            let (rules, options) = (String::new(), Vec::new());
            sections.push(Section { name, rules, options, makes: Vec::new(), rows: Vec::new() });
            continue;
        }
        let Some(section) = sections.last_mut() else {
            assert!(line.is_empty() || line.starts_with("; "), "{place}: before the first section");
            continue;
        };
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        match line.get(..3) {
            Some(";! ") => section.options.extend(words(&line[3..])),
            Some(";= ") => section.makes.push(words(&line[3..])),
            Some(";? ") => {
                let (before, rest) = line[3..].split_once(' ').unwrap();
                let (actions, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let rows =
                    actions.split(',').map(|action| row(place.clone(), format!("{before} {action} {rest}").trim()));
                section.rows.extend(rows);
            }
            _ => {
                section.rules.push_str(line);
                section.rules.push('\n');
            }
        }
    }
    sections
}

fn row(place: String, text: &str) -> Row {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let mut after = |marker: &str| {
        let at = words.iter().position(|word| *word == marker)?;
        Some(words.split_off(at)[1..].iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    };
    let deviates = after("deviates").map(|names| names.join(" "));
    let via = after("via").unwrap_or_default();
    let canonical = after("->");
    let expected = match words[0] {
        "allow" => Decision::Allow,
        "deny" => Decision::Deny,
        word => panic!("{place}: `{word}` is no answer"),
    };
    let (action, argument) = words[1].split_once('=').unwrap_or((words[1], ""));
    let (mut form, mut directory) = ("path", String::new());
    let mut spelled = Vec::new();
    for &word in &words[2..] {
        let (prefix, rest) = word.split_once(':').unwrap_or(("", word));
        spelled.push(match prefix {
            "" => format!("$W/{rest}"),
            "rel" | "abs" => rest.to_owned(),
            "fd" => {
                form = "fd";
                format!("$W/{rest}")
            }
            "cd" | "at" => {
                form = if prefix == "cd" { "cd" } else { "at" };
                let (place, rest) = rest.split_once(':').unwrap();
                directory = place.to_owned();
                rest.to_owned()
            }
            _ => panic!("{place}: `{prefix}` is no form of a path"),
        });
    }
    let plain = words[2..].iter().all(|word| !word.contains(':'));
    assert!(plain || canonical.is_some() || form == "fd", "{place}: say which path is judged");
    let bare = || words[2..].iter().map(|word| word.trim_start_matches("fd:").to_owned()).collect();
    Row {
        text: text.to_owned(),
        expected,
        action: action.to_owned(),
        argument: argument.to_owned(),
        form,
        directory,
        spelled,
        canonical: canonical.unwrap_or_else(bare),
        via,
        deviates,
        place,
    }
}
