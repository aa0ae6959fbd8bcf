//! The commands that call the app and leave records.

use std::time::Duration;

use super::options::{ClientArgs, RecordArgs, SettingArgs, WindowArgs, failure, show};
use crate::base::rel_path::RelPath;
use crate::cli::context::Context;
use crate::cli::exit::{CliResult, Failure};
use crate::cli::host::cancel_on_signals;
use crate::entitlement_jail::{self as jail, ProbeCall, Service, Settings, Subject, Trigger, WaitRequest, XpcRequest};

// Which service, which ids, which log.
#[derive(Debug, clap::Args)]
struct CallArgs {
    /// Profile: its id, the bundle id or the name of its service
    #[arg(long, value_name = "ID", required_unless_present = "service")]
    profile: Option<String>,
    /// Bundle id of a service; told to the app only where no profile is given
    #[arg(long, value_name = "ID")]
    service: Option<String>,
    /// Leave to use a profile of the highest tier: its id or the bundle id of its service
    #[arg(long, value_name = "ID")]
    ack_risk: Option<String>,
    /// Echoed in answers and reports
    #[arg(long, value_name = "TEXT", default_value = "entitlement-jail")]
    plan_id: String,
    /// Echoed in answers and reports [default: the probe]
    #[arg(long, value_name = "TEXT")]
    row_id: Option<String>,
    /// Echoed in answers and reports [default: the app makes one up]
    #[arg(long, value_name = "TEXT")]
    correlation_id: Option<String>,
    /// Capture the log; it is kept as logs/NAME in the records directory
    #[arg(long, value_name = "NAME", value_parser = log_name)]
    log: Option<RelPath>,
}

// The probe: everything after its name is its own.
#[derive(Debug, clap::Args)]
struct ProbeArgs {
    /// The probe, and what it is told
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROBE")]
    probe: Vec<String>,
}

// When a wait is triggered.
#[derive(Debug, clap::Args)]
struct TriggerArgs {
    /// Seconds the app has to say that it waits [default: 15 for wait-xpc, 10 for probe-wait]
    #[arg(long, value_name = "SECONDS")]
    wait_ready_timeout: Option<f64>,
    /// Seconds between that and the trigger
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    trigger_delay: f64,
    /// Seconds for which a named pipe that is not there, or that nobody reads, is tried again
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    trigger_timeout: f64,
    /// Trigger a second time
    #[arg(long)]
    post_trigger: bool,
    /// Seconds between the two
    #[arg(long, value_name = "SECONDS", default_value_t = 0.2)]
    post_trigger_delay: f64,
}

// What every command that runs a probe takes.
#[derive(Debug, clap::Args)]
struct XpcArgs {
    #[command(flatten)]
    call: CallArgs,
    #[command(flatten)]
    settings: SettingArgs,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    records: RecordArgs,
    #[command(flatten)]
    probe: ProbeArgs,
}

// Arguments of `run-xpc`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime entitlement-jail run-xpc --profile minimal capabilities_snapshot
  runtime entitlement-jail run-xpc --profile minimal --log stat.log --row-id stat fs_op --op stat --path-class tmp
  EJ_LOG_OBSERVER=always runtime entitlement-jail run-xpc --profile minimal --out records world_shape

Options stand before the probe; what follows it belongs to the probe. The record is entitlement_jail.json in the records \
directory, which validate-bundle checks.

Exit status: 0 the app answered yes, 1 it did not (outcome and problems say how), 2 usage, 3 there is no app, it could not be \
started, the records could not be kept, or interrupted.")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    xpc: XpcArgs,
}

// Arguments of `wait-xpc`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime entitlement-jail wait-xpc --profile minimal --wait-fifo /tmp/go --wait-create world_shape
  runtime entitlement-jail wait-xpc --profile minimal --attach 10 --trigger-delay 2 capabilities_snapshot
  runtime entitlement-jail wait-xpc --profile minimal --wait-exists /tmp/go --wait-timeout-ms 8000 world_shape

The trigger is sent when the app says that it waits. A named pipe is never opened in a way that could hang, and is tried again \
while it is not there or nobody reads it. --timeout counts from the trigger (25 s, and never less than what the app was told).

