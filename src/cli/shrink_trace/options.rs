//! Arguments that several `shrink-trace` commands share.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::ValueEnum;

use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::launchd::StandInArgs;
use crate::cli::sbpl::{self, key_value};
use crate::host::{Tool, detect_world, missing};
use crate::shrink::{DenyScope, Live, MAX_ITERATIONS, NetworkRules, Options, Target};
use crate::unified_log;

// The program and what counts as its success.
#[derive(Debug, clap::Args)]
pub(super) struct TargetArgs {
    /// Program: a path, or a name that is looked up in PATH
    #[arg(long, value_name = "EXE")]
    pub(super) cmd: Option<OsString>,
    /// What a fresh working directory of the program holds: this directory is copied, not used itself
    #[arg(long, value_name = "DIR")]
    workdir: Option<PathBuf>,
    /// Shell command that must succeed too after a run; it sees WORK_DIR, STATUS, STDOUT and STDERR (files)
    #[arg(long, value_name = "COMMAND")]
    success_cmd: Option<String>,
    /// Exit status of a success
    #[arg(long, value_name = "STATUS", default_value_t = 0)]
    success_code: i32,
    /// Standard output must be that of the first run
    #[arg(long)]
    same_output: bool,
    /// Seconds after which the program is ended
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    timeout: Duration,
    /// A program that still runs at the time limit succeeded (servers)
    #[arg(long)]
    timeout_ok: bool,
    /// The second of two runs: in the directory as the first left it, or in a fresh one
    #[arg(long, value_enum, default_value_t = Repeat::Again)]
    repeat: Repeat,
    /// Value of (param "KEY") in the profile
    #[arg(short = 'D', value_name = "KEY=VALUE", value_parser = key_value)]
    define: Vec<(String, String)>,
    /// Directory of the run: new, empty, or made by an earlier one, whose results are replaced
    #[arg(long, value_name = "DIR", default_value = "shrink-out")]
    pub(super) out: PathBuf,
    #[command(flatten)]
    stand_ins: StandInArgs,
    /// macOS: limit for a provoked refusal to appear in the log, in seconds
    #[arg(long, value_name = "N", default_value_t = 10.0, hide_short_help = true)]
    log_seconds: f64,
    /// Arguments of the program
    #[arg(last = true, value_name = "ARG")]
    args: Vec<OsString>,
}

// How a trace learns.
#[derive(Debug, clap::Args)]
pub(super) struct TraceOptions {
    /// Successes in a row, without a new rule, that end the trace
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    success_streak: u32,
    /// Whose refusals count. Where the supervisor tells them (Linux) always the tree of the program's processes
    #[arg(long, value_enum, default_value_t = Scope::All)]
    deny_scope: Scope,
    /// Whether a new profile holds what loads a program (Linux: the rules of linux-base.sb)
    #[arg(long, value_name = "0|1", default_value = "1", value_parser = zero_or_one, action = clap::ArgAction::Set)]
    seed_dyld: bool,
    /// Whether that is an import, where the system has such a text (macOS)
    #[arg(long, value_name = "0|1", default_value = "1", value_parser = zero_or_one, action = clap::ArgAction::Set)]
    import_dyld_support: bool,
    /// What happens to network accesses: a rule each, none, or the operation without a filter
    #[arg(long, value_enum, default_value_t = Network::Parsed)]
    network_rules: Network,
    /// Make one rule of names that the program makes up anew in every run; shows what each allows
    #[arg(long)]
    generalize: bool,
    /// A trace that may have missed something is no success
    #[arg(long)]
    require_complete: bool,
    /// Most iterations
    #[arg(long, value_name = "N", default_value_t = MAX_ITERATIONS, value_parser = clap::value_parser!(u32).range(1..))]
    max_iterations: u32,
}

