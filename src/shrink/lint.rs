//! What a learned profile must not say about the network, and everything `sbpl lint` finds. Pure.

use crate::sbpl::{self, Diagnostics, Form, FormKind, ImportResolver, NoImports, Params, Policy, Source, parse};
use crate::vocab::{Finding, Platform, Severity};

/// What a lint found in one profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileLint {
    /// The findings, by line.
    pub findings: Vec<Finding>,
    /// Whether all of the profile was looked at.
    pub complete: bool,
}

impl ProfileLint {
    /// Findings that are errors.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error)
    }

    /// The report: `<line>: <text>` for each finding.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let text = |finding: &Finding| {
            let mark = if finding.severity == Severity::Warning { "warning: " } else { "" };
            format!("{}: {mark}{} [{}]", finding.line.unwrap_or(0), finding.message, finding.id)
        };
        self.findings.iter().map(text).collect()
    }
}

/// Looks at a profile for `system`: hosts and ports of network filters, the shape of unix sockets, and all that `sbpl lint`
/// looks at.
///
/// For Linux a unix socket filter without a path is none of its business: sockets of the abstract namespace can be named in
/// no other way.
#[must_use]
pub fn lint_profile(source: &Source, params: &Params, imports: &dyn ImportResolver, system: Platform) -> ProfileLint {
    let mut diagnostics = Diagnostics::new();
    let forms = parse(std::slice::from_ref(source), 0, &mut diagnostics);
    let mut findings = Vec::new();
    let unnamed_sockets = system == Platform::Linux;
    forms.iter().for_each(|form| network(form, &source.name, unnamed_sockets, &mut findings));
    let report = sbpl::lint(std::slice::from_ref(source), params, imports, system);
    findings.extend(report.findings);
    findings.sort_by_key(|finding| (finding.line, finding.column));
    ProfileLint { findings, complete: report.complete && !diagnostics.has_errors() }
}

/// Compiles a profile that stands alone.
pub(super) fn compile(source: &Source, params: &Params) -> Result<Policy, Diagnostics> {
    Policy::compile(std::slice::from_ref(source), params, &NoImports)
}

/// The same of a text that is made on the way, and that nobody is told about.
pub(super) fn compile_text(text: &str, params: &Params) -> Result<Policy, Diagnostics> {
    compile(&Source::new("profile.sb", text), params)
}

fn network(form: &Form, file: &str, unnamed_sockets: bool, findings: &mut Vec<Finding>) {
    let items = match &form.kind {
        FormKind::List(items) => items,
        FormKind::Quoted(_, inner) => return network(inner, file, unnamed_sockets, findings),
        _ => return,
    };
    let mut add = |id: &str, message: String| {
        let (line, column) = (form.span.line as usize, form.span.column as usize);
        findings.push(Finding::new(id, Severity::Error, file, message).at_position(line, column));
    };
    if matches!(form.head(), Some("local" | "remote")) {
        match (items.get(1).and_then(Form::as_symbol), items.get(2)) {
            (Some("unix-socket"), Some(path)) if path.head() == Some("path-literal") => {}
            (Some("unix-socket"), _) if unnamed_sockets => {}
            (Some("unix-socket"), _) => {
                add("unix-socket-shape", format!("`{form}` names no path: use (path-literal \"…\")"));
            }
            (Some(_), Some(Form { kind: FormKind::String(address), .. })) => {
                let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
                if !matches!(host, "*" | "localhost") {
                    add("network-host", format!("host `{host}` in `{form}`: only `*` and `localhost` compile"));
                }
                if port != "*" && (port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit())) {
                    add("network-port", format!("port `{port}` in `{form}`: only `*` and a number compile"));
                }
            }
            _ => {}
        }
    }
    items.iter().for_each(|item| network(item, file, unnamed_sockets, findings));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_ports_and_sockets() {
        for (rule, ids) in [
            ("(remote ip \"*:80\")", &[][..]),
            ("(remote tcp \"localhost:*\")", &[]),
            ("(remote ip \"10.0.0.1:80\")", &["network-host"]),
            ("(local ip \"*:http\")", &["network-port"]),
            ("(remote ip \"example.com\")", &["network-host", "network-port"]),
            ("(remote unix-socket)", &["unix-socket-shape"]),
            ("(remote unix-socket (path-literal \"/x\"))", &[]),
        ] {
            let text = format!("(version 1)\n(deny default)\n(allow network-outbound {rule})\n");
            let found = lint_profile(&Source::new("p.sb", text), &Params::new(), &NoImports, Platform::MacOs);
            let own: Vec<&str> = found
                .findings
                .iter()
                .filter(|f| f.line == Some(3))
                .map(|f| f.id.as_str())
                .filter(|id| id.contains("network-") || id.contains("unix"))
                .collect();
            for id in ids {
                assert!(own.contains(id), "{rule}: {own:?}");
            }
            assert_eq!(
                ids.is_empty(),
                !own.iter().any(|id| ["network-host", "network-port", "unix-socket-shape"].contains(id))
            );
        }
    }
}
