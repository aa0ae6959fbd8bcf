//! `status`: what this host offers.

use super::context::Context;
use super::exit::{CliResult, Exit};
use super::list::Format;
use super::print_line;
use crate::base::json;
use crate::host::detect_world;
use crate::report;
use crate::run::{CHANNEL_DIRECT, RuntimeStatus, runtime_status};
use crate::sandbox;

// Arguments of `status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime status
  runtime status --format table")]
pub(crate) struct Args {
    /// Output form
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let status = runtime_status(detect_world()?, sandbox::layers(), |name| context.env_text(name));
    if args.format == Format::Json || json {
        print_line(&json::to_pretty(&status))?;
    } else {
        print_line(report::render_table(&["what", "state", "detail"], &rows(&status)).trim_end())?;
    }
    Ok(Exit::Yes)
}

fn rows(status: &RuntimeStatus) -> Vec<Vec<String>> {
    let row = |what: &str, state: &str, detail: &str| vec![what.to_owned(), state.to_owned(), detail.to_owned()];
    let (host, layers) = (&status.host, &status.enforcement);
    let mut rows = vec![
        row("world", &status.world_id, ""),
        row("system", &host.platform, &format!("{} {}", host.os.id, host.os.version)),
        row("kernel", &host.kernel_release, &host.arch),
        row("user id", &layers.uid.to_string(), ""),
        row(
            "sandboxed already",
            layers.already_sandboxed.map_or("not known", |yes| if yes { "yes" } else { "no" }),
            "",
        ),
    ];
    for (name, channel) in &status.channels {
        let state = match (channel.available, *name) {
            (true, _) => "can run",
            // A run is made all the same, of rows in error: it is evidence of such a host.
            (false, CHANNEL_DIRECT) => "cannot enforce",
            (false, _) => "cannot run",
        };
        rows.push(row(&format!("channel {name}"), state, channel.note.as_deref().unwrap_or("")));
    }
    for (name, layer) in &layers.layers {
        let state = if layer.present { "present" } else { "missing" };
        rows.push(row(&format!("layer {name}"), state, &layer.detail));
    }
    rows
}
