//! Questions about accesses as text, and their answers as values: what `explain` and `eval` share.
//!
//! A target is spelled by its operation: an absolute path, `tcp:HOST:PORT`, `udp:HOST:PORT`, `ip:HOST:PORT`,
//! `unix:PATH` (`unix:@NAME` for an abstract one, `unix:` without a name), a relation to the target process (`self`,
//! `children`, …), or a name. Paths are compared as written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use super::access::{Access, Endpoint, Fact, ProcessTarget, Target, Transport, VnodeType};
use super::filter::VNODE_TYPES;
use super::near::{self, NearMiss};
use super::policy::Policy;
use super::rule::Rule;
use super::vocabulary;
use crate::base::spelling::did_you_mean;
use crate::vocab::{Decision, Operation, RuleRef};

/// One question: an operation on a target, with attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    operation: Operation,
    object: Object,
    facts: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Object {
    None,
    Path { path: String, vnode_type: Option<VnodeType>, mode: Option<u32> },
    Name(String),
    Process(ProcessTarget),
    Ip { transport: Transport, v6: bool, loopback: bool, port: u16 },
    Unix(Option<String>),
}

/// Why a text is not a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum QueryError {
    #[error("the path `{0}` is not canonical: it is absolute, without `.`, `..`, doubled or trailing slashes")]
    Path(String),
    #[error("`{0}` is not an endpoint: tcp:HOST:PORT, udp:HOST:PORT, ip:HOST:PORT or unix:PATH")]
    Endpoint(String),
    #[error("`{0}` is not a relation: self, children, pgrp, same-sandbox or others")]
    Process(String),
    #[error("`{0}` is not a type of the vnode-type filter")]
    VnodeType(String),
    #[error("`{0}` is not a file mode: octal digits from 0 to 7777")]
    Mode(String),
    #[error("the target of `{0}` has no {1}")]
    NoSuchAttribute(String, String),
    #[error("no filter asks for `{name}`; known for `{operation}` are {known}")]
    UnknownAttribute { name: String, operation: String, known: String },
}

impl Query {
    /// Reads a question. Without a target, filters on the object stay undecided.
    ///
    /// # Errors
    /// The target or an attribute does not suit the operation.
    pub fn new(operation: &str, target: Option<&str>, attributes: &[(String, String)]) -> Result<Self, QueryError> {
        let operation = Operation::new(operation);
        let object = match target {
            None => Object::None,
            Some(text) => object(&operation, text)?,
        };
        Self { operation, object, facts: Vec::new() }.described(attributes)
    }

    /// The same question with more attributes.
    ///
    /// # Errors
    /// An attribute does not suit the target.
    pub(crate) fn described(mut self, attributes: &[(String, String)]) -> Result<Self, QueryError> {
        for (name, value) in attributes {
            match (name.as_str(), &mut self.object) {
                ("vnode-type", Object::Path { vnode_type, .. }) => {
                    let known = VNODE_TYPES.iter().find(|(own, _)| *own == value);
                    *vnode_type = Some(known.ok_or_else(|| QueryError::VnodeType(value.clone()))?.1);
                }
                ("file-mode", Object::Path { mode, .. }) => *mode = Some(octal(value)?),
                ("vnode-type" | "file-mode", _) => {
                    return Err(QueryError::NoSuchAttribute(self.operation.to_string(), name.clone()));
                }
                _ if vocabulary::is_attribute(name) => self.facts.push((name.clone(), value.clone())),
                _ => {
                    return Err(QueryError::UnknownAttribute {
                        name: name.clone(),
                        operation: self.operation.to_string(),
                        known: vocabulary::attributes_of(&self.operation).join(", "),
                    });
                }
            }
        }
        Ok(self)
    }

