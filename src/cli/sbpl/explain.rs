//! `sbpl explain`

use super::profile::{ProfileArgs, compile, key_value, show_diagnostics, warn};
use crate::base::json as document;
use crate::cli::context::Context;
use crate::cli::exit::{CliResult, Exit, Failure};
use crate::cli::print_line;
use crate::sbpl::{Answer, Query};
use crate::vocab::RuleRef;

// Arguments of `sbpl explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    profile: ProfileArgs,
    /// Operation, for example file-read-data
    #[arg(long, value_name = "OPERATION")]
    op: String,
    /// What it is attempted on; spelled by the operation, see below
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// What else is known about the access, for example vnode-type=DIRECTORY or file-mode=0644; extension=CLASS and
    /// entitlement=NAME are what the process holds (may be given several times), extension=none and entitlement=none
    /// that it holds none
    #[arg(long, value_name = "NAME=VALUE", value_parser = key_value)]
    attr: Vec<(String, String)>,
}

const HELP: &str = "\
Targets:
  files and programs   /absolute/canonical/path
  network              tcp:HOST:PORT, udp:HOST:PORT, ip:HOST:PORT, unix:/path (HOST: localhost, *, or an address)
  processes            self, children, pgrp, same-sandbox, others
  everything else      a name: com.apple.logd, kern.osversion

Examples:
  runtime sbpl explain --profile a.sb --op file-read-data --target /etc/hosts
  runtime sbpl explain --profile a.sb -D HOME=/home/u --op file-write-create --target /home/u/x --json
  runtime sbpl explain --profile a.sb --op network-outbound --target tcp:localhost:443
  runtime sbpl explain --profile a.sb --op file-read-data --target /x --attr vnode-type=SYMLINK

Exit status: 0 answered, 2 usage, 3 the profile cannot be read or compiled.";

pub(super) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let query = Query::new(&args.op, args.target.as_deref(), &args.attr).map_err(Failure::usage)?;
    let policy = match compile(&args.profile, context)? {
        Ok(policy) => policy,
        Err(diagnostics) => return show_diagnostics(&diagnostics, json, context),
    };
    let answer = query.ask(&policy);
    if json {
        print_line(&document::to_pretty(&answer))?;
    } else {
        warn(policy.warnings(), context);
        print_line(&explanation(&answer))?;
    }
    Ok(Exit::Yes)
}

fn explanation(answer: &Answer) -> String {
    let mut lines = vec![answer.decision.to_owned()];
    match (&answer.rule, &answer.reason) {
        (Some(rule), None) => lines.push(format!("  decided by {}", place(rule))),
        (Some(rule), Some(reason)) => {
            lines.push(format!("  left open by {}", place(rule)));
            lines.push(format!("  because {reason}"));
        }
        (None, _) => lines.push("  no rule matches and no default line says otherwise".to_owned()),
    }
    lines.extend(answer.also_matched.iter().map(|rule| format!("  also matches {}", place(rule))));
    lines.extend(answer.may_match.iter().map(|rule| format!("  may match {}", place(rule))));
    for miss in &answer.near_misses {
        lines.push(format!("  near miss {}", place(&miss.rule)));
        lines.push(format!("    {}", miss.hint));
    }
    lines.extend(answer.note.iter().map(|note| format!("  note: {note}")));
    lines.join("\n")
}

fn place(rule: &RuleRef) -> String {
    format!("{rule}: {}", rule.text)
}
