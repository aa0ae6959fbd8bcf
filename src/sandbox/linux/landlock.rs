//! Entering the two Landlock domains.
//!
//! The outer one is entered by the supervisor before it forks, the inner one by the program on top of it. Being an ancestor
//! domain is what lets the supervisor look into the program, and keeps it from looking into anybody else.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

use super::resolve::open_path;
use crate::sandbox::lower::{Bound, Rights, RootRights};
use crate::sandbox::report::{Root, SkippedRoot};
use crate::sbpl::Ports;

/// Why a domain could not be entered.
#[derive(Debug, thiserror::Error)]
pub(super) enum DomainError {
    /// The rules were not accepted.
    #[error("the rules were refused")]
    Rules(#[source] RulesetError),
}

/// A domain ready to be entered.
#[derive(Debug)]
pub(super) struct Domain {
    rules: Vec<(OwnedFd, BitFlags<AccessFs>)>,
    /// Whether a root is everything.
    pub(super) unbounded: bool,
    /// Whether a root had to be replaced by the directory above it.
    pub(super) widened: bool,
    /// What it admits.
    pub(super) roots: Vec<Root>,
    /// What it cannot admit.
    pub(super) skipped: Vec<SkippedRoot>,
    /// TCP ports by right; a right that is not here is not taken charge of.
    ports: Vec<(AccessNet, BTreeSet<u16>)>,
    opens_for_writing: bool,
    abi: ABI,
    scopes: BitFlags<Scope>,
}

const LINK_ON_THE_WAY: &str = "a link is on the way; rules are compared with canonical paths and never match this one";
const NOT_THERE: &str = "does not exist, nor does the directory it would be in";
const ROOT_ENTRIES: &str =
    "entries directly below the root cannot be made or removed: that would admit writing everywhere";
const STANDS_IN: &str = "the profile names something in it that does not exist yet";

/// Rights of the kernel that a domain takes charge of. Device requests stay out: a right on the descriptor that the
/// supervisor opened would bind the program that got it.
fn handled(abi: ABI) -> BitFlags<AccessFs> {
    AccessFs::from_all(abi) & !(AccessFs::IoctlDev | AccessFs::ResolveUnix)
}

/// The kernel knows no single directories: a right on one holds beneath it. Of a directory that is named without what lies
/// below it, only listing and changing its entries are meant.
fn kernel_rights(rights: Rights, abi: ABI, directory: bool, beneath: bool) -> BitFlags<AccessFs> {
    let mut all = BitFlags::<AccessFs>::EMPTY;
    if rights.read {
        all |= if directory && !beneath { AccessFs::ReadDir.into() } else { AccessFs::ReadFile | AccessFs::ReadDir };
    }
    if rights.execute && (beneath || !directory) {
        all |= AccessFs::Execute | AccessFs::ReadFile;
    }
    if rights.write {
        all |= AccessFs::from_write(abi);
    }
    let fitting = if directory { BitFlags::<AccessFs>::all() } else { AccessFs::from_file(abi) };
    all & fitting & handled(abi)
}

/// Enters a domain that keeps signals inside and bounds nothing else. The thread must have `no_new_privs`.
pub(super) fn scope_signals() -> Result<(), DomainError> {
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement).scope(Scope::Signal);
    let entered = ruleset.and_then(Ruleset::create).and_then(RulesetCreated::restrict_self);
    entered.map(drop).map_err(DomainError::Rules)
}

impl Domain {
    /// Opens the roots of a bound. `name` is the domain's name in reports; `scopes` keep signals or abstract sockets inside.
    pub(super) fn prepare(bound: &Bound, name: &str, abi_version: u32, scopes: BitFlags<Scope>) -> Self {
        let abi = ABI::from(i32::try_from(abi_version).unwrap_or(i32::MAX));
        let mut domain = Self {
            rules: Vec::new(),
            widened: false,
            unbounded: false,
            roots: Vec::new(),
            skipped: Vec::new(),
            ports: Vec::new(),
            opens_for_writing: bound.opens_for_writing,
            abi,
            scopes: scopes & Scope::from_all(abi),
        };
        for (access, ports) in [(AccessNet::ConnectTcp, &bound.connect), (AccessNet::BindTcp, &bound.bind)] {
            if let Ports::Only(ports) = ports
                && AccessNet::from_all(abi).contains(access)
            {
                domain.ports.push((access, ports.clone()));
            }
        }
        for (path, root) in &bound.roots {
            if let Err(reason) = domain.add(path, root) {
                domain.skipped.push(SkippedRoot { path: path.clone(), domain: name.to_owned(), reason });
            }
        }
        if bound.leaves_out_root_entries && !domain.unbounded {
            let reason = ROOT_ENTRIES.to_owned();
            domain.skipped.push(SkippedRoot { path: "/".to_owned(), domain: name.to_owned(), reason });
        }
        domain
    }

    /// Adds a root, or the directory above one that does not exist yet: what the program makes there must be reachable.
    fn add(&mut self, path: &str, root: &RootRights) -> Result<(), String> {
        match open_path(path.as_bytes(), false) {
            Ok(fd) => self.add_open(path, fd, root),
            Err(Errno::LOOP) => Err(LINK_ON_THE_WAY.to_owned()),
            Err(Errno::NOENT) => {
                let (parent, _) = path.rsplit_once('/').filter(|(parent, _)| !parent.is_empty()).ok_or(NOT_THERE)?;
                let fd = open_path(parent.as_bytes(), true).map_err(|_| NOT_THERE)?;
                self.widened |= root.rights.execute;
                let wider = RootRights { beneath: true, why: Some(STANDS_IN), ..root.clone() };
                self.add_open(parent, fd, &wider)
            }
            Err(errno) => Err(std::io::Error::from(errno).to_string()),
        }
    }

    fn add_open(&mut self, path: &str, fd: OwnedFd, root: &RootRights) -> Result<(), String> {
        let kind = fstat(&fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
        if kind == Ok(FileType::Symlink) {
            // Only its metadata can be meant, and that is not bounded.
            return Ok(());
        }
        let directory = kind == Ok(FileType::Directory);
        let mut rights = kernel_rights(root.rights, self.abi, directory, root.beneath);
        if !self.opens_for_writing {
            rights &= !BitFlags::from(AccessFs::WriteFile);
        }
        if !rights.is_empty() {
            self.unbounded |= path == "/" && root.beneath;
            self.rules.push((fd, rights));
            let (path, why) = (path.to_owned(), root.why.map(str::to_owned));
            self.roots.push(Root { path, rights: root.rights.words(), why });
        }
        Ok(())
    }

    /// Enters the domain; it cannot be left. The thread must have `no_new_privs`.
    pub(super) fn enter(&self) -> Result<(), DomainError> {
        self.try_enter().map_err(DomainError::Rules)
    }

    fn try_enter(&self) -> Result<(), RulesetError> {
        let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        let ruleset = ruleset.handle_access(handled(self.abi))?;
        let mut ruleset = if self.scopes.is_empty() { ruleset } else { ruleset.scope(self.scopes)? };
        for (access, _) in &self.ports {
            ruleset = ruleset.handle_access(*access)?;
        }
        let mut created = ruleset.create()?;
        for (access, ports) in &self.ports {
            for port in ports {
                created = created.add_rule(NetPort::new(*port, *access))?;
            }
        }
        for (fd, rights) in &self.rules {
            created = created.add_rule(PathBeneath::new(fd, *rights))?;
        }
        created.restrict_self().map(drop)
    }
}