Exit status: 0 the app answered yes, 1 it did not (outcome and problems say how), 2 usage, 3 there is no app, it could not be \
started, the records could not be kept, or interrupted.")]
#[command(group = clap::ArgGroup::new("wait").required(true).multiple(false).args(["wait_fifo", "wait_exists", "wait_path_class", "attach"]))]
pub(crate) struct WaitArgs {
    /// Wait at this named pipe: an absolute path
    #[arg(long, value_name = "PATH")]
    wait_fifo: Option<String>,
    /// Wait until this path exists: an absolute path
    #[arg(long, value_name = "PATH")]
    wait_exists: Option<String>,
    /// Wait at a named pipe in the container of the service
    #[arg(long, value_name = "CLASS", requires = "wait_name")]
    wait_path_class: Option<String>,
    /// Its name there
    #[arg(long, value_name = "NAME", requires = "wait_path_class")]
    wait_name: Option<String>,
    /// Wait at a named pipe of the app's own for so many seconds
    #[arg(long, value_name = "SECONDS")]
    attach: Option<String>,
    /// The service makes the named pipe
    #[arg(long)]
    wait_create: bool,
    /// The app gives up waiting after so many milliseconds
    #[arg(long, value_name = "MS")]
    wait_timeout_ms: Option<u64>,
    /// How often the app looks for the path
    #[arg(long, value_name = "MS", requires = "wait_exists")]
    wait_interval_ms: Option<u64>,
    /// The app stays so many seconds after its answer
    #[arg(long, value_name = "SECONDS")]
    hold_open: Option<String>,
    #[command(flatten)]
    trigger: TriggerArgs,
    #[command(flatten)]
    run: XpcArgs,
}

// Arguments of `probe-wait`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime entitlement-jail probe-wait --profile minimal fs_op_wait --wait-fifo /tmp/go --op stat --path-class tmp

The probe's own arguments declare the wait.

Exit status: 0 the app answered yes, 1 it did not (outcome and problems say how), 2 usage, 3 there is no app, it could not be \
started, the records could not be kept, or interrupted.")]
pub(crate) struct ProbeWaitArgs {
    #[command(flatten)]
    trigger: TriggerArgs,
    #[command(flatten)]
    run: XpcArgs,
}

// Arguments of `run-matrix`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime entitlement-jail run-matrix --group baseline
  runtime entitlement-jail run-matrix --group inject --ack-risk fully_injectable --out records

Exit status: 0 every probe answered and every file is kept, 1 not (outcome and problems say how), 2 usage, 3 there is no app, it \
could not be started, the records could not be kept, or interrupted.")]
pub(crate) struct MatrixArgs {
    /// Group of profiles: baseline, debug or inject
    #[arg(long, value_name = "NAME")]
    group: String,
    /// Leave to use a profile of the highest tier
    #[arg(long, value_name = "ID")]
    ack_risk: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    records: RecordArgs,
}

// Arguments of `bundle-evidence`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime entitlement-jail bundle-evidence --out records

Exit status: 0 every file is kept and the app says yes, 1 not (outcome and problems say how), 2 usage, 3 there is no app, it \
could not be started, the records could not be kept, or interrupted.")]
pub(crate) struct EvidenceArgs {
    /// Leave to use a profile of the highest tier
    #[arg(long, value_name = "ID")]
    ack_risk: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    records: RecordArgs,
}

// Arguments of `observe`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime entitlement-jail observe --pid 4242 --process-name ProbeService_minimal
  runtime entitlement-jail observe --pid 4242 --process-name ProbeService_minimal --start 1900000000.2 --end 1900000003.9

Only a line of the system's log that says that it refused something to this very process counts as a refusal.

Exit status: 0 the observer could look (refusals or not), 1 it could not, 2 usage, 3 it is not there or could not be started, the \
records could not be kept, or interrupted.")]
pub(crate) struct ObserveArgs {
    /// Process id
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    pid: i32,
    /// Name of the process
    #[arg(long, value_name = "NAME")]
    process_name: String,
    /// Start of the window, seconds since 1970; padding is added
    #[arg(long, value_name = "UNIX_S", requires = "end")]
    start: Option<f64>,
    /// End of the window, seconds since 1970; padding is added
    #[arg(long, value_name = "UNIX_S", requires = "start")]
    end: Option<f64>,
    /// Echoed in the report
    #[arg(long, value_name = "TEXT")]
    plan_id: Option<String>,
    /// Echoed in the report
    #[arg(long, value_name = "TEXT")]
    row_id: Option<String>,
    /// Echoed in the report
    #[arg(long, value_name = "TEXT")]
    correlation_id: Option<String>,
    #[command(flatten)]
    window: WindowArgs,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    records: RecordArgs,
}

fn log_name(text: &str) -> Result<RelPath, String> {
    RelPath::try_from(text).map_err(|error| format!("a name beneath logs/: {error}"))
}

impl XpcArgs {
    fn request(&self, wait_args: Vec<String>) -> XpcRequest {
        let (probe_id, probe_args) = self.probe.probe.split_first().expect("clap asks for a probe");
        let call = ProbeCall {
            service: Service {
                profile_id: self.call.profile.clone(),
                service_id: self.call.service.clone(),
                use_profile: self.call.profile.is_some(),
            },
            probe_id: probe_id.clone(),
            probe_args: probe_args.to_vec(),
            plan_id: self.call.plan_id.clone(),
            row_id: self.call.row_id.clone().unwrap_or_else(|| probe_id.clone()),
            correlation_id: self.call.correlation_id.clone(),
            ack_risk: self.call.ack_risk.clone(),
            wait_args,
        };
        XpcRequest { call, log: self.call.log.clone() }
    }
}

