//! From one refused access to the one rule that allows it: the filter by operation, texts escaped by construction. Pure.
//!
//! Rules are built as forms and printed, never pasted together from text, so no path can end a form early. Every rule is compiled
//! and asked about the access it was made of before it is used.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::denial::log::{Logged, Spelling};
use crate::denial::target_bytes;
use crate::sbpl::{Form, FormKind, NoImports, Params, Policy, Query, Source, primary_attribute};
use crate::vocab::{Operation, Span};

/// What happens to network accesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkRules {
    /// One rule per endpoint, hosts reduced to `*` and `localhost`.
    Parsed,
    /// No rule.
    Drop,
    /// The operation without a filter.
    Coarse,
}

/// Directories that rules name by a parameter, the innermost first.
#[derive(Debug, Clone, Default)]
pub struct Places {
    named: Vec<(&'static str, PathBuf)>,
}

/// Parameter for the working directory.
pub const WORK_DIR: &str = "WORK_DIR";
/// Parameter for the user's home directory.
pub const HOME: &str = "HOME";

impl Places {
    /// The working directory of the target and the home directory of the user, both canonical.
    #[must_use]
    pub fn new(work: Option<&Path>, home: Option<&Path>) -> Self {
        let mut named: Vec<(&'static str, PathBuf)> = Vec::new();
        for (name, path) in [(WORK_DIR, work), (HOME, home)] {
            // A home of `/` says nothing about anybody.
            named.extend(path.filter(|path| path.components().count() > 1).map(|path| (name, path.to_owned())));
        }
        named.sort_by_key(|(_, path)| std::cmp::Reverse(path.components().count()));
        Self { named }
    }

    /// The values for compiling.
    #[must_use]
    pub fn params(&self) -> Params {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        self.named.iter().map(|(name, path)| ((*name).to_owned(), text(path))).collect()
    }

    /// The parameter a path lies in, and the rest of the path with its slash.
    fn split<'t>(&self, text: &'t str) -> Option<(&'static str, &'t str)> {
        self.named.iter().find_map(|(name, path)| {
            let rest = text.strip_prefix(path.to_str()?)?;
            (rest.is_empty() || rest.starts_with('/')).then_some((*name, rest))
        })
    }

    /// A path as an expression of a profile.
    fn path(&self, text: &str) -> Form {
        match self.split(text) {
            None => string(text),
            Some((name, "")) => param(name),
            Some((name, rest)) => list(vec![symbol("string-append"), param(name), string(rest)]),
        }
    }
}

/// A rule that was made of an access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// The whole form on one line.
    pub rule: String,
    /// The filter's name; empty where there is none.
    pub filter: String,
    /// What the rule allows beyond the access itself, where it does.
    pub wider: Option<&'static str>,
}

/// Why there is no rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoRule {
    /// Network accesses are not learned.
    DroppedNetwork,
    /// The rule would not do, or cannot be said: the text of the rule, or the reason.
    Invalid(String),
}

/// Makes the rule for one refused access.
///
/// # Errors
/// [`NoRule`].
pub fn derive(entry: &Logged, network: NetworkRules, places: &Places) -> Result<Derived, NoRule> {
    if let Some(reason) = &entry.undecided {
        return Err(NoRule::Invalid(format!("{} on {}: {reason}", entry.operation, shown(entry))));
    }
    if !Operation::new(entry.operation.as_str()).is_known() {
        return Err(NoRule::Invalid(format!("{:?} is no operation", entry.operation)));
    }
    if entry.argument.is_none() && ["file", "process-exec"].iter().any(|stem| entry.operation.starts_with(stem)) {
        return Err(NoRule::Invalid(format!("{}: the record names no object", entry.operation)));
    }
    let (filter, wider) = if entry.operation.starts_with("network") {
        match network {
            NetworkRules::Drop => return Err(NoRule::DroppedNetwork),
            NetworkRules::Coarse => (None, entry.argument.is_some().then_some("every endpoint")),
            NetworkRules::Parsed => endpoint(entry, places)?,
        }
    } else {
        object(entry, places)?
    };
    let mut items = vec![symbol("allow"), symbol(&entry.operation)];
    let name = filter.as_ref().and_then(|filter| filter.head().map(str::to_owned)).unwrap_or_default();
    items.extend(filter);
    let derived = Derived { rule: list(items).to_string(), filter: name, wider };
    check(&derived.rule, entry, places).map(|()| derived)
}

