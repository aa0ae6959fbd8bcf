//! The kinds of accesses that are decided here, by operation: what each says of itself, for the report. The values are samples.

use std::net::SocketAddr;

use super::network::{BIND, INBOUND, OUTBOUND, SYSTEM_SOCKET};
use crate::sandbox::endpoint::SocketAddress;
use crate::sandbox::lower::POSIX_IPC;
use crate::sbpl::{Access, Fact, ProcessTarget, Target, Transport, VnodeType};
use crate::vocab::Operation;

/// An object that was found.
const FILE: Target<'_> = Target::Path { path: b"/", vnode_type: Some(VnodeType::RegularFile), mode: Some(0) };
/// A link met on the way, or an entry that is to be made: it is not looked at, or has no mode yet.
const ENTRY: Target<'_> = Target::Path { path: b"/", vnode_type: Some(VnodeType::Symlink), mode: None };
/// What a descriptor leads to, by its name alone.
const NAME_OF_FILE: Target<'_> = Target::Path { path: b"/", vnode_type: None, mode: None };
const PROCESS: Target<'_> = Target::Process(ProcessTarget::Itself);
const NAMED: Target<'_> = Target::Name("");

/// Hands a function one access of each kind there is of an operation.
pub(super) fn each_kind(operation: &Operation, ask: &mut dyn FnMut(&Access<'_>)) {
    let mut of = |target: &Target<'_>, facts: &[Fact<'_>]| {
        ask(&Access { operation, target: Target::Described { target, facts } });
    };
    match operation.as_str() {
        OUTBOUND | BIND | INBOUND => each_address(operation, ask),
        SYSTEM_SOCKET => of(&NAMED, &["socket-domain", "socket-protocol", "socket-type"].map(fact)),
        "signal" | "process-info-pidinfo" | "process-info-setcontrol" => of(&PROCESS, &[fact("target")]),
        "sysctl-read" | "sysctl-write" => of(&NAMED, &[]),
        name if POSIX_IPC.contains(&name) => of(&NAMED, &[]),
        "process-fork" | "ipc-sysv-msg" | "ipc-sysv-sem" | "ipc-sysv-shm" => of(&Target::None, &[]),
        "file-write-create" | "file-mknod" => of(&ENTRY, &[]),
        "file-read-metadata" => [FILE, ENTRY].iter().for_each(|target| of(target, &[])),
        // Reading one attribute, and listing them all.
        "file-read-xattr" => [&[fact("xattr")][..], &[]].into_iter().for_each(|facts| of(&FILE, facts)),
        "file-write-xattr" => of(&FILE, &[fact("xattr")]),
        "file-ioctl" => of(&NAME_OF_FILE, &[fact("ioctl-command")]),
        _ => of(&FILE, &[]),
    }
}

fn fact(filter: &'static str) -> Fact<'static> {
    Fact { filter, value: "" }
}

fn each_address(operation: &Operation, ask: &mut dyn FnMut(&Access<'_>)) {
    let mut addresses = vec![SocketAddress::UnixPath(b"/".to_vec()), SocketAddress::UnixUnnamed];
    for transport in [Transport::Tcp, Transport::Udp, Transport::Other] {
        for host in [[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()] {
            addresses.push(SocketAddress::ip(transport, SocketAddr::new(host, 1)));
        }
    }
    for address in addresses {
        address.access(operation, Some(""), |access| ask(access));
    }
}
