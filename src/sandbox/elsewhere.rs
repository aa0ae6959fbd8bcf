//! Systems without an enforcement of ours: every entry refuses by name.

use super::{Command, Job, Layers, SandboxError, SelfCheck, Supervised};

pub(super) fn enter(_job: &Job<'_>, _body: impl FnOnce() -> u8) -> Result<Supervised, SandboxError> {
    Err(SandboxError::NotAvailable { system: std::env::consts::OS })
}

pub(super) fn exec(_job: &Job<'_>, _command: &Command) -> Result<Supervised, SandboxError> {
    Err(SandboxError::NotAvailable { system: std::env::consts::OS })
}

pub(super) fn obstacle(_layers: &Layers) -> Option<SandboxError> {
    Some(SandboxError::NotAvailable { system: std::env::consts::OS })
}

pub(super) fn probe() -> Layers {
    Layers::none(std::env::consts::OS)
}

pub(super) fn self_check() -> SelfCheck {
    SelfCheck { source: "none", answer: Err(super::NoSelfCheck::Absent("an interface that says it")) }
}
