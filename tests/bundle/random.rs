//! Random damage: whatever stands in a bundle, readers and gates answer, and changed bytes are never believed.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use runtime::bundle::{UnverifiedBundle, Verification, resolve};
use runtime::promotion::{GateName, assess, promotion_packet};
use serde_json::{Value, json};

use crate::support::{Hand, LINUX, Laid};

fn read(laid: &Laid) -> Option<Verification> {
    resolve(&laid.root).ok().map(|resolved| UnverifiedBundle::read(resolved).verify(1))
}

/// Every pointer into `value`, with the value itself as the empty one.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                pointers(member, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn replacement() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        Just(json!(1e308)),
        ".{0,40}".prop_map(Value::from),
        Just(json!("../../etc/passwd")),
        Just(json!("a\0b\n")),
        Just(json!("x".repeat(10_000))),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[], {}, null])),
        Just(json!({"": {"": null}})),
    ]
}

/// Documents whose members decide something.
const DOCUMENTS: [&str; 7] = [
    "artifact_index.json",
    "run_status.json",
    "run_manifest.json",
    "runtime_results.json",
    "expected_matrix.json",
    "enforcement_report.json",
    "summary.json",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_anywhere_gets_an_answer(
        document in 0..DOCUMENTS.len(),
        place in any::<prop::sample::Index>(),
        value in replacement(),
    ) {
        let mut hand = Hand::good(LINUX);
        let name = DOCUMENTS[document];
        let original = if name == "artifact_index.json" { hand.make_index() } else { hand.json(name) };
        let mut all = Vec::new();
        pointers(&original, "", &mut all);
        let mut changed = original.clone();
        *changed.pointer_mut(&all[place.index(all.len())]).unwrap() = value;
        if name == "artifact_index.json" {
            hand.index = if changed.is_null() { json!([null]) } else { changed.clone() };
        } else {
            hand.put_json(name, &changed);
        }
        let laid = hand.lay();
        let Some(verification) = read(&laid) else { return Ok(()) };
        let promotability = assess(&verification);
        let packet = promotion_packet(&verification, &promotability);
        // Only a verified bundle is promotable, and a packet vouches for nothing else.
        if verification.verified().is_none() {
            prop_assert!(!promotability.gate(GateName::LinuxEnforcement).promotable());
            prop_assert!(!promotability.gate(GateName::DecisionStage).promotable());
            prop_assert!(packet["artifact_index_sha256"].is_null());
        }
        prop_assert!(!promotability.gate(GateName::DecisionStage).promotable(), "Linux evidence");
        if changed == original {
            prop_assert!(verification.is_valid() && promotability.gate(GateName::LinuxEnforcement).promotable());
        }
        // A document that lost its shape is never fine.
        if !changed.is_object() {
            prop_assert!(!promotability.gate(GateName::LinuxEnforcement).promotable(), "{name}: {changed}");
        }
    }
}

/// Runs `check` on random values; the caller keeps what all cases share.
fn for_random<S: Strategy>(strategy: S, check: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config).run(&strategy, check).unwrap();
}

#[test]
fn any_changed_byte_is_refused() {
    let hand = Hand::good(LINUX);
    let laid = hand.lay();
    let strategy = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1u8..);
    for_random(strategy, |(file, place, flip)| {
        let (name, bytes) = &hand.files[file.index(hand.files.len())];
        let mut damaged = bytes.clone();
        damaged[place.index(bytes.len())] ^= flip;
        std::fs::write(laid.run.join(name), damaged).unwrap();
        let verification = read(&laid).unwrap();
        std::fs::write(laid.run.join(name), bytes).unwrap();
        prop_assert!(verification.verified().is_none());
        prop_assert!(verification.findings.iter().any(|finding| finding.file == *name), "{}", name);
        Ok(())
    });
}

#[test]
fn an_index_of_random_bytes_is_refused() {
    let laid = Hand::good(LINUX).lay();
    for_random(prop::collection::vec(any::<u8>(), 0..200), |bytes| {
        std::fs::write(laid.run.join("artifact_index.json"), bytes).unwrap();
        let verification = read(&laid).unwrap();
        prop_assert!(verification.verified().is_none() && !verification.is_valid());
        Ok(())
    });
}
