//! A build that is killed: the suite is as it was, or whole.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Elsewhere, RUNTIME, expect, tree};

#[test]
fn a_killed_build_leaves_the_old_suite_or_the_new_one() {
    let place = Elsewhere::new();
    let build = ["plan-build", "--template", "linux-baseline", "--out", "../suite", "--overwrite"];
    expect(&place.runtime(&build), 0);
    let new = tree(&place.path("suite"));
    let mut old = new.clone();
    for bytes in old.values_mut() {
        *bytes = b"old".to_vec();
    }
    let (mut kept, mut replaced) = (0, 0);
    for round in 0..60 {
        for (name, bytes) in &old {
            place.write(&format!("suite/{name}"), bytes);
        }
        let mut child = Command::new(RUNTIME)
            .args(build)
            .current_dir(place.path("cwd"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(700 * round));
        let _ = child.kill();
        child.wait().unwrap();
        let there = tree(&place.path("suite"));
        assert!(there == old || there == new, "round {round}: {:?}", there.keys());
        if there == old { kept += 1 } else { replaced += 1 }
    }
    assert!(kept > 0, "no build was killed in time: {kept} kept, {replaced} replaced");
}
