//! What of the caller's environment a job gets: launchd starts it with almost nothing.

use std::collections::BTreeMap;

/// Variables that are handed to the job where the caller has them.
pub const FORWARDED: [&str; 30] = [
    "SANDBOX_LORE_SEATBELT_CALLOUT",
    "SANDBOX_LORE_SEATBELT_API",
    "SANDBOX_LORE_PREFLIGHT",
    "SANDBOX_LORE_PREFLIGHT_FORCE",
    "SANDBOX_LORE_FILE_PRECREATE",
    "SANDBOX_LORE_FD_IDENTITY",
    // The observer's: without them it silently did nothing on this channel.
    "SANDBOX_LORE_WITNESS_OBSERVER",
    "WITNESS_OBSERVER_MODE",
    "WITNESS_OBSERVER_LAST",
    "WITNESS_OBSERVER_PAD_S",
    "WITNESS_OBSERVER_TIMEOUT_S",
    "SANDBOX_LORE_IOKIT_ORACLE_ONLY",
    "SANDBOX_LORE_IKIT_SELECTOR_LIST",
    "SANDBOX_LORE_IKIT_CALL_KIND",
    "SANDBOX_LORE_IKIT_CALL_IN_SCALARS",
    "SANDBOX_LORE_IKIT_CALL_IN_STRUCT_BYTES",
    "SANDBOX_LORE_IKIT_CALL_OUT_SCALARS",
    "SANDBOX_LORE_IKIT_CALL_OUT_STRUCT_BYTES",
    "SANDBOX_LORE_IKIT_SYNTH_CALL",
    "SANDBOX_LORE_IKIT_CAPTURE_CALLS",
    "SANDBOX_LORE_IKIT_REPLAY",
    "SANDBOX_LORE_IKIT_REPLAY_SPEC",
    "SANDBOX_LORE_IKIT_SWEEP",
    "SANDBOX_LORE_IKIT_SWEEP_MENU",
    "SANDBOX_LORE_IKIT_MACH_CAPTURE",
    "SANDBOX_LORE_IKIT_METHOD0",
    "SANDBOX_LORE_IKIT_METHOD0_BINARY",
    "SANDBOX_LORE_IKIT_METHOD0_PAYLOAD_IN",
    "SANDBOX_LORE_IKIT_METHOD0_PAYLOAD_OUT",
    "SBL_IKIT_SKIP_SWEEP",
];

/// What is handed on of the environment that `variable` reads. The search path goes along when the observer, which is found
/// through it, is asked for.
#[must_use]
pub fn forwarded<'e>(variable: impl Fn(&str) -> Option<&'e str>) -> BTreeMap<String, String> {
    let observer = variable("SANDBOX_LORE_WITNESS_OBSERVER") == Some("1");
    let names = FORWARDED.into_iter().chain(observer.then_some("PATH"));
    names.filter_map(|name| Some((name.to_owned(), variable(name)?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_and_listed_is_forwarded_and_nothing_else() {
        let only = |set: &'static [(&str, &str)]| {
            let found = forwarded(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| *value));
            found.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(only(&[("HOME", "/h"), ("PATH", "/p"), ("DYLD_INSERT_LIBRARIES", "/x")]), []);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            only(&[("SANDBOX_LORE_PREFLIGHT", "0"), ("SANDBOX_LORE_CHANNEL", "launchd_clean")]),
            [pair("SANDBOX_LORE_PREFLIGHT", "0")]
        );
        assert_eq!(
            only(&[("SANDBOX_LORE_WITNESS_OBSERVER", "1"), ("PATH", "/p"), ("WITNESS_OBSERVER_MODE", "off")]),
            [pair("PATH", "/p"), pair("SANDBOX_LORE_WITNESS_OBSERVER", "1"), pair("WITNESS_OBSERVER_MODE", "off")]
        );
    }

    #[test]
    fn every_name_of_the_list_is_forwarded_with_its_value() {
        for name in FORWARDED {
            let found = forwarded(|asked| (asked == name).then_some("some value"));
            assert_eq!(found, BTreeMap::from([(name.to_owned(), "some value".to_owned())]));
        }
        let distinct: std::collections::BTreeSet<_> = FORWARDED.into_iter().collect();
        assert_eq!(distinct.len(), FORWARDED.len());
    }
}
