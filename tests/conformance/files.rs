//! What the files of a section are: made before the run, followed row by row, compared with the disk afterwards.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use runtime::sbpl::VnodeType;

use super::ports;
use super::support::Place;
use super::table::{Row, Section};

/// Time that the calls on times set, in seconds.
const SET_TIME: i64 = 5;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File(String),
    /// A copy of `true`.
    Program,
    Directory,
    Link(String),
    Fifo,
    Socket,
}

impl Kind {
    pub(crate) fn vnode_type(&self) -> VnodeType {
        match self {
            Self::File(_) | Self::Program => VnodeType::RegularFile,
            Self::Directory => VnodeType::Directory,
            Self::Link(_) => VnodeType::Symlink,
            Self::Fifo => VnodeType::Fifo,
            Self::Socket => VnodeType::Socket,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Permission bits; those of links are not looked at.
    pub(crate) mode: u32,
    /// Whether a row set the times and nothing was written since.
    timed: bool,
    /// Whether the attribute `user.a` is there.
    attribute: bool,
}

/// The tree below the working directory.
#[derive(Debug)]
pub(crate) struct Files {
    root: PathBuf,
    nodes: BTreeMap<String, Node>,
    listeners: Vec<UnixListener>,
}

impl Files {
    /// Makes what a section names, and a file with its own name as text for every other path that a call needs to find.
    pub(crate) fn make(section: &Section, place: &Place) -> Self {
        let mut files = Self { root: place.root(), nodes: BTreeMap::new(), listeners: Vec::new() };
        for make in &section.makes {
            let words: Vec<&str> = make.iter().map(String::as_str).collect();
            match words[..] {
                ["directory", name] => files.node(place, name, Kind::Directory, 0o755),
                ["link", name, to] => {
                    files.node(place, name, Kind::Link(to.replace("$W", place.root().to_str().unwrap())), 0o777);
                }
                ["listener", name] => files.node(place, name, Kind::Socket, 0o777),
                ["fifo", name] => files.node(place, name, Kind::Fifo, 0o644),
                ["file", name] => files.node(place, name, Kind::File(name.to_owned()), 0o644),
                ["file", name, mode] => {
                    let mode = u32::from_str_radix(mode, 8).unwrap();
                    files.node(place, name, Kind::File(name.to_owned()), mode);
                }
                ["program", name] => files.node(place, name, Kind::Program, 0o755),
                ["script", name, interpreter] => {
                    let line = format!("#!{}\n", interpreter.replace("$W", place.root().to_str().unwrap()));
                    files.node(place, name, Kind::File(line), 0o755);
                }
                ["attribute", name] => {
                    files.add_file(place, name);
                    files.nodes.get_mut(name).unwrap().attribute = true;
                    rustix::fs::setxattr(place.path(name), "user.a", b"old", rustix::fs::XattrFlags::empty()).unwrap();
                }
                _ => panic!("{}: what is `{}`?", section.name, make.join(" ")),
            }
        }
        // The first row that names a path says whether it has to be there.
        let mut decided = std::collections::BTreeSet::new();
        for row in &section.rows {
            for (index, path) in row.canonical.iter().enumerate().filter(|(_, path)| !path.starts_with('/')) {
                if !decided.insert(path) || files.exists(path) {
                    continue;
                }
                let directory = matches!(row.action.as_str(), "list" | "rmdir" | "open-temporary" | "chdir");
                match (row.action.as_str(), index) {
                    ("create" | "node" | "fifo" | "socket" | "device" | "mkdir" | "symlink" | "bind" | "listen", _)
                    | ("rename" | "link", 1) => {
                        if let Some((parent, _)) = path.rsplit_once('/') {
                            files.parents(place, parent);
                        }
                    }
                    _ if directory => files.node(place, path, Kind::Directory, 0o755),
                    _ => files.add_file(place, path),
                }
            }
            if !row.directory.is_empty() && !files.exists(&row.directory) {
                files.node(place, &row.directory, Kind::Directory, 0o755);
            }
        }
        files
    }

    fn parents(&mut self, place: &Place, path: &str) {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.parents(place, parent);
        }
        if !self.nodes.contains_key(path) {
            self.node(place, path, Kind::Directory, 0o755);
        }
    }

    fn add_file(&mut self, place: &Place, path: &str) {
        self.node(place, path, Kind::File(path.to_owned()), 0o644);
    }

    fn node(&mut self, place: &Place, name: &str, kind: Kind, mode: u32) {
        if let Some((parent, _)) = name.rsplit_once('/') {
            self.parents(place, parent);
        }
        match &kind {
            Kind::Directory => drop(place.directory(name)),
            Kind::Link(to) => drop(place.link(name, to)),
            Kind::File(text) => drop(place.file(name, text)),
            Kind::Program => {
                let path = place.root().join(name);
                std::fs::copy("/usr/bin/true", &path).unwrap();
                place.own(&path);
            }
            Kind::Fifo => drop(place.fifo(name)),
            Kind::Socket => {
                self.listeners.push(UnixListener::bind(place.root().join(name)).unwrap());
                place.own(&place.root().join(name));
            }
        }
        if !matches!(kind, Kind::Link(_)) {
            place.mode(name, mode);
        }
        self.nodes.insert(name.to_owned(), Node { kind, mode, timed: false, attribute: false });
    }

    pub(crate) fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') { path.to_owned() } else { self.root.join(path).to_str().unwrap().to_owned() }
    }

