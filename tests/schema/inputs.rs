//! Documents that people write: schema and lint give the same answer about every mutation of a valid one.
//!
//! The lint says more than a schema can: it follows references. Those findings are named in [`BEYOND`]; for every other error
//! the schema must refuse, and what the schema refuses the lint must refuse.

use runtime::links::{LinksError, load_runtime_links};
use runtime::plan::{fixtures, lint_plan};
use runtime::registry::{Document, Files, Index, Lookup, Place, Source, lint_files};
use runtime::schema::{self, Validator};
use runtime::vocab::{Finding, Severity};
use serde_json::{Value, json};

use crate::data_suite::{FIXTURES, INDEX, PLAN, PROBES, PROFILES, Suite, full_links};
use crate::mutate::{Mutant, mutants, weakened};

/// Findings that follow a reference, compare two places or look at the disk, which a schema cannot.
const BEYOND: &[(&str, &str)] = &[
    ("unknown-profile", "the registry is another document"),
    ("unknown-registry", "the index is another document"),
    ("registry-id-mismatch", "compares two documents"),
    ("world-mismatch", "compares two documents"),
    ("id-mismatch", "compares an entry with its key"),
    ("unknown-probe", "the probes are another document"),
    ("duplicate-expectation", "compares the probes of a profile"),
    ("duplicate-registry", "compares the ids of entries"),
    ("fixture-duplicate", "compares the paths of entries"),
    ("fixture-parent", "compares the paths of entries"),
    ("path-leaves-bound", "where a path leads depends on where the document lies"),
    ("profile-file-missing", "looks at the disk"),
    ("fixtures-file-missing", "looks at the disk"),
    ("preflight-file-missing", "looks at the disk"),
    ("sbpl-*", "the language of profiles is another one"),
    ("input-digest", "compares two lists"),
];

/// One kind of document: its file in the suite, its schema, the lint, and the command that lints it.
struct Input {
    file: &'static str,
    schema: &'static str,
    command: &'static [&'static str],
    lint: fn(&Suite, &Value) -> Vec<Finding>,
    /// From which severity on a finding refuses.
    refuses: Severity,
}

const LINKS: &str = "links.json";

const INPUTS: &[Input] = &[
    Input {
        file: PLAN,
        schema: "plan",
        command: &["plan-lint", "--plan", PLAN, "--registry-index", INDEX, "--json"],
        lint: lint_of_plan,
        refuses: Severity::Error,
    },
    Input {
        file: PROBES,
        schema: "probe-registry",
        command: &["registry-lint", "--registry", "./registry", "--json"],
        lint: lint_of_probes,
        refuses: Severity::Error,
    },
    Input {
        file: PROFILES,
        schema: "profile-registry",
        command: &["registry-lint", "--registry", "./registry", "--json"],
        lint: lint_of_profiles,
        refuses: Severity::Error,
    },
    Input {
        file: INDEX,
        schema: "registry-index",
        command: &["registry-lint", "--registry-index", INDEX, "--json"],
        lint: lint_of_index,
        refuses: Severity::Error,
    },
    Input {
        file: FIXTURES,
        schema: "fixture-set",
        command: &["plan-lint", "--plan", PLAN, "--registry-index", INDEX, "--json"],
        lint: lint_of_fixtures,
        refuses: Severity::Error,
    },
    Input {
        file: LINKS,
        schema: "runtime-links",
        command: &["links", "list", "--links", LINKS, "--json"],
        lint: findings_of_links,
        // What is wrong inside a part keeps nobody from using the rest.
        refuses: Severity::Warning,
    },
];

fn place(suite: &Suite, file: &str) -> Place {
    Place::Disk(suite.path(file))
}

fn lookup(suite: &Suite) -> Lookup {
    Lookup { index: Some(suite.path(INDEX)), start: suite.path(""), ..Lookup::default() }
}

fn lint_of_plan(suite: &Suite, value: &Value) -> Vec<Finding> {
    let document = Document::parse(&place(suite, PLAN), serde_json::to_vec(value).unwrap()).unwrap();
    lint_plan(document, &lookup(suite)).findings
}

