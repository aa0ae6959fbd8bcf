//! Overlays shipped with this program: what a harness needs beside a profile, by name, never mixed in silently.

/// One shipped overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlay {
    /// The name it is asked for by.
    pub name: &'static str,
    /// SBPL text.
    pub text: &'static str,
}

/// The shipped overlays.
pub const SHIPPED: &[Overlay] = &[Overlay { name: "linux-base.sb", text: include_str!("overlay/linux-base.sb") }];

/// The shipped overlay of that name. A path with a slash is always a file of the caller.
#[must_use]
pub fn shipped(name: &str) -> Option<Overlay> {
    SHIPPED.iter().find(|overlay| overlay.name == name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbpl::{NoImports, Params, Policy, Source};

    #[test]
    fn shipped_overlays_compile_and_allow_no_program() {
        let base = Source::new("base.sb", "(version 1)\n(deny default)\n");
        for overlay in SHIPPED {
            let sources = [base.clone(), Source::new(overlay.name, overlay.text)];
            let policy = Policy::compile(&sources, &Params::new(), &NoImports).unwrap();
            assert!(policy.warnings().is_empty(), "{}", policy.warnings());
            let exec = policy.allow_roots(&crate::vocab::Operation::new("process-exec*"));
            assert_eq!(exec, crate::sbpl::Roots::none());
        }
        assert_eq!(shipped("other.sb"), None);
    }
}
