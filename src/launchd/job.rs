//! The plan of a job as data: what is staged, the property list, the domains, every command line, when waiting ends. Pure:
//! planning reads and writes nothing.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use plist::{Dictionary, Value};
use serde::{Deserialize, Serialize};

use crate::host::Tool;

/// Schema tag of a printed plan and of the document the job reads. v0.1: first form.
pub const JOB_TAG: &str = "runtime-tools.launchd_job.v0.1";

/// The programs without which there is no job.
pub const NEEDED: [Tool; 3] = [Tool::Launchctl, Tool::Plutil, Tool::Log];

/// What the log is searched for after a refused bootstrap.
const LOG_PREDICATE: &str = "subsystem == \"com.apple.xpc.launchd\" OR process == \"launchd\"";

/// Where the executable stands in a stage.
const PROGRAM: &str = "bin/runtime";

/// The variables that every job gets.
pub(super) const OWN_VARIABLES: [&str; 7] = [
    "SANDBOX_LORE_RUN_ID",
    "SANDBOX_LORE_LAUNCHD_CLEAN",
    "SANDBOX_LORE_CHANNEL",
    "SANDBOX_LORE_STAGE_USED",
    "SANDBOX_LORE_STAGE_ROOT",
    "SANDBOX_LORE_STAGE_OUTPUT_ROOT",
    "TMPDIR",
];

/// What a job is planned from. All paths are absolute.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The run.
    pub run_id: &'a str,
    /// Who asks: launchd has domains by user.
    pub uid: u32,
    /// Parent of all stages.
    pub staging_base: &'a Path,
    /// How labels begin.
    pub label_prefix: &'a str,
    /// The executable the job runs.
    pub program: &'a Path,
    /// What stored paths are relative to.
    pub root: &'a Path,
    /// Every file the job reads.
    pub inputs: &'a [PathBuf],
    /// The real bundle root.
    pub out: &'a Path,
    /// The run's directory as documents record it.
    pub recorded_dir: &'a str,
    /// Arguments of the command the job runs; an argument that is one of `inputs`, `root` or `out` is mapped into the stage.
    pub arguments: &'a [Argument],
    /// Variables handed on.
    pub environment: BTreeMap<String, String>,
    /// Programs that are replaced.
    pub stand_in_tools: BTreeMap<String, PathBuf>,
    /// Limit of one helper command, in seconds.
    pub helper_limit_s: f64,
    /// Limit for the worker to begin, in seconds.
    pub start_limit_s: f64,
    /// Limit for the whole job, in seconds.
    pub limit_s: f64,
}

/// An argument of the job's command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// As it is.
    Word(String),
    /// A path that is staged.
    Path(PathBuf),
}

/// One file of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StagedFile {
    /// Where it comes from.
    pub from: PathBuf,
    /// Where it goes.
    pub to: PathBuf,
    /// Its mode, octal.
    pub mode: &'static str,
}

/// The private directory of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StagePlan {
    /// The directory; must not exist yet.
    pub root: PathBuf,
    /// Mode of every directory, octal.
    pub mode: &'static str,
    /// Directories made in it, parents first.
    pub directories: Vec<PathBuf>,
    /// Files copied into it.
    pub files: Vec<StagedFile>,
    /// Files written into it.
    pub written: Vec<PathBuf>,
}

/// What the job itself reads: `job.json` of the stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDocument {
    /// [`JOB_TAG`].
    pub schema_version: String,
    /// The run.
    pub run_id: String,
    /// The job's label.
    pub label: String,
    /// Arguments of the command it runs, the program's name left out.
    pub arguments: Vec<String>,
    /// The stage.
    pub stage_root: PathBuf,
    /// The bundle root inside the stage.
    pub output_root: PathBuf,
    /// The run's directory as documents record it: that of the real bundle.
    pub recorded_dir: String,
    /// Process that launchd is; null where a stand-in takes its place.
    pub launchd_pid: Option<u32>,
    /// Programs that are replaced.
    pub stand_in_tools: BTreeMap<String, PathBuf>,
}

/// A domain of launchd, with what is done in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DomainPlan {
    /// `gui/UID` or `user/UID`.
    pub domain: String,
    /// `gui_domain_available` or `gui_domain_unavailable`.
    pub reason: &'static str,
    /// `LimitLoadToSessionType` of the property list.
    pub session_types: Option<Vec<&'static str>>,
    /// The property list.
    pub plist: Value,
    /// Hands the job to launchd.
    pub bootstrap: Vec<String>,
    /// Takes it back by its property list.
    pub bootout: Vec<String>,
    /// Takes it back by its label, should that fail.
    pub bootout_by_label: Vec<String>,
    /// What launchd knows of the job.
    pub print_job: Vec<String>,
}

/// When waiting ends.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WaitRule {
    /// The worker's first word.
    pub started: PathBuf,
    /// Its lock: held as long as it lives.
    pub lock: PathBuf,
    /// The completion record.
    pub finished: PathBuf,
    /// The worker's progress, one JSON object per line.
    pub progress: PathBuf,
    /// Time between two looks, in milliseconds.
    pub poll_ms: u64,
    /// Limit for the worker to begin, in seconds.
    pub start_limit_s: f64,
    /// Limit for the whole job, in seconds.
    pub limit_s: f64,
}

