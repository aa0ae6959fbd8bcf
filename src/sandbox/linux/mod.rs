//! The Linux supervisor: seccomp user notification that performs the operation itself, Landlock below.
//!
//! Life of a confinement ([`confine`]): probe the layers, plan (filter from [`table`] and profile, bounds from
//! `sandbox::lower`), give up capabilities, enter the outer domain, grow the [`tree`], enter the inner domain and install
//! the [`filter`] inside, take the listener over, answer calls ([`supervise`], [`dispatch`]) until the first process has
//! ended, end the rest, hand over the records.
//!
//! Life of a call ([`call`]): read the arguments once, [`resolve`] the path as the program sees it, judge every operation it
//! amounts to, make sure the caller still waits, perform it on the object that was judged, answer, record.
//!
//! Invariants: the kernel never runs a trapped call again on memory the program can change, but for exec, which the inner
//! domain bounds or which is judged again when it is done, and chdir, which leads to nothing that is not judged
//! ([`directory`]); every error is answered as an error; what has no handler does not exist.

mod address;
mod allowances;
mod attributes;
mod call;
mod confine;
mod descriptors;
mod directory;
mod dispatch;
mod entries;
mod exec;
mod exec_stop;
mod filter;
mod hand_over;
mod holds;
mod image;
mod kinds;
mod landlock;
mod layers;
mod metadata;
mod mounts;
mod moved;
mod named;
mod network;
mod open;
mod path;
mod processes;
mod records;
mod relations;
mod resolve;
mod send;
mod signals;
mod status;
mod sticky;
mod supervise;
mod table;
mod tree;
mod waits;

pub(super) use confine::{enter, exec};
pub(super) use layers::{obstacle, probe, self_check};
