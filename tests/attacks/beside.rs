//! What stands outside the sandbox during an attack.

use std::fs;
use std::io::{BufRead, BufReader, IoSlice, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::arena::{Arena, User, attack};

/// Who or what is outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outside {
    /// Nobody.
    Nobody,
    /// Somebody exchanges the link `opened/way`, which leads to `opened/inner` or to `closed`.
    ExchangedLink,
    /// Somebody makes and removes an entry with the secret's name in `closed/busy`.
    BusyDirectory,
    /// A process with the secret in its memory, arguments and files. Words: pid, descriptor, address.
    Outsider,
    /// The same in a network namespace of its own.
    OutsiderElsewhere,
    /// The supervisor's pid is written into `opened/supervisor`; its death is the attack's success.
    Supervisor,
    /// As soon as the attack has made `opened/ready`, the supervisor is killed.
    KilledSupervisor,
    /// The supervisor is killed after a while; a program that goes on is the attack's success.
    KilledAndWatched,
    /// A program that goes on after the run is the attack's success.
    Watched,
    /// The run is started by this command; `$A` is the attacking program, `$S` the secret.
    Started(&'static [&'static str]),
    /// Shared memory and queues of another process. Word: their key (numbers), or their name.
    Ipc(Ipc),
    /// Listeners that answer with the secret. Word: port, path or name.
    Tcp,
    Udp,
    Local,
    Abstract,
    /// One that answers with the secret and one that says something else. Words: port of the one, port of the other;
    /// local ones are `closed/socket` and `opened/socket`.
    TwoTcp,
    TwoUdp,
    TwoLocal,
    /// Receives what is sent to a local datagram socket.
    Datagram,
    /// Hands an open descriptor to whoever connects.
    Giver,
    /// Connects to `opened/meeting` and hands over a socket for IP datagrams. Word: a port as of [`Outside::Udp`].
    Visitor,
    /// Somebody made a hard link of the secret where the attack may read.
    HardLink,
    /// See [`Arena::add_image`].
    Image,
    /// See [`Arena::add_other_loader`].
    OtherLoader,
    /// See [`Arena::add_private`].
    Private,
}

/// How an attack names the objects of [`Outside::Ipc`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ipc {
    Key,
    Name,
}

/// Everything that runs outside during one attack.
pub(crate) struct Beside {
    kind: Outside,
    /// Further words for the attack.
    pub(crate) words: Vec<String>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    received: Arc<AtomicBool>,
    process: Option<Child>,
    state: String,
    supervisor: Option<u32>,
}

impl Beside {
    pub(crate) fn start(kind: Outside, arena: &Arena, user: User) -> Self {
        let mut beside = Self {
            kind,
            words: Vec::new(),
            stop: Arc::default(),
            threads: Vec::new(),
            received: Arc::default(),
            process: None,
            state: String::new(),
            supervisor: None,
        };
        beside.set_up(arena, user);
        beside
    }