    /// A text with the working directory, the ports, and a name of this run's own.
    pub(crate) fn expand(&self, text: &str) -> String {
        let name = self.root.parent().unwrap().file_name().unwrap().to_str().unwrap();
        ports::expand(text).replace("$W", self.root.to_str().unwrap()).replace("$NAME", name)
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.nodes.contains_key(path)
    }

    pub(crate) fn kind(&self, path: &str) -> Option<VnodeType> {
        self.get(path).map(|node| node.kind.vnode_type())
    }

    /// The interpreters the kernel runs for a program: those of its `#!` lines, then the loader.
    pub(crate) fn interpreters(&self, program: &str) -> Vec<String> {
        let text = match self.get(program).map(|node| &node.kind) {
            Some(Kind::File(text)) => text,
            _ => return vec![loader()],
        };
        let interpreter = text.trim_start_matches("#!").trim_end();
        let inside = interpreter.strip_prefix(self.root.to_str().unwrap()).map(|rest| rest.trim_start_matches('/'));
        let name = inside.unwrap_or(interpreter);
        let mut all = vec![name.to_owned()];
        all.extend(self.interpreters(name));
        all
    }

    /// What the detail of a call that worked must be, where it tells something.
    pub(crate) fn detail(&self, row: &Row) -> Option<String> {
        let node = row.canonical.first().and_then(|path| self.get(path));
        match (row.action.as_str(), node.map(|node| &node.kind)) {
            ("read", Some(Kind::File(text))) => Some(text.clone()),
            ("stat", Some(Kind::File(text))) => Some(text.len().to_string()),
            ("readlink", Some(Kind::Link(to))) => Some(to.clone()),
            ("exec", _) => Some("0".to_owned()),
            _ => None,
        }
    }

    /// Follows a call that worked.
    pub(crate) fn apply(&mut self, row: &Row) {
        let Some(first) = row.canonical.first().cloned() else { return };
        let octal = |otherwise| u32::from_str_radix(&row.argument, 8).unwrap_or(otherwise);
        let new = |kind, mode: u32| Node { kind, mode: mode & !0o022, timed: false, attribute: false };
        match row.action.as_str() {
            "write" | "read-write" => self.rewrite(&first, |_| "written".to_owned()),
            "append" => self.rewrite(&first, |text| format!("{text}more")),
            "truncate" | "open-truncate" => self.rewrite(&first, |_| String::new()),
            "create" => self.insert(&first, new(Kind::File("made".to_owned()), octal(0o644))),
            "node" => self.insert(&first, new(Kind::File(String::new()), octal(0o644))),
            "mkdir" => self.insert(&first, new(Kind::Directory, octal(0o755))),
            "fifo" => self.insert(&first, new(Kind::Fifo, octal(0o644))),
            "socket" => self.insert(&first, new(Kind::Socket, octal(0o644))),
            "symlink" => self.insert(&first, new(Kind::Link("text".to_owned()), 0o777)),
            "bind" | "listen" => self.insert(&first, new(Kind::Socket, 0o777)),
            "unlink" | "rmdir" => drop(self.nodes.remove(&first)),
            "rename" => {
                let moved = self.take(&first);
                drop(self.take(&row.canonical[1]));
                self.put(&row.canonical[1], moved);
            }
            "exchange" => {
                let (one, other) = (self.take(&first), self.take(&row.canonical[1]));
                self.put(&first, other);
                self.put(&row.canonical[1], one);
            }
            "link" => {
                let node = self.nodes[&first].clone();
                self.insert(&row.canonical[1], node);
            }
            "chmod" | "chmod-open" => self.nodes.get_mut(&first).unwrap().mode = octal(0o600),
            "times" | "times-open" | "times-link" => self.nodes.get_mut(&first).unwrap().timed = true,
            "setxattr" => self.nodes.get_mut(&first).unwrap().attribute |= row.argument.is_empty(),
            "removexattr" => self.nodes.get_mut(&first).unwrap().attribute = false,
            _ => {}
        }
    }

