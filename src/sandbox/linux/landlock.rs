//! Entering the two Landlock domains.
//!
//! The outer one is entered by the supervisor before it forks, the inner one by the program on top of it. Being an ancestor
//! domain is what lets the supervisor look into the program, and keeps it from looking into anybody else.

use std::os::fd::OwnedFd;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, Scope,
};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use crate::sandbox::lower::{Bound, Rights};
use crate::sandbox::report::{Root, SkippedRoot};

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
    /// What it admits.
    pub(super) roots: Vec<Root>,
    /// What it cannot admit.
    pub(super) skipped: Vec<SkippedRoot>,
    abi: ABI,
    scoped: bool,
}

/// Rights of the kernel that a domain takes charge of. Device requests stay out: a right on the descriptor that the
/// supervisor opened would bind the program that got it.
fn handled(abi: ABI) -> BitFlags<AccessFs> {
    AccessFs::from_all(abi) & !(AccessFs::IoctlDev | AccessFs::ResolveUnix)
}

fn kernel_rights(rights: Rights, abi: ABI, directory: bool) -> BitFlags<AccessFs> {
    let mut all = BitFlags::<AccessFs>::EMPTY;
    if rights.read {
        all |= AccessFs::ReadFile | AccessFs::ReadDir;
    }
    if rights.execute {
        all |= AccessFs::Execute | AccessFs::ReadFile;
    }
    if rights.write {
        all |= AccessFs::from_write(abi);
    }
    let fitting = if directory { BitFlags::<AccessFs>::all() } else { AccessFs::from_file(abi) };
    all & fitting & handled(abi)
}

impl Domain {
    /// Opens the roots of a bound. `name` is the domain's name in reports; `scoped` adds the signal and abstract socket scopes.
    pub(super) fn prepare(bound: &Bound, name: &str, abi_version: u32, scoped: bool) -> Self {
        let abi = ABI::from(i32::try_from(abi_version).unwrap_or(i32::MAX));
        let mut domain = Self { rules: Vec::new(), roots: Vec::new(), skipped: Vec::new(), abi, scoped };
        for (path, root) in &bound.roots {
            match domain.add(path, root.rights) {
                Ok(()) => domain.roots.push(Root {
                    path: path.clone(),
                    rights: root.rights.words(),
                    why: root.why.map(str::to_owned),
                }),
                Err(errno) => domain.skipped.push(SkippedRoot {
                    path: path.clone(),
                    domain: name.to_owned(),
                    reason: std::io::Error::from(errno).to_string(),
                }),
            }
        }
        domain
    }

    fn add(&mut self, path: &str, rights: Rights) -> Result<(), Errno> {
        let fd = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let directory = FileType::from_raw_mode(fstat(&fd)?.st_mode) == FileType::Directory;
        let rights = kernel_rights(rights, self.abi, directory);
        if !rights.is_empty() {
            self.rules.push((fd, rights));
        }
        Ok(())
    }

    /// Whether the domain admits every access to files.
    pub(super) fn bounds_nothing(&self) -> bool {
        self.roots.iter().any(|root| root.path == "/" && root.rights.iter().any(|word| word == "write"))
    }

    /// Enters the domain; it cannot be left. The thread must have `no_new_privs`.
    pub(super) fn enter(&self) -> Result<(), DomainError> {
        self.try_enter().map_err(DomainError::Rules)
    }

    fn try_enter(&self) -> Result<(), RulesetError> {
        let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        let ruleset = ruleset.handle_access(handled(self.abi))?;
        let scopes = Scope::from_all(self.abi);
        let ruleset = if self.scoped && !scopes.is_empty() { ruleset.scope(scopes)? } else { ruleset };
        let mut created = ruleset.create()?;
        for (fd, rights) in &self.rules {
            created = created.add_rule(PathBeneath::new(fd, *rights))?;
        }
        created.restrict_self().map(drop)
    }
}
