//! `emit-promotion`

use std::path::PathBuf;

use serde_json::{Value, json};

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::print_line;
use crate::base::json as document;
use crate::promotion::{Emission, EmitError, EmitRequest, Fate, GateName, emit_promotion_packet};

/// Arguments of `emit-promotion`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime emit-promotion --bundle out --out packet.json
  runtime emit-promotion --bundle out --out packet.json --require linux_enforcement

Exit status: 0 the packet is written, 1 a required gate is shut (nothing is written), 2 usage, 3 no packet can be derived.")]
pub(crate) struct Args {
    /// A bundle root (its LATEST is followed) or one run's directory
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Where the packet goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write nothing unless the bundle is promotable as decision-stage evidence
    #[arg(long)]
    require_promotable: bool,
    /// Write nothing unless this gate is open (repeatable)
    #[arg(long, value_enum, value_name = "GATE")]
    require: Vec<RequiredGate>,
    /// Threads that hash; 0: one per processor
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
}

/// A gate as spelled on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum RequiredGate {
    /// Evidence of decisions made by the macOS kernel on the clean channel
    DecisionStage,
    /// Evidence of decisions enforced by the Linux kernel with every layer present
    LinuxEnforcement,
}

impl Args {
    fn required(&self) -> Vec<GateName> {
        let asked = self.require.iter().map(|gate| match gate {
            RequiredGate::DecisionStage => GateName::DecisionStage,
            RequiredGate::LinuxEnforcement => GateName::LinuxEnforcement,
        });
        let mut required: Vec<GateName> =
            self.require_promotable.then_some(GateName::DecisionStage).into_iter().chain(asked).collect();
        let mut seen = Vec::new();
        required.retain(|gate| {
            let first = !seen.contains(gate);
            seen.push(*gate);
            first
        });
        required
    }
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let required = args.required();
    let request = EmitRequest {
        bundle: &context.absolute(&args.bundle),
        out: &context.absolute(&args.out),
        require: &required,
        jobs: args.jobs,
    };
    let emission = emit_promotion_packet(request).map_err(|error| match error {
        EmitError::OutInsideBundle { .. } => Failure::usage(error).hint("write the packet outside the run's directory"),
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

fn answer(emission: &Emission, required: &[GateName], args: &Args) -> Value {
    let out = args.out.to_string_lossy();
    let (wrote, shut, older_file_stands) = match &emission.fate {
        Fate::Written => (true, Vec::new(), false),
        Fate::Refused { shut, older_file_stands } => (false, shut.clone(), *older_file_stands),
    };
    let words = |gates: &[GateName]| gates.iter().map(|gate| gate.word()).collect::<Vec<_>>();
    json!({
        "ok": wrote,
        "wrote": wrote.then_some(&out),
        "bundle_dir": emission.run_dir.to_string_lossy(),
        "run_id": emission.run_id,
        "required": words(required),
        "shut": words(&shut),
        "older_file": older_file_stands.then_some(&out),
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
            print_line(&format!("[+] wrote {out}"))?;
            match gate(GateName::LinuxEnforcement).reasons() {
                reasons if reasons.is_empty() => print_line("[+] linux_enforcement: promotable"),
                reasons => print_line(&format!("[!] linux_enforcement: not promotable: {}", listed(&reasons))),
            }
        }
        Fate::Refused { shut, older_file_stands } => {
            for name in shut {
                let gate = gate(*name);
                super::note_line(&format!("error: {name}: not promotable: {}", listed(&gate.reasons())));
                print_details(&gate.details());
            }
            super::note_line(&format!("  nothing was written to {out}"));
            if *older_file_stands {
                super::note_line(&format!(
                    "  an older file stands at {out}; it does not come from this bundle's verdict"
                ));
            }
            Ok(())
        }
    }
}

fn print_details(details: &Value) {
    for (word, about) in details.as_object().into_iter().flatten() {
        for text in about.as_array().into_iter().flatten().filter_map(Value::as_str) {
            super::note_line(&format!("  {word}: {text}"));
        }
    }
}

/// The words as the earlier tool prints them: a list in single quotes.
fn listed(reasons: &[&str]) -> String {
    let quoted: Vec<String> = reasons.iter().map(|word| format!("'{word}'")).collect();
    format!("[{}]", quoted.join(", "))
}
