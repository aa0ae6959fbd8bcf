//! What a call amounts to, after the table of docs/linux-enforcement.md: the questions put to the evaluator.

use runtime::sbpl::{Access, Fact, Policy, ProcessTarget, Query, Target, VnodeType};
use runtime::vocab::{Decision, Operation};

use super::files::{Files, Kind};
use super::table::Row;

/// One question about one row.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) operation: &'static str,
    pub(crate) object: Object,
}

/// What it is about.
#[derive(Debug)]
pub(crate) enum Object {
    None,
    Name(String),
    Path {
        path: String,
        kind: Option<VnodeType>,
        mode: Option<u32>,
        xattr: Option<String>,
    },
    /// The other or the own end of a connection, as questions and records spell it.
    Endpoint(String),
    /// Every relation that holds, the strongest first.
    Process {
        relations: &'static [&'static str],
        shown: String,
    },
}

/// The evaluator's answer, with the deciding rule as records show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) decision: Decision,
    pub(crate) rule: Option<String>,
}

impl Question {
    /// An answer that the profile leaves open is applied as deny.
    pub(crate) fn ask(&self, policy: &Policy) -> Answer {
        let operation = Operation::new(self.operation);
        let judge = |target| {
            let judgement = policy.judge(&Access { operation: &operation, target });
            let decision = judgement.decision().unwrap_or(Decision::Deny);
            Answer { decision, rule: judgement.rule().map(ToString::to_string) }
        };
        match &self.object {
            Object::None => judge(Target::None),
            Object::Endpoint(text) => {
                let answer = Query::new(self.operation, Some(text), &[]).unwrap().decide(policy);
                let decision = if answer.decision == "allow" { Decision::Allow } else { Decision::Deny };
                Answer { decision, rule: answer.rule.map(|rule| rule.to_string()) }
            }
            Object::Name(name) => judge(Target::Name(name)),
            Object::Process { relations, .. } => {
                let target = Target::Process(relation(relations[0]));
                let facts: Vec<_> = relations.iter().map(|value| Fact { filter: "target", value }).collect();
                judge(Target::Described { target: &target, facts: &facts })
            }
            Object::Path { path, kind, mode, xattr } => {
                let target = Target::Path { path: path.as_bytes(), vnode_type: *kind, mode: *mode };
                match xattr {
                    Some(name) => {
                        let facts = [Fact { filter: "xattr", value: name }];
                        judge(Target::Described { target: &target, facts: &facts })
                    }
                    None => judge(target),
                }
            }
        }
    }

    /// The target as records show it.
    pub(crate) fn shown(&self) -> &str {
        match &self.object {
            Object::None => "",
            Object::Path { path, .. } => path,
            Object::Endpoint(text) => text,
            Object::Name(name) => name,
            Object::Process { shown, .. } => shown,
        }
    }

    /// A rule about this question alone, as narrow as filters allow.
    pub(crate) fn rule(&self, decision: Decision) -> String {
        let word = if decision == Decision::Allow { "allow" } else { "deny" };
        match &self.object {
            Object::Path { path, .. } => format!("({word} {} (literal \"{path}\"))", self.operation),
            _ => format!("({word} {})", self.operation),
        }
    }
}

fn relation(name: &str) -> ProcessTarget {
    match name {
        "self" => ProcessTarget::Itself,
        "children" => ProcessTarget::Children,
        "pgrp" => ProcessTarget::ProcessGroup,
        "same-sandbox" => ProcessTarget::SameSandbox,
        _ => ProcessTarget::Others,
    }
}

/// Relations of a process to its parent, and to the parent of that, from whose group it has gone; the strongest first.
const CHILD: &[&str] = &["children", "pgrp", "same-sandbox", "others"];
const GRANDCHILD: &[&str] = &["same-sandbox", "others"];

