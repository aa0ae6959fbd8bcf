//! Seatbelt: the system parses and enforces the profile's text; this module applies it to a forked process and waits.
//!
//! The text is applied as written, sources one after the other; nothing of our own evaluation is enforced here. The system
//! records its decisions in its log, not with us, so a tree leaves no decision records: who wants decisions asks
//! ([`super::callout`]) or reads the log.

mod ffi;

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpid};

use super::callout::{NotAsked, Question};
use super::{
    Command, End, EnforcementReport, Job, Layers, ProfileText, SandboxError, SelfCheck, Supervised, process_answer,
};
use crate::event::{Applied, Callout};

/// Status of a child whose profile could not be applied.
const NOT_APPLIED: u8 = 71;
/// How often a waiting parent looks at its wish to stop.
const TICK: Duration = Duration::from_millis(20);

/// What a child says before it does anything else.
const APPLIED: &str = "applied ";
const FAILED: &str = "failed ";
const EXEC_FAILED: &str = "exec ";

/// The interfaces by name, and whether they are there.
pub(super) fn probe() -> Layers {
    let mut layers = Layers::none(std::env::consts::OS);
    layers.kernel_release = rustix::system::uname().release().to_string_lossy().into_owned();
    layers.uid = rustix::process::getuid().as_raw();
    layers.already_sandboxed = self_check().sandboxed();
    let detail = |there| if there { "exported" } else { "not exported by this system" };
    for name in ffi::NAMES {
        let there = ffi::symbol(name).is_some();
        layers.add(&name.to_string_lossy(), there, detail(there));
    }
    for name in ffi::PRIVATE_NAMES {
        let there = ffi::private_symbol(name).is_some();
        layers.add(&name.to_string_lossy(), there, detail(there));
    }
    layers
}

pub(super) fn self_check() -> SelfCheck {
    let pid = libc::pid_t::try_from(std::process::id()).unwrap_or(0);
    SelfCheck { source: "sandbox_check", answer: process_answer(ffi::check_process(pid)) }
}

/// Asks the system what it would decide for this process.
pub(super) fn ask(question: &Question<'_>) -> Result<Callout, NotAsked> {
    ffi::ask(question)
}

pub(super) fn obstacle(layers: &Layers) -> Option<SandboxError> {
    let any = layers.has("sandbox_init") || layers.has("sandbox_init_with_parameters");
    (!any).then(|| SandboxError::MissingLayers { missing: vec!["sandbox_init (not exported)".to_owned()] })
}

pub(super) fn enter(job: &Job<'_>, body: impl FnOnce() -> u8) -> Result<Supervised, SandboxError> {
    run(job, &crate::base::cancel::Cancel::default(), |_| body())
}

pub(super) fn exec(job: &Job<'_>, command: &Command) -> Result<Supervised, SandboxError> {
    run(job, &command.cancel, |said| {
        let error = replace(command);
        let _ = writeln!(said, "{EXEC_FAILED}{}", error.raw_os_error().unwrap_or(0));
        if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
    })
}

/// Becomes the command; returns only when that failed.
fn replace(command: &Command) -> io::Error {
    let nul = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let texts = |words: &mut dyn Iterator<Item = Vec<u8>>| -> io::Result<Vec<CString>> {
        words.map(|word| CString::new(word).map_err(nul)).collect()
    };
    let prepared = texts(&mut command.argv.iter().map(|word| word.as_bytes().to_vec())).and_then(|argv| {
        let mut pairs = command.env.iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
        Ok((argv, texts(&mut pairs)?))
    });
    let (argv, env) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return error,
    };
    if let Err(error) = rustix::process::chdir(&command.cwd) {
        return error.into();
    }
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for path in candidates(command) {
        let Ok(path) = CString::new(path) else { continue };
        let error = ffi::execve(&path, &argv, &env);
        if error.kind() != io::ErrorKind::NotFound {
            return error;
        }
        last = error;
    }
    last
}

/// The program's path, or where the search path would have it.
fn candidates(command: &Command) -> Vec<Vec<u8>> {
    let program = command.program.as_bytes();
    if program.contains(&b'/') {
        return vec![program.to_vec()];
    }
    let path = command.env.iter().find(|(name, _)| name == OsStr::new("PATH")).map(|(_, value)| value.as_bytes());
    let folders = path.unwrap_or(b"/usr/bin:/bin").split(|&byte| byte == b':').filter(|folder| !folder.is_empty());
    folders.map(|folder| [folder, b"/", program].concat()).collect()
}

