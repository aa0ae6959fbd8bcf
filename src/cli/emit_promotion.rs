//! `emit-promotion`

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::gates::{GateArgs, listed, words};
use super::{outputs, print_line};
use crate::base::json as document;
use crate::promotion::{
    AttestRequest, Attested, Emission, EmitError, EmitRequest, Fate, GateName, KeyError, Predicate, SignKey,
    emit_promotion_packet,
};

// Arguments of `emit-promotion`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime emit-promotion --bundle out --out packet.json
  runtime emit-promotion --bundle out --out packet.json --require linux_enforcement
  openssl genpkey -algorithm ed25519 -out key.pem && chmod 600 key.pem
  runtime emit-promotion --bundle out --out packet.json --attest packet.dsse.json --sign-key key.pem

Exit status: 0 the packet is written, 1 a required gate is shut, no run is committed or nothing can be attested (nothing is \
written), 2 usage, 3 no packet can be derived.")]
pub(crate) struct Args {
    /// A bundle root (its LATEST is followed) or one run's directory
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Where the packet goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    gates: GateArgs,
    /// Also write an attestation: an in-toto statement about every artifact, with the packet as predicate
    #[arg(long, value_name = "FILE")]
    attest: Option<PathBuf>,
    /// Sign the attestation (DSSE) with this Ed25519 key; PKCS#8 in PEM, readable by its owner only
    #[arg(long, value_name = "KEY", requires = "attest")]
    sign_key: Option<PathBuf>,
    /// State a SLSA verification summary instead of the packet: whether the required gates are open
    #[arg(long, requires = "attest")]
    vsa: bool,
    /// Threads that hash; 0: one per processor
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let required = args.gates.required();
    let (out, attest_out) = (context.absolute(&args.out), args.attest.as_deref().map(|path| context.absolute(path)));
    let key = args.sign_key.as_deref().map(|path| context.absolute(path));
    outputs::check(attest_out.iter().chain([&out]).map(PathBuf::as_path), key.as_deref())?;
    let key = key.as_deref().map(read_key).transpose()?;
    let predicate = if args.vsa { Predicate::VerificationSummary } else { Predicate::Packet };
    let attest = attest_out.as_deref().map(|out| AttestRequest { out, key: key.as_ref(), predicate });
    let request =
        EmitRequest { bundle: &context.absolute(&args.bundle), out: &out, require: &required, attest, jobs: args.jobs };
    let emission = emit_promotion_packet(request).map_err(|error| match error {
        EmitError::Resolve(ref cause) if cause.is_refusal() => Failure::no(error),
        EmitError::Output(error) => outputs::refused(error),
        EmitError::NothingToAttest { .. } => {
            Failure::no(error).hint("validate-bundle says what is wrong with the bundle; nothing was written")
        }
        error => Failure::from(error),
    })?;
    if json {
        print_line(&document::to_pretty(&answer(&emission, &required, args)))?;
    } else {
        print(&emission, args)?;
    }
    Ok(match emission.fate {
        Fate::Written => Exit::Yes,
        Fate::Refused { .. } => Exit::No,
    })
}

fn read_key(path: &Path) -> Result<SignKey, Failure> {
    SignKey::read(path).map_err(|error| match error {
        KeyError::TooOpen { .. } => {
            Failure::from(error).hint("chmod 600 the key, and think about who may have read it")
        }
        error => Failure::from(error),
    })
}

fn answer(emission: &Emission, required: &[GateName], args: &Args) -> Value {
    let out = args.out.to_string_lossy();
    let attest = args.attest.as_ref().map(|path| path.to_string_lossy());
    let (wrote, shut, older, older_attestation) = match &emission.fate {
        Fate::Written => (true, Vec::new(), false, false),
        Fate::Refused { shut, older_file_stands, older_attestation_stands } => {
            (false, shut.clone(), *older_file_stands, *older_attestation_stands)
        }
    };
    json!({
        "ok": wrote,
        "wrote": wrote.then_some(&out),
        "bundle_dir": emission.run_dir.to_string_lossy(),
        "run_id": emission.run_id,
        "required": words(required),
        "shut": words(&shut),
        "older_file": older.then_some(&out),
        "older_attestation": older_attestation.then_some(&attest),
        "attestation": emission.attested.as_ref().map(|attested| json!({
            "wrote": attest,
            "signed": attested.key_id.is_some(),
            "key_id": attested.key_id,
            "predicate_type": attested.predicate.type_uri(),
            "summary": attested.summary.as_ref().map(|(gates, passed)| json!({
                "gates": words(gates), "result": if *passed { "PASSED" } else { "FAILED" },
            })),
        })),
        "promotability": emission.promotability.document(),
        "findings": emission.findings,
    })
}

fn print(emission: &Emission, args: &Args) -> Result<(), Failure> {
    let out = args.out.display();
    let gate = |name| emission.promotability.gate(name);
    match &emission.fate {
        Fate::Written => {
            if !gate(GateName::DecisionStage).promotable() {
                print_line(&format!("[!] not promotable: {}", listed(&gate(GateName::DecisionStage).reasons())))?;
            }
            print_line(&format!("[+] wrote {}", super::printable(&out.to_string())))?;
            if let (Some(attested), Some(path)) = (&emission.attested, &args.attest) {
                print_attested(attested, path)?;
            }
            match gate(GateName::LinuxEnforcement).reasons() {
                reasons if reasons.is_empty() => print_line("[+] linux_enforcement: promotable"),
                reasons => print_line(&format!("[!] linux_enforcement: not promotable: {}", listed(&reasons))),
            }
        }
        Fate::Refused { shut, older_file_stands, older_attestation_stands } => {
            for name in shut {
                let gate = gate(*name);
                super::note_line(&format!("error: {name}: not promotable: {}", listed(&gate.reasons())));
                print_details(&gate.details());
            }
            let older = older_file_stands.then_some(args.out.as_path()).into_iter();
            let older = older.chain(args.attest.as_deref().filter(|_| *older_attestation_stands));
            super::nothing_written(&args.out, older, "this bundle's verdict");
            Ok(())
        }
    }
}

fn print_attested(attested: &Attested, path: &Path) -> Result<(), Failure> {
    let what = match &attested.summary {
        None => "the packet".to_owned(),
        Some((gates, passed)) => {
            format!("{}: {}", words(gates).join(" and "), if *passed { "PASSED" } else { "FAILED" })
        }
    };
    let path = path.display();
    match &attested.key_id {
        Some(key_id) => print_line(&format!("[+] wrote {path} (attests {what}; signed by key {key_id})")),
        None => print_line(&format!("[!] wrote {path} (attests {what}; unsigned: nobody vouches for it)")),
    }
}

fn print_details(details: &Value) {
    for (word, about) in details.as_object().into_iter().flatten() {
        for text in about.as_array().into_iter().flatten().filter_map(Value::as_str) {
            super::note_line(&format!("  {word}: {text}"));
        }
    }
}
