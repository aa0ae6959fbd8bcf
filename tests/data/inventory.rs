//! `inventory build` on trees made for it.
#![expect(clippy::disallowed_methods, reason = "tests write their own inputs")]

use std::path::Path;

use serde_json::{Value, json};

use crate::suite::{Outcome, run_in};

struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        tree.write("AGENTS.md", b"root marker\n");
        tree.write("lib/apply.c", b"sandbox_init_with_parameters(p);\n");
        tree.write("lib/inner/trace.d", b"dtrace and frida\n");
        tree.write("library/notes.txt", b"SBPL\n");
        tree.write("a.txt", b"SBPL, seatbelt\n");
        tree.write("plain.txt", b"nothing of it: sbpl, Seatbelt\n");
        tree.write("binary", b"SBPL\0");
        tree.write("lib/out/result.txt", b"SBPL\n");
        tree.write("archive/old.txt", b"SBPL\n");
        tree.write(".hidden/x.txt", b"SBPL\n");
        tree.write(".gitignore", b"*.log\n!kept.log\n");
        tree.write("run.log", b"SBPL\n");
        tree.write("kept.log", b"SBPL\n");
        tree.write("world.json", b"{\"id\": \"w-1\"}");
        std::os::unix::fs::symlink("a.txt", tree.path("link.txt")).unwrap();
        std::os::unix::fs::symlink("/etc", tree.path("etc")).unwrap();
        let item = |id: &str, paths: Value| {
            json!({"id": id, "paths": paths, "category": "c", "description": "d", "privileges": "user",
                "evidence_tier": "e", "status": "active"})
        };
        let items = json!({"schema_version": "runtime-tools.inventory_items.v0.1",
            "keywords": ["sandbox_init", "sandbox_init_with_parameters", "seatbelt", "SBPL", "dtrace", "frida"],
            "excluded": ["archive", "items.json"], "world": "world.json",
            "in_repo": [item("library", json!(["lib"])), item("tracing", json!(["lib/inner"])), item("none", json!(["x"]))],
            "external": []});
        tree.write("items.json", items.to_string().as_bytes());
        tree
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn build(&self, arguments: &[&str]) -> Outcome {
        run_in(self.0.path(), &[&["inventory", "build", "--items", "items.json"], arguments].concat())
    }

    fn document(&self) -> Value {
        let outcome = self.build(&[]);
        assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
        serde_json::from_str(&outcome.stdout).unwrap()
    }
}

fn hit(path: &str, keywords: &[&str]) -> Value {
    json!({"path": path, "keywords": keywords})
}

#[test]
fn every_file_is_found_once_and_assigned_at_a_boundary() {
    let tree = Tree::new();
    let document = tree.document();
    let keys: Vec<&String> = document.as_object().unwrap().keys().collect();
    let expected = [
        "schema_version",
        "world_id",
        "generated_by",
        "keywords",
        "in_repo",
        "unclassified_hits",
        "external",
        "skipped",
    ];
    assert_eq!(keys, expected);
    assert_eq!(document["schema_version"], "hardened-runtime.other-runtime-inventory.v0.1");
    assert_eq!((&document["world_id"], &document["skipped"]), (&json!("w-1"), &json!([])));
    let files = |number: usize| &document["in_repo"][number]["files"];
    assert_eq!(files(0), &json!([hit("lib/apply.c", &["sandbox_init", "sandbox_init_with_parameters"])]));
    assert_eq!(files(1), &json!([hit("lib/inner/trace.d", &["dtrace", "frida"])]));
    assert_eq!(files(2), &json!([]));
    let item: Vec<&String> = document["in_repo"][0].as_object().unwrap().keys().collect();
    assert_eq!(item, ["id", "paths", "category", "description", "privileges", "evidence_tier", "status", "files"]);
    // `library/` is not beneath `lib`; hidden, ignored, excluded, written, linked and binary files are left out.
    let rest =
        json!([hit("a.txt", &["seatbelt", "SBPL"]), hit("kept.log", &["SBPL"]), hit("library/notes.txt", &["SBPL"]),]);
    assert_eq!(document["unclassified_hits"], rest);
    // Whether it is a git repository changes nothing.
    std::fs::create_dir(tree.path(".git")).unwrap();
    assert_eq!(tree.document(), document);
}

