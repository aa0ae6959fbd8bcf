//! Both gates over every combination of the facts they ask for, against a table of rules written for this test alone.
//!
//! The rules are those of the format, one line each, over plain values; nothing of the gates' own code is used but the words
//! they print.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use runtime::bundle::{UnverifiedBundle, resolve};
use runtime::promotion::assess;
use serde_json::{Value, json};

use crate::bound::{Bound, nightly};
use crate::support::{Hand, LINUX, MACOS, RUN};

/// One combination: for every fact, which of its values.
type Values = Vec<usize>;

/// A fact: its name, its values by name (the first is the one that opens a gate), and what makes it so.
struct Fact {
    name: &'static str,
    values: &'static [&'static str],
    lay: fn(usize, &mut Hand),
}

/// A reason, and when it must be given.
struct Rule {
    word: &'static str,
    given: fn(&Case<'_>) -> bool,
}

/// What a gate says in the document of promotability: whether it is open, and its reasons.
type Answer = fn(&Value) -> (&Value, &Value);

/// A combination by names.
struct Case<'a> {
    facts: &'static [Fact],
    values: &'a [usize],
}

impl Case<'_> {
    /// Whether the fact has this value.
    fn is(&self, name: &str, value: &str) -> bool {
        let at = self.facts.iter().position(|fact| fact.name == name).unwrap_or_else(|| panic!("no fact {name}"));
        let values = self.facts[at].values;
        assert!(values.contains(&value), "{name} has no value {value}");
        values[self.values[at]] == value
    }

    /// Whether the reader proves the bytes.
    fn proven(&self) -> bool {
        !self.is("bytes", "edited") && !self.is("state", "in progress")
    }

    /// Whether this tool wrote the bundle.
    fn own(&self) -> bool {
        self.is("writer", "this tool")
    }

    fn named(&self) -> Vec<String> {
        let value = |(fact, value): (&Fact, &usize)| format!("{}: {}", fact.name, fact.values[*value]);
        self.facts.iter().zip(self.values).map(value).collect()
    }
}

fn nothing(_: usize, _: &mut Hand) {}

fn manifest(hand: &mut Hand, pointer: &str, value: Value) {
    hand.set("run_manifest.json", pointer, value);
}

// Facts both gates share.

const DRY: Fact =
    Fact { name: "dry run", values: &["no", "yes"], lay: |value, hand| manifest(hand, "/dry_run", json!(value == 1)) };
const REBOUND: Fact = Fact {
    name: "rebound",
    values: &["no", "yes"],
    lay: |value, hand| manifest(hand, "/world_rebound", json!(value == 1)),
};
const STAND_INS: Fact = Fact {
    name: "stand-ins",
    values: &["none", "git"],
    lay: |value, hand| manifest(hand, "/stand_in_tools", if value == 1 { json!(["git"]) } else { json!([]) }),
};
const STATE: Fact = Fact {
    name: "state",
    values: &["complete", "failed", "in progress"],
    lay: |value, hand| hand.set("run_status.json", "/state", json!(["complete", "failed", "in_progress"][value])),
};
// Laid into the index, after everything else.
const MISSING: Fact = Fact { name: "missing files", values: &["none", "one"], lay: nothing };
const BYTES: Fact = Fact { name: "bytes", values: &["as indexed", "edited"], lay: nothing };
const REPAIR: Fact = Fact { name: "repair", values: &["none", "one"], lay: nothing };

