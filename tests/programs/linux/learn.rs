//! A profile from what `--observe` recorded.

use std::collections::BTreeSet;

use serde_json::Value;

use super::support::Place;

/// One rule per operation and target. Names below the working directory are one tree, since programs make up names there; numbers of
/// processes are any number.
pub(crate) fn profile(denials: &[Value], place: &Place) -> String {
    // What is recorded as undecided is not possible inside, whatever the profile says.
    let judged = denials.iter().filter(|denial| denial["undecided"].is_null());
    let rules: BTreeSet<String> = judged.map(|denial| rule(denial, place)).collect();
    let mut text = "(version 1)\n(deny default)\n".to_owned();
    for rule in rules {
        text.push_str(&rule);
        text.push('\n');
    }
    text
}

fn rule(denial: &Value, place: &Place) -> String {
    let (operation, target) = (denial["operation"].as_str().unwrap(), denial["target"].as_str().unwrap());
    let root = place.root();
    let root = root.to_str().unwrap();
    if let Some((transport, port)) = target.split_once(":127.0.0.1:") {
        return format!("(allow {operation} (remote {transport} \"localhost:{port}\"))");
    }
    if !target.starts_with('/') {
        return format!("(allow {operation})");
    }
    if target.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return format!("(allow {operation} (subpath \"{root}\"))");
    }
    let mut parts: Vec<&str> = target.split('/').collect();
    if parts.len() > 2 && parts[1] == "proc" {
        for part in &mut parts {
            if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
                *part = "[0-9]+";
            }
        }
        return format!("(allow {operation} (regex #\"^{}$\"))", parts.join("/"));
    }
    format!("(allow {operation} (literal \"{target}\"))")
}
