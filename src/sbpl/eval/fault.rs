//! Why one form could not be evaluated.

use crate::vocab::Span;

/// A problem on its way to a diagnostic.
#[derive(Debug)]
pub(super) struct Fault {
    pub id: &'static str,
    pub span: Span,
    pub message: String,
    pub help: Option<String>,
    pub effect: Effect,
}

/// What a fault ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The top-level form; evaluation goes on with the next one.
    Form,
    /// The compilation: a bound is exceeded.
    Stop,
    /// The evaluation, which starts again once this import is known.
    Import { name: String, importer: u32 },
}

/// The id of [`Fault::missing_parameter`].
pub(super) const MISSING_PARAMETER: &str = "missing-parameter";

/// A result whose error is boxed, because evaluation is recursive.
pub(super) type Outcome<T> = Result<T, Box<Fault>>;

impl Fault {
    /// A fault of one form.
    pub(super) fn new(id: &'static str, span: Span, message: impl Into<String>) -> Box<Self> {
        Box::new(Self { id, span, message: message.into(), help: None, effect: Effect::Form })
    }

    /// Text is wanted where a parameter stands that is not given. Reported once for each parameter.
    pub(super) fn missing_parameter(span: Span, key: impl std::fmt::Display) -> Box<Self> {
        Self::new(MISSING_PARAMETER, span, format!("the parameter `{key}` is not given"))
            .help(format!("pass it with -D {key}=VALUE, or test it with (if (param \"{key}\") …)"))
    }

    /// A bound exceeded.
    pub(super) fn stop(id: &'static str, span: Span, message: impl Into<String>) -> Box<Self> {
        Box::new(Self { id, span, message: message.into(), help: None, effect: Effect::Stop })
    }

    /// The same fault with advice.
    pub(super) fn help(mut self: Box<Self>, help: impl Into<String>) -> Box<Self> {
        self.help = Some(help.into());
        self
    }
}