const DECISION: &[Fact] = &[
    Fact {
        name: "channel",
        values: &["launchd_clean", "direct"],
        lay: |value, hand| {
            let channel = ["launchd_clean", "direct"][value];
            manifest(hand, "/channel", json!(channel));
            hand.set("run_status.json", "/channel", json!(channel));
        },
    },
    Fact {
        name: "staged",
        values: &["yes", "no"],
        lay: |value, hand| manifest(hand, "/stage_used", json!(value == 0)),
    },
    Fact {
        name: "preflight",
        values: &["applied", "none", "failed", "sandboxed before", "failed, sandboxed before"],
        lay: |value, hand| {
            if value == 1 {
                return manifest(hand, "/apply_preflight", json!(null));
            }
            for (document, record) in [("run_manifest.json", "/apply_preflight/record"), ("apply_preflight.json", "")] {
                hand.set(document, &format!("{record}/apply_ok"), json!(!matches!(value, 2 | 4)));
                let sandboxed = format!("{record}/sandbox_check_self/sandboxed");
                hand.set(document, &sandboxed, json!(matches!(value, 3 | 4)));
            }
        },
    },
    Fact {
        name: "preflight file",
        values: &["the manifest's", "gone", "another"],
        lay: |value, hand| match value {
            1 => hand.remove("apply_preflight.json"),
            _ => hand.set("apply_preflight.json", "/profile", json!("other.sb")),
        },
    },
    Fact {
        name: "decision files",
        values: &["there", "one gone"],
        lay: |value, hand| {
            if value == 1 {
                hand.remove("runtime_events.normalized.json");
            }
        },
    },
    Fact { name: "world", values: &["macos", "linux"], lay: nothing },
    Fact { name: "writer", values: &["this tool", "the earlier tool"], lay: earlier },
    DRY,
    REBOUND,
    STAND_INS,
    STATE,
    MISSING,
    BYTES,
    REPAIR,
];

fn earlier(value: usize, hand: &mut Hand) {
    if value == 1 {
        hand.own = false;
        hand.unset("run_status.json", "/tool");
    }
}

/// The decision stage: evidence of the macOS kernel, on the clean channel, from a clean start.
const DECISION_RULES: &[Rule] = &[
    Rule {
        word: "already_sandboxed",
        given: |c| c.is("preflight", "sandboxed before") || c.is("preflight", "failed, sandboxed before"),
    },
    Rule {
        word: "apply_failed",
        given: |c| c.is("preflight", "failed") || c.is("preflight", "failed, sandboxed before"),
    },
    Rule { word: "apply_preflight_missing", given: |c| c.is("preflight", "none") },
    Rule {
        word: "bundle_failed",
        given: |c| {
            // Our own status says so by itself; the earlier gate reads the index, when it may be believed.
            c.is("state", "failed") && (c.own() || c.proven())
        },
    },
    Rule { word: "bundle_incomplete", given: |c| c.is("missing files", "one") && c.proven() },
    Rule { word: "bundle_in_progress", given: |c| c.is("state", "in progress") },
    Rule { word: "bundle_integrity_unverified", given: |c| !c.proven() },
    Rule { word: "decision_stage_artifacts_missing", given: |c| c.is("decision files", "one gone") },
    Rule { word: "dry_run", given: |c| c.own() && c.is("dry run", "yes") },
    Rule {
        word: "facts_malformed",
        given: |c| readable(c) && c.is("preflight file", "another") && !c.is("preflight", "none"),
    },
    Rule {
        word: "facts_missing",
        given: |c| readable(c) && c.is("preflight file", "gone") && !c.is("preflight", "none"),
    },
    Rule { word: "not_clean_channel", given: |c| c.is("channel", "direct") || (c.own() && c.is("staged", "no")) },
    Rule { word: "not_macos", given: |c| c.own() && c.is("world", "linux") },
    Rule { word: "repaired", given: |c| c.own() && c.is("repair", "one") },
    Rule { word: "stand_in_tools", given: |c| c.own() && c.is("stand-ins", "git") },
    Rule { word: "world_rebound", given: |c| c.own() && c.is("rebound", "yes") },
];

