//! `emit-promotion --attest` and `promotion verify --key`: what is signed, and every way in which it can be wrong.

use std::os::unix::fs::PermissionsExt as _;

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};

use crate::case::{Case, errors, read, warnings};
use crate::support::{Hand, LINUX, MACOS, RUN, code, sha256, text};

const SIGNED: &[&str] = &["--attest", "@a.json", "--sign-key", "@key.pem"];
const CHECKED: &[&str] = &["--attestation", "@a.json", "--key", "@public.pem"];

fn signed(more: &[&str]) -> Case {
    let case = Case::of(&Hand::good(LINUX));
    let output = case.emit(&[SIGNED, more].concat());
    assert_eq!(code(&output), 0, "{output:?}");
    case
}

/// The statement in the envelope `a.json`.
fn statement(case: &Case) -> Value {
    let envelope = read(&case.path("a.json"));
    serde_json::from_slice(&Base64::decode_vec(envelope["payload"].as_str().unwrap()).unwrap()).unwrap()
}

#[test]
fn the_statement_names_every_artifact_and_holds_the_packet() {
    let case = signed(&[]);
    let envelope = read(&case.path("a.json"));
    assert_eq!(envelope["payloadType"], "application/vnd.in-toto+json");
    assert_eq!(envelope["signatures"].as_array().unwrap().len(), 1);
    let statement = statement(&case);
    let keys: Vec<&str> = statement.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["_type", "subject", "predicateType", "predicate"]);
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "urn:runtime-tools:promotion_packet:v0.2");
    assert_eq!(statement["predicate"], read(&case.path("p.json")));
    let index = read(&case.laid.run.join("artifact_index.json"));
    let mut names: Vec<String> = vec!["artifact_index.json".to_owned()];
    names.extend(index["artifacts"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()));
    let expected: Vec<Value> = names
        .iter()
        .map(|name| {
            let digest = sha256(&std::fs::read(case.laid.run.join(name)).unwrap());
            json!({"name": format!("{RUN}/{name}"), "digest": {"sha256": digest}})
        })
        .collect();
    assert_eq!(statement["subject"], json!(expected));
    // The same bundle and key give the same bytes.
    let first = std::fs::read(case.path("a.json")).unwrap();
    assert_eq!(code(&case.emit(SIGNED)), 0);
    assert_eq!(std::fs::read(case.path("a.json")).unwrap(), first);
}

#[test]
fn a_signed_packet_is_of_proven_origin() {
    let case = signed(&[]);
    let (exit, answer) = case.verify("p.json", CHECKED);
    assert_eq!((exit, &answer["findings"]), (0, &json!([])), "{answer}");
    assert_eq!(answer["origin"], "signed");
    assert_eq!(answer["key_id"], read(&case.path("a.json"))["signatures"][0]["keyid"]);
    // The attestation alone holds the packet.
    let (exit, answer) = case.verify("a.json", &["--key", "@public.pem"]);
    assert_eq!((exit, &answer["origin"]), (0, &json!("signed")), "{answer}");
    // Without a key nothing is proven, and that is said.
    let (exit, answer) = case.verify("p.json", &["--attestation", "@a.json"]);
    assert_eq!((exit, &answer["origin"]), (0, &json!("unproven")), "{answer}");
    assert_eq!(warnings(&answer), ["envelope-signature-unchecked"]);
    // A key without anything signed is a mistake of the caller.
    assert_eq!(case.verify("p.json", &["--key", "@public.pem"]).0, 2);
}

#[test]
fn without_a_key_the_statement_stands_bare_and_says_so() {
    let case = Case::of(&Hand::good(LINUX));
    let output = case.emit(&["--attest", "@a.json"]);
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(text(&output.stdout).contains("unsigned: nobody vouches for it"), "{output:?}");
    assert_eq!(read(&case.path("a.json"))["_type"], "https://in-toto.io/Statement/v1");
    let (exit, answer) = case.verify("p.json", &["--attestation", "@a.json"]);
    assert_eq!((exit, &answer["origin"]), (0, &json!("unproven")), "{answer}");
    assert_eq!(warnings(&answer), ["attestation-unsigned"]);
    let (exit, answer) = case.verify("p.json", CHECKED);
    assert_eq!((exit, errors(&answer)), (1, vec!["attestation-unsigned".to_owned()]), "{answer}");
    assert_eq!(answer["origin"], "unproven");
}

/// Puts another statement into the envelope; the signature stays as it was.
fn restate(case: &Case, change: impl FnOnce(&mut Value)) {
    let mut stated = statement(case);
    change(&mut stated);
    case.edit("a.json", |envelope| {
        envelope["payload"] = json!(Base64::encode_string(serde_json::to_string(&stated).unwrap().as_bytes()));
    });
}

