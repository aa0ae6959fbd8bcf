//! Builds the library's [`Host`] and the cancel flag from the process's surroundings, once per command.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

use crate::base::cancel::Cancel;
use crate::host::{Host, WitnessObserver, detect_world};
use crate::os::input::is_file;

use super::context::Context;
use super::exit::Failure;

/// The host as the command line sees it.
pub(crate) fn host(context: &Context) -> Result<Host, Failure> {
    let world = detect_world()?;
    let temp_dir = context.env_text("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    let temp_dir = temp_dir.canonicalize().map_err(|error| {
        anyhow::Error::new(error).context(format!("cannot use the temporary directory {}", temp_dir.display()))
    })?;
    let witness_observer = witness_observer(context)?;
    Ok(Host {
        worker_exe: context.exe.clone(),
        worker_env: worker_env(),
        temp_dir,
        world_id: world.world_id(),
        probe_limit: Duration::from_secs(10),
        stand_in_tools: observer_stand_in(witness_observer.as_ref()),
        witness_observer,
        file_precreate: context.env_text("SANDBOX_LORE_FILE_PRECREATE").is_some_and(is_true),
        without_layers: Vec::new(),
        clock: SystemTime::now,
    })
}

/// Whether the value of a switch means yes; the one rule for all of them.
fn is_true(value: &str) -> bool {
    !matches!(value, "0" | "false" | "no")
}

/// The program's name.
const OBSERVER: &str = "sandbox-log-observer";

/// The witness observer, when it is asked for (`SANDBOX_LORE_WITNESS_OBSERVER` is exactly `1`).
fn witness_observer(context: &Context) -> Result<Option<WitnessObserver>, Failure> {
    if context.env_text("SANDBOX_LORE_WITNESS_OBSERVER") != Some("1") {
        return Ok(None);
    }
    let seconds = |name: &str, default: f64| match context.env_text(name) {
        None => Ok(default),
        Some(text) => text
            .parse::<f64>()
            .ok()
            .filter(|seconds| (0.0..=3600.0).contains(seconds))
            .ok_or_else(|| Failure::usage(format_args!("{name} {text:?}: give a number of seconds from 0 to 3600"))),
    };
    let path = context.env_text("PATH").unwrap_or_default();
    let program = std::env::split_paths(path).map(|folder| folder.join(OBSERVER)).find(|file| is_file(file));
    Ok(Some(WitnessObserver {
        program,
        disabled: matches!(context.env_text("WITNESS_OBSERVER_MODE"), Some("disabled" | "off" | "0")),
        last: context.env_text("WITNESS_OBSERVER_LAST").unwrap_or("10s").to_owned(),
        pad_s: seconds("WITNESS_OBSERVER_PAD_S", 2.0)?,
        limit: Duration::from_secs_f64(seconds("WITNESS_OBSERVER_TIMEOUT_S", 10.0)?),
    }))
}

/// The program belongs to macOS: what has its name elsewhere stands in for it.
fn observer_stand_in(observer: Option<&WitnessObserver>) -> BTreeMap<String, PathBuf> {
    let found = observer.filter(|_| !cfg!(target_os = "macos")).and_then(|observer| observer.program.clone());
    found.map(|program| (OBSERVER.to_owned(), program)).into_iter().collect()
}

/// Workers need nothing of the caller's environment; a fixed locale and path keep them alike everywhere.
fn worker_env() -> Vec<(OsString, OsString)> {
    vec![("PATH".into(), "/usr/bin:/bin".into()), ("LC_ALL".into(), "C".into())]
}

/// A flag that Ctrl-C, SIGTERM and SIGHUP set; a second signal ends the process at once.
pub(crate) fn cancel_on_signals() -> Result<Cancel, Failure> {
    let cancel = Cancel::default();
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, cancel.flag())?;
        signal_hook::flag::register(signal, cancel.flag())?;
    }
    Ok(cancel)
}

/// Lets a write beyond the limit of file size fail with `EFBIG`, which says which file, instead of ending the process. A handler
/// and not "ignore": it ends at the next exec, so programs that are started keep the system's way.
pub(crate) fn outlive_file_limits() {
    // Without it such a write ends the process, as it does every other.
    let _ = signal_hook::flag::register(SIGXFSZ, std::sync::Arc::default());
}