/// The questions of a row in the order in which they are asked, given the files as they are before the call. `detail` is what
/// the call reported.
pub(crate) fn of(row: &Row, files: &Files, detail: &str) -> Vec<Question> {
    let mut questions: Vec<Question> = Vec::new();
    if row.form == "cd" {
        questions.push(on(files, "file-read-metadata", &row.directory));
    }
    questions.extend(row.via.iter().map(|link| on(files, "file-read-metadata", link)));
    if row.form == "at" {
        questions.push(on(files, "file-read-data", &row.directory));
    }
    let first = || row.canonical.first().unwrap_or_else(|| panic!("{}: no path", row.place)).as_str();
    let second = || row.canonical.get(1).unwrap_or_else(|| panic!("{}: no second path", row.place)).as_str();
    if row.form == "fd" {
        questions.push(on(files, "file-read-data", first()));
    }
    let here = |operation| on(files, operation, first());
    let making = |operation, kind| made(files, operation, first(), kind, row);
    let set_ids = || {
        let mode = u32::from_str_radix(&row.argument, 8);
        mode.is_ok_and(|mode| mode & 0o6000 != 0).then(|| here("file-write-setugid"))
    };
    let attribute = |operation| {
        let mut question = on(files, operation, first());
        if let Object::Path { xattr, .. } = &mut question.object {
            let name = if row.argument.is_empty() { "user.a" } else { &row.argument };
            *xattr = Some(name.to_owned());
        }
        question
    };
    let endpoint = |operation| Question { operation, object: Object::Endpoint(files.expand(&row.argument)) };
    let create = "file-write-create";
    let more = match row.action.as_str() {
        "read" | "list" => match setting(first()) {
            Some(name) => vec![here("file-read-data"), named("sysctl-read", &name)],
            None => vec![here("file-read-data")],
        },
        "shm-create" => vec![named("ipc-posix-shm-write-create", &files.expand(&row.argument))],
        "shm-read" => vec![named("ipc-posix-shm-read-data", &files.expand(&row.argument))],
        "shm-write" => vec![named("ipc-posix-shm-write-data", &files.expand(&row.argument))],
        "sem-create" => vec![named("ipc-posix-sem-create", &files.expand(&row.argument))],
        "sem-open" => vec![named("ipc-posix-sem-open", &files.expand(&row.argument))],
        "sem-unlink" => vec![named("ipc-posix-sem-unlink", &files.expand(&row.argument))],
        "set" => {
            let name = setting(first()).unwrap_or_else(|| panic!("{}: no setting", row.place));
            vec![here("file-write-data"), named("sysctl-write", &name)]
        }
        "info-file" | "limits" | "set-limits" => {
            let operation = if row.action == "set-limits" { "process-info-setcontrol" } else { "process-info-pidinfo" };
            let relations: &[_] = match row.argument.as_str() {
                "child" => CHILD,
                "grandchild" => GRANDCHILD,
                other => panic!("{}: unknown process {other}", row.place),
            };
            let about = Object::Process { relations, shown: format!("process {detail}") };
            let mut asked = Vec::new();
            if row.action == "info-file" {
                asked.push(on(files, "file-read-data", &format!("/proc/{detail}/comm")));
            }
            asked.push(Question { operation, object: about });
            asked
        }
        "shm-unlink" => vec![named("ipc-posix-shm-write-unlink", &files.expand(&row.argument))],
        "write" | "append" | "truncate" => vec![here("file-write-data")],
        "read-write" | "open-truncate" => vec![here("file-read-data"), here("file-write-data")],
        "open-path" => vec![here("file-read-metadata")],
        "open-temporary" => vec![here(create)],
        "create" | "node" => vec![making(create, VnodeType::RegularFile)],
        "fifo" => vec![making(create, VnodeType::Fifo)],
        "socket" => vec![making(create, VnodeType::Socket)],
        "mkdir" => vec![making(create, VnodeType::Directory)],
        "symlink" => vec![making(create, VnodeType::Symlink)],
        "device" => {
            let kind = VnodeType::CharacterDevice;
            vec![making("file-mknod", kind), making(create, kind)]
        }
        "unlink" | "rmdir" => vec![here("file-write-unlink")],
        "rename" | "exchange" => {
            let kind = files.kind(first());
            let mut asked = vec![here("file-write-unlink"), of_kind(files, create, second(), kind)];
            if files.exists(second()) {
                asked.push(on(files, "file-write-unlink", second()));
            }
            if row.action == "exchange" {
                asked.push(of_kind(files, create, first(), files.kind(second())));
            }
            asked.extend(moved(files, first(), second()));
            if row.action == "exchange" {
                asked.extend(moved(files, second(), first()));
            }
            asked
        }
        "link" => vec![here("file-link"), of_kind(files, create, second(), files.kind(first()))],
        "chmod" => vec![here("file-write-mode")].into_iter().chain(set_ids()).collect(),
        "chmod-open" => vec![here("file-read-data"), here("file-write-mode")].into_iter().chain(set_ids()).collect(),
        "chown" | "chown-link" => vec![here("file-write-owner")],
        "chown-open" => vec![here("file-read-data"), here("file-write-owner")],
        "times" | "times-link" => vec![here("file-write-times")],
        "times-open" => vec![here("file-read-data"), here("file-write-times")],
        "setxattr" | "removexattr" => vec![attribute("file-write-xattr")],
        "getxattr" => vec![attribute("file-read-xattr")],
        "getxattr-open" => vec![here("file-read-data"), attribute("file-read-xattr")],
        "listxattr" => vec![here("file-read-xattr")],
        "exists" => vec![here("file-test-existence")],
        "rights" | "stat" | "lstat" | "statx" | "statfs" | "readlink" | "watch" | "chdir" => {
            vec![here("file-read-metadata")]
        }
        "lock" | "lock-record" | "lock-open-file" => vec![here("file-read-data"), here("file-lock")],
        "ioctl" => vec![here("file-read-data"), here("file-ioctl")],
        "flags" => vec![here("file-read-data"), here("file-ioctl"), here("file-write-flags")],
        "map-executable" => vec![here("file-read-data"), here("file-map-executable")],
        "exec" => {
            let mut asked = vec![Question { operation: "process-fork", object: Object::None }, here("process-exec*")];
            asked.extend(files.interpreters(first()).iter().map(|path| on(files, "process-exec-interpreter", path)));
            asked
        }
        "connect" | "send" => vec![endpoint("network-outbound")],
        "bind" | "listen" => {
            let mut asked = vec![endpoint("network-bind")];
            if row.argument.starts_with("unix:") {
                asked.push(making(create, VnodeType::Socket));
            }
            if row.action == "listen" {
                asked.push(endpoint("network-inbound"));
            }
            asked
        }
        "fork" => vec![Question { operation: "process-fork", object: Object::None }],
        "sysv-shm" => vec![Question { operation: "ipc-sysv-shm", object: Object::None }],
        "sysv-sem" => vec![Question { operation: "ipc-sysv-sem", object: Object::None }],
        "sysv-msg" => vec![Question { operation: "ipc-sysv-msg", object: Object::None }],
        "signal" => {
            // The first relation is the strongest. The parent keeps the tree together, and stands outside it.
            let (own, child) = (&["self", "pgrp", "same-sandbox"][..], CHILD);
            let receivers: &[_] = match row.argument.as_str() {
                "self" | "group" => &[own],
                "child" => &[child],
                "group-with-child" => &[own, child],
                "grandchild" => &[GRANDCHILD],
                "parent" => &[&["pgrp", "others"]],
                other => panic!("{}: unknown receiver {other}", row.place),
            };
            let pids = detail.split_whitespace();
            let receiver = |(relations, pid): (&&'static [_], _)| Question {
                operation: "signal",
                object: Object::Process { relations, shown: format!("process {pid}") },
            };
            receivers.iter().zip(pids).map(receiver).collect()
        }
        action => panic!("{}: unknown call {action}", row.place),
    };
    questions.extend(more);
    questions
}