#[test]
fn every_change_after_signing_is_found() {
    let case = signed(&[]);
    let good = ["a.json", "p.json"].map(|name| (name, std::fs::read(case.path(name)).unwrap()));
    let mut shown = 0;
    let mut check = |what: &str, change: &dyn Fn(), more: &[&str], expected: &[&str]| {
        for (name, bytes) in &good {
            std::fs::write(case.path(name), bytes).unwrap();
        }
        change();
        let (exit, answer) = case.verify("p.json", more);
        assert_eq!(
            (exit, errors(&answer)),
            (1, expected.iter().map(|id| (*id).to_owned()).collect()),
            "{what}: {answer}"
        );
        assert_eq!(answer["origin"], "unproven", "{what}");
        shown += 1;
    };
    check(
        "a flipped byte in the payload",
        &|| {
            case.edit("a.json", |envelope| {
                let mut payload = Base64::decode_vec(envelope["payload"].as_str().unwrap()).unwrap();
                let at = payload.windows(7).position(|window| window == b"summary").unwrap();
                payload[at] ^= 1;
                envelope["payload"] = json!(Base64::encode_string(&payload));
            });
        },
        CHECKED,
        &["envelope-signature-invalid", "statement-subject-mismatch"],
    );
    check(
        "another key",
        &|| {},
        &["--attestation", "@a.json", "--key", "@other-public.pem"],
        &["envelope-signature-invalid"],
    );
    check(
        "another type of payload",
        &|| case.edit("a.json", |envelope| envelope["payloadType"] = json!("application/json")),
        CHECKED,
        &["envelope-payload-type", "envelope-signature-invalid"],
    );
    check(
        "a subject's digest",
        &|| restate(&case, |stated| stated["subject"][3]["digest"]["sha256"] = json!("0".repeat(64))),
        CHECKED,
        &["envelope-signature-invalid", "statement-subject-mismatch"],
    );
    check(
        "a packet changed after signing",
        &|| case.edit("p.json", |packet| packet["promotability"]["reasons"] = json!([])),
        CHECKED,
        &["packet-claim-mismatch", "statement-predicate-mismatch"],
    );
    check(
        "the attested packet changed",
        &|| restate(&case, |stated| stated["predicate"]["promotability"]["reasons"] = json!([])),
        CHECKED,
        &["envelope-signature-invalid", "statement-predicate-mismatch"],
    );
    check(
        "no signature",
        &|| case.edit("a.json", |envelope| envelope["signatures"] = json!([])),
        CHECKED,
        &["envelope-signature-invalid"],
    );
    check(
        "a signature that is no Base64",
        &|| case.edit("a.json", |envelope| envelope["signatures"][0]["sig"] = json!("?")),
        CHECKED,
        &["envelope-signature-invalid"],
    );
    check(
        "a payload that is no Base64",
        &|| case.edit("a.json", |envelope| envelope["payload"] = json!("?")),
        CHECKED,
        &["envelope-payload-malformed", "envelope-signature-invalid"],
    );
    println!("changes after signing found: {shown}");
}

/// Signed by the right key, but about something else: the signature holds and proves nothing.
#[test]
fn a_true_signature_of_something_else_is_found() {
    for (what, id, change) in [
        ("type", "statement-type", (|s: &mut Value| s["_type"] = json!("x")) as fn(&mut Value)),
        ("predicate type", "statement-predicate-type", |s| s["predicateType"] = json!("x")),
        ("a subject less", "statement-subject-mismatch", |s| {
            s["subject"].as_array_mut().unwrap().pop();
        }),
        ("a subject more", "statement-subject-mismatch", |s| {
            s["subject"].as_array_mut().unwrap().push(json!({"name": "x", "digest": {"sha256": "0"}}));
        }),
        ("a subject twice", "statement-subject-mismatch", |s| {
            let first = s["subject"][0].clone();
            s["subject"].as_array_mut().unwrap().push(first);
        }),
        ("no subject", "statement-subject-mismatch", |s| s["subject"] = json!([])),
        ("another packet", "statement-predicate-mismatch", |s| s["predicate"]["run_id"] = json!("x")),
        ("a member more", "statement-key-unknown", |s| s["note"] = json!("trust me")),
    ] {
        let case = signed(&[]);
        let mut stated = statement(&case);
        change(&mut stated);
        let key = runtime::promotion::SignKey::read(&case.path("key.pem")).unwrap();
        let envelope = runtime::promotion::Envelope::sign(stated.to_string().as_bytes(), &key);
        std::fs::write(case.path("a.json"), serde_json::to_string(&envelope).unwrap()).unwrap();
        let (exit, answer) = case.verify("p.json", CHECKED);
        assert_eq!((exit, errors(&answer)), (1, vec![id.to_owned()]), "{what}: {answer}");
        assert_eq!(answer["origin"], "unproven", "{what}");
    }
}