#[test]
fn a_second_run_is_byte_identical() {
    let tree = Tree::new();
    let first = tree.build(&["--out", "inventory.json"]);
    assert_eq!(first.status, Some(0), "{}", first.stderr);
    assert!(first.stdout.contains("library: 1 file") && first.stdout.contains("[+] wrote "), "{}", first.stdout);
    let bytes = std::fs::read(tree.path("inventory.json")).unwrap();
    // The document holds every keyword, and is no part of what it is about, however it is named.
    std::os::unix::fs::symlink(tree.0.path(), tree.path("archive/again")).unwrap();
    for out in ["inventory.json", "./lib/../inventory.json", "archive/again/inventory.json"] {
        let again = tree.build(&["--out", out, "--root", ".", "--json"]);
        assert_eq!(again.status, Some(0), "{}", again.stderr);
        assert_eq!(std::fs::read(tree.path("inventory.json")).unwrap(), bytes, "{out}");
        let report: Value = serde_json::from_str(&again.stdout).unwrap();
        assert_eq!(
            (&report["assigned"], &report["unclassified"], &report["skipped"]),
            (&json!(2), &json!(3), &json!(0))
        );
    }
    assert!(!bytes.ends_with(b"\n") && bytes.is_ascii());
    let left: Vec<_> = std::fs::read_dir(tree.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("tmp")), "{left:?}");
}

#[test]
fn what_is_not_looked_into_is_named() {
    let tree = Tree::new();
    let large = std::fs::File::create(tree.path("lib/large.bin")).unwrap();
    large.set_len(16 * 1024 * 1024 + 1).unwrap();
    tree.write("odd\nname.txt", b"SBPL\n");
    let document = tree.document();
    let skipped = document["skipped"].as_array().unwrap();
    assert_eq!(skipped.len(), 2, "{skipped:?}");
    assert_eq!(skipped[0]["path"], "lib/large.bin");
    assert!(skipped[0]["reason"].as_str().unwrap().contains("at most 16777216 are read"));
    assert!(skipped[1]["reason"].as_str().unwrap().contains("control character"));
}

#[test]
fn what_cannot_be_answered_is_an_error_and_writes_nothing() {
    let tree = Tree::new();
    tree.write("broken.json", b"{\"schema_version\": 1}");
    tree.write("nameless.json", b"{\"world_id\": 7}");
    for (arguments, said) in [
        (&["--root", "absent"][..], "is not a directory"),
        (&["--root", "a.txt"], "is not a directory"),
        (&["--items", "broken.json"], "schema_version"),
        (&["--items", "absent.json"], "absent.json"),
        (&["--world", "nameless.json"], "neither a text world_id nor a text id"),
        (&["--world", "a.txt"], "not a JSON document"),
        (&["--out", "link.txt"], "symbolic link"),
        (&["--out", "lib"], "not a regular file"),
    ] {
        let mut all = vec!["inventory", "build"];
        if arguments[0] != "--items" {
            all.extend(["--items", "items.json"]);
        }
        if arguments[0] != "--out" {
            all.extend(["--out", "inventory.json"]);
        }
        all.extend(arguments);
        let outcome = run_in(tree.0.path(), &all);
        assert_eq!(outcome.status, Some(3), "{arguments:?} {}", outcome.stdout);
        assert!(outcome.stderr.contains(said), "{arguments:?}: {}", outcome.stderr);
        assert!(!tree.path("inventory.json").exists(), "{arguments:?}");
    }
    assert_eq!(std::fs::read(tree.path("a.txt")).unwrap(), b"SBPL, seatbelt\n");
}

#[test]
fn the_built_in_items_work_anywhere() {
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(elsewhere.path().join("book/api/runtime-notes")).unwrap();
    std::fs::create_dir_all(elsewhere.path().join("book/api/runtime/analysis")).unwrap();
    std::fs::write(elsewhere.path().join("book/api/runtime-notes/a.md"), "SBPL").unwrap();
    std::fs::write(elsewhere.path().join("book/api/runtime/analysis/b.py"), "sandbox_check").unwrap();
    let outcome = run_in(Path::new("/"), &["inventory", "build", "--root", elsewhere.path().to_str().unwrap()]);
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((&document["world_id"], document["keywords"].as_array().unwrap().len()), (&json!("unknown"), 17));
    let tools = document["in_repo"].as_array().unwrap().iter().find(|item| item["id"] == "runtime-tools-api").unwrap();
    assert_eq!(tools["files"], json!([hit("book/api/runtime/analysis/b.py", &["sandbox_check"])]));
    assert_eq!(document["unclassified_hits"], json!([hit("book/api/runtime-notes/a.md", &["SBPL"])]));
}