    /// Paths of what lies below a directory, relative to it, sorted.
    pub(crate) fn below(&self, directory: &str) -> Vec<String> {
        let inside = |path: &String| path.strip_prefix(directory)?.strip_prefix('/').map(str::to_owned);
        self.nodes.keys().filter_map(inside).collect()
    }

    /// Takes out an object with all that lies in it, by the rest of the path.
    fn take(&mut self, path: &str) -> Vec<(String, Node)> {
        let names = self.below(path).into_iter().map(|name| format!("/{name}"));
        let names: Vec<String> = std::iter::once(String::new()).chain(names).collect();
        names
            .into_iter()
            .filter_map(|name| Some((name.clone(), self.nodes.remove(&format!("{path}{name}"))?)))
            .collect()
    }

    fn put(&mut self, path: &str, taken: Vec<(String, Node)>) {
        taken.into_iter().for_each(|(name, node)| self.insert(&format!("{path}{name}"), node));
    }

    fn insert(&mut self, path: &str, node: Node) {
        self.nodes.insert(path.to_owned(), node);
    }

    fn rewrite(&mut self, path: &str, change: impl FnOnce(&str) -> String) {
        let node = self.nodes.get_mut(path).unwrap();
        if let Kind::File(text) = &node.kind {
            node.kind = Kind::File(change(text));
        }
        node.timed = false;
    }

    /// Every difference between this and the disk.
    pub(crate) fn differences(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut seen = 0;
        for entry in walkdir::WalkDir::new(&self.root).min_depth(1) {
            let entry = entry.unwrap();
            let path = entry.path().strip_prefix(&self.root).unwrap().to_str().unwrap();
            let Some(node) = self.get(path) else {
                found.push(format!("{path} is there and should not be"));
                continue;
            };
            seen += 1;
            let disk = on_disk(entry.path(), node);
            if disk != *node {
                found.push(format!("{path} is {disk:?} and should be {node:?}"));
            }
        }
        if seen != self.nodes.len() {
            found.push(format!("{} objects are missing", self.nodes.len() - seen));
        }
        found
    }
}

/// The loader that `true` names, by its canonical path.
fn loader() -> String {
    ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"]
        .iter()
        .find_map(|path| std::fs::canonicalize(path).ok())
        .unwrap_or_else(|| panic!("no loader is known for this system"))
        .to_str()
        .unwrap()
        .to_owned()
}

fn on_disk(path: &Path, expected: &Node) -> Node {
    let metadata = path.symlink_metadata().unwrap();
    let kind = metadata.file_type();
    let kind = if kind.is_dir() {
        Kind::Directory
    } else if kind.is_symlink() {
        Kind::Link(std::fs::read_link(path).unwrap().to_str().unwrap().to_owned())
    } else if kind.is_fifo() {
        Kind::Fifo
    } else if kind.is_socket() {
        Kind::Socket
    } else if expected.kind == Kind::Program && metadata.len() > 1000 {
        Kind::Program
    } else {
        Kind::File(std::fs::read_to_string(path).unwrap())
    };
    let link = matches!(kind, Kind::Link(_));
    let mut buffer = [0_u8; 100];
    Node {
        mode: if link { expected.mode } else { metadata.permissions().mode() & 0o7777 },
        timed: metadata.mtime() == SET_TIME,
        attribute: !link && rustix::fs::getxattr(path, "user.a", &mut buffer).is_ok(),
        kind,
    }
}