/// Where a job's results come from and go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CollectPlan {
    /// The run's directory in the stage.
    pub from: PathBuf,
    /// The run's real directory.
    pub to: PathBuf,
    /// What is written there, in this order; the index is the commit.
    pub order: [&'static str; 5],
}

/// A whole job as data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobPlan {
    /// [`JOB_TAG`].
    pub schema_version: &'static str,
    /// The run.
    pub run_id: String,
    /// The job's label.
    pub label: String,
    /// What stored paths are relative to: it becomes `root` of the stage.
    pub root: PathBuf,
    /// The stage.
    pub stage: StagePlan,
    /// What the job reads.
    pub job: JobDocument,
    /// Where `job` is written.
    pub job_path: PathBuf,
    /// Where the property list is written.
    pub plist_path: PathBuf,
    /// The job's standard output and error.
    pub output: [PathBuf; 2],
    /// Asks whether there is a graphical session: 0 means the first domain, else the second.
    pub choose_domain: Vec<String>,
    /// Checks the property list.
    pub lint: Vec<String>,
    /// The domains.
    pub domains: [DomainPlan; 2],
    /// Looks for launchd's reasons after a refused bootstrap.
    pub log_show: Vec<String>,
    /// Limit of one command of the above, in seconds.
    pub helper_limit_s: f64,
    /// When waiting ends.
    pub wait: WaitRule,
    /// What is collected.
    pub collect: CollectPlan,
    /// Programs that are replaced.
    pub stand_in_tools: BTreeMap<String, PathBuf>,
}

