//! Bundles made to deceive or to hurt: each is refused for its own reason, and nothing outside it is ever opened.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Hand, LINUX, Laid, RUN, code, ids};

/// Says what was not tested; where nothing may be skipped, that is a failure.
pub(crate) fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
    assert!(std::env::var_os("RUNTIME_TESTS_SKIP_NOTHING").is_none(), "nothing may be skipped here: {what}");
}

struct Hostile {
    what: String,
    /// The finding that names it.
    error: &'static str,
    laid: Laid,
}

/// All of them, each in a root of its own. The bait, a file and a directory outside, is what they try to reach.
fn hostile(bait: &Path) -> Vec<Hostile> {
    let mut all = Vec::new();
    let secret = bait.join("secret");
    let secret_text = secret.to_str().unwrap().to_owned();
    let mut of_index = |what: &str, error: &'static str, change: &dyn Fn(&mut Value)| {
        let mut hand = Hand::good(LINUX);
        let mut index = hand.make_index();
        change(&mut index);
        hand.index = index;
        all.push(Hostile { what: what.to_owned(), error, laid: hand.lay() });
    };
    // Names that lead elsewhere, with and without the added `name`.
    let up = "../".repeat(12);
    let climbing = format!("{up}{}", secret_text.trim_start_matches('/'));
    for (what, name) in [
        ("absolute", secret_text.as_str()),
        ("climbs to it", climbing.as_str()),
        ("climbs one up", "../secret"),
        ("climbs inside", "runtime_profiles/../summary.md"),
        ("dot", "./summary.md"),
        ("empty component", "runtime_profiles//demo.sb"),
        ("empty", ""),
        ("only dots", ".."),
        ("NUL", "summary\0.md"),
        ("newline", "summary\n.md"),
        ("escape sequence", "\u{1b}[2Jsummary.md"),
        ("file URL", "file:///etc/passwd/.."),
        ("proc", "/proc/self/environ"),
        ("device", "/dev/zero"),
        ("home", "/root/.ssh/id_ed25519"),
    ] {
        of_index(&format!("name: {what}"), "entry-outside-bundle", &|index| {
            index["artifacts"][5]["name"] = json!(name);
            index["artifacts"][5]["path"] = json!(format!("out/{RUN}/{name}"));
        });
        of_index(&format!("path alone: {what}"), "entry-outside-bundle", &|index| {
            index["artifacts"][5].as_object_mut().unwrap().remove("name");
            index["artifacts"][5]["path"] = json!(format!("out/{RUN}/{name}"));
        });
    }
    for (what, path) in [
        ("absolute", secret_text.as_str()),
        ("other run", "out/run-2/summary.md"),
        ("prefix of the run", "out/xrun-demo-1/summary.md"),
    ] {
        of_index(&format!("path {what}, name here"), "entry-name-mismatch", &|index| {
            index["artifacts"][5]["path"] = json!(path);
        });
    }
    of_index("entry twice", "entry-duplicate", &|index| {
        let entry = index["artifacts"][5].clone();
        index["artifacts"].as_array_mut().unwrap().push(entry);
    });
    of_index("10,000 entries for one file", "entry-duplicate", &|index| {
        let entry = index["artifacts"][5].clone();
        index["artifacts"].as_array_mut().unwrap().extend(vec![entry; 10_000]);
    });
    of_index("10,000 entries for nothing", "artifact-missing", &|index| {
        let entries = (0..10_000).map(|at| {
            json!({"path": format!("out/{RUN}/x{at}"), "name": format!("x{at}"), "file_size": 1,
                   "sha256": "0".repeat(64), "schema_version": null})
        });
        index["artifacts"].as_array_mut().unwrap().extend(entries);
    });
    of_index("nothing listed", "index-empty", &|index| index["artifacts"] = json!([]));
    of_index("missing entry", "index-inconsistent", &|index| {
        index["artifacts"].as_array_mut().unwrap().remove(0);
    });
    for (what, size) in [("too small", json!(1)), ("too large", json!(1u64 << 40)), ("largest", json!(u64::MAX))] {
        of_index(&format!("size {what}"), "artifact-size-mismatch", &|index| {
            index["artifacts"][5]["file_size"] = size.clone()
        });
    }
    for (what, size) in [("negative", json!(-1)), ("fraction", json!(7.5)), ("text", json!("7")), ("list", json!([7]))]
    {
        of_index(&format!("size {what}"), "entry-size-missing", &|index| {
            index["artifacts"][5]["file_size"] = size.clone()
        });
    }
    of_index("digest of another file", "artifact-digest-mismatch", &|index| {
        index["artifacts"][5]["sha256"] = index["artifacts"][4]["sha256"].clone();
    });
    for (what, digest) in [("short", json!("ab")), ("capitals", json!("A".repeat(64))), ("number", json!(0))] {
        of_index(&format!("digest {what}"), "entry-malformed", &|index| {
            index["artifacts"][5]["sha256"] = digest.clone()
        });
    }
    of_index("no digest", "entry-digest-missing", &|index| index["artifacts"][5]["sha256"] = json!(""));
    of_index("other run", "run-id-mismatch", &|index| index["run_id"] = json!("run-2"));
    of_index("run id climbs", "run-id-mismatch", &|index| index["run_id"] = json!("../x"));
    of_index("other world", "world-id-mismatch", &|index| index["world_id"] = json!("linux-x"));
    of_index("unknown schema", "schema-unknown", &|index| index["schema_version"] = json!("v9"));
    of_index("status for show", "index-inconsistent", &|index| index["status"] = json!("failed"));
    of_index("unknown status", "index-status-unknown", &|index| index["status"] = json!("great"));
    of_index("missing lists it", "expected-missing", &|index| index["missing"] = json!([secret_text]));
    of_index("index lists itself", "entry-malformed", &|index| {
        index["artifacts"][5]["name"] = json!("artifact_index.json");
        index["artifacts"][5]["path"] = json!(format!("out/{RUN}/artifact_index.json"));
    });
    of_index("history is no list", "index-malformed", &|index| index["repairs"] = json!("none"));

    let mut of_disk = |what: &str, error: &'static str, change: &dyn Fn(&Laid)| {
        let laid = Hand::good(LINUX).lay();
        change(&laid);
        all.push(Hostile { what: what.to_owned(), error, laid });
    };
    let replace = |laid: &Laid, name: &str, make: &dyn Fn(&Path)| {
        let path = laid.run.join(name);
        std::fs::remove_file(&path).unwrap();
        make(&path);
    };
    for (name, link, other) in [
        ("summary.md", "artifact-link", "artifact-not-regular"),
        ("runtime_profiles/demo.sb", "artifact-link", "artifact-not-regular"),
        ("run_status.json", "run-status-malformed", "run-status-malformed"),
        ("run_manifest.json", "manifest-malformed", "manifest-malformed"),
        ("artifact_index.json", "index-malformed", "index-malformed"),
    ] {
        of_disk(&format!("{name}: link outside"), link, &|laid| {
            replace(laid, name, &|path| symlink(&secret, path).unwrap())
        });
        of_disk(&format!("{name}: link inside"), link, &|laid| {
            replace(laid, name, &|path| symlink("summary.json", path).unwrap())
        });
        of_disk(&format!("{name}: dangling link"), link, &|laid| {
            replace(laid, name, &|path| symlink("/x/y", path).unwrap())
        });
        of_disk(&format!("{name}: directory"), other, &|laid| {
            replace(laid, name, &|path| std::fs::create_dir(path).unwrap())
        });
        of_disk(&format!("{name}: FIFO"), other, &|laid| {
            replace(laid, name, &|path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success()));
        });
        of_disk(&format!("{name}: socket"), other, &|laid| {
            replace(laid, name, &|path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()));
        });
        let linked = if link == "artifact-link" { "artifact-hard-linked" } else { link };
        of_disk(&format!("{name}: hard link to outside"), linked, &|laid| {
            std::fs::hard_link(laid.run.join(name), laid.temp.path().join("second")).unwrap();
        });
    }
    if Command::new("mknod")
        .args([bait.join("null").to_str().unwrap(), "c", "1", "3"])
        .output()
        .unwrap()
        .status
        .success()
    {
        of_disk("summary.md: device", "artifact-not-regular", &|laid| {
            replace(laid, "summary.md", &|path| {
                assert!(Command::new("mknod").arg(path).args(["c", "1", "5"]).status().unwrap().success());
            });
        });
    } else {
        skipped("a bundle with a device: making one takes root");
    }
    of_disk("a directory on the way is a link", "artifact-link", &|laid| {
        std::fs::remove_dir_all(laid.run.join("runtime_profiles")).unwrap();
        symlink(bait, laid.run.join("runtime_profiles")).unwrap();
    });
    of_disk("1 GiB, sparse", "artifact-size-mismatch", &|laid| {
        std::fs::File::options().write(true).open(laid.run.join("summary.md")).unwrap().set_len(1 << 30).unwrap();
    });
    of_disk("1 GiB of index, sparse", "index-malformed", &|laid| {
        std::fs::File::options()
            .write(true)
            .open(laid.run.join("artifact_index.json"))
            .unwrap()
            .set_len(1 << 30)
            .unwrap();
    });
    of_disk("index of another bundle", "run-id-mismatch", &|laid| {
        let other = Hand::good(LINUX).make_index().to_string().replace(RUN, "run-2");
        std::fs::write(laid.run.join("artifact_index.json"), other).unwrap();
    });
    for (what, bytes) in [
        ("invalid UTF-8", b"{\"a\": \"\xff\"}".to_vec()),
        ("deep", b"[".repeat(1_000_000)),
        ("deep objects", b"{\"a\":".repeat(500_000)),
        ("key twice", b"{\"run_id\": \"a\", \"run_id\": \"b\"}".to_vec()),
        ("number out of range", b"{\"a\": 1e999}".to_vec()),
        ("NaN", b"{\"a\": NaN}".to_vec()),
        ("not an object", b"[]".to_vec()),
        ("empty", Vec::new()),
        ("byte order mark", b"\xef\xbb\xbf{}".to_vec()),
        ("two documents", b"{}{}".to_vec()),
    ] {
        for (name, error) in [("artifact_index.json", "index-malformed"), ("run_status.json", "run-status-malformed")] {
            of_disk(&format!("{name}: {what}"), error, &|laid| std::fs::write(laid.run.join(name), &bytes).unwrap());
        }
    }
    for (what, text) in [
        ("climbs", "../x\n"),
        ("absolute", "/tmp\n"),
        ("dots", "..\n"),
        ("nested", "a/b\n"),
        ("NUL", "a\0b\n"),
        ("bait", secret_text.as_str()),
    ] {
        of_disk(&format!("LATEST {what}"), "latest-invalid", &|laid| {
            std::fs::write(laid.root.join("LATEST"), text).unwrap()
        });
    }
    of_disk("LATEST dangling", "latest-dangling", &|laid| std::fs::write(laid.root.join("LATEST"), "gone\n").unwrap());
    of_disk("LATEST is a link", "latest-unreadable", &|laid| {
        std::fs::remove_file(laid.root.join("LATEST")).unwrap();
        symlink(&secret, laid.root.join("LATEST")).unwrap();
    });
    of_disk("LATEST names a link", "latest-target-unusable", &|laid| {
        symlink(bait, laid.root.join("link")).unwrap();
        std::fs::write(laid.root.join("LATEST"), "link\n").unwrap();
    });
    all
}

