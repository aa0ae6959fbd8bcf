//! Packet sets, receipts, and consumers that get a packet and nothing else.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use runtime::promotion::{ConsumeError, consumption_receipt, resolve_packet_context};
use serde_json::{Value, json};

use crate::case::{KEY, OTHER_KEY, PUBLIC, read};
use crate::support::{Hand, LINUX, MACOS, RUN, code, runtime, sha256, text};

/// A directory with bundles and their packets, as a root of paths.
struct Desk {
    temp: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { temp: tempfile::tempdir().unwrap() };
        std::fs::create_dir(desk.path(".git")).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// Lays a bundle into `<name>/out` with the packet `<name>.json`.
    fn packet(&self, name: &str, hand: &Hand) {
        let mut hand = hand.clone();
        if hand.index.is_null() {
            hand.index = hand.make_index();
        }
        for entry in hand.index["artifacts"].as_array_mut().unwrap() {
            entry["path"] = json!(format!("{name}/{}", entry["path"].as_str().unwrap()));
        }
        let laid = hand.lay();
        std::fs::create_dir(self.path(name)).unwrap();
        std::fs::rename(&laid.root, self.path(&format!("{name}/out"))).unwrap();
        let (bundle, out) = (self.path(&format!("{name}/out")), self.path(&format!("{name}.json")));
        let args = ["emit-promotion", "--bundle", bundle.to_str().unwrap(), "--out", out.to_str().unwrap()];
        assert_eq!(code(&runtime(&args)), 0);
        assert_eq!(read(&out)["run_manifest"], format!("{name}/out/{RUN}/run_manifest.json"));
    }

    /// `promotion set --json`; an argument that begins with `@` is a file here.
    fn set(&self, args: &[&str]) -> (i32, Value) {
        let args: Vec<String> = args
            .iter()
            .map(|arg| {
                arg.strip_prefix('@').map_or_else(|| (*arg).to_owned(), |name| self.path(name).display().to_string())
            })
            .collect();
        let mut all = vec!["--json", "promotion", "set"];
        all.extend(args.iter().map(String::as_str));
        let output = runtime(&all);
        let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        (code(&output), answer)
    }

    fn digest(&self, name: &str) -> Value {
        json!(sha256(&std::fs::read(self.path(name)).unwrap()))
    }
}

const BOTH: &[&str] =
    &["--packet", "@b.json", "--packet", "@a.json", "--out", "@maps/set.json", "--receipt", "@maps/receipt.json"];

fn good() -> Desk {
    let desk = Desk::new();
    desk.packet("a", &Hand::good(MACOS));
    desk.packet("b", &Hand::good(MACOS));
    desk
}

#[test]
fn a_set_names_its_packets_and_the_receipt_says_what_became_of_them() {
    let desk = good();
    let (exit, answer) = desk.set(BOTH);
    assert_eq!((exit, &answer["ok"]), (0, &json!(true)), "{answer}");
    let set = read(&desk.path("maps/set.json"));
    let expected = json!({"schema_version": "runtime.packet_set.v0.1", "world_id": MACOS, "allow_missing": true,
                          "packets": ["b.json", "a.json"]});
    assert_eq!(set, expected);
    let written = text(&std::fs::read(desk.path("maps/receipt.json")).unwrap());
    assert!(
        written.starts_with("{\n  \"gate\": \"decision_stage\",\n  \"input_hashes\""),
        "keys are sorted: {written}"
    );
    let receipt = read(&desk.path("maps/receipt.json"));
    assert_eq!(receipt["schema_version"], "runtime.promotion_receipt.v0.1");
    assert_eq!((&receipt["world_id"], &receipt["packet_set"]), (&json!(MACOS), &json!("maps/set.json")));
    assert_eq!(receipt["inputs"], json!(["maps/set.json", "b.json", "a.json"]));
    let hashes = json!({"maps/set.json": desk.digest("maps/set.json"), "a.json": desk.digest("a.json"),
                        "b.json": desk.digest("b.json")});
    assert_eq!(receipt["input_hashes"], hashes);
    assert_eq!(receipt["packets"]["used"], json!(["a.json", "b.json"]));
    assert_eq!(receipt["packets"]["rejected"], json!([]));
    let first = &receipt["packets"]["considered"][0];
    assert_eq!((&first["path"], &first["status"], &first["reasons"]), (&json!("b.json"), &json!("used"), &json!([])));
    assert_eq!((&first["channel"], &first["run_id"]), (&json!("launchd_clean"), &json!(RUN)));
    assert_eq!(first["promotability"], read(&desk.path("b.json"))["promotability"]);
    assert_eq!(first["artifact_index_sha256"], desk.digest(&format!("b/out/{RUN}/artifact_index.json")));
    assert_eq!(first["origin"], "unproven");
    // The set can be judged again, from anywhere.
    let (exit, again) = desk.set(&["--packet-set", "@maps/set.json", "--receipt", "@again.json"]);
    assert_eq!(exit, 0, "{again}");
    assert_eq!(read(&desk.path("again.json")), receipt);
}

