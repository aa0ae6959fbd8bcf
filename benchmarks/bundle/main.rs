//! How fast a bundle is validated and committed: `cargo bench -p benchmarks --bench bundle`.
//!
//! 10,000 small artifacts beside opening, reading and closing the same files on as many threads, and beside checksum tools;
//! 100,000 very small ones; 2 GB of large ones beside two `openssl dgst -sha256` at a time; a run of 100 files beside
//! the same run on the same disk without syncing (Linux). All take turns; a ratio is the median of the ratios of rounds.
//! `validate-bundle` does the whole job (index, identities, paths, stray files), the others hash or read. Peers that are not
//! installed are named. `docs/benchmarks.md` holds the bars.
//!
//!   cargo bench -p benchmarks --bench bundle [-- [--quick] [--json] [--runtime FILE] [small] [many] [large] [commit]]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on stops")]
#![expect(clippy::disallowed_methods, reason = "whole processes are what is measured")]
#![expect(clippy::print_stderr, reason = "the result of a measurement")]

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use benchmarks::{Asked, Measured, Rounds, Variant, find_program, load, timed, version_of};
use serde_json::{Value, json};

const SIZES: [usize; 5] = [600, 1500, 3000, 4096, 8000];

/// A bundle of `names` with their sizes; the digests are those that `openssl` finds, so that the bundle is not judged by its maker.
fn bundle(root: &Path, files: &[(String, usize)]) -> PathBuf {
    let run = root.join("run-1");
    let identity = json!({"run_id": "run-1", "world_id": "linux-demo", "channel": "direct", "plan_id": "demo",
                          "plan_digest": "0".repeat(64)});
    let with = |more: Value| {
        let mut document = more;
        for (key, value) in identity.as_object().unwrap() {
            document[key] = value.clone();
        }
        document.to_string().into_bytes()
    };
    let status = with(json!({"schema_version": "runtime-tools.run_status.v0.1", "state": "complete", "writer_pid": 7,
        "updated_at_unix": 1.5, "error": null, "failure_stage": null, "tool": {"name": "runtime", "version": "0.1.0"}}));
    let manifest = with(json!({"schema_version": "runtime-tools.run_manifest.v0.1", "dry_run": false}));
    let mut seed = 1u64;
    let mut random = |size: usize| -> Vec<u8> {
        let mut bytes = Vec::with_capacity(size + 8);
        while bytes.len() < size {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.extend((seed >> 16).to_le_bytes());
        }
        bytes.truncate(size);
        bytes
    };
    let put = |name: &str, bytes: &[u8]| {
        let path = run.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    put("run_status.json", &status);
    put("run_manifest.json", &manifest);
    for (name, size) in files {
        put(name, &random(*size));
    }
    let names: Vec<&str> = ["run_status.json", "run_manifest.json"]
        .into_iter()
        .chain(files.iter().map(|(name, _)| name.as_str()))
        .collect();
    let mut artifacts = Vec::new();
    for chunk in names.chunks(500) {
        let output =
            Command::new("openssl").args(["dgst", "-sha256", "-r"]).args(chunk).current_dir(&run).output().unwrap();
        assert!(output.status.success(), "openssl is needed to make the bundles");
        for (line, name) in String::from_utf8(output.stdout).unwrap().lines().zip(chunk) {
            let size = run.join(name).metadata().unwrap().len();
            artifacts.push(json!({"path": format!("out/run-1/{name}"), "file_size": size, "sha256": &line[..64],
                                  "schema_version": null, "name": name}));
        }
    }
    let index = json!({"schema_version": "runtime-tools.artifact_index.v0.1", "run_id": "run-1", "world_id": "linux-demo",
        "artifacts": artifacts, "missing": [], "status": "ok", "tool": {"name": "runtime", "version": "0.1.0"}});
    put("artifact_index.json", serde_json::to_string_pretty(&index).unwrap().as_bytes());
    std::fs::write(root.join("LATEST"), "run-1\n").unwrap();
    run
}

fn validate(runtime: &str, root: &Path) -> Command {
    let mut command = Command::new(runtime);
    command.arg("validate-bundle").arg("--bundle").arg(root).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Opens, reads and closes every file on as many threads as there are processors; milliseconds.
fn floor(files: &[PathBuf]) -> f64 {
    let start = Instant::now();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut buffer = vec![0u8; 128 * 1024];
        while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut file = std::fs::File::open(path).unwrap();
            while file.read(&mut buffer).unwrap() == buffer.len() {}
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(work);
        }
    });
    start.elapsed().as_secs_f64() * 1e3
}

