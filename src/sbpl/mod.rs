//! SBPL: text to tree to decision. Pure; imports no `os`.

mod access;

pub use access::{Access, Decide, Endpoint, ProcessTarget, Target, Transport, Verdict, VnodeType};
