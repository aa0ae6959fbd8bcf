//! Argument vectors of the app and of its observer, as data. Pure; nothing here is read by a shell.

use super::settings::{LogMode, ObserverMode, Settings, short_number};

/// Which service a probe runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Profile id, when known.
    pub profile_id: Option<String>,
    /// Bundle id of the service, when known.
    pub service_id: Option<String>,
    /// Whether the app is told the profile rather than the service.
    pub use_profile: bool,
}

/// What a probe is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeCall {
    /// Where it runs.
    pub service: Service,
    /// Its name.
    pub probe_id: String,
    /// What it is told.
    pub probe_args: Vec<String>,
    /// Echoed by the app.
    pub plan_id: String,
    /// Echoed by the app.
    pub row_id: String,
    /// Echoed by the app, which makes one up where none is given.
    pub correlation_id: Option<String>,
    /// Leave to use a profile of the highest tier.
    pub ack_risk: Option<String>,
    /// Declares a wait; stands after the ids.
    pub wait_args: Vec<String>,
}

/// What is asked for about logs: follows from the settings, and from whether a log is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// How the app captures the log; `None`: it does not.
    pub capture: Option<LogMode>,
    /// Whether the app is asked to run its observer.
    pub embedded: bool,
}

impl Observation {
    /// What `settings` ask for when a log is wanted or not.
    #[must_use]
    pub fn of(settings: &Settings, log_wanted: bool) -> Self {
        // A capture makes the app observe, whatever else it is told: who wants no observation gets no capture.
        let capture = Some(settings.log_mode).filter(|_| log_wanted && settings.observer != ObserverMode::Disabled);
        Self { capture, embedded: matches!(settings.observer, ObserverMode::Embedded | ObserverMode::Always) }
    }
}

/// Whether the observer is asked after the app has answered.
#[must_use]
pub fn asks_external(observer: ObserverMode, app_gave_report: bool) -> bool {
    match observer {
        ObserverMode::Embedded | ObserverMode::Disabled => false,
        ObserverMode::External => !app_gave_report,
        ObserverMode::Always => true,
    }
}

/// `run-xpc`: every option stands before the probe's name, because the app takes what follows for the probe's own.
///
/// `log` is where a stream goes, `log_name` the name of a log in the service's container.
#[must_use]
pub fn run_xpc(cli: &str, call: &ProbeCall, settings: &Settings, log: Option<(&str, &str)>) -> Vec<String> {
    let observation = Observation::of(settings, log.is_some());
    let mut argv = vec![cli.to_owned(), "run-xpc".to_owned()];
    let mut add = |words: &[&str]| argv.extend(words.iter().map(|&word| word.to_owned()));
    if let Some(ack) = &call.ack_risk {
        add(&["--ack-risk", ack]);
    }
    if let (Some(mode), Some((path, name))) = (observation.capture, log) {
        match mode {
            LogMode::Stream => add(&["--log-stream", path]),
            LogMode::PathClass => add(&["--log-path-class", "tmp", "--log-name", name]),
        }
    }
    if observation.embedded {
        add(&["--observe"]);
        match settings.duration_s {
            _ if settings.follow => add(&["--observer-follow"]),
            Some(seconds) => add(&["--observer-duration", &short_number(seconds)]),
            None => {}
        }
        if let Some(format) = settings.format {
            add(&["--observer-format", format.word()]);
        }
        if let Some(output) = &settings.output {
            add(&["--observer-output", output]);
        }
    }
    add(&["--plan-id", &call.plan_id, "--row-id", &call.row_id]);
    if let Some(id) = &call.correlation_id {
        add(&["--correlation-id", id]);
    }
    add(&call.wait_args.iter().map(String::as_str).collect::<Vec<_>>());
    match (&call.service.profile_id, &call.service.service_id) {
        (Some(profile), _) if call.service.use_profile => add(&["--profile", profile]),
        (_, Some(service)) => add(&[service]),
        (Some(profile), None) => add(&["--profile", profile]),
        (None, None) => {}
    }
    add(&[&call.probe_id]);
    argv.extend(call.probe_args.iter().cloned());
    argv
}

/// The probe that a matrix runs under every profile.
pub const MATRIX_PROBE: &str = "capabilities_snapshot";

/// `run-matrix`, with the options before the probe's name and the place of its output named.
#[must_use]
pub fn run_matrix(cli: &str, group: &str, ack_risk: Option<&str>, out: &str) -> Vec<String> {
    let mut argv = vec![cli, "run-matrix", "--group", group];
    if let Some(ack) = ack_risk {
        argv.extend(["--ack-risk", ack]);
    }
    argv.extend(["--out", out, MATRIX_PROBE]);
    argv.into_iter().map(str::to_owned).collect()
}

/// `bundle-evidence`, with the place of its output named.
#[must_use]
pub fn bundle_evidence(cli: &str, ack_risk: Option<&str>, out: &str) -> Vec<String> {
    let mut argv = vec![cli, "bundle-evidence", "--include-health-check"];
    if let Some(ack) = ack_risk {
        argv.extend(["--ack-risk", ack]);
    }
    argv.extend(["--out", out]);
    argv.into_iter().map(str::to_owned).collect()
}

/// What the observer is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// From one second to another, local time, as the observer takes them.
    Range {
        /// `YYYY-MM-DD HH:MM:SS`.
        start: String,
        /// `YYYY-MM-DD HH:MM:SS`.
        end: String,
    },
    /// So far back, in the observer's own words.
    Last(String),
}