fn main() {
    let asked = Asked::from_arguments();
    let before = load();
    let directory = tempfile::tempdir().unwrap();
    let rounds = if asked.quick { 1 } else { 15 };
    let b3sum = find_program("b3sum");
    let bagit = find_program("bagit.py");
    let mut results = Vec::new();
    let mut found = |measured: Measured| {
        eprintln!("  {}", measured.line());
        results.push(measured);
    };
    let sized = |count: usize, size: &dyn Fn(usize) -> usize| -> Vec<(String, usize)> {
        (0..count).map(|at| (format!("d{:03}/f{:02}", at / 100, at % 100), size(at))).collect()
    };
    if asked.wants("small") {
        let root = directory.path().join("small");
        let files = sized(if asked.quick { 500 } else { 10_000 }, &|at| SIZES[at % 5]);
        let run = bundle(&root, &files);
        found(memory("small artifacts", asked.runtime(), &root));
        small(&asked, &root, &run, &files, (b3sum.as_deref(), bagit.as_deref()), rounds)
            .into_iter()
            .for_each(&mut found);
        std::fs::remove_dir_all(&root).unwrap();
    }
    if asked.wants("many") {
        let root = directory.path().join("many");
        let files = sized(if asked.quick { 1_000 } else { 100_000 }, &|_| 100);
        let run = bundle(&root, &files);
        found(memory("100,000 artifacts", asked.runtime(), &root));
        let paths: Vec<PathBuf> = files.iter().map(|(name, _)| run.join(name)).collect();
        let variants = [
            Variant { name: "validate-bundle", run: Box::new(|| timed(&mut validate(asked.runtime(), &root), None)) },
            Variant { name: "open, read, close", run: Box::new(|| floor(&paths)) },
        ];
        let times = Rounds::run("100,000 artifacts", "ms", rounds.min(5), &variants);
        found(times.compare("validate-bundle", "open, read, close", None).expect("both ran"));
        std::fs::remove_dir_all(&root).unwrap();
    }
    if asked.wants("commit") {
        match commit(&asked, directory.path(), rounds) {
            Some(measured) => found(measured),
            None => eprintln!("commit: left out, this system cannot be kept from syncing"),
        }
    }
    if asked.wants("large") {
        let size = if asked.quick { 1 << 20 } else { 512 << 20 };
        let files: Vec<_> = (0..4).map(|at| (format!("large{at}"), size)).collect();
        let root = directory.path().join("large");
        let run = bundle(&root, &files);
        found(memory("large artifacts", asked.runtime(), &root));
        found(large(&asked, &root, &run, rounds.min(7)));
    }
    let versions = [("b3sum", version_of(b3sum.as_deref())), ("bagit.py", bagit), ("openssl", find_program("openssl"))];
    asked.print(&versions, &results, &before);
}

/// Peak memory of validating, as the kernel counts it until shortly before the end.
fn memory(work: &str, runtime: &str, root: &Path) -> Measured {
    let mut child = validate(runtime, root).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0.0_f64;
    let ended = loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = text
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.trim().split(' ').next()?.parse::<f64>().ok());
        peak_kib = peak_kib.max(peak.unwrap_or(0.0));
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(std::time::Duration::from_micros(200));
    };
    assert!(ended.success(), "the bundle is valid");
    let peak = if peak_kib > 0.0 { peak_kib * 1024.0 / 1e6 } else { f64::NAN };
    Measured { name: format!("{work}: peak memory"), sides: (peak, f64::NAN), unit: "MB", ratio: peak, bar: Some(64.0) }
}

/// Like [`timed`], with every call that makes something durable answered by the kernel at once, with success and without effect.
#[cfg(target_os = "linux")]
fn timed_without_syncing(command: &mut Command) -> Option<f64> {
    use nix::libc::{SYS_fdatasync, SYS_fsync, SYS_sync_file_range, SYS_syncfs};
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

    let syncing = [SYS_fsync, SYS_fdatasync, SYS_syncfs, SYS_sync_file_range].map(|call| (call, Vec::new()));
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter =
        SeccompFilter::new(syncing.into(), SeccompAction::Allow, SeccompAction::Errno(0), architecture).unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
    // A filter cannot be taken off again: a thread of its own has it, and what that starts.
    let filtered = || {
        seccompiler::apply_filter(&filter).unwrap();
        timed(command, None)
    };
    Some(std::thread::scope(|scope| scope.spawn(filtered).join().unwrap()))
}

#[cfg(not(target_os = "linux"))]
fn timed_without_syncing(_: &mut Command) -> Option<f64> {
    None
}

