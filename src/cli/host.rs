//! Builds the library's [`Host`] and the cancel flag from the process's surroundings, once per command.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::base::cancel::Cancel;
use crate::host::{Host, detect_world};

use super::context::Context;
use super::exit::Failure;

/// The host as the command line sees it.
pub(crate) fn host(context: &Context) -> Result<Host, Failure> {
    let world = detect_world()?;
    let temp_dir = context.env_text("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    let temp_dir = temp_dir.canonicalize().map_err(|error| {
        anyhow::Error::new(error).context(format!("cannot use the temporary directory {}", temp_dir.display()))
    })?;
    Ok(Host {
        worker_exe: context.exe.clone(),
        worker_env: worker_env(),
        temp_dir,
        world_id: world.world_id(),
        probe_limit: Duration::from_secs(10),
        stand_in_tools: BTreeMap::new(),
        without_layers: Vec::new(),
        clock: SystemTime::now,
    })
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
