//! `status`: what this host offers.

use serde_json::{Value, json};

use crate::base::json as document;
use crate::host::detect_world;
use crate::run::{CHANNEL_DIRECT, CHANNEL_LAUNCHD_CLEAN};
use crate::sandbox::{self, Layers};

use super::context::Context;
use super::exit::{CliResult, Exit};
use super::print_line;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime status
  runtime status --format table")]
pub(crate) struct Args {
    /// Output form
    #[arg(long, default_value = "json", value_parser = ["json", "table"])]
    format: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> CliResult {
    let world = detect_world()?.world_id();
    let layers = sandbox::layers();
    if args.format == "table" {
        for line in table(&world, &layers) {
            print_line(&line)?;
        }
        return Ok(Exit::Yes);
    }
    let flag = |name: &str| context.env_text(name) == Some("1");
    let object = json!({
        "schema_version": "runtime-tools.status.v0.1",
        "world_id": world,
        "repo_root": ".",
        "channel": context.env_text("SANDBOX_LORE_CHANNEL").unwrap_or(CHANNEL_DIRECT),
        "clean_channel_active": flag("SANDBOX_LORE_LAUNCHD_CLEAN"),
        "stage_used": flag("SANDBOX_LORE_STAGE_USED"),
        "stage_root": context.env_text("SANDBOX_LORE_STAGE_ROOT"),
        "stage_output_root": context.env_text("SANDBOX_LORE_STAGE_OUTPUT_ROOT"),
        "run_id": context.env_text("SANDBOX_LORE_RUN_ID"),
        "sandbox_check_self": {"source": "sandbox_check", "error": "sandbox_check is an interface of macOS"},
        "tools": {"launchctl": false, "sandbox_runner": true},
        "channels": channels(&layers),
        "enforcement": layers,
    });
    print_line(&document::to_pretty(&object))?;
    Ok(Exit::Yes)
}

/// Which channels can run here, and why the others cannot.
fn channels(layers: &Layers) -> Value {
    let direct = match layers.missing.is_empty() {
        true => Value::Null,
        false => json!(format!("enforcement layers missing: {}", layers.missing.join(", "))),
    };
    json!({
        CHANNEL_DIRECT: {"available": true, "note": direct},
        CHANNEL_LAUNCHD_CLEAN: {
            "available": false, "note": "needs launchd (/bin/launchctl) and sandbox_init of macOS",
        },
    })
}

fn table(world: &str, layers: &Layers) -> Vec<String> {
    let mut lines = vec![
        format!("world            {world}"),
        format!("kernel           {} ({})", layers.kernel_release, layers.system),
        format!("user id          {}", layers.uid),
        format!("already confined {}", if layers.already_sandboxed { "yes" } else { "no" }),
        format!("channels         {CHANNEL_DIRECT}: yes, {CHANNEL_LAUNCHD_CLEAN}: no (macOS only)"),
    ];
    for (name, layer) in &layers.layers {
        let word = if layer.present { "present" } else { "MISSING" };
        lines.push(format!("layer            {name}: {word} ({})", layer.detail));
    }
    lines
}