/// The paths that `trace` says were opened: what strace's `-y` prints for the descriptor that an open gave.
fn opened(trace: &str) -> BTreeSet<String> {
    let opens = trace.lines().filter(|line| line.contains("open") && !line.contains("= -1"));
    opens
        .filter_map(|line| {
            line.rsplit_once(" = ")?.1.split_once('<')?.1.split_once('>').map(|(path, _)| path.to_owned())
        })
        .collect()
}

#[test]
fn every_hostile_bundle_is_refused_for_its_own_reason_and_nothing_outside_is_opened() {
    let bait = tempfile::tempdir().unwrap();
    std::fs::write(bait.path().join("secret"), "secret").unwrap();
    std::fs::write(bait.path().join("demo.sb"), "secret").unwrap();
    let all = hostile(bait.path());
    let mut reasons = BTreeSet::new();
    for Hostile { what, error, laid } in &all {
        // Read while it runs: some of these have ten thousand findings.
        let output = Command::new("timeout")
            .args(["60", env!("CARGO_BIN_EXE_runtime"), "--json", "validate-bundle", "--bundle"])
            .arg(&laid.root)
            .output()
            .unwrap();
        let document: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{what}: {e}: {}", output.status));
        let found = ids(&document, "error");
        assert_eq!(code(&output), 1, "{what}: {found:?}");
        assert!(found.contains(&(*error).to_owned()), "{what}: no {error} in {found:?}");
        reasons.insert(*error);
    }
    println!("{} hostile bundles, {} reasons: {reasons:?}", all.len(), reasons.len());
    assert!(all.len() >= 80 && reasons.len() >= 20, "{} {}", all.len(), reasons.len());
    if !Path::new("/usr/bin/strace").exists() {
        return skipped("what readers open: there is no strace");
    }
    // All again under a tracer that follows every thread and names what each descriptor leads to.
    let traces = tempfile::tempdir().unwrap();
    let mut looked_at = 0;
    for (at, Hostile { what, laid, .. }) in all.iter().enumerate() {
        // Those that could lead somewhere; the others differ in numbers and texts only.
        let leads = ["name: absolute", "climbs to it", "proc", "link", "FIFO", "socket", "device", "LATEST", "another"];
        if !leads.iter().any(|word| what.contains(word)) {
            continue;
        }
        let file = traces.path().join(at.to_string());
        let output = Command::new("/usr/bin/strace")
            .args(["-f", "-y", "--seccomp-bpf", "-s", "256", "-e", "trace=open,openat,openat2,creat,execve", "-o"])
            .arg(&file)
            .args([env!("CARGO_BIN_EXE_runtime"), "validate-bundle", "--bundle"])
            .arg(&laid.root)
            .output()
            .unwrap();
        let trace = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(trace.contains("execve("), "{what}: nothing was traced: {output:?}");
        let root = laid.root.canonicalize().unwrap();
        let opened = opened(&trace);
        assert!(opened.iter().any(|path| Path::new(path) == root), "{what}: the root itself was opened: {opened:?}");
        let allowed = ["/etc/ld.so", "/lib", "/usr/lib", "/proc/", "/sys/fs/cgroup", "/dev/null"];
        for path in opened {
            let outside = !Path::new(&path).starts_with(&root);
            // The second name of a hard-linked file is the same file: its own path is the one that was opened.
            assert!(!outside || allowed.iter().any(|prefix| path.starts_with(prefix)), "{what}: {path} was opened");
        }
        looked_at += 1;
    }
    println!("{looked_at} traced, nothing outside was opened");
    // The same look finds an open outside when there is one.
    let file = traces.path().join("twin");
    let secret = bait.path().join("secret");
    let twin = ["-f", "-y", "-e", "trace=openat", "-o", file.to_str().unwrap(), "/bin/cat", secret.to_str().unwrap()];
    assert!(Command::new("/usr/bin/strace").args(twin).output().unwrap().status.success());
    let found = opened(&std::fs::read_to_string(&file).unwrap());
    assert!(found.contains(secret.canonicalize().unwrap().to_str().unwrap()), "{found:?}");
}
