//! Naming worlds: exact host baselines, families of them, and "this host".

/// Release names that begin the world id of a macOS host, for instance `sonoma-14.4.1-23E224-arm64-dyld-...`.
const MACOS_RELEASES: &[&str] = &["macos", "ventura", "sonoma", "sequoia", "tahoe"];

/// Whether a document bound to `spec` is about the world `host_world` (an exact world id).
///
/// `spec` may be the exact id, `host` (any world), or a family: `linux`, `linux-<distribution>`, `macos`, or the name of
/// a macOS release. A distribution name has no component that starts with a digit, so `linux-debian-12` is not a family.
#[must_use]
pub fn world_matches(spec: &str, host_world: &str) -> bool {
    if spec == host_world || spec == "host" {
        return true;
    }
    is_world_family(spec) && belongs(spec, host_world)
}

/// Whether `spec` names a family of worlds rather than one world.
#[must_use]
pub fn is_world_family(spec: &str) -> bool {
    if spec == "linux" || MACOS_RELEASES.contains(&spec) {
        return true;
    }
    spec.strip_prefix("linux-")
        .is_some_and(|name| name.split('-').all(|part| part.starts_with(|c: char| c.is_ascii_alphabetic())))
}

/// Whether two specifications can be about the same world: a plan and its registry must agree this far.
#[must_use]
pub fn worlds_agree(a: &str, b: &str) -> bool {
    world_matches(a, b) || world_matches(b, a)
}

fn belongs(family: &str, world: &str) -> bool {
    if family == "macos" {
        return MACOS_RELEASES.iter().any(|release| is_or_continues(world, release));
    }
    is_or_continues(world, family)
}

fn is_or_continues(world: &str, stem: &str) -> bool {
    world.strip_prefix(stem).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The platform a specification is about; `None` for `host` and for names that say nothing about it.
#[must_use]
pub fn world_platform(spec: &str) -> Option<super::Platform> {
    if is_or_continues(spec, "linux") {
        Some(super::Platform::Linux)
    } else if belongs("macos", spec) {
        Some(super::Platform::MacOs)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "linux-debian-12-6.18.5-x86_64";
    const LEAP: &str = "linux-opensuse-leap-15.6-6.4.0-x86_64";
    const SONOMA: &str = "sonoma-14.4.1-23E224-arm64-dyld-2c0602c5";

    #[test]
    fn exact_worlds_families_and_host() {
        for (spec, host, expected) in [
            (DEBIAN, DEBIAN, true),
            ("host", DEBIAN, true),
            ("host", SONOMA, true),
            ("linux", DEBIAN, true),
            ("linux-debian", DEBIAN, true),
            ("linux-opensuse-leap", LEAP, true),
            ("linux-opensuse", LEAP, true),
            ("linux-ubuntu", DEBIAN, false),
            ("linux-deb", DEBIAN, false),
            ("linux-debian-12", DEBIAN, false),
            ("linux", SONOMA, false),
            ("macos", SONOMA, true),
            ("sonoma", SONOMA, true),
            ("sequoia", SONOMA, false),
            ("macos", DEBIAN, false),
            ("sonoma-14.4.1", SONOMA, false),
            ("", DEBIAN, false),
            ("linux-", DEBIAN, false),
        ] {
            assert_eq!(world_matches(spec, host), expected, "{spec} {host}");
        }
    }

    #[test]
    fn agreement_is_symmetric_and_platforms_are_read_from_the_name() {
        assert!(worlds_agree("linux", "linux-debian") && worlds_agree("linux-debian", "linux"));
        assert!(!worlds_agree("linux", "macos"));
        assert!(!worlds_agree("linux-debian", "linux-ubuntu"));
        assert_eq!(world_platform(DEBIAN), Some(crate::vocab::Platform::Linux));
        assert_eq!(world_platform("sonoma"), Some(crate::vocab::Platform::MacOs));
        assert_eq!(world_platform("host"), None);
        assert_eq!(world_platform("linuxish"), None);
    }
}
