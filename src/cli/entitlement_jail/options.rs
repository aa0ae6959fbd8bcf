//! Arguments that several `entitlement-jail` commands share, and the client they make.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;

use crate::base::json as document;
use crate::cli::context::Context;
use crate::cli::exit::{CliResult, Exit, Failure};
use crate::cli::lock_args::{LockArgs, seconds};
use crate::cli::{outputs, print_line, printable};
use crate::entitlement_jail::{
    APP_VARIABLE, Client, DEFAULT_APP, Done, JailError, OBSERVER_TIMEOUT, Outcome, Records, Settings, VARIABLES,
};
use crate::host::detect_world;
use crate::registry::root_of;

// Where the app is and how long it may take.
#[derive(Debug, clap::Args)]
pub(super) struct ClientArgs {
    /// The app [default: EJ_APP, else book/tools/entitlement/EntitlementJail.app under the root]
    #[arg(long, value_name = "DIR")]
    app: Option<PathBuf>,
    /// Root of recorded paths, and working directory of the app [default: nearest ancestor with .git or AGENTS.md]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Time limit in seconds; then SIGTERM to the whole process group
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<f64>,
    /// Seconds from SIGTERM to SIGKILL
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    kill_after: f64,
    /// Time limit in seconds of the observer when it is asked by itself
    #[arg(long, value_name = "SECONDS", default_value_t = OBSERVER_TIMEOUT.as_secs_f64())]
    observer_timeout: f64,
}

// Where records go.
#[derive(Debug, clap::Args)]
pub(super) struct RecordArgs {
    /// Bundle root: every call adds one records directory
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
    #[command(flatten)]
    lock: LockArgs,
}

// How logs are captured and observers asked; each option overrides an EJ_* variable.
#[derive(Debug, Default, clap::Args)]
pub(super) struct SettingArgs {
    /// stream or path_class [default: EJ_LOG_MODE, else stream]
    #[arg(long, value_name = "MODE")]
    log_mode: Option<String>,
    /// embedded, external, always or disabled [default: EJ_LOG_OBSERVER, else embedded]
    #[arg(long, value_name = "MODE")]
    observer: Option<String>,
    /// How long the app lets its observer run; 0: not said [default: EJ_LOG_OBSERVER_DURATION_S, else 2.0]
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    observer_duration_s: Option<String>,
    /// json, jsonl or empty [default: EJ_LOG_OBSERVER_FORMAT, else json]
    #[arg(long, value_name = "FORMAT")]
    observer_format: Option<String>,
    /// Where the app puts the observer's report [default: EJ_LOG_OBSERVER_OUTPUT, else auto]
    #[arg(long, value_name = "PATH")]
    observer_output: Option<String>,
    /// 1: the app lets its observer run until the probe returns [default: EJ_LOG_OBSERVER_FOLLOW]
    #[arg(long, value_name = "0|1")]
    observer_follow: Option<String>,
    #[command(flatten)]
    window: WindowArgs,
}

// Which part of the log the observer looks at.
#[derive(Debug, Default, clap::Args)]
pub(super) struct WindowArgs {
    /// How far back the observer looks where times are not known [default: EJ_LOG_LAST, else 10s]
    #[arg(long, value_name = "DURATION")]
    observer_last: Option<String>,
    /// Seconds added to both ends of the window [default: EJ_LOG_PAD_S, else 2.0]
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    observer_pad_s: Option<String>,
}

impl WindowArgs {
    pub(super) fn settings(&self, context: &Context) -> Result<Settings, Failure> {
        settings(context, |variable| match variable {
            "EJ_LOG_LAST" => self.observer_last.as_deref(),
            "EJ_LOG_PAD_S" => self.observer_pad_s.as_deref(),
            _ => None,
        })
    }
}

impl SettingArgs {
    pub(super) fn settings(&self, context: &Context) -> Result<Settings, Failure> {
        settings(context, |variable| {
            let option = match variable {
                "EJ_LOG_MODE" => &self.log_mode,
                "EJ_LOG_OBSERVER" => &self.observer,
                "EJ_LOG_OBSERVER_DURATION_S" => &self.observer_duration_s,
                "EJ_LOG_OBSERVER_FORMAT" => &self.observer_format,
                "EJ_LOG_OBSERVER_OUTPUT" => &self.observer_output,
                "EJ_LOG_OBSERVER_FOLLOW" => &self.observer_follow,
                "EJ_LOG_LAST" => &self.window.observer_last,
                "EJ_LOG_PAD_S" => &self.window.observer_pad_s,
                _ => &None,
            };
            option.as_deref()
        })
    }
}

/// An option where it is given, else the variable, else the default.
fn settings<'a>(context: &Context, option: impl Fn(&str) -> Option<&'a str>) -> Result<Settings, Failure> {
    let asked = |variable: &str| {
        if let Some(value) = option(variable) {
            let name = VARIABLES.iter().find(|(own, _)| *own == variable).map_or(variable, |(_, option)| option);
            return Some((name.to_owned(), value.to_owned()));
        }
        let value = context.env.get(std::ffi::OsStr::new(variable))?;
        Some((variable.to_owned(), value.to_string_lossy().into_owned()))
    };
    Settings::from_values(asked).map_err(Failure::usage)
}