type Change = fn(&Desk);

/// What is wrong, how it comes about, further arguments, and the status and reasons of the packet.
type Unused = (&'static str, Change, &'static [&'static str], &'static str, &'static [&'static str]);

#[test]
fn a_packet_that_is_not_used_is_named_with_its_reason_and_no_set_is_written() {
    let cases: &[Unused] = &[
        ("not there", |d| std::fs::remove_file(d.path("a.json")).unwrap(), &[], "missing", &["missing_packet"]),
        ("not JSON", |d| std::fs::write(d.path("a.json"), "{").unwrap(), &[], "rejected", &["packet_load_error"]),
        (
            "a directory",
            |d| {
                std::fs::remove_file(d.path("a.json")).unwrap();
                std::fs::create_dir(d.path("a.json")).unwrap();
            },
            &[],
            "rejected",
            &["packet_load_error"],
        ),
        ("no bundle", |d| std::fs::remove_dir_all(d.path("a")).unwrap(), &[], "rejected", &["packet_load_error"]),
        (
            "edited evidence",
            |d| std::fs::write(d.path(&format!("a/out/{RUN}/runtime_results.json")), "{}").unwrap(),
            &[],
            "rejected",
            &["packet_not_verified", "not_promotable"],
        ),
        (
            "a packet of another bundle",
            |d| {
                let mut packet = read(&d.path("a.json"));
                packet["artifact_index_sha256"] = json!("0".repeat(64));
                std::fs::write(d.path("a.json"), packet.to_string()).unwrap();
            },
            &[],
            "rejected",
            &["packet_not_verified"],
        ),
        ("another gate", |_| {}, &["--gate", "linux_enforcement"], "rejected", &["not_promotable"]),
        ("another world", |_| {}, &["--world", "sonoma-x"], "rejected", &["world_id_mismatch"]),
    ];
    for (what, change, more, status, reasons) in cases {
        let desk = good();
        std::fs::create_dir(desk.path("maps")).unwrap();
        std::fs::write(desk.path("maps/set.json"), "older").unwrap();
        change(&desk);
        let (exit, answer) = desk.set(&[BOTH, more].concat());
        assert_eq!((exit, &answer["ok"], &answer["wrote"]), (1, &json!(false), &Value::Null), "{what}: {answer}");
        assert_eq!(std::fs::read(desk.path("maps/set.json")).unwrap(), b"older", "{what}");
        assert!(answer["older_file"].as_str().unwrap().ends_with("set.json"), "{what}");
        let receipt = read(&desk.path("maps/receipt.json"));
        let second = &receipt["packets"]["considered"][1];
        assert_eq!((&second["status"], &second["reasons"]), (&json!(status), &json!(reasons)), "{what}: {answer}");
        assert!(
            receipt["packets"]["rejected"].as_array().unwrap().contains(&json!({"path": "a.json", "reasons": reasons}))
        );
        assert_eq!(receipt["input_hashes"].get("a.json").is_some(), desk.path("a.json").is_file(), "{what}");
        assert_eq!(receipt["packet_set"], Value::Null, "{what}");
    }
    println!("packets not used, by reason: {}", cases.len());
}

#[test]
fn a_set_that_is_read_needs_one_usable_packet() {
    let desk = good();
    assert_eq!(desk.set(BOTH).0, 0);
    std::fs::remove_file(desk.path("a.json")).unwrap();
    let judge = || desk.set(&["--packet-set", "@maps/set.json", "--receipt", "@receipt.json"]);
    let (exit, answer) = judge();
    assert_eq!((exit, &answer["packets"]["used"]), (0, &json!(["b.json"])), "{answer}");
    std::fs::remove_file(desk.path("b.json")).unwrap();
    let (exit, answer) = judge();
    assert_eq!((exit, &answer["packets"]["used"], &answer["world_id"]), (1, &json!([]), &json!(MACOS)), "{answer}");
    // A set that allows no missing packet is refused before anything is written.
    let mut set = read(&desk.path("maps/set.json"));
    set["allow_missing"] = json!(false);
    std::fs::write(desk.path("maps/set.json"), set.to_string()).unwrap();
    std::fs::remove_file(desk.path("receipt.json")).unwrap();
    let (exit, answer) = judge();
    assert_eq!(exit, 1);
    assert!(answer["error"]["message"].as_str().unwrap().contains("b.json is missing"), "{answer}");
    assert!(!desk.path("receipt.json").exists());
}

