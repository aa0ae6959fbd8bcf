//! STUB
#![expect(missing_docs, reason = "stub")]
use crate::{denial::DecisionRecord, sbpl};
use std::os::fd::BorrowedFd;
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EnforcementReport {}
#[derive(Debug)]
pub enum Trap {
    All,
    AsNeeded,
}
#[derive(Debug)]
pub enum End {
    Exited(i32),
    Signaled(i32),
}
#[derive(Debug)]
pub struct Job<'a> {
    pub policy: Option<&'a sbpl::Policy>,
    pub trap: Trap,
    pub observe: bool,
    pub without_layers: Vec<String>,
    pub keep: &'a [BorrowedFd<'a>],
}
#[derive(Debug)]
pub struct Supervised {
    pub end: End,
    pub records: Vec<DecisionRecord>,
    pub records_dropped: u64,
    pub report: EnforcementReport,
}
#[derive(Debug, thiserror::Error)]
#[error("not built")]
pub struct SandboxError;
pub fn enter(_job: &Job<'_>, _body: impl FnOnce() -> u8) -> Result<Supervised, SandboxError> {
    Err(SandboxError)
}
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Layer {
    pub present: bool,
    pub detail: Option<String>,
}
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Layers {
    pub missing: Vec<String>,
    pub already_sandboxed: bool,
}
pub fn layers() -> Layers {
    Layers { missing: vec![], already_sandboxed: false }
}
