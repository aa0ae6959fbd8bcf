//! Memory of the supervising processes.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::place::Place;
use benchmarks::Measured;

const PROCESSES: usize = 100;
const BAR_MIB: f64 = 20.0;

/// Peak resident memory of the supervisor and its helpers (not of the tree itself) for a tree of 100 processes.
pub(crate) fn of_100_processes(place: &Place) -> Measured {
    eprintln!("memory");
    let script = format!("for i in $(seq {PROCESSES}); do sleep 2 & done; wait");
    let mut command: Command = place.ours("trapped", &["/bin/sh", "-c", &script]);
    let mut supervisor = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let own = i32::try_from(supervisor.id()).unwrap();
    let (mut peak, mut most) = (0.0_f64, 0);
    let start = Instant::now();
    while supervisor.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(60), "the tree does not end");
        let (ours, tree) = resident(own);
        peak = peak.max(ours);
        most = most.max(tree);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(supervisor.wait().unwrap().success());
    assert!(most >= PROCESSES, "the tree had {most} processes");
    Measured {
        name: format!("memory: supervisor, {most} processes"),
        sides: (peak, f64::NAN),
        unit: "MiB",
        ratio: peak,
        bar: Some(BAR_MIB),
    }
}

/// Peak resident MiB of a process and those descendants that run the same program, and the number of the other descendants.
fn resident(supervisor: i32) -> (f64, usize) {
    let program = std::fs::read_link(format!("/proc/{supervisor}/exe")).ok();
    let (mut kibibytes, mut others) = (peak_kibibytes(supervisor), 0);
    let mut open = vec![supervisor];
    while let Some(parent) = open.pop() {
        let Ok(list) = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")) else { continue };
        for child in list.split_ascii_whitespace().filter_map(|word| word.parse::<i32>().ok()) {
            if program.is_some() && std::fs::read_link(format!("/proc/{child}/exe")).ok() == program {
                kibibytes += peak_kibibytes(child);
            } else {
                others += 1;
            }
            open.push(child);
        }
    }
    (kibibytes / 1024.0, others)
}

fn peak_kibibytes(pid: i32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    field.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0.0)
}