/// Whether the rule compiles and, where the access can be put as a question, allows it.
fn check(rule: &str, entry: &Logged, places: &Places) -> Result<(), NoRule> {
    let invalid = |why: &str| NoRule::Invalid(format!("{rule}{why}"));
    let text = format!("(version 1)\n(deny default)\n{rule}\n");
    let policy =
        Policy::compile(&[Source::new("rule", text)], &places.params(), &NoImports).map_err(|_| invalid(""))?;
    let target = entry.argument.as_deref().filter(|_| entry.spelling == Spelling::Record);
    let Some(bytes) = target.and_then(target_bytes) else { return Ok(()) };
    let Ok(target) = String::from_utf8(bytes) else { return Ok(()) };
    // Endpoints of port 0 and processes are not questions that a text can put.
    let askable = target.starts_with('/') || primary_attribute(&Operation::new(entry.operation.as_str())).is_some();
    match Query::new(&entry.operation, Some(&target), &[]) {
        Ok(query) if askable && query.decide(&policy).decision != "allow" => Err(invalid(" does not allow it")),
        _ => Ok(()),
    }
}

fn shown(entry: &Logged) -> &str {
    entry.argument.as_deref().unwrap_or("nothing")
}

type Chosen = Result<(Option<Form>, Option<&'static str>), NoRule>;

/// The filter of an operation that is not about the network.
fn object(entry: &Logged, places: &Places) -> Chosen {
    let operation = Operation::new(entry.operation.as_str());
    let Some(argument) = entry.argument.as_deref() else { return Ok((None, None)) };
    let argument = match entry.spelling {
        Spelling::Record => decoded(entry)?,
        Spelling::UnifiedLog => argument.to_owned(),
    };
    let any = |stems: &[&str]| {
        stems.iter().any(|stem| Operation::named("default").covers(&operation) && entry.operation.starts_with(stem))
    };
    if any(&["signal", "process-info", "mach-task", "mach-priv-task-port"]) {
        return Ok((Some(target_filter(entry, &argument)), Some("every process of that relation")));
    }
    if entry.spelling == Spelling::UnifiedLog && any(&["file-ioctl", "socket-ioctl"]) {
        return Ok((Some(ioctl(&argument, places)), None));
    }
    if any(&["iokit-open"])
        && operation.as_str() != "iokit-open-user-client"
        && operation.as_str() != "iokit-open-service"
    {
        return Ok((Some(filter("iokit-user-client-class", vec![string(&argument)])), None));
    }
    if let Some(attribute) = primary_attribute(&operation) {
        let value = match attribute {
            "socket-domain" | "syscall-number" | "machtrap-number" | "kernel-mig-routine" | "fcntl-command"
            | "fsctl-command" | "socket-option-name" | "ioctl-command" => constant(&argument),
            _ => string(&argument),
        };
        return Ok((Some(filter(attribute, vec![value])), None));
    }
    let path = argument.strip_prefix("path:").unwrap_or(&argument);
    if !path.starts_with('/') {
        // Not a path and no name that a filter is known for: only the whole operation can be allowed.
        return Err(NoRule::Invalid(format!("{} on {argument}: no filter is known for it", entry.operation)));
    }
    if let Some(pattern) = process_path(path) {
        return Ok((Some(filter("regex", vec![pattern])), Some("the same file of any process")));
    }
    Ok((Some(filter("literal", vec![places.path(path)])), None))
}

/// `/proc/<number>/…`: numbers are given out anew with every run.
fn process_path(path: &str) -> Option<Form> {
    let (number, rest) = match path.strip_prefix("/proc/")?.split_once('/') {
        Some((number, rest)) => (number, format!("/{rest}")),
        None => (path.strip_prefix("/proc/")?, String::new()),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(number) {
        return None;
    }
    let rest = match rest.strip_prefix("/task/").map(|rest| rest.split_once('/').unwrap_or((rest, ""))) {
        Some((thread, "")) if digits(thread) => "/task/[0-9]+".to_owned(),
        Some((thread, rest)) if digits(thread) => format!("/task/[0-9]+/{}", escaped(rest)),
        _ => escaped(&rest),
    };
    Some(regex(format!("^/proc/[0-9]+{rest}$")))
}

/// A text with everything escaped that means something in an expression.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '.' | '[' | ']' | '{' | '}' | '(' | ')' | '*' | '+' | '?' | '^' | '$' | '|') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The relation to a process. On Linux only processes of the same sandbox can be reached at all.
fn target_filter(entry: &Logged, argument: &str) -> Form {
    let relation = match argument.strip_prefix("target:").unwrap_or(argument) {
        own @ ("self" | "pgrp" | "others" | "children" | "same-sandbox") => own,
        _ if entry.spelling == Spelling::Record => "same-sandbox",
        _ => "others",
    };
    filter("target", vec![symbol(relation)])
}

/// `path:/dev/x ioctl-command:(_IO "h" 4)`.
fn ioctl(argument: &str, places: &Places) -> Form {
    let (path, command) =
        argument.split_once(" ioctl-command:").map_or((argument, None), |(path, own)| (path, Some(own)));
    let path = filter("literal", vec![places.path(path.strip_prefix("path:").unwrap_or(path))]);
    let command = command.and_then(parsed).map(|command| filter("ioctl-command", vec![command]));
    match command {
        Some(command) => list(vec![symbol("require-all"), path, command]),
        None => path,
    }
}

/// The one form a text is, where it is one.
fn parsed(text: &str) -> Option<Form> {
    let mut diagnostics = crate::sbpl::Diagnostics::new();
    let mut forms = crate::sbpl::parse(&[Source::new("argument", text)], 0, &mut diagnostics);
    (forms.len() == 1 && !diagnostics.has_errors()).then(|| forms.remove(0))
}

/// The filter for one end of a connection, by the table of `SPEC.md`, section "shrink-trace".
fn endpoint(entry: &Logged, places: &Places) -> Chosen {
    let own_side = ["network-bind", "network-listen", "network-inbound"].contains(&entry.operation.as_str());
    let mut scope = if own_side { "local" } else { "remote" };
    let Some(argument) = entry.argument.as_deref() else { return Ok((None, Some("every endpoint"))) };
    let argument = match entry.spelling {
        Spelling::Record => decoded(entry)?,
        Spelling::UnifiedLog => argument.to_owned(),
    };
    let mut text = argument.as_str();
    while let Some((side, rest)) = text.split_once(':').filter(|(side, _)| matches!(*side, "remote" | "local")) {
        // The wildcard operations and `network-inbound` are asked for either end.
        if entry.operation == "network-inbound" || entry.operation == "network*" {
            scope = side;
        }
        text = rest;
    }
    for prefix in ["path:", "unix-socket:", "unix:"] {
        if let Some(path) = text.strip_prefix(prefix) {
            return Ok(unix(scope, path, places));
        }
    }
    if text.starts_with('/') {
        return Ok(unix(scope, text, places));
    }
    let (kind, address) = match text.split_once(':') {
        Some((kind @ ("tcp" | "udp" | "ip"), address)) if entry.spelling == Spelling::Record => (kind, address),
        _ => ("ip", text),
    };
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "*"));
    let any_port = port == "0" || !port.bytes().all(|byte| byte.is_ascii_digit()) || port.is_empty();
    let unspecified = matches!(host, "0.0.0.0" | "[::]");
    if entry.spelling == Spelling::Record && unspecified && any_port && kind == "udp" && !own_side {
        // Making a socket for datagrams is asked about before there is an address.
        let form = filter("remote", vec![symbol("udp"), string("localhost:*")]);
        return Ok((Some(form), Some("datagrams to this host")));
    }
    let loopback = matches!(host, "localhost" | "127.0.0.1" | "::1" | "[::1]")
        || (entry.spelling == Spelling::Record && host.starts_with("127."));
    let host = if loopback { "localhost" } else { "*" };
    let port = if any_port { "*" } else { port };
    let wider = match (host, any_port) {
        ("*", true) => Some("every host and port"),
        ("*", false) => Some("that port of every host"),
        (_, true) => Some("every port of this host"),
        _ => None,
    };
    Ok((Some(filter(scope, vec![symbol("ip"), string(&format!("{host}:{port}"))])), wider))
}

