//! `run --channel launchd_clean`: plans the job, prints or executes it, shows what came of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::lock_args::seconds;
use super::run_progress::RunProgress;
use super::{print_line, run as command};
use crate::base::ids::RunId;
use crate::base::json as document;
use crate::host::{Host, Tool, missing};
use crate::launchd::{Argument, JobPlan, NEEDED, Request, forwarded};
use crate::os::fs::resolved;
use crate::run::{CHANNEL_LAUNCHD_CLEAN, Collected, Plans, RunError, RunOptions, run_launchd_clean};

// Arguments of the clean channel.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LaunchdArgs {
    /// Print the job that launchd_clean would run as JSON, and do nothing else
    #[arg(long)]
    pub print_job: bool,
    /// launchd_clean: time limit of the whole job
    #[arg(long, value_name = "N", default_value_t = 900.0)]
    launchd_timeout_seconds: f64,
    /// launchd_clean: time limit for the job to begin
    #[arg(long, value_name = "N", default_value_t = 60.0)]
    launchd_start_seconds: f64,
    /// launchd_clean: time limit of one call of launchctl, plutil or log
    #[arg(long, value_name = "N", default_value_t = 30.0, hide_short_help = true)]
    launchd_helper_seconds: f64,
    /// launchd_clean: parent of the private directories of jobs [default: /private/tmp/sandbox-lore-launchctl-UID]
    #[arg(long, value_name = "DIR")]
    staging_base: Option<PathBuf>,
    #[command(flatten)]
    stand_ins: StandInArgs,
}

// Programs that are replaced.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct StandInArgs {
    /// Call another program in the place of one of macOS (NAME=PATH, repeatable); the evidence says so and is never
    /// promotable
    #[arg(long, value_name = "NAME=PATH", hide_short_help = true)]
    stand_in: Vec<String>,
}

/// How labels of jobs begin.
const LABEL_PREFIX: &str = "sandbox-lore.runtime";

impl LaunchdArgs {
    /// The programs that are replaced.
    pub(super) fn stand_ins(&self) -> Result<BTreeMap<String, PathBuf>, Failure> {
        self.stand_ins.stand_ins()
    }
}

impl StandInArgs {
    /// The programs that are replaced.
    pub(super) fn stand_ins(&self) -> Result<BTreeMap<String, PathBuf>, Failure> {
        let known = || Tool::ALL.map(Tool::name).join(", ");
        let one = |text: &String| match text.split_once('=') {
            Some((name, path)) if Tool::from_name(name).is_some() && Path::new(path).is_absolute() => {
                Ok((name.to_owned(), PathBuf::from(path)))
            }
            _ => Err(Failure::usage(format_args!(
                "--stand-in {text}: give NAME=PATH with an absolute path (names: {})",
                known()
            ))),
        };
        self.stand_in.iter().map(one).collect()
    }
}

/// Plans the job of a run and prints or executes it.
pub(super) fn run(
    args: &command::Args,
    json: bool,
    context: &Context,
    plans: &Plans<'_>,
    options: &RunOptions,
    host: &Host,
    inputs: Vec<PathBuf>,
) -> CliResult {
    let job = plan(args, context, plans, options, host, &inputs)?;
    if args.launchd.print_job {
        print_line(&document::to_pretty(&job))?;
        return Ok(Exit::Yes);
    }
    available(&host.stand_in_tools).map_err(|error| command::failure(error, args))?;
    let cancel = super::host::cancel_on_signals()?;
    let progress = RunProgress::new(context.stderr_is_terminal, json);
    let result = run_launchd_clean(plans, options, host, &job, &progress, &cancel);
    progress.finish();
    let collected = result.map_err(|error| command::failure(error, args))?;
    show(&collected, &job, json)?;
    Ok(exit(&collected, args.fail_on_mismatch))
}

fn plan(
    args: &command::Args,
    context: &Context,
    plans: &Plans<'_>,
    options: &RunOptions,
    host: &Host,
    inputs: &[PathBuf],
) -> Result<JobPlan, Failure> {
    let arguments = arguments(args, context, plans, options);
    let asked = Asked { root: plans.path_root, inputs, out: &options.out, arguments: &arguments };
    args.launchd.job(context, host, &options.run_id, &asked)
}