    fn set_up(&mut self, arena: &Arena, user: User) {
        let secret = arena.secret.clone();
        match self.kind {
            Outside::ExchangedLink => {
                let (next, way) = (arena.path("opened/next"), arena.path("opened/way"));
                symlink("inner", &way).unwrap();
                self.again_and_again(move || {
                    for to in ["../closed", "inner"] {
                        let _ = symlink(to, &next);
                        let _ = fs::rename(&next, &way);
                    }
                });
            }
            Outside::BusyDirectory => {
                let path = arena.path("closed/busy").join(secret);
                self.again_and_again(move || {
                    let _ = fs::write(&path, "");
                    let _ = fs::remove_file(&path);
                    std::thread::sleep(Duration::from_millis(5));
                });
            }
            Outside::Outsider => self.start_process(arena, user, &[], &["beside", "outsider", &secret]),
            Outside::OutsiderElsewhere => {
                // Others than root have the namespace they would join already.
                let before: &[&str] = if user == User::Root { &["unshare", "-n"] } else { &[] };
                self.start_process(arena, user, before, &["beside", "outsider", &secret]);
            }
            Outside::Ipc(by) => {
                let number = i32::from_str_radix(&secret["SECRET-".len()..][..7], 16).unwrap();
                let (key, name) = (number.to_string(), format!("attack-{number}"));
                self.start_process(arena, user, &[], &["beside", "ipc", &secret, &key, &name]);
                self.words = vec![if by == Ipc::Key { key } else { name }];
            }
            Outside::Tcp => self.listen_tcp(secret),
            Outside::Udp => self.listen_udp(secret),
            Outside::TwoTcp => {
                self.listen_tcp(secret);
                self.listen_tcp("nothing".to_owned());
            }
            Outside::TwoUdp => {
                self.listen_udp(secret);
                self.listen_udp("nothing".to_owned());
            }
            Outside::TwoLocal => {
                for (name, says) in [("closed/socket", secret), ("opened/socket", "nothing".to_owned())] {
                    let listener = UnixListener::bind(arena.path(name)).unwrap();
                    fs::set_permissions(arena.path(name), fs::Permissions::from_mode(0o777)).unwrap();
                    self.listen_local(listener, says, PathBuf::new());
                }
            }
            Outside::Local | Outside::Giver => {
                let path = arena.path("opened/socket");
                let listener = UnixListener::bind(&path).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
                self.words = vec![path.to_str().unwrap().to_owned()];
                self.listen_local(listener, secret, arena.path("closed/secret"));
            }
            Outside::Abstract => {
                let name = format!("attack-{}", uuid::Uuid::new_v4());
                let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
                self.words = vec![name];
                self.listen_local(listener, secret, PathBuf::new());
            }
            Outside::Datagram => {
                let path = arena.path("opened/socket");
                let socket = UnixDatagram::bind(&path).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
                socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                self.words = vec![path.to_str().unwrap().to_owned()];
                let received = Arc::clone(&self.received);
                self.again_and_again(move || {
                    if socket.recv(&mut [0; 64]).is_ok() {
                        received.store(true, Ordering::SeqCst);
                    }
                });
            }
            Outside::Visitor => {
                self.listen_udp(secret);
                let path = arena.path("opened/meeting");
                self.again_and_again(move || match UnixStream::connect(&path) {
                    Ok(stream) => give(&stream, UdpSocket::bind("127.0.0.1:0").unwrap().as_fd()),
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                });
            }
            Outside::HardLink => fs::hard_link(arena.path("closed/secret"), arena.path("opened/hard")).unwrap(),
            Outside::Image => arena.add_image(),
            Outside::OtherLoader => arena.add_other_loader(),
            Outside::Private => arena.add_private(),
            _ => {}
        }
    }