fn lint_of_registry(suite: &Suite, file: &str, value: &Value) -> Vec<Finding> {
    suite.write_json(file, value);
    let files = Files {
        probes: place(suite, PROBES),
        profiles: place(suite, PROFILES),
        source: Source::Given("registry".to_owned()),
    };
    lint_files(None, files, &lookup(suite)).findings
}

fn lint_of_probes(suite: &Suite, value: &Value) -> Vec<Finding> {
    lint_of_registry(suite, PROBES, value)
}

fn lint_of_profiles(suite: &Suite, value: &Value) -> Vec<Finding> {
    lint_of_registry(suite, PROFILES, value)
}

fn lint_of_index(suite: &Suite, value: &Value) -> Vec<Finding> {
    suite.write_json(INDEX, value);
    Index::read(&lookup(suite)).unwrap().findings.clone()
}

fn lint_of_fixtures(suite: &Suite, value: &Value) -> Vec<Finding> {
    let document = Document::parse(&place(suite, FIXTURES), serde_json::to_vec(value).unwrap()).unwrap();
    fixtures::read(&document).1
}

fn findings_of_links(suite: &Suite, value: &Value) -> Vec<Finding> {
    suite.write_json(LINKS, value);
    match load_runtime_links(&place(suite, LINKS)) {
        Ok(links) => links.warnings,
        Err(LinksError::Refused(refusal)) => refusal.findings,
        Err(LinksError::Document(error)) => vec![error.finding()],
    }
}

/// What the lint says about one mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// No error.
    Accepted,
    /// Errors that a schema cannot see, and no other.
    BeyondSchemas,
    /// An error that a schema can see.
    Refused,
}

impl Input {
    fn verdict(&self, suite: &Suite, value: &Value) -> Verdict {
        let file = suite.path(self.file).display().to_string();
        let findings = (self.lint)(suite, value);
        let errors: Vec<&str> = findings
            .iter()
            .filter(|finding| finding.severity >= self.refuses && finding.file == file)
            .map(|finding| finding.id.as_str())
            .collect();
        let beyond = |id: &str| {
            BEYOND.iter().any(|(known, _)| match known.strip_suffix('*') {
                Some(stem) => id.starts_with(stem),
                None => *known == id,
            })
        };
        match errors.iter().all(|id| beyond(id)) {
            true if errors.is_empty() => Verdict::Accepted,
            true => Verdict::BeyondSchemas,
            false => Verdict::Refused,
        }
    }

    /// Every mutant of the suite's document with what the lint says.
    fn judged(&self) -> Vec<(Mutant, Verdict)> {
        let suite = full_suite();
        let original = suite.read_json(self.file);
        let findings = (self.lint)(&suite, &original);
        assert!(findings.iter().all(|finding| finding.severity == Severity::Note), "{}: {findings:#?}", self.file);
        let judge = |mutant: Mutant| {
            let verdict = self.verdict(&suite, &mutant.document);
            (mutant, verdict)
        };
        mutants(&original).into_iter().map(judge).collect()
    }
}

/// Where a schema and the lint give different answers.
fn disagreements<'a>(validator: &'a Validator, judged: &'a [(Mutant, Verdict)]) -> impl Iterator<Item = String> + 'a {
    judged.iter().filter_map(|(mutant, verdict)| match (validator.accepts(&mutant.document), verdict) {
        (true, Verdict::Refused) => Some(format!("{}: only the lint refuses", mutant.what)),
        (false, Verdict::Accepted) => Some(format!("{}: only the schema refuses", mutant.what)),
        _ => None,
    })
}