#[test]
fn one_good_signature_among_others_is_enough() {
    let case = signed(&[]);
    case.edit("a.json", |envelope| {
        let mut other = envelope["signatures"][0].clone();
        other["sig"] = json!(Base64::encode_string(&[7; 64]));
        let own = envelope["signatures"][0].take();
        // The name of a key is a hint: a wrong one takes nothing away.
        let own = json!({"keyid": "somebody", "sig": own["sig"]});
        envelope["signatures"] = json!([other, own]);
    });
    let (exit, answer) = case.verify("p.json", CHECKED);
    assert_eq!((exit, &answer["origin"]), (0, &json!("signed")), "{answer}");
}

#[test]
fn a_summary_says_whether_the_required_gates_are_open() {
    for (world, more, gates, result, levels) in [
        (LINUX, &["--vsa"][..], "linux_enforcement", "PASSED", json!(["RUNTIME_LINUX_ENFORCEMENT"])),
        (MACOS, &["--vsa"], "decision_stage", "PASSED", json!(["RUNTIME_DECISION_STAGE"])),
        (
            LINUX,
            &["--vsa", "--require", "linux_enforcement"],
            "linux_enforcement",
            "PASSED",
            json!(["RUNTIME_LINUX_ENFORCEMENT"]),
        ),
    ] {
        let case = Case::of(&Hand::good(world));
        let output = case.emit(&[SIGNED, more].concat());
        assert_eq!(code(&output), 0, "{output:?}");
        assert!(text(&output.stdout).contains(&format!("attests {gates}: {result}")), "{output:?}");
        let stated = statement(&case);
        assert_eq!(stated["predicateType"], "https://slsa.dev/verification_summary/v1");
        let predicate = &stated["predicate"];
        assert_eq!(predicate["policy"]["uri"], format!("urn:runtime-tools:promotion-gates:{gates}"));
        assert_eq!((&predicate["verificationResult"], &predicate["verifiedLevels"]), (&json!(result), &levels));
        let packet = std::fs::read(case.path("p.json")).unwrap();
        assert_eq!(predicate["inputAttestations"][0]["digest"]["sha256"], sha256(&packet));
        let (exit, answer) = case.verify("p.json", CHECKED);
        assert_eq!((exit, &answer["origin"]), (0, &json!("signed")), "{answer}");
        // It names the packet by its bytes.
        std::fs::write(case.path("p.json"), [&packet[..], b"\n"].concat()).unwrap();
        let (exit, answer) = case.verify("p.json", CHECKED);
        assert_eq!((exit, errors(&answer)), (1, vec!["statement-predicate-mismatch".to_owned()]), "{answer}");
        // It does not hold the packet.
        assert_eq!(case.verify("a.json", &["--key", "@public.pem"]).0, 3);
    }
    let mut hand = Hand::good(LINUX);
    hand.set("run_manifest.json", "/dry_run", json!(true));
    let case = Case::of(&hand);
    let output = case.emit(&[SIGNED, &["--vsa"]].concat());
    assert_eq!(code(&output), 0);
    let predicate = statement(&case)["predicate"].clone();
    assert_eq!(
        (&predicate["verificationResult"], &predicate["verifiedLevels"]),
        (&json!("FAILED"), &json!(["FAILED"]))
    );
    assert_eq!(case.verify("p.json", CHECKED).0, 0, "a true word about a failure");
    // PASSED for a gate that is shut, signed by the right key, is found.
    let mut stated = statement(&case);
    stated["predicate"]["verificationResult"] = json!("PASSED");
    let key = runtime::promotion::SignKey::read(&case.path("key.pem")).unwrap();
    let envelope = runtime::promotion::Envelope::sign(stated.to_string().as_bytes(), &key);
    std::fs::write(case.path("a.json"), serde_json::to_string(&envelope).unwrap()).unwrap();
    let (exit, answer) = case.verify("p.json", CHECKED);
    assert_eq!((exit, errors(&answer)), (1, vec!["statement-predicate-mismatch".to_owned()]), "{answer}");
    stated["predicate"]["policy"]["uri"] = json!("urn:else");
    let envelope = runtime::promotion::Envelope::sign(stated.to_string().as_bytes(), &key);
    std::fs::write(case.path("a.json"), serde_json::to_string(&envelope).unwrap()).unwrap();
    assert_eq!(errors(&case.verify("p.json", CHECKED).1), ["statement-policy-unknown"]);
}

