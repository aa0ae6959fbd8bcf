//! `promotion verify`

use std::path::PathBuf;

use serde_json::json;

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::gates::{GateArgs, listed, words};
use super::print_line;
use crate::base::json as document;
use crate::promotion::{GateName, Origin, PacketVerification, PublicKey, VerifyError, VerifyRequest, verify_packet};
use crate::vocab::{Finding, Severity};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Derive a packet's verdicts and digests again from its bundle, and check who signed it
    Verify(VerifyArgs),
    /// Verify and judge packets together; write them down as a set, and what became of each as a receipt
    Set(super::promotion_set::Args),
    /// Write the map of canonical paths that a packet's path witnesses give
    Paths(super::promotion_paths::Args),
}

// Arguments of `promotion verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime promotion verify --packet packet.json
  runtime promotion verify --packet packet.json --bundle out --require linux_enforcement
  runtime promotion verify --packet packet.json --attestation packet.dsse.json --key public.pem
  runtime promotion verify --packet packet.dsse.json --key public.pem

Without a key the origin is unproven: packet and bundle agree with each other, which anybody can arrange.

Exit status: 0 the packet says what its bundle gives (and what was required holds), 1 it does not (every difference is listed), \
2 usage, 3 packet, key or bundle cannot be read.")]
pub(crate) struct VerifyArgs {
    /// The packet, or an attestation whose predicate it is
    #[arg(long, value_name = "FILE")]
    packet: PathBuf,
    /// The bundle: a bundle root or one run's directory [default: where the packet's run_manifest leads]
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// An attestation of the packet in a file of its own
    #[arg(long, value_name = "FILE")]
    attestation: Option<PathBuf>,
    /// Insist on a signature by this Ed25519 public key (PEM)
    #[arg(long, value_name = "KEY")]
    key: Option<PathBuf>,
    #[command(flatten)]
    gates: GateArgs,
    /// Root of the packet's relative paths [default: nearest ancestor of the packet with .git or AGENTS.md]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Threads that hash; 0: one per processor
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
}

pub(crate) fn run(command: &Command, json: bool, context: &Context) -> CliResult {
    match command {
        Command::Verify(args) => verify(args, json, context),
        Command::Set(args) => super::promotion_set::run(args, json, context),
        Command::Paths(args) => super::promotion_paths::run(args, json, context),
    }
}

fn verify(args: &VerifyArgs, json: bool, context: &Context) -> CliResult {
    let absolute = |path: &Option<PathBuf>| path.as_deref().map(|path| context.absolute(path));
    let key = absolute(&args.key).map(|path| PublicKey::read(&path)).transpose()?;
    let (bundle, root, attestation) = (absolute(&args.bundle), absolute(&args.root), absolute(&args.attestation));
    let required = args.gates.required();
    let request = VerifyRequest {
        packet: &context.absolute(&args.packet),
        attestation: attestation.as_deref(),
        key: key.as_ref(),
        bundle: bundle.as_deref(),
        root: root.as_deref(),
        require: &required,
        jobs: args.jobs,
    };
    let verification = verify_packet(request).map_err(|error| match error {
        VerifyError::NothingSigned => Failure::usage(error).hint("name it with --attestation"),
        VerifyError::Bundle { .. } | VerifyError::Pointer { .. } => {
            Failure::from(error).hint("name the bundle with --bundle")
        }
        error => Failure::from(error),
    })?;
    let ok = verification.is_valid() && verification.shut.is_empty();
    if json {
        print_line(&document::to_pretty(&answer(&verification, &required, ok)))?;
    } else {
        print(&verification, ok)?;
    }
    Ok(if ok { Exit::Yes } else { Exit::No })
}

fn answer(verification: &PacketVerification, required: &[GateName], ok: bool) -> serde_json::Value {
    let documents = verification.documents();
    let verified = verification.bundle.verified();
    json!({
        "ok": ok,
        "packet": verification.packet.path().to_string_lossy(),
        "packet_sha256": verification.packet.sha256(),
        "bundle_dir": documents.run_dir().to_string_lossy(),
        "run_id": documents.run_id(),
        "world_id": verified.and_then(|bundle| bundle.world_id()),
        "artifact_index_sha256": verified.map(|bundle| bundle.index_sha256()),
        "origin": verification.origin.word(),
        "key_id": match &verification.origin {
            Origin::Signed { key_id } => Some(key_id),
            Origin::Unproven => None,
        },
        "bound_to_content": verification.bound,
        "required": words(required),
        "shut": words(&verification.shut),
        "promotability": verification.promotability.document(),
        "findings": verification.findings,
    })
}

fn print(verification: &PacketVerification, ok: bool) -> Result<(), Failure> {
    if ok {
        print_line("[+] packet ok")?;
    }
    for finding in &verification.findings {
        let mark = match finding.severity {
            Severity::Error => "[!]",
            Severity::Warning => "[~]",
            Severity::Note => "[i]",
        };
        let Finding { id, pointer, message, .. } = finding;
        let about = pointer.as_deref().filter(|at| !at.is_empty()).map(|at| format!("{at}: ")).unwrap_or_default();
        print_line(&super::printable(&format!("{mark} {about}{message} [{id}]")))?;
    }
    for name in GateName::ALL {
        let gate = verification.promotability.gate(name);
        let mark = if verification.shut.contains(&name) { "[!]" } else { "   " };
        let says = match gate.reasons() {
            reasons if reasons.is_empty() => "promotable".to_owned(),
            reasons => format!("not promotable: {}", listed(&reasons)),
        };
        print_line(&format!("{mark} {name}: {says}"))?;
    }
    print_line(&format!("    run {}", super::printable(verification.documents().run_id())))?;
    match &verification.origin {
        Origin::Unproven => print_line("    origin: unproven"),
        Origin::Signed { key_id } => print_line(&format!("    origin: signed by key {key_id}")),
    }
}
