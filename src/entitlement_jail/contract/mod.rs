//! What a client relies on: flags that the app's help texts name, and fields that its documents have.
//!
//! Pure, but for [`live`]. The lists are data ([`help`], [`shape`]); each thing that is missing is one finding that names it.
//! Texts of our own that keep the contract lie in `fixtures/entitlement-jail/contract/` and are part of the program.

mod help;
mod live;
mod shape;

pub use live::{Live, LiveRequest, ask};

use crate::vocab::Finding;

/// One text of the app that the contract speaks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Help of `entitlement-jail run-xpc`.
    RunXpcHelp,
    /// Help of `sandbox-log-observer`.
    ObserverHelp,
    /// An answer of `run-xpc`, made with log capture and observer.
    RunXpcSample,
    /// A report of `sandbox-log-observer`.
    ObserverSample,
    /// A report of a live log stream, as `run-xpc --log-stream` writes it.
    StreamSample,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 5] =
        [Self::RunXpcHelp, Self::ObserverHelp, Self::RunXpcSample, Self::ObserverSample, Self::StreamSample];

    /// The name of the shipped text and the text itself.
    #[must_use]
    pub fn shipped(self) -> (&'static str, &'static str) {
        macro_rules! text {
            ($name:literal) => {
                (
                    concat!("fixtures/entitlement-jail/contract/", $name),
                    include_str!(concat!("../../../fixtures/entitlement-jail/contract/", $name)),
                )
            };
        }
        match self {
            Self::RunXpcHelp => text!("run-xpc.help.txt"),
            Self::ObserverHelp => text!("sandbox-log-observer.help.txt"),
            Self::RunXpcSample => text!("run-xpc.sample.json"),
            Self::ObserverSample => text!("observer.sample.json"),
            Self::StreamSample => text!("stream.sample.json"),
        }
    }

    /// What the contract asks of this part, in its order: flags and words of a help text, fields of a document.
    #[must_use]
    pub fn required(self) -> Vec<String> {
        match self {
            Self::RunXpcHelp => help::RUN_XPC.iter().map(|&word| word.to_owned()).collect(),
            Self::ObserverHelp => help::OBSERVER.iter().map(|&word| word.to_owned()).collect(),
            Self::RunXpcSample => shape::RUN_XPC.names(),
            Self::ObserverSample => shape::OBSERVER.names(),
            Self::StreamSample => shape::STREAM.names(),
        }
    }
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// Everything that is missing or odd.
    pub findings: Vec<Finding>,
    /// Whether the text could be judged at all.
    pub complete: bool,
}

/// Holds `text`, which the caller calls `file`, to the contract.
#[must_use]
pub fn check(part: Part, file: &str, text: &[u8]) -> Checked {
    match part {
        Part::RunXpcHelp => help::check(file, text, help::RUN_XPC, Some(help::LOG_STREAM)),
        Part::ObserverHelp => help::check(file, text, help::OBSERVER, None),
        Part::RunXpcSample => shape::RUN_XPC.check(file, text),
        Part::ObserverSample => shape::OBSERVER.check(file, text),
        Part::StreamSample => shape::STREAM.check(file, text),
    }
}