const LINUX_FACTS: &[Fact] = &[
    Fact {
        name: "layers",
        values: &["all present", "one absent"],
        lay: |value, hand| hand.set("enforcement_report.json", "/layers/landlock/present", json!(value == 0)),
    },
    Fact {
        name: "start",
        values: &["outside any sandbox", "inside one"],
        lay: |value, hand| hand.set("enforcement_report.json", "/start_unsandboxed", json!(value == 0)),
    },
    Fact {
        name: "observe",
        values: &["no", "yes"],
        lay: |value, hand| hand.set("enforcement_report.json", "/profiles/demo/observe", json!(value == 1)),
    },
    Fact {
        name: "row",
        values: &["met", "mismatch", "unobserved", "undecided", "in error"],
        lay: |value, hand| {
            let row = "/demo/probes/1";
            let set =
                |hand: &mut Hand, key: &str, value| hand.set("runtime_results.json", &format!("{row}{key}"), value);
            match value {
                1 => {
                    set(hand, "/actual", json!("allow"));
                    set(hand, "/match", json!(false));
                }
                2 => set(hand, "/runtime_result/intended_op_witnessed", json!(false)),
                3 => set(hand, "/undecided", json!({"reason": "regex"})),
                4 => set(hand, "/error", json!("worker died")),
                _ => {}
            }
        },
    },
    Fact { name: "world", values: &["linux", "macos"], lay: nothing },
    Fact { name: "writer", values: &["this tool", "the earlier tool"], lay: earlier },
    DRY,
    REBOUND,
    STAND_INS,
    STATE,
    MISSING,
    BYTES,
    REPAIR,
];

/// Whether the artifacts inside may be looked at: proven, and of the strict generation.
fn readable(case: &Case<'_>) -> bool {
    case.proven() && case.own()
}

/// Linux enforcement: every layer present, a start outside any sandbox, and every expectation met by what was observed.
const LINUX_RULES: &[Rule] = &[
    Rule { word: "bundle_failed", given: |c| c.own() && c.is("state", "failed") },
    Rule { word: "bundle_incomplete", given: |c| readable(c) && c.is("missing files", "one") },
    Rule { word: "bundle_in_progress", given: |c| c.is("state", "in progress") },
    Rule { word: "bundle_integrity_unverified", given: |c| !readable(c) },
    Rule { word: "dry_run", given: |c| c.is("dry run", "yes") },
    Rule { word: "linux_layers_missing", given: |c| readable(c) && c.is("layers", "one absent") },
    Rule { word: "linux_start_sandboxed", given: |c| readable(c) && c.is("start", "inside one") },
    Rule { word: "mismatches", given: |c| readable(c) && c.is("row", "mismatch") },
    Rule { word: "not_linux", given: |c| c.is("world", "macos") },
    Rule { word: "observe_only", given: |c| readable(c) && c.is("observe", "yes") },
    Rule { word: "repaired", given: |c| c.is("repair", "one") },
    Rule { word: "rows_in_error", given: |c| readable(c) && c.is("row", "in error") },
    Rule { word: "rows_undecided", given: |c| readable(c) && c.is("row", "undecided") },
    Rule { word: "rows_unobserved", given: |c| readable(c) && c.is("row", "unobserved") },
    Rule { word: "stand_in_tools", given: |c| c.is("stand-ins", "git") },
    Rule { word: "world_rebound", given: |c| c.is("rebound", "yes") },
];

/// A directory in memory where bundle after bundle is laid; only what differs from the last one is made and written.
struct Bench {
    temp: tempfile::TempDir,
    good: [Hand; 2],
    laid: Vec<(String, Vec<u8>)>,
    entries: HashMap<(String, Vec<u8>, bool), Value>,
}

impl Bench {
    fn new() -> Self {
        let temp = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        std::fs::create_dir_all(temp.path().join("out").join(RUN).join("runtime_profiles")).unwrap();
        Self { temp, good: [LINUX, MACOS].map(Hand::good), laid: Vec::new(), entries: HashMap::new() }
    }

    fn run(&self) -> std::path::PathBuf {
        self.temp.path().join("out").join(RUN)
    }

