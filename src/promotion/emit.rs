//! Emitting a packet: one reading of the bundle, one decision, one durable write or none.

use std::path::{Path, PathBuf};

use super::attest::{AttestRequest, Attested, attestation};
use super::facts;
use super::gate::{GateName, Promotability, assess};
use super::packet::promotion_packet;
use crate::base::json;
use crate::bundle::{OutputError, ResolveError, UnverifiedBundle, check_outputs, resolve};
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
    /// What to attest beside the packet.
    pub attest: Option<AttestRequest<'a>>,
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
    /// A file that is to be written must not be replaced or made there.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The bundle is refused, so there is no digest that could be attested.
    #[error("run {run_id} is not proven, so nothing about it can be attested")]
    NothingToAttest {
        /// The run.
        run_id: String,
        /// Everything the reader found.
        findings: Vec<Finding>,
    },
    /// The attestation could not be written; the packet was not touched.
    #[error("cannot write the attestation {}", out.display())]
    WriteAttestation {
        /// Where it should have gone.
        out: PathBuf,
        /// What refused it.
        source: FsError,
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
        /// The same of the attestation's place.
        older_attestation_stands: bool,
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
    /// What was attested beside it.
    pub attested: Option<Attested>,
}

/// Derives the promotion packet of a bundle and writes it durably, unless a required gate is shut. An attestation is
/// written first: where the new packet stands, everything that was asked for stands.
///
/// # Errors
/// See [`EmitError`]; no packet is written then.
pub fn emit_promotion_packet(request: EmitRequest<'_>) -> Result<Emission, EmitError> {
    let bundle = UnverifiedBundle::read(resolve(request.bundle)?);
    if bundle.is_nothing() {
        return Err(EmitError::NoBundle { path: bundle.run_dir().to_owned() });
    }
    let attest_out = request.attest.map(|attest| attest.out);
    check_outputs(attest_out.into_iter().chain([request.out]), [])?;
    let run_dir = bundle.run_dir().to_owned();
    let verification = bundle.verify(request.jobs);
    let promotability = assess(&verification);
    let run_id = facts::documents(&verification).run_id().to_owned();
    let shut: Vec<GateName> =
        request.require.iter().copied().filter(|gate| !promotability.gate(*gate).promotable()).collect();
    let mut attested = None;
    let fate = if shut.is_empty() {
        let packet = promotion_packet(&verification, &promotability);
        let text = json::to_pretty(&packet);
        if let Some(attest) = request.attest {
            let Some(bundle) = verification.verified() else {
                return Err(EmitError::NothingToAttest { run_id, findings: verification.findings });
            };
            let gates = policy(request.require, bundle.documents());
            let (bytes, what) = attestation(bundle, &promotability, &gates, (&packet, &text), attest);
            fs::write_durable(attest.out, bytes.as_bytes())
                .map_err(|source| EmitError::WriteAttestation { out: attest.out.to_owned(), source })?;
            attested = Some(what);
        }
        fs::write_durable(request.out, text.as_bytes())
            .map_err(|source| EmitError::Write { out: request.out.to_owned(), source })?;
        Fate::Written
    } else {
        Fate::Refused {
            shut,
            older_file_stands: fs::exists(request.out),
            older_attestation_stands: attest_out.is_some_and(fs::exists),
        }
    };
    Ok(Emission { run_dir, run_id, promotability, findings: verification.findings, fate, attested })
}

/// The gates a verification summary answers for: those required, else the one of the system the evidence is of.
fn policy(require: &[GateName], documents: &UnverifiedBundle) -> Vec<GateName> {
    match (require.is_empty(), facts::is_linux(documents)) {
        (false, _) => require.to_vec(),
        (true, Some(true)) => vec![GateName::LinuxEnforcement],
        (true, _) => vec![GateName::DecisionStage],
    }
}
