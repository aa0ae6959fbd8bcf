//! Attestations judged by others: `securesystemslib` verifies the envelopes, `in-toto-attestation` reads the statements.
//!
//! Both come from the package index of Python into a virtual environment of the test; without them the test says that it
//! was not run.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;

use crate::case::Case;
use crate::support::{Hand, LINUX, code};

/// Verifies an envelope with a public key and reads the statement in it: exit 0, or 1 with the reason.
const JUDGE: &str = r#"
import json, sys
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

document = json.load(open(sys.argv[1]))
if "payload" in document:
    keyid = document["signatures"][0]["keyid"]
    public = load_pem_public_key(open(sys.argv[2], "rb").read())
    key = SSlibKey.from_crypto(public, keyid=keyid)
    envelope = Envelope.from_dict(document)
    envelope.verify([key], 1)
    if envelope.payload_type != "application/vnd.in-toto+json":
        sys.exit("payload type " + envelope.payload_type)
    payload = envelope.payload
else:
    payload = json.dumps(document).encode()
proto = statement_pb2.Statement()
json_format.Parse(payload, proto)
statement = Statement.copy_from_pb(proto)
statement.validate()
print(json.dumps({"subjects": len(proto.subject), "predicate_type": proto.predicate_type,
                  "first": [proto.subject[0].name, proto.subject[0].digest["sha256"]]}))
"#;

/// Signs a statement of its own, as `openssl genpkey` would have made the key.
const SIGNER: &str = r#"
import json, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives import serialization as s
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey

private = Ed25519PrivateKey.generate()
signer = CryptoSigner(private, SSlibKey.from_crypto(private.public_key()))
envelope = Envelope(open(sys.argv[1], "rb").read(), "application/vnd.in-toto+json", {})
envelope.sign(signer)
json.dump(envelope.to_dict(), open(sys.argv[2], "w"))
open(sys.argv[3], "wb").write(private.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo))
open(sys.argv[4], "wb").write(private.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
"#;

/// The interpreter of a fresh environment with both packages.
fn python(temp: &Path) -> Option<PathBuf> {
    let venv = temp.join("venv");
    let done = |output: std::io::Result<Output>| output.is_ok_and(|output| output.status.success());
    let python = venv.join("bin/python");
    let packages = ["securesystemslib[crypto]==1.6.0", "in-toto-attestation==0.9.3"];
    let made = done(Command::new("python3").args(["-m", "venv"]).arg(&venv).output());
    let installed = || {
        done(
            Command::new(&python)
                .args(["-m", "pip", "-q", "--disable-pip-version-check", "install"])
                .args(packages)
                .output(),
        )
    };
    (made && installed()).then_some(python)
}

#[test]
fn others_verify_what_is_signed_here_and_the_other_way_round() {
    let case = Case::of(&Hand::good(LINUX));
    let Some(python) = python(case.laid.temp.path()) else {
        let what = "attestations judged by others: securesystemslib and in-toto-attestation cannot be had";
        let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
        // Where nothing may be skipped, that is a failure.
        assert!(std::env::var_os("RUNTIME_TESTS_SKIP_NOTHING").is_none(), "nothing may be skipped here: {what}");
        return;
    };
    let run = |script: &str, files: &[&str]| {
        let files: Vec<PathBuf> = files.iter().map(|name| case.path(name)).collect();
        Command::new(&python).args(["-c", script]).args(files).output().unwrap()
    };
    let judge = |key: &str| run(JUDGE, &["a.json", key]);
    let (mut accepted, mut refused) = (0, 0);
    for more in [&[][..], &["--vsa"]] {
        for sign in [&["--sign-key", "@key.pem"][..], &[]] {
            assert_eq!(code(&case.emit(&[&["--attest", "@a.json"], sign, more].concat())), 0);
            let output = judge("public.pem");
            assert!(output.status.success(), "{more:?} {sign:?}: {output:?}");
            let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let index = std::fs::read(case.laid.run.join("artifact_index.json")).unwrap();
            let listed = case.laid.run.join("artifact_index.json");
            let listed = crate::case::read(&listed)["artifacts"].as_array().unwrap().len();
            assert_eq!(said["subjects"], listed + 1);
            assert_eq!(said["first"], json!(["run-demo-1/artifact_index.json", crate::support::sha256(&index)]));
            accepted += 1;
        }
    }
    // The twins: what we refuse, they refuse.
    assert_eq!(code(&case.emit(&["--attest", "@a.json", "--sign-key", "@key.pem"])), 0);
    let good = std::fs::read(case.path("a.json")).unwrap();
    for (key, change) in [
        ("other-public.pem", (|_| {}) as fn(&mut serde_json::Value)),
        ("public.pem", |envelope| envelope["payloadType"] = json!("application/vnd.in-toto+jsoN")),
        ("public.pem", |envelope| {
            let payload = envelope["payload"].as_str().unwrap();
            envelope["payload"] =
                json!(format!("{}{}", if payload.starts_with('e') { "f" } else { "e" }, &payload[1..]));
        }),
        ("public.pem", |envelope| envelope["signatures"][0]["sig"] = json!("A".repeat(86) + "==")),
    ] {
        std::fs::write(case.path("a.json"), &good).unwrap();
        case.edit("a.json", change);
        let output = judge(key);
        assert!(!output.status.success(), "{output:?}");
        let (exit, answer) = case.verify("p.json", &["--attestation", "@a.json", "--key", &format!("@{key}")]);
        assert_eq!(exit, 1, "{answer}");
        refused += 1;
    }
    // What others sign is accepted here, and their key signs here too.
    assert_eq!(code(&case.emit(&["--attest", "@statement.json"])), 0);
    let output = run(SIGNER, &["statement.json", "theirs.json", "theirs.pem", "theirs-private.pem"]);
    assert!(output.status.success(), "{output:?}");
    let (exit, answer) = case.verify("p.json", &["--attestation", "@theirs.json", "--key", "@theirs.pem"]);
    assert_eq!((exit, &answer["origin"]), (0, &json!("signed")), "{answer}");
    let (exit, answer) = case.verify("p.json", &["--attestation", "@theirs.json", "--key", "@public.pem"]);
    assert_eq!((exit, &answer["origin"]), (1, &json!("unproven")), "{answer}");
    let chmod = Command::new("chmod").arg("600").arg(case.path("theirs-private.pem")).status().unwrap();
    assert!(chmod.success());
    assert_eq!(code(&case.emit(&["--attest", "@a.json", "--sign-key", "@theirs-private.pem"])), 0);
    assert!(judge("theirs.pem").status.success());
    println!("judged by others: {} accepted, {refused} refused", accepted + 1);
}