/// The observer on its own.
#[must_use]
pub fn observer(program: &str, pid: &str, process_name: &str, span: &Span, ids: [Option<&str>; 3]) -> Vec<String> {
    let mut argv = vec![program, "--pid", pid, "--process-name", process_name];
    match span {
        Span::Range { start, end } => argv.extend(["--start", start, "--end", end]),
        Span::Last(last) => argv.extend(["--last", last]),
    }
    for (flag, id) in ["--plan-id", "--row-id", "--correlation-id"].into_iter().zip(ids) {
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            argv.extend([flag, id]);
        }
    }
    argv.into_iter().map(str::to_owned).collect()
}

/// A file name as the app takes it: every character that is neither alphanumeric nor `.`, `_`, `-` becomes `_`.
#[must_use]
pub fn safe_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> ProbeCall {
        ProbeCall {
            service: Service {
                profile_id: Some("minimal".to_owned()),
                service_id: Some("com.example.S".to_owned()),
                use_profile: true,
            },
            probe_id: "fs_op".to_owned(),
            probe_args: vec!["--op".to_owned(), "stat".to_owned()],
            plan_id: "p".to_owned(),
            row_id: "r".to_owned(),
            correlation_id: None,
            ack_risk: None,
            wait_args: Vec::new(),
        }
    }

    /// Every combination of log mode, observer mode, log wanted or not: what the app is told, and who is asked afterwards.
    #[test]
    fn every_combination_of_modes_has_its_arguments() {
        const STREAM: &str = "--log-stream /l/a.log";
        const CLASS: &str = "--log-path-class tmp --log-name a.log";
        const OBSERVE: &str = "--observe --observer-duration 2 --observer-format json --observer-output auto";
        let both = |log: &str| format!("{log} {OBSERVE}");
        for (mode, observer, with_log, without_log, asked) in [
            // The last: whether the observer is asked afterwards when the app gave no report, and when it gave one.
            ("stream", "embedded", both(STREAM), OBSERVE, (false, false)),
            ("stream", "external", STREAM.to_owned(), "", (true, false)),
            ("stream", "always", both(STREAM), OBSERVE, (true, true)),
            ("stream", "disabled", String::new(), "", (false, false)),
            ("path_class", "embedded", both(CLASS), OBSERVE, (false, false)),
            ("path_class", "external", CLASS.to_owned(), "", (true, false)),
            ("path_class", "always", both(CLASS), OBSERVE, (true, true)),
            ("path_class", "disabled", String::new(), "", (false, false)),
        ] {
            let observer = ObserverMode::of(observer).unwrap();
            let settings = Settings { log_mode: LogMode::of(mode).unwrap(), observer, ..Settings::default() };
            for (log, expected) in [(Some(("/l/a.log", "a.log")), with_log.as_str()), (None, without_log)] {
                let argv = run_xpc("ej", &call(), &settings, log).join(" ");
                let between = if expected.is_empty() { String::new() } else { format!("{expected} ") };
                let whole = format!("ej run-xpc {between}--plan-id p --row-id r --profile minimal fs_op --op stat");
                assert_eq!(argv, whole, "{mode} {observer}");
            }
            assert_eq!((asks_external(observer, false), asks_external(observer, true)), asked, "{mode} {observer}");
        }
    }

    #[test]
    fn options_stand_before_the_probe_and_words_stay_whole() {
        let settings = Settings { follow: true, format: None, output: None, ..Settings::default() };
        let call = ProbeCall {
            ack_risk: Some("tier two".to_owned()),
            correlation_id: Some("c 1".to_owned()),
            wait_args: vec!["--wait-fifo".to_owned(), "/a b\n$(x)".to_owned()],
            service: Service { use_profile: false, ..call().service },
            ..call()
        };
        let argv = run_xpc("/e j", &call, &settings, None);
        let expected = [
            "/e j",
            "run-xpc",
            "--ack-risk",
            "tier two",
            "--observe",
            "--observer-follow",
            "--plan-id",
            "p",
            "--row-id",
            "r",
            "--correlation-id",
            "c 1",
            "--wait-fifo",
            "/a b\n$(x)",
            "com.example.S",
            "fs_op",
            "--op",
            "stat",
        ];
        assert_eq!(argv, expected);
        let matrix = run_matrix("ej", "debug", Some("x"), "/out");
        assert_eq!(matrix.join(" "), "ej run-matrix --group debug --ack-risk x --out /out capabilities_snapshot");
        assert_eq!(matrix.last().map(String::as_str), Some(MATRIX_PROBE), "nothing follows the probe's name");
        let evidence = bundle_evidence("ej", Some("x"), "/out").join(" ");
        assert_eq!(evidence, "ej bundle-evidence --include-health-check --ack-risk x --out /out");
        assert_eq!(safe_name("a b/é:1.log"), "a_b_é_1.log");
    }

    #[test]
    fn the_observer_is_told_a_window_or_how_far_back() {
        let range = Span::Range { start: "2031-05-04 09:15:05".to_owned(), end: "2031-05-04 09:15:11".to_owned() };
        let argv = observer("obs", "42", "P x", &range, [Some("p"), Some(""), None]);
        let start = ["obs", "--pid", "42", "--process-name", "P x", "--start", "2031-05-04 09:15:05", "--end"];
        assert_eq!(argv[..8], start);
        assert_eq!(argv[8..], ["2031-05-04 09:15:11", "--plan-id", "p"]);
        let argv = observer("obs", "42", "P", &Span::Last("10s".to_owned()), [None, None, Some("c")]);
        assert_eq!(argv[5..], ["--last", "10s", "--correlation-id", "c"]);
    }
}
