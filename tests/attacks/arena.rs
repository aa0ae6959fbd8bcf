//! Where one attack takes place, and what shows that it succeeded.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Who an attack runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    /// Root.
    Root,
    /// The system's nobody, when the suite runs as root; else whoever runs it.
    Ordinary,
}

pub(crate) const NOBODY: u32 = 65534;

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl User {
    pub(crate) fn all() -> Vec<Self> {
        if is_root() { vec![Self::Ordinary, Self::Root] } else { vec![Self::Ordinary] }
    }

    /// The id to change to.
    pub(crate) fn change_to(self) -> Option<u32> {
        (is_root() && self == Self::Ordinary).then_some(NOBODY)
    }
}

/// The programs, copied to where every user can read them.
pub(crate) fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<tempfile::TempDir> = OnceLock::new();
    PROGRAMS
        .get_or_init(|| {
            let directory = readable_directory();
            // The denied tool is a file of its own: Landlock knows files, not their names.
            for (name, from) in [
                ("runtime", env!("CARGO_BIN_EXE_runtime")),
                ("attack", env!("CARGO_BIN_EXE_attack")),
                ("tool", env!("CARGO_BIN_EXE_attack")),
            ] {
                fs::copy(from, directory.path().join(name)).unwrap();
                fs::set_permissions(directory.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
            }
            fs::copy("/usr/bin/true", directory.path().join("true")).unwrap();
            directory
        })
        .path()
}

/// The attacking program.
pub(crate) fn attack() -> PathBuf {
    programs().join("attack")
}

