//! Emission with every change of the file system failing in turn: each file is the older one or the new one, whole, and no
//! failure is kept quiet.

use std::collections::BTreeMap;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

use rustix::io::Errno;

use super::{
    AttestRequest, Emission, EmitError, EmitRequest, Fate, GateName, Predicate, SignKey, emit_promotion_packet,
};
use crate::base::ids::RunId;
use crate::base::rel_path::RelPath;
use crate::bundle::{Identity, OpenBundle, Outcome, RunLock, RunManifest, layout};
use crate::os::fs::fault_testing as fault;
use crate::os::lock::LockMode;

/// The key of RFC 8410, section 10.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";

/// What happens at one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// The process ends there: that change and all later ones do not happen.
    Kill,
    /// That change alone fails.
    Errno(i32),
}

const FAULTS: [Fault; 5] = [
    Fault::Kill,
    Fault::Errno(Errno::NOSPC.raw_os_error()),
    Fault::Errno(Errno::IO.raw_os_error()),
    Fault::Errno(Errno::ACCESS.raw_os_error()),
    Fault::Errno(Errno::INTR.raw_os_error()),
];

fn bundle(root: &Path) {
    let identity = Identity {
        run_id: RunId::try_from("run".to_owned()).unwrap(),
        world_id: "linux-demo".to_owned(),
        channel: "direct".to_owned(),
        plan_id: "demo".to_owned(),
        plan_digest: "0".repeat(64),
    };
    let lock = RunLock::acquire(root, LockMode::Fail, &|| false).unwrap();
    let mut bundle = OpenBundle::create(lock, root, identity.clone(), UNIX_EPOCH).unwrap();
    let manifest = RunManifest::direct(&identity, bundle.recorded_dir(), "/");
    bundle.write_json(&layout::name(layout::RUN_MANIFEST), &manifest).unwrap();
    bundle.write(&RelPath::try_from("summary.md").unwrap(), b"# demo\n").unwrap();
    bundle.seal(Outcome::Complete, &[], UNIX_EPOCH).unwrap();
}

/// A key file, made as private as it must be.
fn key(path: &Path) -> SignKey {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(KEY.as_bytes()).unwrap();
    SignKey::read(path).unwrap()
}

/// Emits `<to>/p.json` with `<to>/a.json` from the bundle in `<at>/out`.
fn emit(at: &Path, to: &Path, attest: bool, key: &SignKey, require: &[GateName]) -> Result<Emission, EmitError> {
    let (packet, attestation) = (to.join("p.json"), to.join("a.json"));
    let attest = attest.then_some(AttestRequest { out: &attestation, key: Some(key), predicate: Predicate::Packet });
    emit_promotion_packet(EmitRequest { bundle: &at.join("out"), out: &packet, require, attest, jobs: 1 })
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[test]
fn every_change_of_an_emission_fails_in_turn() {
    // In memory, where syncs cost nothing: what is asked here is the order of changes.
    let temp = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    bundle(&temp.path().join("out"));
    let key = key(&temp.path().join("key.pem"));
    let (mut points, mut outcomes) = (0, BTreeMap::<&str, usize>::new());
    // What is wanted (an attestation beside the packet), where it goes (a new directory), and what stands there.
    for (attest, fresh) in [(false, false), (false, true), (true, false), (true, true)] {
        let place = |fresh: bool| {
            let place = tempfile::tempdir_in(temp.path()).unwrap();
            let to = if fresh { place.path().join("new/er") } else { place.path().to_owned() };
            (place, to)
        };
        let (complete, to) = place(fresh);
        fault::stop_after(usize::MAX);
        emit(temp.path(), &to, attest, &key, &[]).unwrap();
        let changes = fault::resume().len();
        let complete = complete.path().join(to.strip_prefix(complete.path()).unwrap());
        let whole = |name: &str| std::fs::read(complete.join(name)).ok();
        for fault in FAULTS {
            for steps in 0..changes {
                let (_place, to) = place(fresh);
                let older = |name: &str| (!fresh).then(|| format!("older {name}").into_bytes());
                for name in ["p.json", "a.json"] {
                    if let Some(bytes) = older(name) {
                        crate::os::fs::write_durable(&to.join(name), &bytes).unwrap();
                    }
                }
                match fault {
                    Fault::Kill => fault::stop_after(steps),
                    Fault::Errno(errno) => fault::fail_after(steps, Errno::from_raw_os_error(errno)),
                }
                let result = emit(temp.path(), &to, attest, &key, &[]);
                let passed = fault::resume();
                let at = format!("{fault:?} after {passed:?}");

                let state = |name: &str| {
                    let found = std::fs::read(to.join(name)).ok();
                    match found == older(name) {
                        true => "older",
                        false if found.is_some() && found == whole(name) => "new",
                        false => panic!("{at}: {name} is neither: {found:?}"),
                    }
                };
                let (packet, attestation) = (state("p.json"), state("a.json"));
                // The packet comes last: where it is new, what was asked for beside it is new as well.
                assert!(packet == "older" || !attest || attestation == "new", "{at}");
                let left = || {
                    let names = std::fs::read_dir(&to).into_iter().flatten().map(|entry| entry.unwrap().file_name());
                    names.filter(|name| name.to_string_lossy().starts_with(".tmp-")).count()
                };
                match &result {
                    Ok(_) => {
                        // A signal is no reason to give up; everything else is told.
                        assert_eq!(fault, Fault::Errno(Errno::INTR.raw_os_error()), "{at}: kept quiet");
                        assert_eq!((packet, left()), ("new", 0), "{at}");
                    }
                    Err(error) => {
                        let text = chain(error);
                        let cause = match fault {
                            Fault::Kill => Errno::IO.raw_os_error(),
                            Fault::Errno(errno) => errno,
                        };
                        assert!(text.contains(&format!("(os error {cause})")), "{at}: {text}");
                        assert!(text.contains("cannot write the "), "{at}: {text}");
                        assert!(fault == Fault::Kill || left() == 0, "{at}: a temporary file is left");
                    }
                }
                // Nothing is in the way of the next emission.
                emit(temp.path(), &to, attest, &key, &[]).unwrap_or_else(|error| panic!("{at}: {}", chain(&error)));
                assert_eq!(state("p.json"), "new", "{at}");
                points += 1;
                *outcomes.entry(packet).or_default() += 1;
            }
        }
    }
    println!("faults at changes of an emission: {points}, packets afterwards: {outcomes:?}");
    assert!(outcomes["older"] > 50 && outcomes["new"] >= 10, "{outcomes:?}");
}

/// A strict refusal changes nothing at all: not a directory is made.
#[test]
fn a_refusal_changes_nothing() {
    let temp = tempfile::tempdir().unwrap();
    bundle(&temp.path().join("out"));
    let key = key(&temp.path().join("key.pem"));
    let to = temp.path().join("new/er");
    fault::stop_after(usize::MAX);
    let emission = emit(temp.path(), &to, true, &key, &GateName::ALL).unwrap();
    assert_eq!(fault::resume(), [""; 0]);
    assert!(matches!(&emission.fate, Fate::Refused { shut, .. } if *shut == GateName::ALL), "{:?}", emission.fate);
    assert!(!temp.path().join("new").exists());
}