/// A suite whose documents have every field that there is.
fn full_suite() -> Suite {
    let suite = Suite::new();
    suite.change(PLAN, |plan| {
        plan["apply_preflight_profile"] = json!("./sb/a.sb");
        plan["notes"] = json!("free text");
        plan["controls"] = json!({"own": true});
        plan["accepted_lints"] = json!({"unknown-control": "it is meant"});
    });
    suite.change(PROBES, |registry| {
        let probe = &mut registry["probes"]["demo:a:x"];
        for key in ["expectation_id", "mode", "syscall", "attr_payload", "anchor_ctx_id"] {
            probe[key] = json!("word");
        }
        probe["driver"] = json!("native");
        probe["filter_name"] = json!("path");
        probe["filter_type"] = json!(0);
        registry["probes"].as_object_mut().unwrap().shift_remove("demo:a:y");
    });
    suite.change(PROFILES, |registry| registry["profiles"]["demo:a"]["notes"] = json!("free text"));
    suite.change(PROFILES, |registry| {
        registry["profiles"]["demo:a"]["key_specific_rules"] = json!(["(allow file-read-data (literal \"/x\"))"]);
        registry["profiles"]["demo:a"]["probe_refs"] = json!(["demo:a:x"]);
    });
    suite.write_json(LINKS, &full_links());
    suite.change(FIXTURES, |set| {
        set["entries"] = json!([
            {"path": "d", "kind": "directory", "mode": "0700"},
            {"path": "d/f.txt", "kind": "file", "mode": "0644", "content": "x\n"},
            {"path": "d/l", "kind": "symlink", "target": "f.txt"},
            {"path": "h", "kind": "hard_link", "target": "d/f.txt"},
            {"path": "b", "kind": "bind_mount", "target": "d"},
            {"path": "p", "kind": "fifo"},
            {"path": "n", "kind": "noop_program"},
            {"path": "s", "kind": "unix_listener"},
        ]);
        set["ports"] = json!([{"name": "A", "kind": "tcp_listener"}, {"name": "B_2", "kind": "tcp_closed"}]);
    });
    suite
}

/// Schema and lint agree about every mutant; and, the twin, whatever is taken away from the schema, the comparison sees it.
fn agree(file: &str, differ: &[&str]) {
    let input = INPUTS.iter().find(|input| input.file == file).unwrap();
    let judged = input.judged();
    let count = |wanted: Verdict| judged.iter().filter(|(_, verdict)| *verdict == wanted).count();
    let (refused, accepted) = (count(Verdict::Refused), count(Verdict::Accepted));
    assert!(refused > 100 && accepted > 20, "{file}: {refused} refused, {accepted} accepted");

    let schema = schema::by_name(input.schema).unwrap();
    let found: Vec<String> = disagreements(&Validator::of(schema), &judged).collect();
    let surprising: Vec<&String> =
        found.iter().filter(|what| !differ.iter().any(|known| what.contains(known))).collect();
    assert!(surprising.is_empty(), "{file}: {surprising:#?}");
    let gone: Vec<&&str> = differ.iter().filter(|known| !found.iter().any(|what| what.contains(**known))).collect();
    assert!(gone.is_empty(), "{file}: differences that are gone: {gone:?}");

    let weaker = weakened(&schema.value());
    assert!(weaker.len() > 10, "{file}: {}", weaker.len());
    // Whatever a schema admits, a weaker one admits: only what both refuse can come out differently.
    let validator = Validator::of(schema);
    let refused: Vec<&Mutant> = judged
        .iter()
        .filter(|(mutant, verdict)| *verdict == Verdict::Refused && !validator.accepts(&mutant.document))
        .map(|(mutant, _)| mutant)
        .collect();
    let unseen = |weaker: &Mutant| {
        let validator = Validator::compile(weaker.document.clone()).unwrap();
        // Most likely it shows where the document has what the keyword is about.
        let name =
            weaker.what.rsplit("/properties/").next().and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let (near, far): (Vec<&Mutant>, Vec<&Mutant>) = refused.iter().partition(|mutant| mutant.what.contains(name));
        !near.iter().chain(&far).any(|mutant| validator.accepts(&mutant.document))
    };
    let unseen: Vec<String> = weaker.into_iter().filter(unseen).map(|weaker| weaker.what).collect();
    assert!(unseen.is_empty(), "{file}: {unseen:#?}");
}

/// An id of few characters and many bytes: the reader counts the bytes, a schema can only count characters.
const MANY_BYTES: &str = "= \"ééé";

