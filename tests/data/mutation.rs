//! Mutated documents: whatever the bytes, a reader answers; and what it accepts means what it says.

use runtime::base::json;
use runtime::plan::{self, fixtures, lint_plan};
use runtime::registry::{Document, Index, Lookup, Place};

use crate::suite::{FIXTURES, INDEX, PLAN, PROBES, PROFILE_TEXT, PROFILES, Suite};

/// Xorshift64*: the same mutations in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let value = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(value).unwrap() % bound.max(1)
    }
}

const TOKENS: &[&str] = &[
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "-1",
    "1e400",
    "\\u0000",
    "\\ud800",
    "\u{0}",
    "..",
    "/",
    "${",
    "\"a\":1,",
    "\u{e9}",
    "18446744073709551616",
    "(",
    ")",
    "#\"",
    ";",
];

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        let end = (at + random.below(24)).min(bytes.len());
        match random.below(6) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 => drop(bytes.drain(at..end)),
            2 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            3 => bytes.truncate(at),
            4 => {
                let token = TOKENS[random.below(TOKENS.len())].as_bytes().to_vec();
                bytes.splice(at..at, token);
            }
            _ => {
                let token = TOKENS[random.below(TOKENS.len())].as_bytes().to_vec();
                bytes.splice(at..end, token);
            }
        }
    }
}

#[test]
fn every_mutated_document_is_accepted_with_equal_meaning_or_refused_by_name() {
    let suite = Suite::new();
    let lookup = Lookup { index: Some(suite.path(INDEX)), start: suite.path("."), ..Lookup::default() };
    let mut random = Random(3);
    let (mut accepted, mut refused) = (0, 0);
    for file in [PLAN, FIXTURES, PROBES, PROFILES, INDEX, PROFILE_TEXT] {
        let original = std::fs::read(suite.path(file)).unwrap();
        for _ in 0..400 {
            let mut bytes = original.clone();
            mutate(&mut bytes, &mut random);
            suite.write(file, &bytes);
            let place = Place::Disk(suite.path(file));
            if file != PROFILE_TEXT {
                match Document::read(&place) {
                    Ok(document) => {
                        // What is accepted reads the same when it is written out again.
                        let again = json::read(json::to_pretty(&document.value).as_bytes()).unwrap();
                        assert_eq!(again, document.value);
                        accepted += 1;
                    }
                    Err(error) => {
                        assert!(!error.finding().message.is_empty());
                        refused += 1;
                    }
                }
            }
            if let Ok(document) = Document::read(&Place::Disk(suite.path(FIXTURES))) {
                let (set, findings) = fixtures::read(&document);
                assert!(set.entries.len() <= 2 && findings.iter().all(|finding| !finding.id.is_empty()));
            }
            if let Ok(index) = Index::read(&lookup) {
                let _ = index.list();
            }
            if let Ok(document) = Document::read(&Place::Disk(suite.path(PLAN))) {
                let report = lint_plan(document.clone(), &lookup);
                let clean = report.findings.iter().all(|f| f.severity != runtime::vocab::Severity::Error);
                if clean {
                    // Lint says yes: then the plan loads and compiles.
                    let loaded = plan::read(document).0.unwrap();
                    let files = runtime::registry::for_plan(loaded.place(), &loaded.registry_id, &lookup).unwrap();
                    let registry = runtime::registry::read(Some(&loaded.registry_id), files, &lookup).unwrap().registry;
                    plan::compile(&loaded, &registry, &plan::Filters::default()).unwrap();
                }
            }
        }
        suite.write(file, &original);
    }
    assert!(accepted > 100 && refused > 500, "{accepted} accepted, {refused} refused");
}
