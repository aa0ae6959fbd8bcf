//! Asking a real app for the texts that the contract is about.

use std::time::{Duration, SystemTime};

use super::Part;
use crate::base::cancel::Cancel;
use crate::entitlement_jail::call::{Call, call};
use crate::entitlement_jail::client::{Client, text};
use crate::entitlement_jail::envelope::Response;
use crate::entitlement_jail::session::scratch;
use crate::entitlement_jail::{JailError, files};

/// The time limit of one call unless another is set.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Which probe gives the samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRequest {
    /// Profile that it runs under.
    pub profile_id: String,
    /// Its name.
    pub probe_id: String,
}

impl Default for LiveRequest {
    fn default() -> Self {
        Self { profile_id: "minimal".to_owned(), probe_id: "capabilities_snapshot".to_owned() }
    }
}

/// What the app gave for one part.
#[derive(Debug)]
pub struct Live {
    /// The part.
    pub part: Part,
    /// What was asked, for messages.
    pub asked: String,
    /// The text, or why there is none.
    pub text: Result<Vec<u8>, String>,
}

/// Asks for help texts, and runs one probe with log capture and observer for the samples.
///
/// # Errors
/// [`JailError`] when the app is not there. What it does not give is said per part.
pub fn ask(client: &Client, request: &LiveRequest, cancel: &Cancel) -> Result<Vec<Live>, JailError> {
    let (cli, observer) = (client.cli()?, client.observer()?);
    let limit = client.timeout.unwrap_or(TIMEOUT);
    let run = |argv: &[&str]| call(client, argv.iter().map(|&word| word.to_owned()).collect(), limit, cancel);
    let own = |part, asked: String, text| Live { part, asked, text };
    let mut live = Vec::new();
    // The app's own help and that of the command are one text to a client.
    let (whole, command) = (run(&[&cli, "--help"]), run(&[&cli, "run-xpc", "--help"]));
    let both = help(&whole).and_then(|mut text| {
        text.push(b'\n');
        text.extend(help(&command)?);
        Ok(text)
    });
    live.push(own(Part::RunXpcHelp, "entitlement-jail run-xpc --help".to_owned(), both));
    live.push(own(Part::ObserverHelp, "sandbox-log-observer --help".to_owned(), help(&run(&[&observer, "--help"]))));
    let place = scratch(client)?;
    let (stream, report) = (place.path().join("stream.json"), place.path().join("observer.json"));
    let (stream_text, report_text) = (text(&stream)?, text(&report)?);
    let since = SystemTime::now();
    let sample = run(&[
        &cli,
        "run-xpc",
        "--log-stream",
        &stream_text,
        "--observe",
        "--observer-duration",
        "1",
        "--observer-format",
        "json",
        "--observer-output",
        &report_text,
        "--plan-id",
        "contract-check",
        "--row-id",
        "live",
        "--correlation-id",
        "contract-check",
        "--profile",
        &request.profile_id,
        &request.probe_id,
    ]);
    let asked = format!("entitlement-jail run-xpc --profile {} {}", request.profile_id, request.probe_id);
    let answer = sample.answer();
    let printed = match answer.error() {
        None => Ok(sample.stdout().to_vec()),
        Some(why) => Err(ended(&sample, why)),
    };
    live.push(own(Part::RunXpcSample, asked.clone(), printed));
    let response = Response(answer.json());
    for (part, key, path) in
        [(Part::ObserverSample, "log_observer_path", report), (Part::StreamSample, "log_capture_path", stream)]
    {
        let place = response.data_text(key).map_or(path, |named| client.named_by_app(named));
        live.push(own(part, format!("{asked}: {key}"), files::fresh(&place, since)));
    }
    Ok(live)
}

/// A help text: exit status 0, and the text on either stream.
fn help(called: &Call) -> Result<Vec<u8>, String> {
    match &called.end {
        Ok(end) if end.exit_status == Some(0) => {
            Ok([end.stdout.bytes.as_slice(), b"\n", end.stderr.bytes.as_slice()].concat())
        }
        _ => Err(ended(called, "no help text")),
    }
}

fn ended(called: &Call, what: &str) -> String {
    match &called.end {
        Err(error) => error.clone(),
        Ok(end) if end.timed_out => format!("{what}: the time limit passed"),
        Ok(end) => match (end.exit_status, end.signal) {
            (Some(status), _) => format!("{what}: exit status {status}"),
            (None, Some(signal)) => format!("{what}: ended by signal {signal}"),
            (None, None) => what.to_owned(),
        },
    }
}