impl TriggerArgs {
    fn trigger(&self) -> Result<Trigger, Failure> {
        let duration = |flag: &str, value: f64| {
            Duration::try_from_secs_f64(value)
                .ok()
                .filter(|limit| *limit <= Duration::from_secs(86_400))
                .ok_or_else(|| Failure::usage(format_args!("{flag} {value}: give a number of seconds from 0 to 86400")))
        };
        let ready = self.wait_ready_timeout.map(|value| duration("--wait-ready-timeout", value)).transpose()?;
        Ok(Trigger {
            wait_ready_timeout: ready,
            trigger_delay: duration("--trigger-delay", self.trigger_delay)?,
            trigger_timeout: duration("--trigger-timeout", self.trigger_timeout)?,
            post_trigger: self.post_trigger,
            post_trigger_delay: duration("--post-trigger-delay", self.post_trigger_delay)?,
        })
    }
}

impl WaitArgs {
    fn declared(&self) -> Vec<String> {
        let mut words = Vec::new();
        let (timeout, interval) =
            (self.wait_timeout_ms.map(|ms| ms.to_string()), self.wait_interval_ms.map(|ms| ms.to_string()));
        for (flag, value) in [
            ("--wait-fifo", &self.wait_fifo),
            ("--wait-exists", &self.wait_exists),
            ("--wait-path-class", &self.wait_path_class),
            ("--wait-name", &self.wait_name),
            ("--attach", &self.attach),
            ("--wait-timeout-ms", &timeout),
            ("--wait-interval-ms", &interval),
            ("--hold-open", &self.hold_open),
        ] {
            words.extend(value.iter().flat_map(|value| [flag.to_owned(), value.clone()]));
        }
        words.extend(self.wait_create.then(|| "--wait-create".to_owned()));
        words
    }
}

pub(super) fn run_xpc(args: &RunArgs, json: bool, context: &Context) -> CliResult {
    let args = &args.xpc;
    let client = args.client.client(args.settings.settings(context)?, context)?;
    let records = args.records.records(context)?;
    let done = jail::run_xpc(&client, &args.request(Vec::new()), &records, &cancel_on_signals()?).map_err(failure)?;
    show(&done, json)
}

pub(super) fn wait_xpc(args: &WaitArgs, json: bool, context: &Context) -> CliResult {
    let (run, records) = (&args.run, args.run.records.records(context)?);
    let client = run.client.client(run.settings.settings(context)?, context)?;
    let XpcRequest { call, log } = run.request(args.declared());
    let request = WaitRequest { call, log, trigger: args.trigger.trigger()? };
    show(&jail::run_wait_xpc(&client, &request, &records, &cancel_on_signals()?).map_err(failure)?, json)
}

pub(super) fn probe_wait(args: &ProbeWaitArgs, json: bool, context: &Context) -> CliResult {
    let (run, records) = (&args.run, args.run.records.records(context)?);
    let client = run.client.client(run.settings.settings(context)?, context)?;
    let XpcRequest { call, log } = run.request(Vec::new());
    let request = WaitRequest { call, log, trigger: args.trigger.trigger()? };
    show(&jail::run_probe_wait(&client, &request, &records, &cancel_on_signals()?).map_err(failure)?, json)
}

pub(super) fn run_matrix(args: &MatrixArgs, json: bool, context: &Context) -> CliResult {
    let client = args.client.client(Settings::default(), context)?;
    let (records, ack_risk) = (args.records.records(context)?, args.ack_risk.as_deref());
    let cancel = cancel_on_signals()?;
    show(&jail::run_matrix_group(&client, &args.group, ack_risk, &records, &cancel).map_err(failure)?, json)
}

pub(super) fn bundle_evidence(args: &EvidenceArgs, json: bool, context: &Context) -> CliResult {
    let client = args.client.client(Settings::default(), context)?;
    let (records, cancel) = (args.records.records(context)?, cancel_on_signals()?);
    show(&jail::bundle_evidence(&client, args.ack_risk.as_deref(), &records, &cancel).map_err(failure)?, json)
}

pub(super) fn observe(args: &ObserveArgs, json: bool, context: &Context) -> CliResult {
    let client = args.client.client(args.window.settings(context)?, context)?;
    if let Some(bad) = [args.start, args.end].into_iter().flatten().find(|at| !at.is_finite()) {
        return Err(Failure::usage(format_args!("{bad} is no point in time")));
    }
    let subject = Subject {
        pid: Some(args.pid.to_string()),
        process_name: Some(args.process_name.clone()),
        range_unix_s: args.start.zip(args.end),
        plan_id: args.plan_id.clone(),
        row_id: args.row_id.clone(),
        correlation_id: args.correlation_id.clone(),
    };
    let records = args.records.records(context)?;
    show(&jail::observe(&client, &subject, &records, &cancel_on_signals()?).map_err(failure)?, json)
}
