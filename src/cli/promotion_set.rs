//! `promotion set`

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::context::Context;
use super::exit::{CliResult, Exit, Failure};
use super::gates::GateWord;
use super::{outputs, print_line};
use crate::base::digest::Sha256Hex;
use crate::base::json as document;
use crate::os::fs;
use crate::promotion::{
    PacketRef, PacketStatus, PromoteRequest, Promotion, PublicKey, load_packet_set, packet_set_document,
    promote_from_packets,
};

// Arguments of `promotion set`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  runtime promotion set --packet a.json --packet b.json --gate linux_enforcement --out packet_set.json
  runtime promotion set --packet-set packet_set.json --gate linux_enforcement --receipt promotion_receipt.json
  runtime promotion set --packet a.dsse.json --packet b.dsse.json --key public.pem --gate linux_enforcement --out packet_set.json

Every packet is verified against its bundle, must be of one world, and its gate must be open. A new set is written only when all \
packets are used; of a set that is read, at least one must be. With --key every packet must be an attestation (emit-promotion \
--attest --sign-key) that this key signed.

Exit status: 0 as above, 1 not so (no set is written; a receipt is), 2 usage, 3 a set or key cannot be read or a file not written.")]
pub(crate) struct Args {
    /// A packet (repeatable)
    #[arg(long, value_name = "FILE", required_unless_present = "packet_set", requires = "out")]
    packet: Vec<PathBuf>,
    /// A packet set to judge again
    #[arg(long, value_name = "FILE", conflicts_with_all = ["packet", "out", "no_missing"])]
    packet_set: Option<PathBuf>,
    /// Where the new packet set goes
    #[arg(long, value_name = "SET")]
    out: Option<PathBuf>,
    /// Where the promotion receipt goes
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// The world all packets must be of [default: the set's own, else that of the packets]
    #[arg(long, value_name = "WORLD")]
    world: Option<String>,
    /// The gate that must be open
    #[arg(long, value_enum, value_name = "GATE", default_value = "decision_stage")]
    gate: GateWord,
    /// Insist on a signature of every packet by this Ed25519 public key (PEM)
    #[arg(long, value_name = "KEY")]
    key: Option<PathBuf>,
    /// Let readers of the new set refuse it when one of its packets is gone
    #[arg(long)]
    no_missing: bool,
    /// Root of relative paths [default: nearest ancestor of each document with .git or AGENTS.md]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Threads that hash; 0: one per processor
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
}

pub(crate) fn run(args: &Args, json: bool, context: &Context) -> CliResult {
    let absolute = |path: &Option<PathBuf>| path.as_deref().map(|path| context.absolute(path));
    let root = absolute(&args.root).map(|root| fs::resolved(&root)).transpose()?;
    let (out, receipt) = (absolute(&args.out), absolute(&args.receipt));
    let key_path = absolute(&args.key);
    let key = key_path.as_deref().map(PublicKey::read).transpose()?;
    let input = Input::of(args, out.as_deref(), root.as_deref(), context)?;
    let files = input.packets.iter().map(|packet| packet.path.as_path()).chain(input.set_path.as_deref());
    let files = files.chain(key_path.as_deref());
    outputs::check([&out, &receipt].into_iter().flatten().map(PathBuf::as_path), files)?;
    let promotion = promote_from_packets(PromoteRequest {
        packets: &input.packets,
        packet_set: input.set_sha256.as_ref().zip(input.set_stored.as_deref()).map(|(sha256, stored)| (stored, sha256)),
        allow_missing: input.allow_missing,
        world_id: input.world_id.as_deref(),
        gate: args.gate.into(),
        key: key.as_ref(),
        root: root.as_deref(),
        jobs: args.jobs,
    })
    .map_err(Failure::no)?;
    let ok = promotion.is_usable() && (out.is_none() || promotion.all_used());
    let mut promotion = promotion;
    if let (Some(out), true) = (&out, ok) {
        let paths: Vec<PathBuf> = input.packets.iter().map(|packet| packet.path.clone()).collect();
        let (set, _) = packet_set_document(out, root.as_deref(), &paths, &promotion.world_id, !args.no_missing);
        let text = document::to_pretty(&set);
        promotion.name_set(input.set_stored.as_deref().unwrap_or_default(), Sha256Hex::of(text.as_bytes()));
        fs::write_durable(out, text.as_bytes())?;
    }
    if let Some(receipt) = &receipt {
        fs::write_durable(receipt, document::to_pretty_sorted(&promotion.receipt()).as_bytes())?;
    }
    if json {
        print_line(&document::to_pretty(&answer(&promotion, args, ok)))?;
    } else {
        print(&promotion, args, ok)?;
    }
    Ok(if ok { Exit::Yes } else { Exit::No })
}

