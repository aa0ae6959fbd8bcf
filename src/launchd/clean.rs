//! What a job measures of its own start, and whether that is a clean one.

use serde::{Deserialize, Serialize};

/// How a job found itself when it began. Everything here is asked of the system; no variable is believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The process.
    pub pid: u32,
    /// Its parent; 1 for what launchd started.
    pub parent_pid: u32,
    /// Process that launchd is; null where a stand-in took its place, so that nothing can be said about the parent.
    pub launchd_pid: Option<u32>,
    /// The job's label as launchd hands it to the job (`XPC_SERVICE_NAME`).
    pub service_name: Option<String>,
    /// Whether the process is in a sandbox; null where the system gave no answer.
    pub sandboxed: Option<bool>,
    /// The interface that was asked about it.
    pub sandboxed_source: String,
    /// Open descriptors beside 0, 1 and 2; null where the system does not say.
    pub descriptors: Option<Vec<i32>>,
    /// Names of all variables of the environment, sorted.
    pub variables: Vec<String>,
    /// Real user id.
    pub uid: u32,
}

/// Variables that put foreign code into a process: dyld(1), ld.so(8).
const PRELOADS: [&str; 2] = ["DYLD_", "LD_"];

/// The reasons why a start was not clean, sorted; none: it was.
#[must_use]
pub fn verdict(start: &Start, label: &str) -> Vec<&'static str> {
    let mut reasons = Vec::new();
    match start.sandboxed {
        Some(false) => {}
        Some(true) => reasons.push("already_sandboxed"),
        None => reasons.push("sandbox_state_unknown"),
    }
    if start.service_name.as_deref() != Some(label) {
        reasons.push("other_job");
    }
    if start.launchd_pid.is_some_and(|launchd| launchd != start.parent_pid) {
        reasons.push("parent_not_launchd");
    }
    if start.variables.iter().any(|name| PRELOADS.iter().any(|prefix| name.starts_with(prefix))) {
        reasons.push("preloaded_libraries");
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Start {
        Start {
            pid: 40,
            parent_pid: 1,
            launchd_pid: Some(1),
            service_name: Some("p.run".to_owned()),
            sandboxed: Some(false),
            sandboxed_source: "sandbox_check".to_owned(),
            descriptors: Some(Vec::new()),
            variables: vec!["PATH".to_owned(), "XPC_SERVICE_NAME".to_owned()],
            uid: 501,
        }
    }

    #[test]
    fn every_fact_alone_makes_a_start_unclean() {
        assert_eq!(verdict(&start(), "p.run"), Vec::<&str>::new());
        let with = |change: fn(&mut Start)| {
            let mut start = start();
            change(&mut start);
            verdict(&start, "p.run")
        };
        assert_eq!(with(|s| s.sandboxed = Some(true)), ["already_sandboxed"]);
        assert_eq!(with(|s| s.sandboxed = None), ["sandbox_state_unknown"]);
        assert_eq!(with(|s| s.service_name = None), ["other_job"]);
        assert_eq!(with(|s| s.service_name = Some("p.other".to_owned())), ["other_job"]);
        assert_eq!(with(|s| s.parent_pid = 7), ["parent_not_launchd"]);
        assert_eq!(with(|s| s.variables.push("DYLD_INSERT_LIBRARIES".to_owned())), ["preloaded_libraries"]);
        assert_eq!(with(|s| s.variables.push("LD_PRELOAD".to_owned())), ["preloaded_libraries"]);
        let stand_in = with(|s| (s.parent_pid, s.launchd_pid) = (7, None));
        assert_eq!(stand_in, Vec::<&str>::new(), "a stand-in is no launchd; the record names it");
    }

    #[test]
    fn all_reasons_are_given_at_once_and_sorted() {
        let mut start = start();
        (start.sandboxed, start.service_name, start.parent_pid) = (Some(true), None, 9);
        start.variables.push("LD_LIBRARY_PATH".to_owned());
        let reasons = verdict(&start, "p.run");
        assert_eq!(reasons, ["already_sandboxed", "other_job", "parent_not_launchd", "preloaded_libraries"]);
    }
}