    fn lay(&mut self, case: &Case<'_>) {
        let files = self.files(case);
        for (name, _) in self.laid.iter().filter(|(name, _)| !files.iter().any(|(other, _)| other == name)) {
            std::fs::remove_file(self.run().join(name)).unwrap();
        }
        for (name, bytes) in files.iter().filter(|file| !self.laid.contains(file)) {
            std::fs::write(self.run().join(name), bytes).unwrap();
        }
        self.laid = files;
    }

    /// The files of a combination: every fact laid, then the index over them, then what comes after the commit.
    fn files(&mut self, case: &Case<'_>) -> Vec<(String, Vec<u8>)> {
        let mut hand = self.good[usize::from(!case.is("world", "linux"))].clone();
        // The first value of a fact is what the good bundle has.
        for (fact, value) in case.facts.iter().zip(case.values).filter(|(_, value)| **value > 0) {
            (fact.lay)(*value, &mut hand);
        }
        let mut index = self.index(&hand);
        if case.is("missing files", "one") {
            index["missing"] = json!([format!("out/{RUN}/oracle_results.json")]);
            index["status"] = json!("partial");
        }
        if case.is("state", "failed") {
            index["status"] = json!("failed");
        }
        if case.is("bytes", "edited") {
            hand.put("summary.md", b"# edited\n");
        }
        if case.is("repair", "one") {
            hand.put("repair_log.json", b"{}");
        }
        hand.put("artifact_index.json", index.to_string().as_bytes());
        hand.files
    }

    /// As [`Hand::make_index`], each entry made once.
    fn index(&mut self, hand: &Hand) -> Value {
        let only = |files: &[(String, Vec<u8>)]| Hand { files: files.to_vec(), ..hand.clone() }.make_index();
        let mut index = only(&[]);
        for file in &hand.files {
            let key = (file.0.clone(), file.1.clone(), hand.own);
            let entry =
                self.entries.entry(key).or_insert_with(|| only(std::slice::from_ref(file))["artifacts"][0].take());
            index["artifacts"].as_array_mut().unwrap().push(entry.clone());
        }
        index
    }
}

/// The words of both gates about what lies in `run`, and whether each calls itself promotable.
fn answers(run: &Path) -> Value {
    assess(&UnverifiedBundle::read(resolve(run).unwrap()).verify(1)).document()
}

/// The combination with number `at`.
fn combination(facts: &[Fact], mut at: usize) -> Values {
    let mut values = Vec::with_capacity(facts.len());
    for fact in facts {
        values.push(at % fact.values.len());
        at /= fact.values.len();
    }
    values
}

/// How many threads judge.
const THREADS: usize = 2;

/// About so many combinations are judged, evenly spread, and beside these all facts alone and in pairs are. In the nightly form
/// every combination is.
const JUDGED: usize = 840;

/// How long they are judged for, and how many must have been in the nightly form.
const LIMIT: Duration = Duration::from_secs(600);
const LEAST: usize = 20_000;

/// Judges combinations and returns how many, and how many of them are promotable.
fn judge(what: &'static str, facts: &'static [Fact], rules: &'static [Rule], gate: Answer) -> (usize, usize) {
    let all: usize = facts.iter().map(|fact| fact.values.len()).product();
    // Prime to the numbers of values (2, 3 and 5), so that no value is left out.
    let spread = (1..=all / JUDGED).rev().find(|step| [2, 3, 5].iter().all(|factor| step % factor != 0));
    let step = if nightly() { 1 } else { spread.unwrap_or(1) };
    let points = all.div_ceil(step);
    let bound = Bound::new(what, points, points.min(LEAST), LIMIT);
    let (open, count) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut bench = Bench::new();
        while let Some(at) = bound.next() {
            check(facts, rules, gate, &combination(facts, at * step), &mut bench, &open);
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(work);
        }
    });
    bound.close();
    (count.into_inner(), open.into_inner())
}