/// What is judged.
struct Input {
    packets: Vec<PacketRef>,
    set_path: Option<PathBuf>,
    set_stored: Option<String>,
    set_sha256: Option<Sha256Hex>,
    allow_missing: bool,
    world_id: Option<String>,
}

impl Input {
    fn of(args: &Args, out: Option<&Path>, root: Option<&Path>, context: &Context) -> Result<Self, Failure> {
        if let Some(path) = &args.packet_set {
            let path = fs::resolved(&context.absolute(path))?;
            let set = load_packet_set(&path, root)?;
            let (_, stored) = packet_set_document(&path, root, std::slice::from_ref(&path), "", true);
            return Ok(Self {
                packets: set.packets,
                set_stored: stored.into_iter().next().map(|reference| reference.stored),
                set_path: Some(path),
                set_sha256: Some(set.sha256),
                allow_missing: set.allow_missing,
                world_id: args.world.clone().or(set.world_id),
            });
        }
        let out = fs::resolved(out.unwrap_or(&context.cwd))?;
        let mut paths = Vec::new();
        for packet in &args.packet {
            let path = fs::resolved(&context.absolute(packet))?;
            if paths.contains(&path) {
                return Err(Failure::usage(format!("{} is named twice", packet.display())));
            }
            paths.push(path);
        }
        paths.push(out.clone());
        let (_, mut packets) = packet_set_document(&out, root, &paths, "", true);
        let set_stored = packets.pop().map(|reference| reference.stored);
        let world_id = args.world.clone();
        Ok(Self { packets, set_path: None, set_stored, set_sha256: None, allow_missing: true, world_id })
    }
}

fn answer(promotion: &Promotion, args: &Args, ok: bool) -> Value {
    let shown = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
    let out = shown(&args.out);
    let older = !ok && args.out.as_deref().is_some_and(fs::exists);
    json!({
        "ok": ok,
        "wrote": out.as_ref().filter(|_| ok),
        "older_file": out.as_ref().filter(|_| older),
        "receipt": shown(&args.receipt),
        "world_id": promotion.world_id,
        "gate": promotion.gate.word(),
        "key_id": promotion.key_id,
        "conflicts": promotion.conflicts,
        "packets": promotion.receipt()["packets"],
    })
}

fn print(promotion: &Promotion, args: &Args, ok: bool) -> Result<(), Failure> {
    for one in &promotion.considered {
        let mark = if one.status == PacketStatus::Used { "[+]" } else { "[!]" };
        let why = if one.reasons.is_empty() { String::new() } else { format!(": {}", one.reasons.join(", ")) };
        let error = one.error.as_deref().map(|error| format!(" ({error})")).unwrap_or_default();
        let line = format!("{mark} {} {}{why}{error}", one.stored, one.status.word());
        print_line(&super::printable(&line))?;
    }
    for conflict in &promotion.conflicts {
        print_line(&super::printable(&format!("[!] {conflict}")))?;
    }
    if let Some(receipt) = &args.receipt {
        print_line(&format!("[+] wrote {}", super::shown_path(receipt)))?;
    }
    match &args.out {
        Some(out) if ok => print_line(&format!("[+] wrote {}", super::shown_path(out))),
        Some(out) => {
            let older = args.out.as_deref().filter(|out| fs::exists(out));
            super::nothing_written(out, older, "these packets");
            Ok(())
        }
        None => Ok(()),
    }
}
