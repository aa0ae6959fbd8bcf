//! Which filter of an operation a probe's target is an argument of, and who says so.
//!
//! The first of: the probe's `filter_type`, its `filter_name`, the anchor map, the operation's usual filter. `sysctl-name` is
//! never chosen: the question cannot be asked with it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::base::json;
use crate::vocab::CompiledFilter;

/// A filter and who chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterChoice {
    /// The filter, numbered as in compiled profiles.
    pub filter: CompiledFilter,
    /// `probe`, `anchor_map` or `operation`.
    pub source: &'static str,
}

/// What a probe says about its filter.
#[derive(Debug, Clone, Copy, Default)]
pub struct FilterWish<'a> {
    /// `filter_type`.
    pub number: Option<i64>,
    /// `filter_name`.
    pub name: Option<&'a str>,
    /// `driver`.
    pub driver: Option<&'a str>,
}

/// Which filters a text can be an argument of, by text.
#[derive(Debug, Default)]
pub struct AnchorMap {
    anchors: BTreeMap<String, Anchor>,
}

#[derive(Debug, Deserialize)]
struct Anchor {
    filter_name: Option<String>,
    #[serde(default)]
    candidates: Vec<String>,
}

/// Why an anchor map cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AnchorMapError {
    /// Not a JSON document.
    #[error("the anchor map is not JSON")]
    Json(#[from] json::JsonError),
    /// Not an object by text.
    #[error("the anchor map is not an object")]
    NotAnObject,
    /// One entry.
    #[error("the anchor map's entry {anchor:?} {why}")]
    Entry {
        /// The text.
        anchor: String,
        /// What is wrong.
        why: String,
    },
}

/// The member that is about the map.
const ABOUT: &str = "metadata";
/// The map that is part of the program.
const SHIPPED: &[u8] = include_bytes!("../../plans/templates/anchor-filter-map/anchor_filter_map.json");

impl AnchorMap {
    /// The map that is part of the program.
    #[must_use]
    pub fn shipped() -> Self {
        Self::read(SHIPPED).expect("a test reads the shipped map")
    }

    /// Reads a map: an object by text, each {`filter_name`, `candidates`}; other members are ignored.
    ///
    /// # Errors
    /// See [`AnchorMapError`]; a filter that is not known is one.
    pub fn read(bytes: &[u8]) -> Result<Self, AnchorMapError> {
        let Value::Object(members) = json::read(bytes)? else { return Err(AnchorMapError::NotAnObject) };
        let mut anchors = BTreeMap::new();
        for (text, value) in members.into_iter().filter(|(text, _)| text != ABOUT) {
            let fail = |why: String| AnchorMapError::Entry { anchor: text.clone(), why };
            let anchor: Anchor =
                serde_json::from_value(value).map_err(|error| fail(format!("is not usable: {error}")))?;
            let mut named = anchor.filter_name.iter().chain(&anchor.candidates);
            if let Some(unknown) = named.find(|name| CompiledFilter::from_name(name).is_none()) {
                return Err(fail(format!("names the unknown filter {unknown:?}")));
            }
            anchors.insert(text, anchor);
        }
        Ok(Self { anchors })
    }

    /// The filter for `target`, among those that the operation takes: the named one, else the only candidate.
    fn choose(&self, target: &str, taken: &[&str]) -> Option<CompiledFilter> {
        let anchor = self.anchors.get(target)?;
        let named = anchor.filter_name.as_deref().filter(|name| taken.contains(name));
        let mut candidates = anchor.candidates.iter().map(String::as_str).filter(|name| taken.contains(name));
        let only = match (candidates.next(), candidates.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        };
        CompiledFilter::from_name(named.or(only)?)
    }
}

