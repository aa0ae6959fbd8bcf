//! Other programs under sandboxes of their own meanwhile.

use std::process::{Child, Stdio};

use crate::support::{FIXTURE, Place};

struct Noise(Vec<Child>);

impl Drop for Noise {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn eight_other_sandboxed_programs_add_no_rule() {
    let place = Place::new();
    let secret = place.file("secret", "x");
    place.file("noise.sb", "(version 1)\n(deny default)\n");
    let script = format!("while true; do cat {} /etc/hostname > /dev/null; done", secret.display());
    let mut children = Vec::new();
    for _ in 0..8 {
        let mut noisy = place.command(&[
            "sandbox",
            "run",
            "--profile",
            "noise.sb",
            "--overlay",
            "linux-base.sb",
            "--observe",
            "--",
            "/bin/sh",
            "-c",
            &script,
        ]);
        children.push(noisy.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }
    let mut noise = Noise(children);
    let done =
        place.runtime(&["shrink-trace", "trace", "--profile", "p.sb", "--cmd", FIXTURE, "--", "read", "/etc/hosts"]);
    let ended = noise.0.iter_mut().filter_map(|child| child.try_wait().unwrap()).next();
    assert_eq!(ended, None, "one of the others ended early");
    drop(noise);
    assert_eq!(done.status, 0, "{done:?}");
    let learned = place.text_of("p.sb");
    assert!(
        learned.contains("/etc/hosts") && !learned.contains("secret") && !learned.contains("/etc/hostname"),
        "{learned}"
    );
    let rules = place.json("shrink-out/rules.json");
    for rule in rules["rules"].as_array().unwrap() {
        let process = rule["first_process"].as_str().unwrap_or_default();
        assert!(["runtime", "shrink-fixture"].contains(&process), "{rule}");
    }
}