fn readable_directory() -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("attack-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

const RULES: &str = "(version 1)
(deny default)
(allow process-fork)
(allow process-exec* (subpath \"/usr/bin\") (literal \"$A\") (subpath \"$W/opened\"))
(allow file-read-data file-read-metadata (subpath \"/usr/bin\") (literal \"$A\"))
(allow file-read* (subpath \"/proc\") (subpath \"/dev\"))
(allow file-read-metadata (path-ancestors \"$W/x\"))
(allow file* (subpath \"$W\"))
(deny file-write* (subpath \"$W/vault\"))
(deny file* (literal \"$W/vault/secret\"))
(deny file* (subpath \"$W/closed\"))
";

/// The working directory of one run.
pub(crate) struct Arena {
    directory: tempfile::TempDir,
    user: User,
    /// What nobody inside can know.
    pub(crate) secret: String,
    size: usize,
    hidden: String,
    before: BTreeMap<PathBuf, String>,
}

impl Arena {
    pub(crate) fn new(user: User) -> Self {
        let seed = uuid::Uuid::new_v4();
        let secret = format!("SECRET-{}", seed.simple());
        let bytes = seed.as_bytes();
        let mut arena = Self {
            directory: readable_directory(),
            user,
            secret,
            size: 1000 + usize::from(bytes[0]) * 16,
            hidden: format!("n{:x}", bytes[1] % 16),
            before: BTreeMap::new(),
        };
        arena.furnish();
        arena.before = arena.state();
        arena
    }

    fn furnish(&self) {
        let secret = self.secret.as_str();
        for directory in ["", "opened", "opened/directory", "opened/inner", "vault"] {
            self.make_directory(directory);
        }
        for directory in ["closed", "closed/directory", "closed/busy", &format!("closed/to-{secret}")] {
            self.make_directory(directory);
        }
        for name in ["opened/file", "opened/secret", "opened/inner/file", "opened/inner/secret"] {
            self.file(name, "nothing");
        }
        self.file("opened/long", "x");
        self.file("vault/readable", "may be read");
        for name in ["vault/secret", "closed/secret", "closed/file"] {
            self.file(name, secret);
        }
        self.file("closed/long", &"x".repeat(self.size));
        self.file(&format!("closed/{}", self.hidden), "");
        self.file(&format!("closed/name-{secret}"), "");
        self.link("opened/link", "nothing");
        self.link("closed/link", secret);
        self.link("closed/directory-link", &format!("to-{secret}"));
        fs::hard_link(programs().join("true"), self.path("opened/tool")).unwrap();
        for name in ["closed/tool", "vault/tool"] {
            fs::hard_link(programs().join("tool"), self.path(name)).unwrap();
        }
        let flags = rustix::fs::XattrFlags::empty();
        let closed = self.path("closed/file");
        for (name, value) in [("user.secret", secret), (&format!("user.{secret}"), "")] {
            rustix::fs::setxattr(&closed, name, value.as_bytes(), flags).unwrap();
        }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join("area")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// A place that only the suite uses.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn own(&self, path: &Path) {
        if let Some(id) = self.user.change_to() {
            std::os::unix::fs::lchown(path, Some(id), Some(id)).unwrap();
        }
    }

    fn make_directory(&self, name: &str) {
        fs::create_dir(self.path(name)).unwrap();
        self.own(&self.path(name));
    }

    pub(crate) fn file(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.own(&self.path(name));
    }

    fn link(&self, name: &str, to: &str) {
        symlink(to, self.path(name)).unwrap();
        self.own(&self.path(name));
    }

    /// `opened/private` belongs to another user than the attack's; `opened/suid` is the attack with root's rights.
    pub(crate) fn add_private(&self) {
        let path = self.path("opened/private");
        fs::write(&path, &self.secret).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        if self.user == User::Root {
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let suid = self.path("opened/suid");
        fs::copy(attack(), &suid).unwrap();
        fs::set_permissions(&suid, fs::Permissions::from_mode(0o4755)).unwrap();
    }

    /// `opened/image` is the attack with the secret at its end; it may not be read.
    pub(crate) fn add_image(&self) {
        let mut bytes = fs::read(attack()).unwrap();
        bytes.extend(self.secret.as_bytes());
        fs::write(self.path("opened/image"), bytes).unwrap();
        fs::set_permissions(self.path("opened/image"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// `opened/other-loader` is the attack with `closed/loader`, a copy of the real one, as its ELF interpreter.
    pub(crate) fn add_other_loader(&self) {
        let mut bytes = fs::read(attack()).unwrap();
        let word = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let headers = usize::try_from(word(&bytes, 32)).unwrap();
        let count = usize::from(u16::from_le_bytes([bytes[56], bytes[57]]));
        let entry = (0..count)
            .map(|at| headers + at * 56)
            .find(|at| bytes[*at..*at + 4] == [3, 0, 0, 0])
            .expect("the attack is linked dynamically");
        let (offset, size) = (word(&bytes, entry + 8), word(&bytes, entry + 32));
        let (offset, size) = (usize::try_from(offset).unwrap(), usize::try_from(size).unwrap());
        let real = String::from_utf8(bytes[offset..offset + size - 1].to_vec()).unwrap();
        fs::copy(real, self.path("closed/loader")).unwrap();
        let text = format!("{}\0", self.path("closed/loader").display());
        let (offset, size) = ((bytes.len() as u64).to_le_bytes(), (text.len() as u64).to_le_bytes());
        bytes[entry + 8..entry + 16].copy_from_slice(&offset);
        bytes[entry + 32..entry + 40].copy_from_slice(&size);
        bytes.extend(text.as_bytes());
        fs::write(self.path("opened/other-loader"), bytes).unwrap();
        fs::set_permissions(self.path("opened/other-loader"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Takes note of what `closed` and `vault` hold now.
    pub(crate) fn settle(&mut self) {
        self.before = self.state();
    }

    /// Writes the profile; `$1` and `$2` are the words that the attack gets.
    pub(crate) fn profile(&self, rules: &str, words: &[String]) -> PathBuf {
        let word = |at: usize| words.get(at).map_or("", String::as_str);
        let text = format!("{RULES}{rules}\n")
            .replace("$1", word(0))
            .replace("$2", word(1))
            .replace("$W", self.root().to_str().unwrap())
            .replace("$A", attack().to_str().unwrap());
        let path = self.beside("profile.sb");
        fs::write(&path, text).unwrap();
        path
    }

    fn state(&self) -> BTreeMap<PathBuf, String> {
        let mut state = BTreeMap::new();
        for name in ["closed", "vault"] {
            describe(&self.path(name), &mut state);
        }
        state
    }

    /// What shows in files or in the attack's own words that it succeeded.
    pub(crate) fn effect(&self, output: &str) -> Option<String> {
        if output.contains(&self.secret) {
            return Some("the secret was told".to_owned());
        }
        let size = format!("size={}", self.size);
        let found = format!("found={}", self.hidden);
        if let Some(line) = output.lines().find(|line| line.starts_with("WON") || *line == size || *line == found) {
            return Some(line.chars().take(70).collect());
        }
        let now = self.state();
        (now != self.before).then(|| {
            let changed = now
                .iter()
                .find(|(path, text)| self.before.get(*path) != Some(*text))
                .or_else(|| self.before.iter().find(|(path, _)| !now.contains_key(*path)));
            let name = changed.and_then(|(path, _)| path.file_name()).map(|name| name.to_string_lossy().into_owned());
            format!("changed: {}", name.unwrap_or_default().chars().take(20).collect::<String>())
        })
    }
}

/// Everything about an entry that an attack could change. What happens in `busy` is the suite's doing.
fn describe(path: &Path, state: &mut BTreeMap<PathBuf, String>) {
    let Ok(meta) = path.symlink_metadata() else { return };
    let mut text = format!("{:o} {} {} {}", meta.mode(), meta.uid(), meta.gid(), meta.nlink());
    if path.ends_with("busy") {
        return;
    }
    // The program is linked from many places at once.
    if path.ends_with("tool") {
        text = String::new();
    }
    if meta.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            describe(&entry.path(), state);
        }
    } else if meta.is_symlink() {
        text += &format!(" {:?}", fs::read_link(path));
    } else if meta.is_file() && !path.ends_with("tool") && !path.ends_with("loader") {
        let mut names = [0_u8; 1024];
        let length = rustix::fs::listxattr(path, &mut names).unwrap_or(0);
        let names = String::from_utf8_lossy(&names[..length]).into_owned();
        text += &format!(" {} {} {names} {:?}", meta.mtime(), meta.size(), fs::read(path).ok());
    }
    state.insert(path.to_owned(), text);
}
