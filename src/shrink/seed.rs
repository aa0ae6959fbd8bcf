//! What a new profile holds before anything was learned.

use crate::sandbox::overlay::shipped;

/// What is known about the system a profile is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed<'a> {
    /// Whether what loads a program is in the profile from the start.
    pub loader: bool,
    /// Whether the system's own text is imported where there is one.
    pub import: bool,
    /// Whether that text is there.
    pub import_present: bool,
    /// Operating system, in the words of `std::env::consts::OS`.
    pub system: &'a str,
}

/// Where macOS keeps the text that [`Seed::import`] means.
pub const DYLD_SUPPORT: &str = "/System/Library/Sandbox/Profiles/dyld-support.sb";

/// The overlay whose rules are the loader set on Linux.
pub const LINUX_LOADER: &str = "linux-base.sb";

impl Seed<'_> {
    /// The profile's text. Lines are those of the reference where it is for macOS.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = "(version 1)\n(debug deny)\n".to_owned();
        if self.system == "linux" {
            text.push_str("(deny default)\n");
            if let Some(overlay) = self.overlay() {
                text.push_str(overlay);
            }
            return text;
        }
        if self.loader {
            text.push_str(if self.import && self.import_present { IMPORT } else { LIBRARIES });
        }
        text.push_str("(deny default)\n");
        if self.loader {
            text.push_str(START);
        }
        text.push_str(WORK_DIR);
        text
    }

    /// The name of what was taken as the loader set, for the record.
    #[must_use]
    pub fn loader_set(&self) -> Option<&'static str> {
        match (self.loader, self.system) {
            (false, _) => None,
            (true, "linux") => Some(LINUX_LOADER),
            (true, _) if self.import && self.import_present => Some("dyld-support.sb"),
            (true, _) => Some("libraries"),
        }
    }

    fn overlay(&self) -> Option<&'static str> {
        self.loader.then(|| shipped(LINUX_LOADER).map(|overlay| overlay.text)).flatten()
    }
}

const IMPORT: &str = "(import \"dyld-support.sb\")\n";

const LIBRARIES: &str = "\
(allow file-read* file-map-executable
  (subpath \"/System/Library/Frameworks\")
  (subpath \"/System/Library/PrivateFrameworks\")
  (subpath \"/usr/lib\")
  (subpath \"/System/Library/dyld\"))
(allow file-read* file-map-executable
  (subpath \"/System/Cryptexes/App\")
  (subpath \"/System/Cryptexes/OS\")
  (subpath \"/System/Volumes/Preboot/Cryptexes/App\")
  (subpath \"/System/Volumes/Preboot/Cryptexes/OS\"))
(allow file-read* file-map-executable
  (subpath \"/private/var/db/dyld\"))
";

const START: &str = "\
(allow file-read-metadata (subpath \"/\"))
(allow file-read* (literal \"/dev/random\") (literal \"/dev/urandom\"))
(allow file-read* file-write-data (literal \"/dev/null\") (literal \"/dev/zero\"))
(allow mach-lookup (global-name \"com.apple.system.DirectoryService.libinfo_v1\"))
";

const WORK_DIR: &str = "\
(allow process-exec* file-read-metadata (subpath (param \"WORK_DIR\")))
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbpl::{NoImports, Params, Policy, Source};
    use crate::vocab::{Decision, Operation};

    #[test]
    fn every_seed_compiles_and_denies_by_default() {
        let params: Params = [("WORK_DIR".to_owned(), "/w".to_owned())].into();
        for system in ["linux", "macos"] {
            for (loader, import, import_present) in
                [(true, true, true), (true, true, false), (true, false, true), (false, false, false)]
            {
                let seed = Seed { loader, import, import_present, system };
                let policy = Policy::compile(&[Source::new("seed.sb", seed.text())], &params, &NoImports).unwrap();
                assert_eq!(policy.default().0, Decision::Deny);
                // What the target is allowed to do beyond being loaded is learned, not given.
                let imports = system == "macos" && import && import_present;
                assert_eq!(
                    policy.unconditional(&Operation::named("process-fork")),
                    (!imports).then_some(Decision::Deny)
                );
                assert_eq!(seed.loader_set().is_some(), loader);
            }
        }
    }
}