/// The commands say what the library says.
#[test]
fn the_binary_gives_the_same_answers() {
    for input in INPUTS {
        let suite = full_suite();
        let original = suite.read_json(input.file);
        let validator = Validator::of(schema::by_name(input.schema).unwrap());
        let whole = suite.path(input.file).display().to_string();
        let names = [input.file, whole.as_str()];
        let refuses: &[&str] = if input.refuses == Severity::Error { &["error"] } else { &["error", "warning"] };
        // One process for all: the commands are what is asked, not their start. --as: a mutant may have lost its tag.
        let some: Vec<Mutant> = mutants(&original).into_iter().step_by(61).collect();
        let files: Vec<String> = (0..some.len()).map(|number| format!("mutant{number}.json")).collect();
        for (mutant, file) in some.iter().zip(&files) {
            suite.write_json(file, &mutant.document);
        }
        let mut arguments = vec!["schema", "check", "--json", "--as", input.schema];
        arguments.extend(files.iter().map(String::as_str));
        let answer = suite.run(&arguments);
        let report: Value = serde_json::from_str(&answer.stdout).unwrap();
        assert_eq!((answer.status, &report["ok"], &report["complete"]), (Some(1), &json!(false), &json!(true)));
        let judged = report["documents"].as_array().unwrap();
        assert_eq!(judged.len(), some.len());
        for ((mutant, file), told) in some.iter().zip(&files).zip(judged) {
            let accepted = validator.accepts(&mutant.document);
            assert_eq!(told, &json!({"file": file, "schemas": [input.schema], "ok": accepted}), "{}", mutant.what);
        }
        for mutant in &some {
            suite.write_json(input.file, &mutant.document);
            let findings = (input.lint)(&suite, &mutant.document);
            let answer = suite.run(input.command);
            let error = findings.iter().find(|finding| finding.severity == Severity::Error);
            if let Some(error) = error.filter(|_| input.file == LINKS) {
                // No report: the document cannot be used, and the reason is told.
                assert_eq!(answer.status, Some(3), "{}", mutant.what);
                let told: Value = serde_json::from_str(&answer.stdout).unwrap();
                let mut causes = told["error"]["causes"].as_array().into_iter().flatten().filter_map(Value::as_str);
                assert!(causes.next_back().unwrap_or_default().contains(&error.message), "{}: {told}", mutant.what);
                continue;
            }
            let report: Value = serde_json::from_str(&answer.stdout).unwrap();
            let told = report["findings"].as_array().into_iter().flatten();
            let told: Vec<(&str, &str)> = told
                .filter(|finding| refuses.contains(&finding["severity"].as_str().unwrap()))
                .filter(|finding| names.contains(&finding["file"].as_str().unwrap()))
                .map(|finding| (finding["id"].as_str().unwrap(), finding["pointer"].as_str().unwrap_or_default()))
                .collect();
            let expected: Vec<(&str, &str)> = findings
                .iter()
                .filter(|finding| finding.severity >= input.refuses && finding.file == names[1])
                .map(|finding| (finding.id.as_str(), finding.pointer.as_deref().unwrap_or_default()))
                .collect();
            assert_eq!(told, expected, "{} {}: {report}", input.file, mutant.what);
        }
        suite.write_json(input.file, &original);
    }
}

#[test]
fn plans() {
    agree(PLAN, &[MANY_BYTES]);
}

#[test]
fn probe_registries() {
    agree(PROBES, &[MANY_BYTES]);
}

#[test]
fn profile_registries() {
    agree(PROFILES, &[MANY_BYTES]);
}

#[test]
fn registry_indexes() {
    agree(INDEX, &[MANY_BYTES]);
}

#[test]
fn runtime_links() {
    agree(LINKS, &[]);
}

/// Changes that leave a hard link or a bind mount without the entry it leads to.
const AIMS: &[&str] =
    &["/entries/3/target", "/entries/4/target", "/entries without ", "/entries/0/path", "/entries/1/path"];

#[test]
fn fixture_sets() {
    // The target of a hard link or a bind mount must be an entry before it: compared with other entries.
    agree(FIXTURES, AIMS);
}
