//! The records directory of one call: a run of a bundle root, committed by its index whatever came of the call.

use std::path::Path;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::call::{Call, lossy, members};
use super::{Client, JailError, Outcome, Problem};
use crate::base::cancel::Cancel;
use crate::base::digest::Sha256Hex;
use crate::base::error_chain;
use crate::base::ids::RunId;
use crate::base::json;
use crate::base::rel_path::RelPath;
use crate::bundle::{Identity, OpenBundle, RunLock, RunManifest, SealedBundle, layout};
use crate::os::lock::LockMode;

/// The record of a call, in its records directory.
pub const RECORD: &str = "entitlement_jail.json";
/// The channel that status and manifest name.
const CHANNEL: &str = "entitlement_jail";

/// Where records go.
#[derive(Debug, Clone)]
pub struct Records {
    /// The bundle root; made when missing.
    pub out: std::path::PathBuf,
    /// What to do when somebody else writes there.
    pub lock_mode: LockMode,
}

/// A call with its records.
#[derive(Debug)]
pub struct Done {
    /// The record, as written.
    pub record: Value,
    /// What came of the call.
    pub outcome: Outcome,
    /// Everything that is wrong with it.
    pub problems: Vec<Problem>,
    /// The records directory.
    pub bundle: SealedBundle,
}

/// What a call works with.
pub(super) struct Work<'a> {
    pub(super) client: &'a Client,
    pub(super) cancel: &'a Cancel,
    /// A private directory that is gone after the call.
    pub(super) scratch: &'a Path,
    bundle: &'a mut OpenBundle,
}

impl Work<'_> {
    /// Keeps a file in the records directory; gives its recorded path.
    pub(super) fn keep(&mut self, name: &RelPath, bytes: &[u8]) -> Result<String, JailError> {
        self.bundle.write(name, bytes)?;
        Ok(self.bundle.recorded_path(name))
    }

    /// The recorded path of a file, kept or not.
    pub(super) fn recorded(&self, name: &RelPath) -> String {
        self.bundle.recorded_path(name)
    }

    /// Keeps what a program wrote, byte by byte, and tells where.
    pub(super) fn keep_streams(&mut self, folder: &str, call: &Call) -> Result<Map<String, Value>, JailError> {
        let mut keys = Map::new();
        for (stream, bytes) in [("stdout", call.stdout()), ("stderr", call.stderr())] {
            let path = if call.end.is_ok() {
                Value::from(self.keep(&name(&format!("{folder}/{stream}")), bytes)?)
            } else {
                Value::Null
            };
            keys.insert(format!("{stream}_file"), path);
        }
        Ok(keys)
    }

    /// The keys at the end of every record.
    pub(super) fn last_keys(&self, tag: &str, request: &Value, problems: &mut Vec<Problem>) -> Map<String, Value> {
        let outcome = Outcome::of(problems);
        members(json!({
            "schema_version": tag,
            "run_id": self.bundle.identity().run_id.as_str(),
            "recorded_world_id": self.client.world_id,
            "outcome": outcome,
            "problems": problems,
            "stand_in_tools": self.client.stand_in_tools(),
            "request": request,
        }))
    }
}

/// What a call came to: its record and what is wrong with it.
pub(super) type Told = (Value, Vec<Problem>);

/// Makes the records directory, does `work`, writes the record it returns and commits.
pub(super) fn record(
    client: &Client,
    records: &Records,
    cancel: &Cancel,
    plan_id: &str,
    request: &Value,
    work: impl FnOnce(&mut Work<'_>) -> Result<Told, JailError>,
) -> Result<Done, JailError> {
    let scratch = scratch(client)?;
    let lock = RunLock::acquire(&records.out, records.lock_mode, &|| cancel.is_set())?;
    let identity = Identity {
        run_id: RunId::random(),
        world_id: client.world_id.clone(),
        channel: CHANNEL.to_owned(),
        plan_id: plan_id.to_owned(),
        plan_digest: Sha256Hex::of(json::to_line_sorted(request).as_bytes()).to_string(),
    };
    let mut bundle = OpenBundle::create(lock, &client.root, identity, (client.clock)())?;
    let mut manifest =
        RunManifest::direct(bundle.identity(), bundle.recorded_dir(), &client.root.display().to_string());
    manifest.stand_in_tools = Some(client.stand_in_tools());
    bundle.write_json(&layout::name(layout::RUN_MANIFEST), &manifest)?;
    let told = work(&mut Work { client, cancel, scratch: scratch.path(), bundle: &mut bundle });
    let expected = [name(RECORD)];
    match told {
        Ok((record, mut problems)) => {
            bundle.write_json(&expected[0], &record)?;
            let outcome = Outcome::of(&mut problems);
            let bundle = bundle.seal(crate::bundle::Outcome::Complete, &expected, (client.clock)())?;
            Ok(Done { record, outcome, problems, bundle })
        }
        Err(error) => {
            let failed = crate::bundle::Outcome::Failed {
                error: error_chain(&error),
                failure_stage: "entitlement_jail".to_owned(),
            };
            // The first error is the one to report.
            let _ = bundle.seal(failed, &expected, (client.clock)());
            Err(error)
        }
    }
}

/// A private directory for one call.
pub(super) fn scratch(client: &Client) -> Result<TempDir, JailError> {
    let made = tempfile::Builder::new().prefix("runtime-ej-").tempdir_in(&client.temp_dir);
    made.map_err(|source| JailError::Scratch { path: client.temp_dir.clone(), source })
}

/// A name that the program made up itself.
pub(super) fn name(text: &str) -> RelPath {
    RelPath::try_from(text).expect("names made here are plain")
}

/// `exit_code`, `stdout`, `stderr` and `error`, each only where there is one.
pub(super) fn output_keys(call: &Call, trim: bool) -> Map<String, Value> {
    let mut keys = Map::new();
    if call.end.is_ok() {
        let text = |bytes: &[u8]| if trim { lossy(bytes).trim().to_owned() } else { lossy(bytes) };
        keys.insert("exit_code".to_owned(), json!(call.exit_code()));
        keys.insert("stdout".to_owned(), json!(text(call.stdout())));
        keys.insert("stderr".to_owned(), json!(text(call.stderr())));
    }
    if let Some(error) = call.error() {
        keys.insert("error".to_owned(), json!(error));
    }
    keys
}
