//! What the commands about bundles and packets print and write: bundles that are whole, damaged, repaired, begun and missing.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::run_suite::{expect, runtime};
use crate::runs::{Everything, KEY, latest, read};

/// The public half of [`KEY`].
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

fn copy(from: &Path, to: &Path) {
    assert!(std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// Adds the answers about copies of `out`, a root whose run is promotable.
pub(crate) fn bundles(all: &mut Everything, out: &Path) {
    let temp = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name);
    let text = |path: &Path| path.display().to_string();
    let root = path("out");
    copy(out, &root);
    let (bundle, run) = (text(&root), latest(&root));
    all.add_answer("bundle-verdict", &["validate-bundle", "--json", "--bundle", &bundle], 0);
    let packet = text(&path("packet.json"));
    let signed = text(&path("packet.dsse.json"));
    for (name, key) in [("key.pem", KEY), ("public.pem", PUBLIC)] {
        std::fs::write(path(name), key).unwrap();
        std::fs::set_permissions(path(name), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    let (key, public) = (text(&path("key.pem")), text(&path("public.pem")));
    let emit = ["emit-promotion", "--bundle", &bundle, "--out", &packet, "--attest", &signed, "--sign-key", &key];
    expect(&runtime(&emit), 0);
    packets(all, temp.path(), (&packet, &signed, &public, &bundle));

    // Entries without size or digest, a file without entry, one that is gone.
    let index = run.join("artifact_index.json");
    let mut members = read(&index);
    let artifacts = members["artifacts"].as_array_mut().unwrap();
    artifacts[0].as_object_mut().unwrap().remove("file_size");
    artifacts[1].as_object_mut().unwrap().remove("sha256");
    artifacts.retain(|entry| entry["name"] != "summary.json");
    std::fs::write(&index, members.to_string()).unwrap();
    std::fs::remove_file(run.join("summary.md")).unwrap();
    all.add_answer("bundle-report", &["bundle", "show", "--bundle", &bundle], 0);
    all.add_answer("bundle-verdict", &["reindex-bundle", "--json", "--repair", "--bundle", &bundle], 1);
    all.add_answer("bundle-verdict", &["reindex-bundle", "--json", "--repair", "--bundle", &bundle], 1);
    all.add("repair-log", "repair_log.json", read(&run.join("repair_log.json")));

    // A pointer that leads nowhere, a run without any document but an empty index, one without an index, one that is too deep.
    let odd = root.join("odd");
    std::fs::create_dir(&odd).unwrap();
    std::fs::write(odd.join("artifact_index.json"), "{}").unwrap();
    let begun = root.join("begun");
    copy(&run, &begun);
    std::fs::remove_file(begun.join("artifact_index.json")).unwrap();
    all.add_answer("bundle-verdict", &["reindex-bundle", "--json", "--repair", "--bundle", &text(&begun)], 1);
    all.add_answer("bundle-report", &["bundle", "show", "--bundle", &text(&begun)], 0);
    all.add_answer("bundle-report", &["bundle", "show", "--bundle", &text(&odd)], 0);
    let mut status = read(&begun.join("run_status.json"));
    for (key, value) in [("state", json!("in_progress")), ("writer_lock", json!(true))] {
        status[key] = value;
    }
    std::fs::write(begun.join("run_status.json"), status.to_string()).unwrap();
    all.add_answer("bundle-report", &["bundle", "show", "--bundle", &text(&begun)], 0);
    all.add_answer("bundle-runs", &["bundle", "list", "--json", "--bundle", &bundle], 0);
    let deep: PathBuf = root.join("a/".repeat(20));
    std::fs::create_dir_all(deep).unwrap();
    all.add_answer("bundle-verdicts", &["bundle", "verify-all", "--json", &bundle], 1);
    let prune = ["bundle", "prune", "--json", "--keep", "0", "--abandoned", "--bundle", &bundle];
    all.add_answer("pruned-runs", &prune, 0);
    std::fs::write(root.join("LATEST"), "nowhere\n").unwrap();
    all.add_answer("bundle-verdict", &["validate-bundle", "--json", "--bundle", &bundle], 1);
    all.add_answer("bundle-verdicts", &["bundle", "verify-all", "--json", &bundle], 1);
    std::fs::write(root.join("LATEST"), "../nowhere\n").unwrap();
    all.add_answer("bundle-runs", &["bundle", "list", "--json", "--bundle", &bundle], 0);
    std::fs::remove_file(root.join("LATEST")).unwrap();
    all.add_answer("bundle-runs", &["bundle", "list", "--json", "--bundle", &bundle], 0);
    all.keep(temp);
}

/// Verdicts on a packet, as it is and signed, of a bundle that is whole and of one that lost its manifest; and on sets of them.
fn packets(all: &mut Everything, folder: &Path, (packet, signed, public, bundle): (&str, &str, &str, &str)) {
    let verify = ["promotion", "verify", "--json", "--require", "linux_enforcement", "--packet"];
    all.add_answer("packet-verdict", &[&verify[..], &[packet, "--bundle", bundle]].concat(), 0);
    all.add_answer("packet-verdict", &[&verify[..], &[signed, "--bundle", bundle, "--key", public]].concat(), 0);
    let changed = folder.join("changed");
    copy(Path::new(bundle), &changed);
    std::fs::remove_file(latest(&changed).join("run_manifest.json")).unwrap();
    let changed = changed.display().to_string();
    all.add_answer("packet-verdict", &[&verify[..], &[packet, "--bundle", &changed]].concat(), 1);
    let (set, receipt) = (folder.join("set.json").display().to_string(), folder.join("r.json").display().to_string());
    let absent = folder.join("absent.json").display().to_string();
    let judge = ["promotion", "set", "--json", "--gate", "linux_enforcement", "--out", &set];
    let with_key = [&judge[..], &["--packet", signed, "--key", public, "--receipt", &receipt]].concat();
    all.add_answer("packet-set-verdict", &with_key, 0);
    all.add("promotion-receipt", "signed", read(Path::new(&receipt)));
    all.add_answer("packet-set-verdict", &[&judge[..], &["--packet", packet, "--packet", &absent]].concat(), 1);
    // One whose bundle is refused by now.
    let mut other: Value = read(Path::new(packet));
    other["run_manifest"] = json!(latest(Path::new(&changed)).join("run_manifest.json").display().to_string());
    other["promotability"]["gating_inputs"]["channel"] = Value::Null;
    let other_path = folder.join("other.json").display().to_string();
    std::fs::write(&other_path, other.to_string()).unwrap();
    all.add_answer("packet-set-verdict", &[&judge[..], &["--packet", &other_path]].concat(), 1);
}