fn check(
    facts: &'static [Fact],
    rules: &[Rule],
    gate: Answer,
    values: &[usize],
    bench: &mut Bench,
    open: &AtomicUsize,
) {
    let case = Case { facts, values };
    bench.lay(&case);
    let document = answers(&bench.run());
    let (promotable, reasons) = gate(&document);
    let expected: Vec<&str> = rules.iter().filter(|rule| (rule.given)(&case)).map(|rule| rule.word).collect();
    let expected: BTreeSet<&str> = expected.into_iter().collect();
    assert_eq!(reasons, &json!(expected), "{:#?}\n{document:#}", case.named());
    assert_eq!(promotable, &json!(expected.is_empty()), "{:#?}", case.named());
    if expected.is_empty() {
        open.fetch_add(1, Ordering::Relaxed);
    }
}

fn decision(document: &Value) -> (&Value, &Value) {
    (&document["promotable_decision_stage"], &document["reasons"])
}

fn linux(document: &Value) -> (&Value, &Value) {
    let gate = &document["linux_enforcement"];
    (&gate["promotable"], &gate["reasons"])
}

#[test]
fn the_decision_stage_over_all_combinations() {
    let (count, open) = judge("combinations for the decision stage", DECISION, DECISION_RULES, decision);
    println!("decision stage: {count} combinations judged, {open} promotable");
    assert!(count > 800 && open < count / 50, "{count} {open}");
}

#[test]
fn linux_enforcement_over_all_combinations() {
    let (count, open) = judge("combinations for Linux enforcement", LINUX_FACTS, LINUX_RULES, linux);
    println!("linux enforcement: {count} combinations judged, {open} promotable");
    assert!(count > 800 && open < count / 50, "{count} {open}");
}

/// With every fact true a gate is open; any fact alone shuts it, and any two.
#[test]
fn every_fact_alone_and_every_two_shut_the_gate() {
    for (facts, rules, gate) in [(DECISION, DECISION_RULES, decision as Answer), (LINUX_FACTS, LINUX_RULES, linux)] {
        let mut bench = Bench::new();
        let open = AtomicUsize::new(0);
        let good = vec![0; facts.len()];
        check(facts, rules, gate, &good, &mut bench, &open);
        assert_eq!(open.load(Ordering::Relaxed), 1, "all facts true");
        let (mut alone, mut pairs) = (0, 0);
        for (first, fact) in facts.iter().enumerate() {
            for value in 1..fact.values.len() {
                let mut values = good.clone();
                values[first] = value;
                check(facts, rules, gate, &values, &mut bench, &open);
                // Who wrote it is a fact that only the Linux gate asks for.
                if !(fact.name == "writer" && facts.len() == DECISION.len() && std::ptr::eq(facts, DECISION)) {
                    assert_eq!(open.load(Ordering::Relaxed), 1, "{}: {}", fact.name, fact.values[value]);
                } else {
                    open.store(1, Ordering::Relaxed);
                }
                alone += 1;
                for (second, other) in facts.iter().enumerate().skip(first + 1) {
                    for more in 1..other.values.len() {
                        let mut values = values.clone();
                        values[second] = more;
                        check(facts, rules, gate, &values, &mut bench, &AtomicUsize::new(0));
                        pairs += 1;
                    }
                }
            }
        }
        println!("facts alone: {alone}, in pairs: {pairs}");
        assert!(alone >= 13 && pairs > 80);
    }
}

/// Every word that a rule of the matrix gives is given somewhere, so no rule is idle.
#[test]
fn every_rule_speaks() {
    for (facts, rules) in [(DECISION, DECISION_RULES), (LINUX_FACTS, LINUX_RULES)] {
        let all: usize = facts.iter().map(|fact| fact.values.len()).product();
        for rule in rules {
            let speaks = |at: &usize| (rule.given)(&Case { facts, values: &combination(facts, *at) });
            assert!((0..all).any(|at| speaks(&at)) && !(0..all).all(|at| speaks(&at)), "{}", rule.word);
        }
    }
}