    /// The target as text, with attributes that name it.
    #[must_use]
    pub fn target_text(&self) -> String {
        let mut text = match &self.object {
            Object::None => String::new(),
            Object::Path { path, vnode_type, mode } => {
                let vnode_type = vnode_type.and_then(|own| VNODE_TYPES.iter().find(|(_, known)| *known == own));
                let vnode_type = vnode_type.map_or_else(String::new, |(name, _)| format!(" vnode-type={name}"));
                let mode = mode.map_or_else(String::new, |mode| format!(" file-mode={mode:04o}"));
                format!("{path}{vnode_type}{mode}")
            }
            Object::Name(name) => name.clone(),
            Object::Process(relation) => {
                let known = RELATIONS.iter().find(|(_, own)| own == relation);
                known.map_or_else(String::new, |(name, _)| (*name).to_owned())
            }
            Object::Ip { transport, v6, loopback, port } => {
                let kind = match transport {
                    Transport::Tcp => "tcp",
                    Transport::Udp => "udp",
                    Transport::Other => "ip",
                };
                let host = match (v6, loopback) {
                    (false, true) => "localhost",
                    (true, true) => "[::1]",
                    (false, false) => "192.0.2.1",
                    (true, false) => "[2001:db8::1]",
                };
                format!("{kind}:{host}:{port}")
            }
            Object::Unix(path) => format!("unix:{}", path.as_deref().unwrap_or_default()),
        };
        for (name, value) in &self.facts {
            let gap = if text.is_empty() { "" } else { " " };
            text.push_str(&format!("{gap}{name}={value}"));
        }
        text
    }

    /// How many attributes are given.
    pub(crate) fn attributes(&self) -> usize {
        let of_object = match &self.object {
            Object::Path { vnode_type, mode, .. } => usize::from(vnode_type.is_some()) + usize::from(mode.is_some()),
            _ => 0,
        };
        of_object + self.facts.len()
    }

    /// Whether an attribute is given with this value.
    pub(crate) fn has(&self, attribute: &str, value: &str) -> bool {
        self.facts.iter().any(|(name, own)| name == attribute && own == value)
    }

    /// The operation asked about.
    #[must_use]
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Asks a policy.
    #[must_use]
    pub fn ask(&self, policy: &Policy) -> Answer {
        self.with_access(|access| {
            let judgement = policy.judge(access);
            let decision = word(judgement.decision());
            let rule = judgement.rule().cloned();
            let matching = policy.matching(access);
            let others = |rules: Vec<&Rule>| -> Vec<RuleRef> {
                rules.iter().map(|own| own.reference.clone()).filter(|own| Some(own) != rule.as_ref()).collect()
            };
            let (also_matched, may_match) = (others(matching.certain), others(matching.open));
            let near_misses = near::misses(policy, access, judgement.decision(), rule.as_ref());
            let (reason, note) = (judgement.reason(), self.note());
            Answer { decision, rule, reason, also_matched, may_match, near_misses, note }
        })
    }

    /// Asks a policy for the decision alone.
    #[must_use]
    pub fn decide(&self, policy: &Policy) -> ShortAnswer {
        self.with_access(|access| {
            let judgement = policy.judge(access);
            ShortAnswer {
                decision: word(judgement.decision()),
                rule: judgement.rule().cloned(),
                reason: judgement.reason(),
                note: self.note(),
            }
        })
    }

    /// What a reader should know about the question itself.
    fn note(&self) -> Option<String> {
        if self.operation.is_known() {
            return None;
        }
        let meant = did_you_mean(self.operation.as_str(), Operation::names());
        let meant = meant.map(|meant| format!("; {meant}")).unwrap_or_default();
        Some(format!("the operation is not in the system's table{meant}"))
    }

    /// Hands the question to a function as an access.
    pub fn with_access<T>(&self, use_access: impl FnOnce(&Access<'_>) -> T) -> T {
        let target = match &self.object {
            Object::None => Target::None,
            Object::Path { path, vnode_type, mode } => {
                Target::Path { path: path.as_bytes(), vnode_type: *vnode_type, mode: *mode }
            }
            Object::Name(name) => Target::Name(name),
            Object::Process(relation) => Target::Process(*relation),
            Object::Ip { transport, v6, loopback, port } => {
                Target::Network(Endpoint::Ip { transport: *transport, v6: *v6, loopback: *loopback, port: *port })
            }
            Object::Unix(path) => Target::Network(Endpoint::Unix(path.as_deref().map(str::as_bytes))),
        };
        let facts: Vec<Fact<'_>> = self.facts.iter().map(|(filter, value)| Fact { filter, value }).collect();
        if facts.is_empty() {
            return use_access(&Access { operation: &self.operation, target });
        }
        let described = Target::Described { target: &target, facts: &facts };
        use_access(&Access { operation: &self.operation, target: described })
    }
}

/// The answer to one question; its JSON form is part of `SPEC.md`, section "SBPL".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// `allow`, `deny` or `unknown`.
    pub decision: &'static str,
    /// The deciding rule, or the one that leaves the decision open; null when no rule matched.
    pub rule: Option<RuleRef>,
    /// Why the decision is unknown.
    pub reason: Option<String>,
    /// The other rules that match, in textual order.
    pub also_matched: Vec<RuleRef>,
    /// The other rules of which it is unknown whether they match, in textual order.
    pub may_match: Vec<RuleRef>,
    /// Rules that narrowly do not match although they would change the answer.
    pub near_misses: Vec<NearMiss>,
    /// What to know about the question: its operation is not in the system's table.
    pub note: Option<String>,
}