/// What a job is to do.
pub(super) struct Asked<'a> {
    /// What stored paths are relative to.
    pub(super) root: &'a Path,
    /// Every file the job reads.
    pub(super) inputs: &'a [PathBuf],
    /// The real bundle root.
    pub(super) out: &'a Path,
    /// Its command.
    pub(super) arguments: &'a [Argument],
}

impl LaunchdArgs {
    /// Plans a job.
    pub(super) fn job(
        &self,
        context: &Context,
        host: &Host,
        run_id: &RunId,
        asked: &Asked<'_>,
    ) -> Result<JobPlan, Failure> {
        let named = asked.arguments.iter().filter_map(|argument| match argument {
            Argument::Path(path) => Some(path.as_path()),
            Argument::Word(_) => None,
        });
        let inputs = asked.inputs.iter().map(PathBuf::as_path);
        let own = [Some(asked.root), Some(asked.out), Some(host.worker_exe.as_path()), self.staging_base.as_deref()];
        // The job is handed over in documents of text, and must not act on another file than the one that is meant.
        if let Some(path) = own.into_iter().flatten().chain(named).chain(inputs).find(|path| path.to_str().is_none()) {
            let path = path.display();
            return Err(anyhow::anyhow!("the path {path} is not UTF-8, and the documents of a job are text").into());
        }
        let root = resolved(asked.root)?;
        let real = resolved(asked.out)?.join(run_id.as_str());
        let recorded = real.strip_prefix(&root).unwrap_or(&real).to_string_lossy().into_owned();
        let uid = rustix::process::getuid().as_raw();
        // One for each user: it must be the user's own.
        let default = || PathBuf::from(format!("/private/tmp/sandbox-lore-launchctl-{uid}"));
        let staging_base = self.staging_base.as_deref().map_or_else(default, |path| context.absolute(path));
        Ok(JobPlan::new(&Request {
            run_id: run_id.as_str(),
            uid,
            staging_base: &staging_base,
            label_prefix: LABEL_PREFIX,
            program: &host.worker_exe,
            root: asked.root,
            inputs: asked.inputs,
            out: asked.out,
            recorded_dir: &recorded,
            arguments: asked.arguments,
            environment: forwarded(|name| context.env_text(name)),
            // The observer's stand-in is found by the job itself, through the search path that it is handed.
            stand_in_tools: self.stand_ins()?,
            helper_limit_s: seconds("--launchd-helper-seconds", self.launchd_helper_seconds)?.as_secs_f64(),
            start_limit_s: seconds("--launchd-start-seconds", self.launchd_start_seconds)?.as_secs_f64(),
            limit_s: seconds("--launchd-timeout-seconds", self.launchd_timeout_seconds)?.as_secs_f64(),
        }))
    }
}

/// The refusal of the channel where a program is missing that it needs.
pub(super) fn available(stand_in_tools: &BTreeMap<String, PathBuf>) -> Result<(), RunError> {
    let absent = missing(&NEEDED, stand_in_tools);
    if absent.is_empty() {
        return Ok(());
    }
    let missing = format!(
        "it needs launchd and sandbox_init of macOS, and there is no fallback; not here: {}",
        absent.join(", ")
    );
    Err(RunError::ChannelNotAvailable { channel: CHANNEL_LAUNCHD_CLEAN.to_owned(), missing })
}