/// A run that leaves about 100 files and executes nothing, with and without syncing: what being durable costs.
fn commit(asked: &Asked, directory: &Path, rounds: usize) -> Option<Measured> {
    const PROFILES: usize = 90;
    let suite = directory.join("suite");
    for folder in ["registry", "sb"] {
        std::fs::create_dir_all(suite.join(folder)).unwrap();
    }
    let (mut probes, mut profiles, mut ids) = (json!({}), json!({}), Vec::new());
    for at in 0..PROFILES {
        let (profile, probe) = (format!("p{at:02}"), format!("p{at:02}:read"));
        std::fs::write(suite.join(format!("sb/{profile}.sb")), "(version 1)\n(deny default)\n").unwrap();
        probes[&probe] = json!({
            "probe_id": probe, "name": "read", "operation": "file-read-data", "target": "/etc/hostname",
            "expected": "deny", "supports_lanes": {"scenario": true, "baseline": true, "oracle": true},
            "expected_primary_ops": ["file-read-data"], "expected_predicates": ["/etc/hostname"],
            "capabilities_required": [], "controls_supported": ["baseline"],
        });
        profiles[&profile] = json!({
            "profile_id": profile, "profile_path": format!("./../sb/{profile}.sb"), "mode": "sbpl",
            "probe_refs": [probe], "family": null, "semantic_group": null, "key_specific_rules": [], "notes": null,
        });
        ids.push(profile);
    }
    let write = |name: &str, value: Value| std::fs::write(suite.join(name), value.to_string()).unwrap();
    let registry = json!({"registry_id": "suite", "world_id": "host"});
    let with = |tag: &str, key: &str, value: Value| {
        let mut document = registry.clone();
        document["schema_version"] = json!(tag);
        document[key] = value;
        document
    };
    write("registry/probes.json", with("runtime-tools.probe_registry.v0.2", "probes", probes));
    write("registry/profiles.json", with("runtime-tools.profile_registry.v0.2", "profiles", profiles));
    let mut plan = with("runtime-tools.plan.v0.1", "profiles", json!(ids));
    plan["plan_id"] = json!("suite.v1");
    plan["lanes"] = json!({"scenario": true, "baseline": true, "oracle": true});
    plan["controls"] = json!({});
    write("plan.json", plan);
    let out = directory.join("out");
    let run = || {
        let mut command = Command::new(asked.runtime());
        command.args(["run", "--dry", "--plan"]).arg(suite.join("plan.json")).arg("--out").arg(&out);
        command.stdout(Stdio::null());
        // Neither side is to write what the other one left in memory.
        rustix::fs::sync();
        command
    };
    timed_without_syncing(&mut run())?;
    let variants = [
        Variant { name: "durable", run: Box::new(|| timed(&mut run(), None)) },
        Variant { name: "not synced", run: Box::new(|| timed_without_syncing(&mut run()).unwrap()) },
    ];
    let times = Rounds::run("run of 100 files", "ms", rounds, &variants);
    let index = std::fs::read_to_string(out.join("LATEST")).unwrap();
    let index = std::fs::read_to_string(out.join(index.trim()).join("artifact_index.json")).unwrap();
    let count = serde_json::from_str::<Value>(&index).unwrap()["artifacts"].as_array().unwrap().len();
    assert!((95..=105).contains(&count), "{count} files");
    let sides = (times.median_of("durable")?, times.median_of("not synced")?);
    let name = "run of 100 files: durable - not synced".to_owned();
    Some(Measured { name, sides, unit: "ms", ratio: sides.0 - sides.1, bar: Some(25.0) })
}

fn small(
    asked: &Asked,
    root: &Path,
    run: &Path,
    files: &[(String, usize)],
    (b3sum, bagit): (Option<&str>, Option<&str>),
    rounds: usize,
) -> Vec<Measured> {
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| run.join(name)).collect();
    let mut variants = vec![
        Variant { name: "validate-bundle", run: Box::new(|| timed(&mut validate(asked.runtime(), root), None)) },
        Variant { name: "open, read, close", run: Box::new(|| floor(&paths)) },
    ];
    let list = root.join("list");
    if let Some(b3sum) = b3sum {
        let output = Command::new(b3sum).args(files.iter().map(|(name, _)| name)).current_dir(run).output().unwrap();
        std::fs::write(&list, output.stdout).unwrap();
        let check = move || timed(Command::new(b3sum).args(["--quiet", "-c"]).arg(&list).current_dir(run), None);
        variants.push(Variant { name: "b3sum -c", run: Box::new(check) });
    }
    let bag = root.join("bag");
    if let Some(bagit) = bagit {
        for (name, _) in files {
            let to = bag.join(name);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(run.join(name), to).unwrap();
        }
        timed(Command::new(bagit).args(["--quiet", "--sha256"]).arg(&bag), None);
        let check = move || timed(Command::new(bagit).args(["--quiet", "--validate"]).arg(&bag), None);
        variants.push(Variant { name: "bagit.py", run: Box::new(check) });
    }
    let times = Rounds::run("small artifacts", "ms", rounds, &variants);
    let bars = [("open, read, close", 2.2), ("b3sum -c", 1.0 / 1.6), ("bagit.py", 1.0 / 12.0)];
    bars.into_iter().filter_map(|(peer, bar)| times.compare("validate-bundle", peer, Some(bar))).collect()
}

fn large(asked: &Asked, root: &Path, run: &Path, rounds: usize) -> Measured {
    let openssl = || {
        let command = "ls large* | xargs -n2 -P2 openssl dgst -sha256";
        timed(Command::new("sh").args(["-c", command]).current_dir(run), None)
    };
    let variants = [
        Variant { name: "validate-bundle", run: Box::new(|| timed(&mut validate(asked.runtime(), root), None)) },
        Variant { name: "two openssl dgst", run: Box::new(openssl) },
    ];
    let times = Rounds::run("large artifacts", "ms", rounds, &variants);
    times.compare("validate-bundle", "two openssl dgst", Some(1.0)).expect("both ran")
}