/// Forks, applies the profile in the child, lets it do its work and waits for it.
fn run(
    job: &Job<'_>,
    cancel: &crate::base::cancel::Cancel,
    work: impl FnOnce(&mut io::PipeWriter) -> u8,
) -> Result<Supervised, SandboxError> {
    let failed = |step| move |source: io::Error| SandboxError::SetUp { step, source };
    if job.observe {
        // Seatbelt enforces what it is given; a run that refuses nothing would have to apply something else.
        return Err(failed("only observe")(io::ErrorKind::Unsupported.into()));
    }
    let text = match (job.policy, job.text) {
        (None, _) => None,
        (Some(_), Some(text)) => Some(text),
        (Some(_), None) => {
            let source = io::Error::other("the profile's text was not handed over");
            return Err(SandboxError::SetUp { step: "apply the profile", source });
        }
    };
    let (mut heard, mut said) = io::pipe().map_err(failed("make a pipe"))?;
    let child = ffi::fork().map_err(failed("create a process"))?;
    let Some(child) = child else {
        drop(heard);
        // A group of its own, so that the whole tree can be ended.
        let _ = rustix::process::setpgid(None, None);
        if let Some(before) = job.before {
            // A mistake in it must not go on in the parent's code; what it did not do is missing afterwards.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (before.0)()));
        }
        let applied = text.map(|text| apply(text, job.compiled)).transpose();
        let status = match applied {
            Ok(applied) => {
                let _ = writeln!(said, "{APPLIED}{}", serde_json::json!(applied));
                // A mistake in it must not go on in the parent's code.
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&mut said))).unwrap_or(101)
            }
            Err(why) => {
                let _ = writeln!(said, "{FAILED}{}", serde_json::json!(why));
                NOT_APPLIED
            }
        };
        ffi::exit(status)
    };
    drop(said);
    let (end, cancelled) = wait(child, cancel).map_err(failed("wait for the confined process"))?;
    // What is left of the tree, the leader being reaped; its group id lives as long as a member does.
    let _ = kill_process_group(child, Signal::KILL);
    let mut lines = String::new();
    let _ = heard.read_to_string(&mut lines);
    if let Some(why) = lines.lines().find_map(|line| line.strip_prefix(FAILED)) {
        return Err(match serde_json::from_str::<Applied>(why) {
            Ok(applied) => SandboxError::NotApplied(applied),
            Err(_) => SandboxError::InsideSetUp { step: "apply the profile", source: io::Error::other(why.to_owned()) },
        });
    }
    let applied = lines.lines().find_map(|line| line.strip_prefix(APPLIED));
    let Some(applied) = applied.and_then(|text| serde_json::from_str::<Option<Applied>>(text).ok()) else {
        let source = io::Error::other("it ended before it said that the profile was applied");
        return Err(SandboxError::InsideSetUp { step: "apply the profile", source });
    };
    let exec_errno = lines.lines().find_map(|line| line.strip_prefix(EXEC_FAILED)?.parse().ok());
    Ok(Supervised {
        end,
        exec_errno,
        cancelled,
        records: Vec::new(),
        tallies: Vec::new(),
        records_dropped: 0,
        report: applied.as_ref().map(|applied| report(job, &applied.api)),
        applied,
    })
}

fn apply(text: ProfileText<'_>, compiled: bool) -> Result<Applied, Applied> {
    let whole: String = text.sources.iter().map(|source| format!("{}\n", source.text)).collect();
    let parameters: Vec<(&str, &str)> = text.params.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    if compiled { ffi::apply_compiled(&whole, &parameters) } else { ffi::apply(&whole, &parameters) }
}

fn report(job: &Job<'_>, api: &str) -> EnforcementReport {
    let mut layers = probe().without(&job.without_layers);
    layers.add("seatbelt", true, format!("applied by {api}"));
    EnforcementReport {
        platform: format!("macos-{}", std::env::consts::ARCH),
        layers,
        observe: false,
        operations: BTreeMap::new(),
        d1_roots: Vec::new(),
        d2_roots: Vec::new(),
        backstop: "none".to_owned(),
        skipped_roots: Vec::new(),
        capabilities_dropped: Vec::new(),
    }
}

/// Waits for a child; ends its group when asked to.
fn wait(child: Pid, cancel: &crate::base::cancel::Cancel) -> io::Result<(End, bool)> {
    let mut cancelled = false;
    loop {
        match waitpid(Some(child), WaitOptions::NOHANG) {
            Ok(Some((_, status))) => {
                let signal = status.terminating_signal().map(End::Signaled);
                let end = signal.unwrap_or(End::Exited(status.exit_status().unwrap_or(0)));
                return Ok((end, cancelled));
            }
            Ok(None) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        if cancel.is_set() {
            cancelled = true;
            // Again and again: the child may not have made its group yet.
            let _ = kill_process_group(child, Signal::KILL);
        }
        std::thread::sleep(TICK);
    }
}
