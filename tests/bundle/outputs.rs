//! What a derived file must not replace, by every command that writes one.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::support::{Hand, LINUX, Laid, RUN, code, runtime, text};

/// Everything beneath a directory: kind and number of each entry, and its bytes or where it leads.
fn all(directory: &Path) -> BTreeMap<PathBuf, (u64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let (path, metadata) = (entry.path(), entry.metadata().unwrap());
        let bytes = match metadata.file_type() {
            kind if kind.is_dir() => {
                found.extend(all(&path));
                Vec::new()
            }
            kind if kind.is_symlink() => std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
            _ => std::fs::read(&path).unwrap(),
        };
        found.insert(path, (metadata.ino(), bytes));
    }
    found
}

/// A bundle, and inputs of other commands beside it.
fn laid() -> Laid {
    let mut hand = Hand::good(LINUX);
    hand.put_json("runtime_events.normalized.json", &serde_json::json!([]));
    let laid = hand.lay();
    let at = |name: &str| laid.temp.path().join(name);
    std::fs::write(laid.root.join(".runtime.lock"), "pid=1\n").unwrap();
    std::fs::write(at("p.sb"), "(version 1)\n(allow default)\n").unwrap();
    std::fs::create_dir_all(at("tree/profiles")).unwrap();
    std::fs::write(at("tree/run.json"), "{\"schema_version\": \"x\"}").unwrap();
    std::fs::write(at("tree/profiles/a.sb"), "(version 1)\n").unwrap();
    std::fs::write(at("metadata.json"), "{\"results\": []}").unwrap();
    let items = runtime(&["inventory", "build", "--root", at("tree").to_str().unwrap(), "--json"]);
    assert_eq!(code(&items), 0, "{items:?}");
    laid
}

/// The words of a command with `$W` for the directory, and `$OUT` for the place of the output.
fn call(laid: &Laid, words: &str, out: &str) -> std::process::Output {
    let base = laid.temp.path().to_str().unwrap();
    let words: Vec<String> = words.split(' ').map(|word| word.replace("$OUT", out).replace("$W", base)).collect();
    runtime(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Every command that writes a derived file, with a place that is refused because the command reads it.
const COMMANDS: [(&str, &str); 9] = [
    ("summarize-ops --bundle $W/out --out $OUT", ""),
    ("summarize-ops --packet $W/packet.json --allow-nonpromotable --out $OUT", "$W/packet.json"),
    ("normalise-events --bundle $W/out --out $OUT", ""),
    ("normalise-events --metadata $W/metadata.json --out $OUT", "$W/metadata.json"),
    ("inventory build --root $W/tree --out $OUT", ""),
    ("shrink-trace summary --out $W/tree --html $OUT", "$W/tree/run.json"),
    ("emit-promotion --bundle $W/out --out $OUT", ""),
    ("emit-promotion --bundle $W/out --out $W/other.json --attest $OUT", "$W/other.json"),
    ("promotion paths --packet $W/packet.json --out $OUT", "$W/packet.json"),
];

const SANDBOX: [(&str, &str); 2] = [
    ("sandbox run --profile $W/p.sb --denials $OUT -- /bin/true", "$W/p.sb"),
    ("sandbox run --profile $W/p.sb --report $OUT -- /bin/true", "$W/p.sb"),
];

#[test]
fn no_derived_file_takes_the_place_of_evidence() {
    let laid = laid();
    assert_eq!(code(&call(&laid, "emit-promotion --bundle $W/out --out $OUT", "$W/packet.json")), 0);
    let at = |name: &str| laid.temp.path().join(name);
    std::os::unix::fs::symlink(laid.root.join("LATEST"), at("link")).unwrap();
    std::os::unix::fs::symlink(&laid.run, at("run-link")).unwrap();
    std::fs::hard_link(laid.root.join("LATEST"), at("second-name")).unwrap();
    let run = format!("$W/out/{RUN}");
    let places = [
        "$W/out/LATEST".to_owned(),
        "$W/out/.runtime.lock".to_owned(),
        "$W/out/../out/LATEST".to_owned(),
        format!("{run}/artifact_index.json"),
        format!("{run}/runtime_events.normalized.json"),
        format!("{run}/new.json"),
        "$W/run-link/new.json".to_owned(),
        "$W/link".to_owned(),
        "$W/second-name".to_owned(),
    ];
    let before = all(laid.temp.path());
    for (command, input) in COMMANDS.into_iter().chain(SANDBOX) {
        for place in places.iter().map(String::as_str).chain([input]).filter(|place| !place.is_empty()) {
            let output = call(&laid, command, place);
            let told = text(&output.stderr);
            assert_eq!(code(&output), 2, "{command} at {place}: {output:?}");
            let named = place.rsplit('/').next().unwrap();
            let reasons = ["belongs to a bundle", "is read or written already", "names (hard links)"];
            assert!(told.contains(named) && reasons.iter().any(|why| told.contains(why)), "{command} {place}: {told}");
            assert!(all(laid.temp.path()) == before, "{command} at {place} changed something");
        }
    }
}

/// The twin: beside the bundle everything is written, and what was derived before is replaced.
#[test]
fn derived_files_stand_beside_a_bundle_and_are_replaced() {
    let laid = laid();
    let packet = call(&laid, "emit-promotion --bundle $W/out --out $OUT", "$W/packet.json");
    assert_eq!(code(&packet), 0, "{packet:?}");
    for (number, (command, _)) in
        COMMANDS.into_iter().enumerate().filter(|(_, (command, _))| !command.contains("paths"))
    {
        let place = laid.temp.path().join(format!("derived-{number}"));
        for _ in 0..2 {
            let output = call(&laid, command, place.to_str().unwrap());
            assert_eq!(code(&output), 0, "{command}: {output:?}");
            assert!(!std::fs::read(&place).unwrap().is_empty(), "{command}");
        }
    }
    // A page may stand in the directory that it is about.
    for _ in 0..2 {
        let output = call(&laid, "shrink-trace summary --out $W/tree --html $OUT", "$W/tree/page.html");
        assert_eq!(code(&output), 0, "{output:?}");
    }
}

#[test]
fn files_and_directories_of_a_bundle_are_not_worked_in() {
    let laid = laid();
    std::fs::write(laid.run.join("a.sb"), "(version 1)   (deny default)\n").unwrap();
    let before = all(laid.temp.path());
    let run = format!("$W/out/{RUN}");
    for (command, place) in [
        ("sbpl fmt $OUT", format!("{run}/a.sb")),
        ("run --dry --plan plans/linux-baseline/plan.json --out $OUT", run.clone()),
        ("run --dry --plan plans/linux-baseline/plan.json --out $OUT", format!("{run}/deeper")),
        ("plan-build --template linux-baseline --overwrite --out $OUT", run.clone()),
        ("selftest --out $OUT", run.clone()),
        ("shrink-trace trace --profile $OUT --out $W/s --cmd /bin/true", format!("{run}/a.sb")),
    ] {
        let output = call(&laid, command, &place);
        assert_eq!(code(&output), 2, "{command} at {place}: {output:?}");
        assert!(text(&output.stderr).contains("belongs to a bundle"), "{output:?}");
        assert!(all(laid.temp.path()) == before, "{command} at {place} changed something");
    }
    assert_eq!(code(&call(&laid, "sbpl fmt --check $OUT", &format!("{run}/a.sb"))), 1, "looking is no change");
}