/// The answer to one question of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShortAnswer {
    /// `allow`, `deny` or `unknown`.
    pub decision: &'static str,
    /// The deciding rule, or the one that leaves the decision open; null when no rule matched.
    pub rule: Option<RuleRef>,
    /// Why the decision is unknown.
    pub reason: Option<String>,
    /// What to know about the question: its operation is not in the system's table.
    pub note: Option<String>,
}

fn word(decision: Option<Decision>) -> &'static str {
    match decision {
        Some(Decision::Allow) => "allow",
        Some(Decision::Deny) => "deny",
        None => "unknown",
    }
}

fn object(operation: &Operation, text: &str) -> Result<Object, QueryError> {
    if Operation::new("network*").covers(operation) {
        return endpoint(text);
    }
    let about_processes = ["signal", "process-info*", "mach-task*", "mach-priv-task-port"];
    if about_processes.iter().any(|own| Operation::new(*own).covers(operation)) {
        return relation(text);
    }
    if vocabulary::path_fits(operation) {
        return Ok(Object::Path { path: canonical(text)?, vnode_type: None, mode: None });
    }
    Ok(Object::Name(text.to_owned()))
}

fn canonical(text: &str) -> Result<String, QueryError> {
    let plain =
        text == "/" || (text.starts_with('/') && text[1..].split('/').all(|part| !matches!(part, "" | "." | "..")));
    if plain { Ok(text.to_owned()) } else { Err(QueryError::Path(text.to_owned())) }
}

fn relation(text: &str) -> Result<Object, QueryError> {
    let known = RELATIONS.iter().find(|(name, _)| *name == text);
    known.map(|(_, relation)| Object::Process(*relation)).ok_or_else(|| QueryError::Process(text.to_owned()))
}

/// Spellings of the relations to a target process.
const RELATIONS: [(&str, ProcessTarget); 5] = [
    ("self", ProcessTarget::Itself),
    ("children", ProcessTarget::Children),
    ("pgrp", ProcessTarget::ProcessGroup),
    ("same-sandbox", ProcessTarget::SameSandbox),
    ("others", ProcessTarget::Others),
];

fn endpoint(text: &str) -> Result<Object, QueryError> {
    let bad = || QueryError::Endpoint(text.to_owned());
    if text.starts_with('/') {
        return Ok(Object::Unix(Some(canonical(text)?)));
    }
    let (kind, rest) = text.split_once(':').ok_or_else(bad)?;
    let transport = match kind {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        "ip" => Transport::Other,
        "unix" if rest.is_empty() || rest.starts_with('@') => return Ok(Object::Unix(None)),
        "unix" => return Ok(Object::Unix(Some(canonical(rest)?))),
        _ => return Err(bad()),
    };
    let (host, port) = rest.rsplit_once(':').ok_or_else(bad)?;
    let port = if port == "*" { 0 } else { port.parse().map_err(|_| bad())? };
    let address: IpAddr = match host {
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        "*" => Ipv4Addr::UNSPECIFIED.into(),
        bracketed if bracketed.starts_with('[') && bracketed.ends_with(']') => {
            bracketed[1..bracketed.len() - 1].parse::<Ipv6Addr>().map_err(|_| bad())?.into()
        }
        plain => plain.parse::<Ipv4Addr>().map_err(|_| bad())?.into(),
    };
    Ok(Object::Ip { transport, v6: address.is_ipv6(), loopback: address.is_loopback(), port })
}

fn octal(text: &str) -> Result<u32, QueryError> {
    u32::from_str_radix(text.trim_start_matches("0o"), 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| QueryError::Mode(text.to_owned()))
}