/// A question about an object with a name of its own.
fn named(operation: &'static str, name: &str) -> Question {
    Question { operation, object: Object::Name(name.to_owned()) }
}

/// The kernel setting that a file is.
fn setting(path: &str) -> Option<String> {
    path.strip_prefix("/proc/sys/").map(|rest| rest.replace('/', "."))
}

/// A question about an object that is there, or about a path where none is.
fn on(files: &Files, operation: &'static str, path: &str) -> Question {
    let node = files.get(path);
    let object = Object::Path {
        path: files.absolute(path),
        kind: node.map(|node| node.kind.vnode_type()),
        mode: node.and_then(|node| (!matches!(node.kind, Kind::Link(_))).then_some(node.mode)),
        xattr: None,
    };
    Question { operation, object }
}

fn of_kind(files: &Files, operation: &'static str, path: &str, kind: Option<VnodeType>) -> Question {
    Question { operation, object: Object::Path { path: files.absolute(path), kind, mode: None, xattr: None } }
}

/// The questions about what lies in a directory that moves.
fn moved(files: &Files, from: &str, to: &str) -> Vec<Question> {
    let mut asked = Vec::new();
    for name in files.below(from) {
        let (old, new) = (format!("{from}/{name}"), format!("{to}/{name}"));
        asked.push(on(files, "file-write-unlink", &old));
        let mut made = on(files, "file-write-create", &old);
        if let Object::Path { path, .. } = &mut made.object {
            *path = files.absolute(&new);
        }
        asked.push(made);
    }
    asked
}

/// A question about an object that the call would make, with the mode it asks for.
fn made(files: &Files, operation: &'static str, path: &str, kind: VnodeType, row: &Row) -> Question {
    let mode =
        u32::from_str_radix(&row.argument, 8).unwrap_or(if kind == VnodeType::Directory { 0o755 } else { 0o644 });
    let object = Object::Path { path: files.absolute(path), kind: Some(kind), mode: Some(mode), xattr: None };
    Question { operation, object }
}
