//! Emitting a packet: one reading of the bundle, one decision, one durable write or none.

use std::path::{Path, PathBuf};

use super::gate::{GateName, Promotability, assess};
use super::packet::promotion_packet;
use crate::base::json;
use crate::bundle::layout::{ARTIFACT_INDEX, LATEST, LOCK_FILE, RUN_STATUS};
use crate::bundle::{Checked, ResolveError, UnverifiedBundle, resolve};
use crate::os::fs::{self, FsError};
use crate::vocab::Finding;

/// What to emit, from where, and what to insist on.
#[derive(Debug, Clone, Copy)]
pub struct EmitRequest<'a> {
    /// A bundle root or a run's directory.
    pub bundle: &'a Path,
    /// Where the packet goes; not inside a bundle.
    pub out: &'a Path,
    /// Gates that must be open, else nothing is written.
    pub require: &'a [GateName],
    /// Threads that hash; 0: one per processor.
    pub jobs: usize,
}

/// Why no packet could be derived.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// The path leads to no run.
    #[error("no packet can be derived")]
    Resolve(#[from] ResolveError),
    /// The directory holds none of a bundle's documents.
    #[error("{} is no bundle: it holds no run_status.json, no artifact_index.json and no run_manifest.json", path.display())]
    NoBundle {
        /// The directory.
        path: PathBuf,
    },
    /// The packet would become part of a bundle, or replace a file that a bundle root keeps.
    #[error("{} belongs to a bundle; a packet stands outside", out.display())]
    OutInsideBundle {
        /// Where the packet should have gone.
        out: PathBuf,
    },
    /// The packet could not be written.
    #[error("cannot write the packet {}", out.display())]
    Write {
        /// Where it should have gone.
        out: PathBuf,
        /// What refused it.
        source: FsError,
    },
}

/// What became of the packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It was written.
    Written,
    /// A required gate is shut; nothing was written.
    Refused {
        /// The shut gates among the required ones.
        shut: Vec<GateName>,
        /// Whether an older file stands at the packet's place, untouched.
        older_file_stands: bool,
    },
}

/// The whole answer.
#[derive(Debug)]
pub struct Emission {
    /// The run's directory.
    pub run_dir: PathBuf,
    /// The run.
    pub run_id: String,
    /// Every gate's answer.
    pub promotability: Promotability,
    /// Everything the reader found.
    pub findings: Vec<Finding>,
    /// What became of the packet.
    pub fate: Fate,
}

/// Derives the promotion packet of a bundle and writes it durably, unless a required gate is shut.
///
/// # Errors
/// See [`EmitError`]; nothing is written then.
pub fn emit_promotion_packet(request: EmitRequest<'_>) -> Result<Emission, EmitError> {
    let bundle = UnverifiedBundle::read(resolve(request.bundle)?);
    if bundle.is_nothing() {
        return Err(EmitError::NoBundle { path: bundle.run_dir().to_owned() });
    }
    let run_dir = bundle.run_dir().to_owned();
    if belongs_to_a_bundle(request.out) {
        return Err(EmitError::OutInsideBundle { out: request.out.to_owned() });
    }
    let verification = bundle.verify(request.jobs);
    let promotability = assess(&verification);
    let shut: Vec<GateName> =
        request.require.iter().copied().filter(|gate| !promotability.gate(*gate).promotable()).collect();
    let fate = if shut.is_empty() {
        let packet = promotion_packet(&verification, &promotability);
        fs::write_durable(request.out, json::to_pretty(&packet).as_bytes())
            .map_err(|source| EmitError::Write { out: request.out.to_owned(), source })?;
        Fate::Written
    } else {
        Fate::Refused { shut, older_file_stands: fs::exists(request.out) }
    };
    let run_id = match &verification.bundle {
        Checked::Verified(bundle) => bundle.run_id().to_owned(),
        Checked::Refused(bundle) => bundle.run_id().to_owned(),
    };
    Ok(Emission { run_dir, run_id, promotability, findings: verification.findings, fate })
}

/// Whether `out` would become part of a bundle, this one or another, or of what a bundle root keeps about its runs. Seen
/// through links, as far as its directories exist.
fn belongs_to_a_bundle(out: &Path) -> bool {
    let Some(directory) = out.ancestors().skip(1).find_map(|ancestor| ancestor.canonicalize().ok()) else {
        return false;
    };
    let is_run = |ancestor: &Path| [RUN_STATUS, ARTIFACT_INDEX].iter().any(|name| fs::exists(&ancestor.join(name)));
    let kept_by_root = out.file_name().is_some_and(|name| name == LATEST || name == LOCK_FILE);
    kept_by_root || directory.ancestors().any(is_run)
}