/// The command that the job runs: this one, on the direct channel, in the stage.
fn arguments(args: &command::Args, context: &Context, plans: &Plans<'_>, options: &RunOptions) -> Vec<Argument> {
    let mut arguments = vec![Argument::Word("run".to_owned())];
    let mut path = |flag: &str, path: PathBuf| {
        arguments.extend([Argument::Word(flag.to_owned()), Argument::Path(path)]);
    };
    path("--plan", context.absolute(&args.plan));
    path("--out", options.out.clone());
    path("--root", plans.path_root.to_owned());
    if let Some(index) = &args.lookup.registry_index {
        path("--registry-index", context.absolute(index));
    }
    if let Some(map) = &args.anchor_map {
        path("--anchor-map", context.absolute(map));
    }
    if let Some(list) = &args.blob_digests {
        path("--blob-digests", context.absolute(list));
    }
    let mut word = |flag: &str, value: &str| {
        arguments.extend([flag, value].map(|text| Argument::Word(text.to_owned())));
    };
    word("--channel", "direct");
    word("--jobs", &options.jobs.to_string());
    word("--probe-timeout-seconds", &args.probe_timeout_seconds.to_string());
    args.only_profile.iter().for_each(|id| word("--only-profile", id));
    args.only_scenario.iter().for_each(|id| word("--only-scenario", id));
    args.without_layer.iter().for_each(|name| word("--without-layer", name));
    if let Some(mode) = &args.preflight {
        word("--preflight", mode);
    }
    for (flag, set) in [("--dry", args.dry), ("--rebind-world", args.rebind_world)] {
        if set {
            arguments.push(Argument::Word(flag.to_owned()));
        }
    }
    arguments
}

fn show(collected: &Collected, job: &JobPlan, json: bool) -> Result<(), Failure> {
    for left in &collected.left {
        super::note_line(&format!("warning: left behind: {}", super::printable(left)));
    }
    let sealed = &collected.sealed;
    let failure = collected.failure.as_ref();
    if json {
        let summary = collected.summary.as_ref();
        return print_line(&document::to_pretty(&json!({
            "status": summary.map_or(json!("failed"), |summary| summary["status"].clone()),
            "run_id": job.run_id,
            "channel": CHANNEL_LAUNCHD_CLEAN,
            "bundle_dir": sealed.run_dir.display().to_string(),
            "artifact_index_sha256": sealed.index_sha256,
            "latest": super::run::latest(sealed),
            "summary": summary,
            "mismatches": collected.mismatches.as_ref().map(|document| document["mismatches"].clone()),
            "error": failure.map(ToString::to_string),
            "failure_kind": failure.map(crate::launchd::Failure::kind),
            "hint": failure.map(crate::launchd::Failure::hint),
            "left_behind": collected.left,
        })));
    }
    if let Some(failure) = failure {
        super::note_line(&format!("error: {}", super::printable(&failure.to_string())));
        super::note_line(&format!("  hint: {}", failure.hint()));
    }
    if let Some(summary) = &collected.summary {
        let text = |key: &str| super::printable(summary[key].as_str().unwrap_or("unknown"));
        let count = |key: &str| summary["counts"][key].as_u64().unwrap_or(0);
        print_line(&format!("plan      {} in world {}", text("plan_id"), text("world_id")))?;
        print_line(&format!(
            "rows      {} match, {} mismatch, {} error, {} not observed",
            count("matches"),
            count("mismatches"),
            count("errors"),
            count("not_observed")
        ))?;
        print_line(&format!("result    {}", text("status")))?;
    }
    print_line(&format!("[+] wrote {}", super::shown_path(&sealed.run_dir)))?;
    match sealed.run_dir.parent() {
        Some(out) if sealed.latest_stays.is_some() => super::run::show_latest(sealed, out),
        _ => Ok(()),
    }
}

fn exit(collected: &Collected, fail_on_mismatch: bool) -> Exit {
    match collected.summary.as_ref().and_then(|summary| summary["status"].as_str()) {
        Some("ok" | "dry") => Exit::Yes,
        Some("partial") if !fail_on_mismatch => Exit::Yes,
        _ => Exit::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_needs_a_known_name_and_an_absolute_path() {
        let parse = |text: &str| {
            let args = StandInArgs { stand_in: vec![text.to_owned()] };
            args.stand_ins().ok().map(|map| map.into_keys().collect::<Vec<_>>())
        };
        assert_eq!(parse("launchctl=/x"), Some(vec!["launchctl".to_owned()]));
        for wrong in ["launchctl=x", "launchctl", "git=/x", "=/x", ""] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