#[test]
fn with_a_key_every_packet_must_be_signed_by_it() {
    let desk = good();
    for (name, text) in [("key.pem", KEY), ("other.pem", OTHER_KEY), ("public.pem", PUBLIC)] {
        std::fs::write(desk.path(name), text).unwrap();
        std::fs::set_permissions(desk.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let attest = |name: &str, key: Option<&str>, attestation: &str| {
        let [bundle, out, attestation] = [format!("{name}/out"), "p.json".to_owned(), attestation.to_owned()]
            .map(|file| desk.path(&file).display().to_string());
        let mut args = vec!["emit-promotion", "--bundle", &bundle, "--out", &out, "--attest", &attestation];
        let key = key.map(|key| desk.path(key).display().to_string());
        args.extend(key.iter().flat_map(|key| ["--sign-key", key.as_str()]));
        let output = runtime(&args);
        assert_eq!(code(&output), 0, "{output:?}");
    };
    attest("a", Some("key.pem"), "a.dsse.json");
    attest("b", Some("key.pem"), "b.dsse.json");
    attest("b", Some("other.pem"), "other.dsse.json");
    attest("b", None, "bare.json");
    let set = |second: &str| {
        let second = format!("@{second}");
        let both = ["--packet", "@a.dsse.json", "--packet", &second, "--key", "@public.pem", "--out", "@set.json"];
        desk.set(&[&both[..], &["--receipt", "@receipt.json"]].concat())
    };
    let (exit, answer) = set("b.dsse.json");
    assert_eq!((exit, &answer["ok"]), (0, &json!(true)), "{answer}");
    let receipt = read(&desk.path("receipt.json"));
    assert_eq!(receipt["key_id"], answer["key_id"]);
    for (at, name) in ["a.dsse.json", "b.dsse.json"].into_iter().enumerate() {
        assert_eq!(receipt["packets"]["considered"][at]["origin"], "signed");
        assert_eq!(receipt["input_hashes"][name], desk.digest(name));
    }
    let checked = runtime(&["schema", "check", desk.path("receipt.json").to_str().unwrap()]);
    assert_eq!(code(&checked), 0, "{checked:?}");
    std::fs::remove_file(desk.path("set.json")).unwrap();
    for (second, reasons) in [
        ("b.json", &["packet_not_signed"][..]),
        ("bare.json", &["packet_not_verified", "packet_not_signed"]),
        ("other.dsse.json", &["packet_not_verified", "packet_not_signed"]),
    ] {
        let (exit, answer) = set(second);
        assert_eq!((exit, &answer["packets"]["considered"][1]["reasons"]), (1, &json!(reasons)), "{second}: {answer}");
        assert!(!desk.path("set.json").exists(), "{second}");
    }
    // Without a key a signed packet is as good as any, and its origin is not proven.
    let args = ["--packet", "@other.dsse.json", "--out", "@set.json"];
    let (exit, answer) = desk.set(&args);
    assert_eq!((exit, &answer["packets"]["considered"][0]["origin"]), (0, &json!("unproven")), "{answer}");
}

#[test]
fn packets_that_contradict_each_other_are_not_used_together() {
    let desk = Desk::new();
    desk.packet("a", &Hand::good(LINUX));
    let mut other = Hand::good(LINUX);
    for name in ["expected_matrix.json", "expected_matrix.generated.json"] {
        other.set(name, "/profiles/demo/mode", json!("other"));
    }
    desk.packet("b", &other);
    let linux = [BOTH, &["--gate", "linux_enforcement"]].concat();
    let (exit, answer) = desk.set(&linux);
    assert_eq!(exit, 1, "{answer}");
    assert!(answer["conflicts"][0].as_str().unwrap().contains("expects something else of profile demo"), "{answer}");
    assert!(!desk.path("maps/set.json").exists());

    let desk = Desk::new();
    desk.packet("a", &Hand::good(LINUX));
    let mut other = Hand::good("linux-other-1-amd64");
    other.set("expected_matrix.json", "/profiles", json!({}));
    other.put("runtime_results.json", b"{}");
    desk.packet("b", &other);
    desk.packet("c", &Hand::good("linux-other-1-amd64"));
    let args = ["--packet", "@a.json", "--packet", "@c.json", "--out", "@set.json", "--gate", "linux_enforcement"];
    let (exit, answer) = desk.set(&args);
    assert_eq!((exit, &answer["world_id"]), (1, &json!("unknown")), "{answer}");
    assert!(answer["conflicts"][0].as_str().unwrap().contains("several worlds"), "{answer}");
}

#[test]
fn what_is_no_set_is_no_answer() {
    let desk = good();
    assert_eq!(desk.set(BOTH).0, 0);
    let good = read(&desk.path("maps/set.json"));
    for (pointer, value, words) in [
        ("/schema_version", json!("runtime.packet_set.v0.9"), "schema version"),
        ("/packets", json!("a.json"), "packets is not an array"),
        ("/packets/0", json!(7), "packets/0 is not text"),
        ("/packets/1", json!("../a.json"), "packets/1: the path leaves"),
        ("/packets/1", json!(""), "packets/1: the path is empty"),
        ("/allow_missing", json!("yes"), "allow_missing"),
        ("/world_id", json!([]), "world_id"),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        std::fs::write(desk.path("maps/set.json"), bad.to_string()).unwrap();
        let (exit, answer) = desk.set(&["--packet-set", "@maps/set.json"]);
        assert_eq!(exit, 3, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(words), "{answer}");
    }
    for args in [
        &[][..],
        &["--packet", "@a.json"],
        &["--packet-set", "@maps/set.json", "--packet", "@a.json", "--out", "@x.json"],
        &["--packet", "@a.json", "--packet", "@maps/../a.json", "--out", "@x.json"],
        &["--packet", "@a.json", "--out", "@a.json"],
        &["--packet", "@a.json", "--out", "@x.json", "--receipt", "@x.json"],
        &["--packet-set", "@maps/set.json", "--receipt", "@maps/set.json"],
    ] {
        std::fs::write(desk.path("maps/set.json"), good.to_string()).unwrap();
        let (exit, answer) = desk.set(args);
        assert_eq!(exit, 2, "{args:?}: {answer}");
        assert!(!desk.path("x.json").exists());
    }
}

#[test]
fn a_consumer_gets_verified_exports_and_says_what_it_used() {
    let desk = good();
    let open = |exports: &[&str]| resolve_packet_context(&desk.path("a.json"), exports, None, 1);
    let context = open(&["runtime_results", "run_manifest"]).unwrap();
    assert_eq!(context.run_id(), RUN);
    let results = std::fs::read(desk.path(&format!("a/out/{RUN}/runtime_results.json"))).unwrap();
    assert_eq!(context.read_export("runtime_results").unwrap().unwrap(), results);
    assert!(context.read_export("summary").unwrap().is_none(), "it was not asked for");
    let index = format!("a/out/{RUN}/artifact_index.json");
    let exports = json!({"runtime_results": format!("a/out/{RUN}/runtime_results.json"),
                         "run_manifest": format!("a/out/{RUN}/run_manifest.json")});
    let provenance = context.provenance("a.json", Some("r.json"));
    assert_eq!(
        provenance,
        json!({"packet": "a.json", "bundle_dir": format!("a/out/{RUN}"), "run_id": RUN, "artifact_index": index,
               "artifact_index_sha256": desk.digest(&index), "exports": exports, "consumption_receipt": "r.json"})
    );
    let receipt = consumption_receipt("demo", MACOS, &[("a.json", &context)], &[("summary", "derived/x.json")]);
    assert_eq!(
        receipt,
        json!({"schema_version": "demo.consumption_receipt.v0", "world_id": MACOS,
               "consumed_packets": [{"packet_path": "a.json", "run_id": RUN, "artifact_index": index,
                                     "artifact_index_sha256": desk.digest(&index), "exports": exports}],
               "outputs": {"summary": "derived/x.json"}})
    );
    assert!(matches!(open(&["oracle_results"]), Err(ConsumeError::NotIndexed { .. })));
    assert!(matches!(open(&["path_witnesses"]), Err(ConsumeError::NoExport { .. })));
    assert!(matches!(open(&["promotability"]), Err(ConsumeError::NoExport { .. })));
    assert!(matches!(resolve_packet_context(desk.temp.path(), &[], None, 1), Err(ConsumeError::Verify(_))));
    // A file swapped after the packet was opened is not handed out, and a packet over edited evidence is not opened.
    std::fs::write(desk.path(&format!("a/out/{RUN}/runtime_results.json")), "{}").unwrap();
    assert!(context.read_export("runtime_results").is_err());
    assert!(matches!(open(&[]), Err(ConsumeError::NotVerified { .. })));
}