/// The filter of which `target` is an argument under `operation`; `None` when nothing says it.
#[must_use]
pub fn choose_filter(operation: &str, target: &str, wish: FilterWish<'_>, map: &AnchorMap) -> Option<FilterChoice> {
    let from = |source| move |filter| FilterChoice { filter, source };
    let chosen = if let Some(number) = wish.number {
        CompiledFilter::from_number(number).map(from("probe"))
    } else if let Some(name) = wish.name {
        // An unknown name is no reason to ask with another filter.
        CompiledFilter::from_name(name).map(from("probe"))
    } else {
        inferred(operation, target, wish.driver, map)
            .map(from("anchor_map"))
            .or_else(|| usual(operation).and_then(CompiledFilter::from_name).map(from("operation")))
    };
    chosen.filter(|choice| choice.filter.name() != "sysctl-name")
}

fn inferred(operation: &str, target: &str, driver: Option<&str>, map: &AnchorMap) -> Option<CompiledFilter> {
    match operation {
        "mach-lookup" if driver == Some("xpc_probe") => CompiledFilter::from_name("xpc-service-name"),
        "mach-lookup" => map.choose(target, &["global-name", "local-name", "xpc-service-name"]),
        "darwin-notification-post" | "distributed-notification-post" => map.choose(target, &["notification-name"]),
        _ => None,
    }
}

fn usual(operation: &str) -> Option<&'static str> {
    match operation {
        "mach-lookup" => Some("global-name"),
        "darwin-notification-post" | "distributed-notification-post" => Some("notification-name"),
        _ if operation.starts_with("file-") || operation.starts_with("process-exec") => Some("path"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_says_it_chooses() {
        let map = AnchorMap::read(
            br#"{"metadata": {"notes": 1},
                "one": {"filter_name": null, "candidates": ["local-name"]},
                "two": {"filter_name": null, "candidates": ["local-name", "global-name"]},
                "named": {"filter_name": "xpc-service-name", "candidates": ["local-name"]},
                "other": {"filter_name": "path"}, "note": {"filter_name": "notification-name"}}"#,
        )
        .unwrap();
        let choose = |operation, target, wish| {
            choose_filter(operation, target, wish, &map).map(|choice| (choice.filter.name(), choice.source))
        };
        let none = FilterWish::default();
        let driver = FilterWish { driver: Some("xpc_probe"), ..none };
        for (operation, target, wish, expected) in [
            (
                "mach-lookup",
                "one",
                FilterWish { number: Some(5), name: Some("path"), driver: None },
                Some(("global-name", "probe")),
            ),
            (
                "mach-lookup",
                "one",
                FilterWish { name: Some("xpc-service-name"), ..none },
                Some(("xpc-service-name", "probe")),
            ),
            ("mach-lookup", "one", FilterWish { name: Some("no-such"), ..none }, None),
            ("mach-lookup", "one", driver, Some(("xpc-service-name", "anchor_map"))),
            ("mach-lookup", "one", none, Some(("local-name", "anchor_map"))),
            ("mach-lookup", "two", none, Some(("global-name", "operation"))),
            ("mach-lookup", "named", none, Some(("xpc-service-name", "anchor_map"))),
            ("mach-lookup", "other", none, Some(("global-name", "operation"))),
            ("mach-lookup", "absent", none, Some(("global-name", "operation"))),
            ("darwin-notification-post", "note", none, Some(("notification-name", "anchor_map"))),
            ("file-read-data", "one", none, Some(("path", "operation"))),
            ("sysctl-read", "kern.ostype", FilterWish { number: Some(37), ..none }, None),
            ("sysctl-read", "kern.ostype", none, None),
        ] {
            assert_eq!(choose(operation, target, wish), expected, "{operation} {target} {wish:?}");
        }
    }

    #[test]
    fn a_map_that_cannot_be_used_is_refused() {
        assert!(!AnchorMap::shipped().anchors.is_empty());
        for (text, why) in [
            ("{", "not JSON"),
            ("[]", "not an object"),
            (r#"{"a": 1}"#, "is not usable"),
            (r#"{"a": {"filter_name": "no-such"}}"#, "unknown filter"),
        ] {
            let error = AnchorMap::read(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
