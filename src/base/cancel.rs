//! A request to stop, shared between the part that asks and the parts that work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Once set, long functions stop at the next safe point and say that they were cancelled.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks to stop.
    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether somebody asked to stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// The shared flag itself, for signal handlers that can only store a boolean.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}