#[test]
fn a_refusal_attests_nothing() {
    let case = Case::of(&Hand::good(LINUX));
    std::fs::write(case.path("a.json"), "older").unwrap();
    let output = case.emit(&[SIGNED, &["--require-promotable"]].concat());
    assert_eq!(code(&output), 1, "{output:?}");
    assert!(!case.path("p.json").exists());
    assert_eq!(std::fs::read(case.path("a.json")).unwrap(), b"older");
    let older = format!("an older file stands at {}", case.path("a.json").display());
    assert!(text(&output.stderr).contains(&older), "{output:?}");
    // A bundle that is not proven has no digests to attest.
    std::fs::write(case.laid.run.join("summary.md"), "edited").unwrap();
    let output = case.emit(SIGNED);
    assert_eq!(code(&output), 1, "{output:?}");
    assert!(text(&output.stderr).contains("nothing about it can be attested"), "{output:?}");
    assert!(!case.path("p.json").exists());
    assert_eq!(std::fs::read(case.path("a.json")).unwrap(), b"older");
}

#[test]
fn places_that_would_be_lost_are_refused() {
    let case = Case::of(&Hand::good(LINUX));
    let run = case.laid.run.join("a.json").display().to_string();
    for more in [
        &["--attest", "@p.json"][..],
        &["--attest", "@../NAME/p.json"],
        &["--attest", &run],
        &["--attest", "@key.pem", "--sign-key", "@key.pem"],
        &["--sign-key", "@key.pem"],
        &["--vsa"],
    ] {
        let directory = case.laid.temp.path().file_name().unwrap().to_str().unwrap();
        let more: Vec<String> = more.iter().map(|arg| arg.replace("NAME", directory)).collect();
        let output = case.emit(&more.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(code(&output), 2, "{more:?}: {output:?}");
        assert!(!case.path("p.json").exists());
    }
    assert_eq!(text(&std::fs::read(case.path("key.pem")).unwrap()), crate::case::KEY);
    // Where a directory would first have to be made to leave it again, nothing is made.
    assert_eq!(code(&case.emit(&["--attest", "@sub/../p.json"])), 3);
    assert!(!case.path("sub").exists() && !case.path("p.json").exists());
}

#[test]
fn only_a_private_file_with_a_private_key_signs() {
    let case = Case::of(&Hand::good(LINUX));
    let mode = |name: &str, mode| {
        std::fs::set_permissions(case.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::os::unix::fs::symlink(case.path("key.pem"), case.path("link.pem")).unwrap();
    mode("public.pem", 0o600);
    std::fs::write(case.path("huge.pem"), "x".repeat(20_000)).unwrap();
    mode("huge.pem", 0o600);
    std::fs::write(case.path("ec.pem"), "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n").unwrap();
    mode("ec.pem", 0o600);
    for (name, words) in [
        ("link.pem", "symbolic link"),
        ("public.pem", "is no Ed25519 private key"),
        ("ec.pem", "is no Ed25519 private key"),
        ("huge.pem", "at most 16384 are read"),
        ("absent.pem", "No such file"),
        ("", "not a regular file"),
    ] {
        let key = format!("@{name}");
        let output = case.emit(&["--attest", "@a.json", "--sign-key", &key]);
        assert_eq!(code(&output), 3, "{name}: {output:?}");
        assert!(text(&output.stderr).contains(words), "{name}: {output:?}");
        assert!(!case.path("a.json").exists() && !case.path("p.json").exists(), "{name}");
    }
    for open in [0o640, 0o604, 0o620, 0o601, 0o644] {
        mode("key.pem", open);
        let output = case.emit(SIGNED);
        assert_eq!(code(&output), 3, "{open:o}");
        assert!(text(&output.stderr).contains(&format!("has mode {open:04o}")), "{output:?}");
        assert!(!case.path("a.json").exists());
    }
    mode("key.pem", 0o400);
    assert_eq!(code(&case.emit(SIGNED)), 0);
    // A public key is no secret, but it must be one: the private key or a weak point is none.
    let weak = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END PUBLIC KEY-----\n";
    std::fs::write(case.path("weak.pem"), weak).unwrap();
    for (key, words) in [("@key.pem", "is no Ed25519 public key"), ("@weak.pem", "weak public key")] {
        let (exit, answer) = case.verify("p.json", &["--attestation", "@a.json", "--key", key]);
        assert_eq!(exit, 3, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(words), "{answer}");
    }
}
