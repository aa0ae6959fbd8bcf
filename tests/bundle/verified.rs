//! What a verified bundle hands out, and what happens when its files change after they were verified.

use runtime::base::rel_path::RelPath;
use runtime::bundle::{ArtifactError, UnverifiedBundle, Verification, resolve};
use runtime::promotion::{GateName, Reason, assess};

use crate::support::{Hand, LINUX, Laid};
use crate::writer::name;

fn verify(laid: &Laid) -> Verification {
    UnverifiedBundle::read(resolve(&laid.root).unwrap()).verify(2)
}

#[test]
fn artifacts_are_handed_out_by_name() {
    let laid = Hand::good(LINUX).lay();
    let verification = verify(&laid);
    let bundle = verification.verified().unwrap();
    assert_eq!(bundle.read(&name("summary.md")).unwrap().unwrap(), b"# demo\n");
    assert_eq!(bundle.read_json(&name("summary.json")).unwrap().unwrap()["status"], "ok");
    assert!(bundle.read(&name("absent.json")).unwrap().is_none());
    assert!(matches!(bundle.read_json(&name("summary.md")), Err(ArtifactError::Json { .. })));
    assert_eq!(bundle.names().count(), 13);
}

#[test]
fn bytes_changed_after_verification_are_not_handed_out() {
    let laid = Hand::good(LINUX).lay();
    let verification = verify(&laid);
    let bundle = verification.verified().unwrap();
    let summary: RelPath = name("summary.md");
    for bytes in ["# demO\n", "longer than it was\n", ""] {
        std::fs::write(laid.run.join("summary.md"), bytes).unwrap();
        assert!(matches!(bundle.read(&summary), Err(ArtifactError::Changed { .. })), "{bytes:?}");
    }
    std::fs::remove_file(laid.run.join("summary.md")).unwrap();
    assert!(matches!(bundle.read(&summary), Err(ArtifactError::Read { .. })));
    std::os::unix::fs::symlink("/etc/hostname", laid.run.join("summary.md")).unwrap();
    assert!(matches!(bundle.read(&summary), Err(ArtifactError::Read { .. })));
}

#[test]
fn a_gate_shuts_when_its_facts_change_after_verification() {
    let laid = Hand::good(LINUX).lay();
    let verification = verify(&laid);
    assert!(assess(&verification).gate(GateName::LinuxEnforcement).promotable());
    let results = laid.run.join("runtime_results.json");
    let text = std::fs::read_to_string(&results).unwrap();
    std::fs::write(&results, text.replacen("allow", "Allow", 1)).unwrap();
    let promotability = assess(&verification);
    let gate = promotability.gate(GateName::LinuxEnforcement);
    assert!(gate.has(Reason::BundleIntegrityUnverified), "{:?}", gate.reasons());
}

#[test]
fn a_directory_swapped_after_it_was_opened_is_not_looked_at() {
    let laid = Hand::good(LINUX).lay();
    let resolved = resolve(&laid.root).unwrap();
    let moved = laid.temp.path().join("moved");
    std::fs::rename(&laid.run, &moved).unwrap();
    let mut other = Hand::good(LINUX);
    other.put("summary.md", b"# other\n");
    let other = other.lay();
    std::fs::rename(&other.run, &laid.run).unwrap();
    let verification = UnverifiedBundle::read(resolved).verify(1);
    assert_eq!(verification.verified().unwrap().read(&name("summary.md")).unwrap().unwrap(), b"# demo\n");
}