    fn again_and_again(&mut self, action: impl Fn() + Send + 'static) {
        let stop = Arc::clone(&self.stop);
        self.threads.push(std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                action();
            }
        }));
    }

    fn start_process(&mut self, arena: &Arena, user: User, before: &[&str], words: &[&str]) {
        let attack = attack();
        let mut all: Vec<&str> = before.to_vec();
        all.push(attack.to_str().unwrap());
        all.extend(words);
        let mut command = Command::new(all[0]);
        command.args(&all[1..]).current_dir(arena.root()).stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(id) = user.change_to() {
            command.uid(id).gid(id);
        }
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.words = line.split_whitespace().map(str::to_owned).collect();
        self.process = Some(process);
        self.state = self.state_of_process();
    }

    /// What an attack could change about the process, as `/proc` tells it.
    fn state_of_process(&self) -> String {
        let Some(pid) = self.words.first() else { return String::new() };
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let nice = read("stat").split_whitespace().nth(18).unwrap_or_default().to_owned();
        let status = read("status");
        let affinity = status.lines().find(|line| line.starts_with("Cpus_allowed:")).unwrap_or_default().to_owned();
        format!("{nice} {affinity} {} {}", read("oom_score_adj"), read("limits"))
    }

    fn listen_tcp(&mut self, secret: String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        self.words.push(listener.local_addr().unwrap().port().to_string());
        self.again_and_again(move || match listener.accept() {
            Ok((mut stream, _)) => drop(stream.write_all(secret.as_bytes())),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        });
    }

    fn listen_udp(&mut self, secret: String) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        self.words.push(socket.local_addr().unwrap().port().to_string());
        self.again_and_again(move || {
            if let Ok((_, from)) = socket.recv_from(&mut [0; 64]) {
                let _ = socket.send_to(secret.as_bytes(), from);
            }
        });
    }

    fn listen_local(&mut self, listener: UnixListener, secret: String, file: PathBuf) {
        listener.set_nonblocking(true).unwrap();
        let gives = self.kind == Outside::Giver;
        self.again_and_again(move || match listener.accept() {
            Ok((stream, _)) if gives => {
                if let Ok(file) = fs::File::open(&file) {
                    give(&stream, file.as_fd());
                }
            }
            Ok((mut stream, _)) => drop(stream.write_all(secret.as_bytes())),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        });
    }

    /// Told when the supervisor has been started.
    pub(crate) fn started(&mut self, supervisor: &Child, arena: &Arena) {
        let pid = supervisor.id();
        self.supervisor = Some(pid);
        let (tell, ready) = (arena.path("opened/supervisor"), arena.path("opened/ready"));
        let alive = arena.path("opened/alive");
        // Nothing but this process is ever aimed at.
        let kill = move || {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        };
        match self.kind {
            Outside::Supervisor => whole_file(&tell, &pid_and_threads(pid)),
            Outside::KilledSupervisor => {
                whole_file(&tell, &pid_and_threads(pid));
                self.when_there(ready, kill);
            }
            Outside::KilledAndWatched => {
                whole_file(&tell, &pid_and_threads(pid));
                self.when_there(alive, kill);
            }
            _ => {}
        }
    }

    fn when_there(&mut self, path: PathBuf, action: impl Fn() + Send + 'static) {
        let stop = Arc::clone(&self.stop);
        self.threads.push(std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                if path.exists() {
                    std::thread::sleep(Duration::from_millis(50));
                    return action();
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }));
    }

    /// What shows outside that the attack succeeded, within `patience`: signals and messages take a moment to arrive.
    /// `output` is the run's, `status` how the supervisor ended.
    pub(crate) fn effect(
        &mut self,
        arena: &Arena,
        output: &str,
        status: std::process::ExitStatus,
        patience: Duration,
    ) -> Option<String> {
        let end = Instant::now() + patience;
        loop {
            let effect = self.effect_now(arena, output, status);
            // On a busy machine a program that goes on may get no processor for a while.
            let watched = matches!(self.kind, Outside::KilledAndWatched | Outside::Watched);
            let may_come = self.process.is_some() || self.kind == Outside::Datagram || watched;
            if effect.is_some() || !may_come || Instant::now() > end {
                return effect;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn effect_now(&mut self, arena: &Arena, output: &str, status: std::process::ExitStatus) -> Option<String> {
        use std::os::unix::process::ExitStatusExt;
        if self.received.load(Ordering::SeqCst) {
            return Some("a message arrived outside".to_owned());
        }
        if let Some(process) = &mut self.process {
            if let Some(status) = process.try_wait().unwrap() {
                return Some(format!("the outsider was ended: {status}"));
            }
            if self.state_of_process() != self.state {
                return Some("the outsider was changed".to_owned());
            }
        }
        match self.kind {
            Outside::Supervisor if status.signal().is_some() => Some(format!("the supervisor was ended: {status}")),
            Outside::Supervisor if output.contains("ended unexpectedly") => Some("the keeper was ended".to_owned()),
            Outside::KilledAndWatched | Outside::Watched => {
                // The tree is ended right after its first process or its supervisor; that takes a moment.
                std::thread::sleep(Duration::from_millis(500));
                let size = || fs::metadata(arena.path("opened/alive")).map_or(0, |meta| meta.len());
                let before = size();
                std::thread::sleep(Duration::from_millis(200));
                let after = size();
                (after > before).then(|| format!("it went on: {before} bytes, then {after}"))
            }
            Outside::Started(_)
                if output.lines().any(|line| line.starts_with("TERMINAL") && line.contains("SPOKEN")) =>
            {
                Some("the supervisor's terminal was written to".to_owned())
            }
            _ => None,
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            let _ = process.wait();
        }
    }
}

/// A process and its threads, when it has started some or a second has passed. Any but the first may end at any time.
fn pid_and_threads(pid: u32) -> String {
    let mut threads = Vec::new();
    for _ in 0..200 {
        let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        threads = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        if threads.len() > 1 {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    format!("{pid} {}", threads.join(" "))
}

/// Makes a file that is never seen empty.
fn whole_file(path: &std::path::Path, text: &str) {
    let next = path.with_extension("next");
    fs::write(&next, text).unwrap();
    fs::rename(next, path).unwrap();
}

fn give(stream: &UnixStream, descriptor: BorrowedFd<'_>) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let fds = [descriptor];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    let _ = sendmsg(stream, &[IoSlice::new(b"x")], &mut ancillary, SendFlags::empty());
    // Wait until the other side has taken it.
    let _ = (&mut { stream }).read(&mut [0]);
}