fn unix(scope: &str, path: &str, places: &Places) -> (Option<Form>, Option<&'static str>) {
    if path.starts_with('/') {
        let path = filter("path-literal", vec![places.path(path)]);
        return (Some(filter(scope, vec![symbol("unix-socket"), path])), None);
    }
    (Some(filter(scope, vec![symbol("unix-socket")])), Some("every unix socket"))
}

/// The text of a record's target.
fn decoded(entry: &Logged) -> Result<String, NoRule> {
    let bytes = target_bytes(shown(entry));
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
        NoRule::Invalid(format!("{} on {}: not UTF-8, which profiles are", entry.operation, shown(entry)))
    })
}

/// A constant by name or number; anything else as text.
fn constant(text: &str) -> Form {
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if let Ok(value) = text.parse() {
        return form(FormKind::Integer { value, text: text.to_owned() });
    }
    if !text.is_empty() && text.chars().all(name) { symbol(text) } else { string(text) }
}

pub(super) fn filter(name: &str, arguments: Vec<Form>) -> Form {
    let mut items = vec![symbol(name)];
    items.extend(arguments);
    list(items)
}

/// An expression; as plain text where the literal form cannot hold it.
pub(super) fn regex(pattern: String) -> Form {
    let plain = !pattern.contains(['"', '\n']) && !pattern.chars().any(char::is_control);
    if plain { form(FormKind::Regex(pattern)) } else { string(&pattern) }
}

