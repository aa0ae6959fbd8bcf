//! `runtime`: does this sandbox policy really allow and deny what we think?
//!
//! A plan and a registry (data) run under a policy in separate lanes and leave a bundle that another person can check.
//!
//! # Map and layers
//!
//! | Layer | Modules | May import |
//! | --- | --- | --- |
//! | 0 | [`base`] | nothing of this crate |
//! | 1 | [`vocab`], [`os`], [`schema`] | 0 |
//! | 2 | [`sbpl`], [`event`], [`denial`], [`report`] | 0-1 (`sbpl`, `event`, `denial`, `report` never `os`) |
//! | 3 | [`host`], [`fixture`], [`registry`], [`sandbox`], [`bundle`] | 0-2 |
//! | 4 | [`plan`], [`probe`], [`promotion`], [`launchd`], [`unified_log`], [`links`], [`inventory`] | 0-3 |
//! | 5 | [`lane`], [`template`], [`analysis`] | 0-4 |
//! | 6 | [`run`], [`selftest`], [`shrink`], [`entitlement_jail`] | 0-5 |
//! | 7 | [`cli`] | all; nobody imports it |
//!
//! Neighbours in one layer do not import each other. `tests/layering.rs` holds this.

pub mod analysis;
pub mod base;
pub mod bundle;
pub mod cli;
pub mod denial;
pub mod entitlement_jail;
pub mod event;
pub mod fixture;
pub mod host;
pub mod inventory;
pub mod lane;
pub mod launchd;
pub mod links;
pub mod os;
pub mod plan;
pub mod probe;
pub mod promotion;
pub mod registry;
pub mod report;
pub mod run;
pub mod sandbox;
pub mod sbpl;
pub mod schema;
pub mod selftest;
pub mod shrink;
pub mod template;
pub mod unified_log;
pub mod vocab;