/// Where a path stands in the stage: under `root` when it is beneath the root, else under `outside` with its whole path. Names are
/// all that counts here: nothing of a path leads out of the stage.
fn staged(stage: &Path, root: &Path, path: &Path) -> PathBuf {
    let (root, path) = (plain(root), plain(path));
    match path.strip_prefix(&root) {
        Ok(relative) if relative.as_os_str().is_empty() => stage.join("root"),
        Ok(relative) => stage.join("root").join(relative),
        Err(_) => stage.join("outside").join(path.strip_prefix("/").unwrap_or(&path)),
    }
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            // Above the root is the root.
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl JobPlan {
    /// Plans a job.
    #[must_use]
    pub fn new(request: &Request<'_>) -> Self {
        let label = format!("{}.{}", request.label_prefix, request.run_id);
        let root = request.staging_base.join(&label);
        let into = |path: &Path| staged(&root, request.root, path);
        let out = into(request.out);
        let argument = |argument: &Argument| match argument {
            Argument::Word(word) => word.clone(),
            Argument::Path(path) => text(&into(path)),
        };
        let program = Tool::Launchctl.path(&request.stand_in_tools);
        let launchctl = |words: &[&str]| -> Vec<String> {
            [text(&program)].into_iter().chain(words.iter().map(|word| (*word).to_owned())).collect()
        };
        let plist_path = root.join("job.plist");
        let output = ["stdout", "stderr"].map(|stream| root.join("log").join(format!("{label}.{stream}.txt")));
        let gui = format!("gui/{}", request.uid);
        let domains = [
            (gui.clone(), "gui_domain_available", None),
            // A job of this domain must say that it wants no graphical session.
            (format!("user/{}", request.uid), "gui_domain_unavailable", Some(vec!["Background"])),
        ];
        let domains = domains.map(|(domain, reason, session_types)| {
            let (plist, label_in) = (text(&plist_path), format!("{domain}/{label}"));
            DomainPlan {
                bootstrap: launchctl(&["bootstrap", &domain, &plist]),
                bootout: launchctl(&["bootout", &domain, &plist]),
                bootout_by_label: launchctl(&["bootout", &label_in]),
                print_job: launchctl(&["print", &label_in]),
                plist: property_list(request, &label, &root, &out, &output, session_types.as_deref()),
                domain,
                reason,
                session_types,
            }
        });
        let command = |tool: Tool, words: &[&str]| -> Vec<String> {
            let program = text(&tool.path(&request.stand_in_tools));
            [program].into_iter().chain(words.iter().map(|word| (*word).to_owned())).collect()
        };
        Self {
            schema_version: JOB_TAG,
            run_id: request.run_id.to_owned(),
            root: request.root.to_owned(),
            stage: stage_plan(request, &root, &out),
            job: JobDocument {
                schema_version: JOB_TAG.to_owned(),
                run_id: request.run_id.to_owned(),
                label: label.clone(),
                arguments: request.arguments.iter().map(argument).collect(),
                stage_root: root.clone(),
                output_root: out.clone(),
                recorded_dir: request.recorded_dir.to_owned(),
                launchd_pid: (!request.stand_in_tools.contains_key(Tool::Launchctl.name())).then_some(1),
                stand_in_tools: request.stand_in_tools.clone(),
            },
            job_path: root.join("job.json"),
            output,
            choose_domain: launchctl(&["print", &gui]),
            lint: command(Tool::Plutil, &["-lint", &text(&plist_path)]),
            domains,
            log_show: command(Tool::Log, &["show", "--last", "2m", "--style", "compact", "--predicate", LOG_PREDICATE]),
            plist_path,
            helper_limit_s: request.helper_limit_s,
            wait: WaitRule {
                started: root.join("state/started.json"),
                lock: root.join("state/worker.lock"),
                finished: root.join("state/finished.json"),
                progress: root.join("state/progress.jsonl"),
                poll_ms: 100,
                start_limit_s: request.start_limit_s,
                limit_s: request.limit_s,
            },
            collect: CollectPlan {
                from: out.join(request.run_id),
                to: request.out.join(request.run_id),
                order: ["artifacts", "launchctl", "run_status.json", "artifact_index.json", "LATEST"],
            },
            label,
            stand_in_tools: request.stand_in_tools.clone(),
        }
    }
}

fn stage_plan(request: &Request<'_>, root: &Path, out: &Path) -> StagePlan {
    let mut inputs: Vec<&PathBuf> = request.inputs.iter().collect();
    inputs.sort();
    inputs.dedup();
    let program = StagedFile { from: request.program.to_owned(), to: root.join(PROGRAM), mode: "0700" };
    let copied = inputs.iter().map(|path| StagedFile {
        from: (*path).clone(),
        to: staged(root, request.root, path),
        mode: "0600",
    });
    let files: Vec<StagedFile> = [program].into_iter().chain(copied).collect();
    let mut directories: Vec<PathBuf> = ["log", "state", "tmp", "root"].map(|name| root.join(name)).into();
    directories.push(out.to_owned());
    directories.extend(files.iter().filter_map(|file| file.to.parent().map(Path::to_owned)));
    let mut all: Vec<PathBuf> = directories
        .iter()
        .flat_map(|directory| directory.ancestors().take_while(|ancestor| *ancestor != root))
        .map(Path::to_owned)
        .collect();
    // Parents come before what they hold.
    all.sort();
    all.dedup();
    StagePlan {
        root: root.to_owned(),
        mode: "0700",
        directories: all,
        files,
        written: ["owner.json", "owner.lock", "job.json", "job.plist"].map(|name| root.join(name)).into(),
    }
}

fn property_list(
    request: &Request<'_>,
    label: &str,
    root: &Path,
    out: &Path,
    output: &[PathBuf; 2],
    session_types: Option<&[&'static str]>,
) -> Value {
    let mut variables: BTreeMap<String, String> = request.environment.clone();
    let values = [
        request.run_id.to_owned(),
        "1".to_owned(),
        "launchd_clean".to_owned(),
        "1".to_owned(),
        text(root),
        text(out),
        text(&root.join("tmp")),
    ];
    variables.extend(OWN_VARIABLES.into_iter().map(str::to_owned).zip(values));
    let strings = |texts: Vec<String>| Value::Array(texts.into_iter().map(Value::String).collect());
    let mut list = Dictionary::new();
    list.insert("Label".to_owned(), Value::String(label.to_owned()));
    let arguments = vec![text(&root.join(PROGRAM)), "__launchd-job".to_owned(), text(&root.join("job.json"))];
    list.insert("ProgramArguments".to_owned(), strings(arguments));
    list.insert("RunAtLoad".to_owned(), Value::Boolean(true));
    list.insert("WorkingDirectory".to_owned(), Value::String(text(root)));
    list.insert("StandardOutPath".to_owned(), Value::String(text(&output[0])));
    list.insert("StandardErrorPath".to_owned(), Value::String(text(&output[1])));
    let variables = variables.into_iter().map(|(name, value)| (name, Value::String(value)));
    list.insert("EnvironmentVariables".to_owned(), Value::Dictionary(variables.collect()));
    if let Some(types) = session_types {
        list.insert("LimitLoadToSessionType".to_owned(), strings(types.iter().map(|t| (*t).to_owned()).collect()));
    }
    Value::Dictionary(list)
}

impl WaitRule {
    #[cfg(test)]
    pub(super) fn example(start_limit_s: f64, limit_s: f64) -> Self {
        let path = PathBuf::new;
        Self { started: path(), lock: path(), finished: path(), progress: path(), poll_ms: 1, start_limit_s, limit_s }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_stands_outside_of_the_stage() {
        let place = |path: &str| staged(Path::new("/stage"), Path::new("/r/suite"), Path::new(path));
        for (path, expected) in [
            ("/r/suite", "/stage/root"),
            ("/r/suite/a/../out", "/stage/root/out"),
            ("/r/suite/./out", "/stage/root/out"),
            ("/r/suite/../out", "/stage/outside/r/out"),
            ("/r/suite/../../../../out", "/stage/outside/out"),
            ("/elsewhere/suite", "/stage/outside/elsewhere/suite"),
        ] {
            assert_eq!(place(path), Path::new(expected), "{path}");
        }
    }
}