// How shrinking searches.
#[derive(Debug, clap::Args)]
pub(super) struct SearchOptions {
    /// Runs at a time, each in a working directory of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    jobs: u32,
    /// Take every kept part out of the very result once more, so that each failure is about the result itself
    #[arg(long)]
    prove: bool,
    /// Do not look at what the program asked for: for programs that ask for something else in every run
    #[arg(long)]
    blind: bool,
    /// Go on with what an interrupted search of the same profile and program found out
    #[arg(long)]
    resume: bool,
    /// Do not begin when more runs might be needed
    #[arg(long, value_name = "N")]
    max_runs: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Repeat {
    Again,
    Fresh,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scope {
    All,
    Pid,
    Tree,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Network {
    Parsed,
    Drop,
    Coarse,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self { jobs: 1, prove: false, blind: false, resume: false, max_runs: None }
    }
}

impl TraceOptions {
    pub(super) fn deny_scope(&self) -> DenyScope {
        match self.deny_scope {
            Scope::All => DenyScope::All,
            Scope::Pid => DenyScope::Pid,
            Scope::Tree => DenyScope::Tree,
        }
    }

    pub(super) fn network_rules(&self) -> NetworkRules {
        match self.network_rules {
            Network::Parsed => NetworkRules::Parsed,
            Network::Drop => NetworkRules::Drop,
            Network::Coarse => NetworkRules::Coarse,
        }
    }

    pub(super) fn require_complete(&self) -> bool {
        self.require_complete
    }

    pub(super) fn seed(&self) -> crate::shrink::seed::Seed<'static> {
        crate::shrink::seed::Seed {
            loader: self.seed_dyld,
            import: self.import_dyld_support,
            import_present: crate::os::fs::exists(Path::new(crate::shrink::seed::DYLD_SUPPORT)),
            system: std::env::consts::OS,
        }
    }
}

/// Everything of a run.
pub(super) fn options(
    target: &TargetArgs,
    trace: Option<&TraceOptions>,
    search: Option<&SearchOptions>,
    profile: Option<&Path>,
    context: &Context,
) -> Result<Options, Failure> {
    let default = SearchOptions::default();
    let search = search.unwrap_or(&default);
    let live = live(target)?;
    Ok(Options {
        out: context.absolute(&target.out),
        root: context.cwd.clone(),
        profile: profile.map(|path| context.absolute(path)),
        target: target_of(target, live.as_ref(), context)?,
        live,
        success_streak: trace.map_or(2, |own| own.success_streak),
        max_iterations: trace.map_or(MAX_ITERATIONS, |own| own.max_iterations),
        deny_scope: trace.map_or(DenyScope::Tree, TraceOptions::deny_scope),
        seed_dyld: trace.is_none_or(|own| own.seed_dyld),
        import_dyld_support: trace.is_none_or(|own| own.import_dyld_support),
        network_rules: trace.map_or(NetworkRules::Parsed, TraceOptions::network_rules),
        generalize: trace.is_some_and(|own| own.generalize),
        require_complete: trace.is_some_and(TraceOptions::require_complete),
        jobs: search.jobs as usize,
        prove: search.prove,
        blind: search.blind,
        resume: search.resume,
        max_runs: search.max_runs,
        world_id: detect_world()?.world_id(),
        clock: SystemTime::now,
    })
}

/// Where the supervisor is not, refusals come from the system's log.
fn live(args: &TargetArgs) -> Result<Option<Live>, Failure> {
    let stand_in_tools = args.stand_ins.stand_ins()?;
    if !cfg!(target_os = "macos") && stand_in_tools.is_empty() {
        return Ok(None);
    }
    let absent = missing(&unified_log::NEEDED, &stand_in_tools);
    if !absent.is_empty() {
        return Err(Failure::no(anyhow::anyhow!("the system's log cannot be read; not here: {}", absent.join(", "))));
    }
    let limit = crate::cli::lock_args::seconds("--log-seconds", args.log_seconds)?;
    Ok(Some(Live { stand_in_tools, limit }))
}

fn target_of(args: &TargetArgs, live: Option<&Live>, context: &Context) -> Result<Target, Failure> {
    // Without one a matrix says what is run.
    let program = args.cmd.clone().unwrap_or_default();
    // Runs happen in another directory; what the user names is meant from here.
    let program = match program.to_str() {
        Some(text) if text.contains('/') => context.absolute(Path::new(text)).into(),
        _ => program,
    };
    let template = match &args.workdir {
        None => None,
        Some(path) => {
            let path = context.absolute(path);
            let failed =
                |error| anyhow::Error::new(error).context(format!("cannot use the directory {}", path.display()));
            Some(path.canonicalize().map_err(failed)?)
        }
    };
    let mut argv = vec![program];
    argv.extend(args.args.iter().cloned());
    Ok(Target {
        argv,
        env: context.env.clone().into_iter().collect(),
        template,
        success_status: args.success_code,
        success_command: args.success_cmd.clone(),
        same_output: args.same_output,
        limit: args.timeout,
        limit_is_success: args.timeout_ok,
        repeat_fresh: args.repeat == Repeat::Fresh,
        params: sbpl::params(&args.define)?,
        home: home(context),
        worker_exe: context.exe.clone(),
        sandbox_exec: live.map(|live| Tool::SandboxExec.path(&live.stand_in_tools)),
    })
}

/// The user's home directory, resolved, where there is one.
pub(super) fn home(context: &Context) -> Option<PathBuf> {
    context.env_text("HOME").and_then(|home| Path::new(home).canonicalize().ok())
}

fn zero_or_one(text: &str) -> Result<bool, String> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err("expected 0 or 1".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 86_400.0 => Ok(Duration::from_secs_f64(value)),
        _ => Err("expected a number of seconds above 0, at most 86400".to_owned()),
    }
}
