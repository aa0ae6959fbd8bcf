//! `inventory build`

use std::path::PathBuf;

use serde_json::json;

use super::context::Context;
use super::exit::{CliResult, Exit};
use super::{outputs, print_line};
use crate::base::json as document;
use crate::base::text::counted;
use crate::inventory::{Inventory, Request, build_runtime_inventory, load_items, shipped_items};
use crate::os::fs;
use crate::registry::{Place, root_of};

/// `inventory`
#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Look through a source tree for everything that has to do with sandboxes
    Build(Args),
}

// Arguments of `inventory build`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime inventory build
  runtime inventory build --root . --out other_runtime_inventory.json
  runtime inventory build --items items.json --json --out inventory.json

Left out: hidden files, what .gitignore, .ignore and .rgignore of the tree name, folders called `out`, symbolic links, and \
binary files. Files over 16 MiB and what cannot be read are listed under `skipped`.

Exit status: 0 done, 3 the tree, the items or the world document cannot be read, or the file cannot be written.")]
pub(crate) struct Args {
    /// The tree [default: nearest ancestor with .git or AGENTS.md, else the working directory]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Where the document goes; replaced whole, or left as it was [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Keywords and known places [default: the built-in ones]
    #[arg(long, value_name = "FILE")]
    items: Option<PathBuf>,
    /// Document with the tree's world_id [default: the one that the items name]
    #[arg(long, value_name = "FILE")]
    world: Option<PathBuf>,
}

pub(crate) fn run(command: &Command, json: bool, context: &Context) -> CliResult {
    let Command::Build(args) = command;
    let absolute = |path: &Option<PathBuf>| path.as_deref().map(|path| context.absolute(path));
    let (out, items, world) = (absolute(&args.out), absolute(&args.items), absolute(&args.world));
    outputs::check(out.as_deref(), items.as_deref().into_iter().chain(world.as_deref()))?;
    let items = match items {
        Some(path) => load_items(&Place::Disk(path))?,
        None => shipped_items()?,
    };
    let root = args.root.as_ref().map_or_else(|| root_of(&context.cwd), |path| context.absolute(path));
    let world = world.map(Place::Disk);
    let request = Request { root: &root, items: &items, world: world.as_ref(), output: out.clone() };
    let inventory = build_runtime_inventory(&request)?;
    let text = document::to_pretty(&inventory);
    match out {
        None => print_line(&text)?,
        Some(out) => {
            fs::write_durable(&out, text.as_bytes())?;
            report(&inventory, &out.display().to_string(), json)?;
        }
    }
    Ok(Exit::Yes)
}

fn report(inventory: &Inventory, out: &str, json: bool) -> CliResult {
    let assigned: usize = inventory.in_repo.iter().map(|entry| entry.files.len()).sum();
    let (rest, skipped) = (inventory.unclassified_hits.len(), inventory.skipped.len());
    if json {
        let object = json!({
            "out": out, "world_id": inventory.world_id, "assigned": assigned, "unclassified": rest, "skipped": skipped,
        });
        print_line(&document::to_pretty(&object))?;
    } else {
        for entry in inventory.in_repo.iter().filter(|entry| !entry.files.is_empty()) {
            print_line(&format!("{}: {}", entry.item.id, counted(entry.files.len(), "file", "files")))?;
        }
        let assigned = counted(assigned, "file", "files");
        print_line(&format!("world {}: {assigned} in known places, {rest} elsewhere", inventory.world_id))?;
        for skipped in &inventory.skipped {
            let (path, reason) = (super::printable(&skipped.path), super::printable(&skipped.reason));
            print_line(&format!("[!] not looked into: {path}: {reason}"))?;
        }
        print_line(&format!("[+] wrote {out}"))?;
    }
    Ok(Exit::Yes)
}