impl ClientArgs {
    /// The client that these arguments and the surroundings make.
    pub(super) fn client(&self, settings: Settings, context: &Context) -> Result<Client, Failure> {
        let root = self.root.as_ref().map_or_else(|| root_of(&context.cwd), |root| context.absolute(root));
        let default = root.join(DEFAULT_APP);
        let named = self.app.clone().or_else(|| context.env_text(APP_VARIABLE).map(PathBuf::from));
        let app = named.map_or_else(|| default.clone(), |app| context.absolute(&app));
        let limit = |flag: &str, value: Option<f64>| value.map(|value| seconds(flag, value)).transpose();
        let kill_after = Duration::try_from_secs_f64(self.kill_after)
            .ok()
            .filter(|limit| *limit <= Duration::from_secs(3600))
            .ok_or_else(|| Failure::usage("--kill-after: give a number of seconds from 0 to 3600"))?;
        Ok(Client {
            app_is_default: app == default,
            app,
            root,
            home: context.env_text("HOME").map(PathBuf::from),
            // What chooses our own behaviour is none of the app's business.
            env: context.env.iter().filter(|(name, _)| !is_own(name)).map(|(k, v)| (k.clone(), v.clone())).collect(),
            settings,
            timeout: limit("--timeout", self.timeout)?,
            observer_timeout: seconds("--observer-timeout", self.observer_timeout)?,
            kill_after,
            world_id: detect_world()?.world_id(),
            temp_dir: context.env_text("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from),
            time_zone: TimeZone::system(),
            clock: SystemTime::now,
        })
    }
}

fn is_own(name: &std::ffi::OsStr) -> bool {
    name == APP_VARIABLE || VARIABLES.iter().any(|(variable, _)| name == *variable)
}

impl RecordArgs {
    pub(super) fn records(&self, context: &Context) -> Result<Records, Failure> {
        let out = context.absolute(&self.out);
        outputs::outside_bundles(&out)?;
        Ok(Records { out, lock_mode: self.lock.mode()? })
    }
}

/// A failure with advice where there is some.
pub(super) fn failure(error: JailError) -> Failure {
    match &error {
        JailError::NoApp { .. } => Failure::from(error).hint(format!("--app DIR or {APP_VARIABLE} says where it is")),
        JailError::Request(_) => Failure::usage(error),
        _ => Failure::from(error),
    }
}

/// Tells what a call came to: the record, or some lines about it.
pub(super) fn show(done: &Done, json: bool) -> CliResult {
    let exit = match done.outcome {
        Outcome::Completed => Exit::Yes,
        Outcome::Cancelled | Outcome::NotStarted => Exit::CannotAnswer,
        _ => Exit::No,
    };
    if json {
        let object = serde_json::json!({
            "ok": exit == Exit::Yes, "outcome": done.outcome, "problems": done.problems,
            "run_dir": done.bundle.run_dir.to_string_lossy(), "artifact_index_sha256": done.bundle.index_sha256.to_string(),
            "record": done.record,
        });
        print_line(&document::to_pretty(&object))?;
    } else {
        lines(done).iter().try_for_each(|line| print_line(line))?;
    }
    Ok(exit)
}

fn lines(done: &Done) -> Vec<String> {
    let record = &done.record;
    let text = |key: &str| match &record[key] {
        serde_json::Value::Null => "-".to_owned(),
        serde_json::Value::String(text) => printable(text),
        other => other.to_string(),
    };
    let mut lines = vec![format!("outcome   {}", done.outcome.word())];
    if !done.problems.is_empty() {
        let words: Vec<String> = done.problems.iter().map(|own| document::to_line(own).replace('"', "")).collect();
        lines.push(format!("problems  {}", words.join(", ")));
    }
    if let Some(error) = record["error"].as_str() {
        lines.push(format!("error     {}", printable(error)));
    }
    if record.get("exit_status").is_some() {
        lines.push(format!("ended     exit status {}, signal {}", text("exit_status"), text("signal")));
    }
    if record.get("service_pid").is_some() {
        lines.push(format!("process   {} {}", text("service_pid"), text("process_name")));
    }
    for event in record["trigger_events"].as_array().into_iter().flatten() {
        let error = event["error"].as_str().map_or_else(|| "done".to_owned(), printable);
        lines.push(format!("trigger   {}: {error}", event["kind"].as_str().unwrap_or_default()));
    }
    if let Some(runs) = record["runs"].as_object() {
        let counts: Vec<String> = runs.iter().map(|(key, count)| format!("{key} {count}")).collect();
        lines.push(format!("runs      {}", counts.join(", ")));
    }
    if let Some(files) = record["files"].as_array() {
        lines.push(format!("files     {}", files.len()));
    }
    if let Some(error) = record["copy_error"].as_str() {
        lines.push(format!("not kept  {}", printable(error)));
    }
    if let Some(why) = record["observer"]["skipped"].as_str() {
        lines.push(format!("observer  not asked: {}", printable(why)));
    }
    if let Some(verdict) = record["deny_evidence"]["verdict"].as_str() {
        lines.push(format!("denied    {verdict}"));
        for denied in record["deny_evidence"]["denied"].as_array().into_iter().flatten() {
            let text = |key: &str| denied[key].as_str().map(printable).unwrap_or_default();
            lines.push(format!("  {} {} ({})", text("operation"), text("argument"), text("source")));
        }
    }
    lines.push(format!("[+] wrote {}", done.bundle.run_dir.display()));
    lines
}