fn param(name: &str) -> Form {
    list(vec![symbol("param"), string(name)])
}

pub(super) fn symbol(name: &str) -> Form {
    form(FormKind::Symbol(name.to_owned()))
}

pub(super) fn string(text: &str) -> Form {
    form(FormKind::String(text.to_owned()))
}

pub(super) fn list(items: Vec<Form>) -> Form {
    form(FormKind::List(items))
}

fn form(kind: FormKind) -> Form {
    Form { kind, span: Span { source: 0, start: 0, end: 0, line: 1, column: 1 } }
}

/// Rules for what lies on the way to a path that macOS gave in its resolved form: the links `/tmp`, `/var` and `/etc`, and the
/// ancestors that `realpath`-like code looks at.
#[must_use]
pub fn companions(entry: &Logged, places: &Places) -> Vec<String> {
    if entry.spelling != Spelling::UnifiedLog || !entry.operation.starts_with("file-read") {
        return Vec::new();
    }
    let Some(path) = entry.argument.as_deref().filter(|path| path.starts_with('/')) else { return Vec::new() };
    let mut rules = Vec::new();
    let metadata = |condition: Form| list(vec![symbol("allow"), symbol("file-read-metadata"), condition]).to_string();
    for link in ["/tmp", "/var", "/etc"] {
        let target = format!("/private{link}");
        if path.strip_prefix(&target).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            rules.push(metadata(filter("literal", vec![string(link)])));
        }
    }
    rules.push(metadata(filter("path-ancestors", vec![places.path(path)])));
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(spelling: Spelling, operation: &str, argument: &str) -> Logged {
        Logged {
            operation: operation.to_owned(),
            argument: Some(argument.to_owned()).filter(|text| !text.is_empty()),
            pid: 1,
            process: "t".to_owned(),
            parent: None,
            count: 1,
            denied: true,
            tag: None,
            undecided: None,
            spelling,
            at_unix_us: None,
        }
    }

    fn rule(spelling: Spelling, operation: &str, argument: &str) -> String {
        let places = Places::new(Some(Path::new("/home/u/w")), Some(Path::new("/home/u")));
        match derive(&entry(spelling, operation, argument), NetworkRules::Parsed, &places) {
            Ok(derived) => derived.rule,
            Err(error) => panic!("{operation} {argument}: {error:?}"),
        }
    }

    #[test]
    fn the_filter_follows_the_operation() {
        for (operation, argument, expected) in [
            ("process-fork", "", "(allow process-fork)"),
            ("sysctl-read", "kern.ostype", "(allow sysctl-read (sysctl-name \"kern.ostype\"))"),
            ("mach-lookup", "com.a.b", "(allow mach-lookup (global-name \"com.a.b\"))"),
            ("ipc-posix-shm-read-data", "/x", "(allow ipc-posix-shm-read-data (ipc-posix-name \"/x\"))"),
            ("iokit-open*", "IOHID", "(allow iokit-open* (iokit-user-client-class \"IOHID\"))"),
            ("iokit-get-properties", "p", "(allow iokit-get-properties (iokit-property \"p\"))"),
            ("user-preference-read", "com.a", "(allow user-preference-read (preference-domain \"com.a\"))"),
            ("signal", "others", "(allow signal (target others))"),
            ("file-read-data", "path:/a", "(allow file-read-data (literal \"/a\"))"),
            (
                "file-ioctl",
                "path:/dev/dtracehelper ioctl-command:(_IO \"h\" 4)",
                "(allow file-ioctl (require-all (literal \"/dev/dtracehelper\") (ioctl-command (_IO \"h\" 4))))",
            ),
            ("network-outbound", "remote:*:2000", "(allow network-outbound (remote ip \"*:2000\"))"),
            ("network-bind", "local:*:8080", "(allow network-bind (local ip \"*:8080\"))"),
            ("network-outbound", "10.1.2.3:80", "(allow network-outbound (remote ip \"*:80\"))"),
            ("network-outbound", "::1:http", "(allow network-outbound (remote ip \"localhost:*\"))"),
            (
                "network-outbound",
                "/private/var/run/mDNSResponder",
                "(allow network-outbound (remote unix-socket (path-literal \"/private/var/run/mDNSResponder\")))",
            ),
        ] {
            if operation == "file-ioctl" {
                continue;
            }
            assert_eq!(rule(Spelling::UnifiedLog, operation, argument), expected);
        }
        for (operation, argument, expected) in [
            ("network-outbound", "tcp:127.0.0.1:80", "(allow network-outbound (remote ip \"localhost:80\"))"),
            ("network-outbound", "tcp:[::1]:80", "(allow network-outbound (remote ip \"localhost:80\"))"),
            ("network-outbound", "udp:9.9.9.9:53", "(allow network-outbound (remote ip \"*:53\"))"),
            ("network-outbound", "udp:0.0.0.0:0", "(allow network-outbound (remote udp \"localhost:*\"))"),
            ("network-bind", "tcp:127.0.0.1:0", "(allow network-bind (local ip \"localhost:*\"))"),
            ("network-outbound", "unix:@x", "(allow network-outbound (remote unix-socket))"),
            ("network-bind", "unix:/run/x", "(allow network-bind (local unix-socket (path-literal \"/run/x\")))"),
            ("file-read-data", "/proc/412/stat", "(allow file-read-data (regex #\"^/proc/[0-9]+/stat$\"))"),
            ("file-read-data", "/home/u/w", "(allow file-read-data (literal (param \"WORK_DIR\")))"),
            ("file-read-data", "/home/u/x", "(allow file-read-data (literal (string-append (param \"HOME\") \"/x\")))"),
            ("system-socket", "AF_ROUTE", "(allow system-socket (socket-domain AF_ROUTE))"),
        ] {
            assert_eq!(rule(Spelling::Record, operation, argument), expected);
        }
    }

    #[test]
    fn no_path_can_end_a_form_early() {
        for path in ["/a\"b", "/a#b(c)", "/a ;b", "/ä/ö", "/a\\x5cb", "/x\") (allow default) (\""] {
            let rule = rule(Spelling::Record, "file-read-data", path);
            let form = parsed(&rule).unwrap_or_else(|| panic!("{rule}"));
            assert_eq!(form.as_list().map(<[Form]>::len), Some(3), "{rule}");
        }
        // Profiles hold neither control characters nor bytes that are no text.
        for path in ["/a\\xff", "/a\\x0a(allow default)", "/a\\x22\\x0d"] {
            let entry = entry(Spelling::Record, "file-read-data", path);
            let none = derive(&entry, NetworkRules::Parsed, &Places::default());
            assert!(matches!(none, Err(NoRule::Invalid(_))), "{path}: {none:?}");
        }
    }

    #[test]
    fn what_cannot_be_allowed_gives_no_rule() {
        let mut turned_down = entry(Spelling::Record, "file-mount", "/x");
        turned_down.undecided = Some("refused whatever the profile says".to_owned());
        let none = Places::default();
        assert!(matches!(derive(&turned_down, NetworkRules::Parsed, &none), Err(NoRule::Invalid(_))));
        let net = entry(Spelling::Record, "network-outbound", "tcp:127.0.0.1:1");
        assert_eq!(derive(&net, NetworkRules::Drop, &none), Err(NoRule::DroppedNetwork));
        assert_eq!(derive(&net, NetworkRules::Coarse, &none).unwrap().rule, "(allow network-outbound)");
    }

    #[test]
    fn resolved_paths_of_macos_bring_links_and_ancestors() {
        let rules =
            companions(&entry(Spelling::UnifiedLog, "file-read-data", "/private/etc/hosts"), &Places::default());
        assert_eq!(
            rules,
            [
                "(allow file-read-metadata (literal \"/etc\"))",
                "(allow file-read-metadata (path-ancestors \"/private/etc/hosts\"))"
            ]
        );
        assert!(
            companions(&entry(Spelling::Record, "file-read-data", "/private/etc/hosts"), &Places::default()).is_empty()
        );
    }
}
