//! Sockets: each kind of endpoint under a profile that allows it and one that does not, with servers that really listen.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram, UnixListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::support::{Place, Ran, each_user};

/// A server that counts what reaches it; its thread ends with the tests.
struct Server {
    port: u16,
    reached: Arc<AtomicU64>,
}

impl Server {
    /// Answers every connection with this text.
    fn tcp(address: &str, text: &'static str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let (port, reached) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU64::new(0)));
        let count = Arc::clone(&reached);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.and_then(|mut stream| stream.write_all(text.as_bytes()));
            }
        });
        Self { port, reached }
    }

    /// Answers every datagram with `A`.
    fn udp(address: &str) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        let (port, reached) = (socket.local_addr().unwrap().port(), Arc::new(AtomicU64::new(0)));
        let count = Arc::clone(&reached);
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((_, from)) = socket.recv_from(&mut buffer) {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = socket.send_to(b"A", from);
            }
        });
        Self { port, reached }
    }

    fn unix(listener: UnixListener) -> Self {
        let reached = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&reached);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.and_then(|mut stream| stream.write_all(b"A"));
            }
        });
        Self { port: 0, reached }
    }

    fn unix_datagram(socket: UnixDatagram) -> Self {
        let reached = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&reached);
        std::thread::spawn(move || {
            while socket.recv(&mut [0; 64]).is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port: 0, reached }
    }

    fn reached(&self) -> u64 {
        // A datagram that was sent may still be on its way to the counting thread.
        std::thread::sleep(Duration::from_millis(20));
        self.reached.load(Ordering::SeqCst)
    }
}

fn net(place: &Place, rules: &str, words: &[&str]) -> Ran {
    let fake = place.fake();
    place.run(rules, &[&[fake.as_str(), "net"], words].concat()).good()
}

/// The answer of the system, and what was said beside it.
fn answer(ran: &Ran) -> (i32, &str) {
    let mut words = ran.stdout.trim_end().splitn(3, ' ');
    let (result, errno) = (words.next().unwrap(), words.next().unwrap().parse().unwrap());
    (if result == "0" { 0 } else { errno }, words.next().unwrap_or_default())
}

/// Runs an action under rules that allow it and under rules that do not: the answers differ, the server is reached only by
/// the first, and the refusal of the second is recorded with its target and its rule.
#[track_caller]
fn twins(place: &Place, server: &Server, allow: &str, deny: &str, words: &[&str], operation: &str, target: &str) {
    let before = server.reached();
    let allowed = net(place, allow, words);
    assert_eq!(answer(&allowed).0, 0, "{words:?} {allowed:#?}");
    assert!(!allowed.denied_any(operation), "{allowed:#?}");
    let between = server.reached();
    assert!(between > before, "{words:?}: the allowed twin reached nobody {allowed:#?}");
    let denied = net(place, deny, words);
    assert_eq!(answer(&denied).0, libc::EPERM, "{words:?} {denied:#?}");
    assert!(denied.denied(operation, target), "{words:?} {target} {denied:#?}");
    assert!(denied.rule(operation, target).is_some(), "{denied:#?}");
    assert_eq!(server.reached(), between, "{words:?}: the refused twin reached the server");
}

const OTHER: &str = "(allow network-outbound (remote ip \"*:1\"))";

fn outbound(filter: &str) -> String {
    format!("(allow network-outbound {filter})")
}

#[test]
fn tcp_connections_are_decided_by_address_and_port() {
    each_user(|place| {
        for (listen, host, spelt) in [
            ("127.0.0.1:0", "127.0.0.1", "127.0.0.1"),
            ("[::1]:0", "[::1]", "[::1]"),
            ("127.0.0.1:0", "[::ffff:127.0.0.1]", "127.0.0.1"),
        ] {
            let server = Server::tcp(listen, "A");
            let (peer, target) = (format!("tcp:{host}:{}", server.port), format!("tcp:{spelt}:{}", server.port));
            let family = if spelt.starts_with('[') { 6 } else { 4 };
            for filter in [
                format!("(remote ip \"localhost:{}\")", server.port),
                format!("(remote tcp{family} \"*:{}\")", server.port),
                "(remote tcp)".to_owned(),
            ] {
                twins(place, &server, &outbound(&filter), OTHER, &["connect", &peer], "network-outbound", &target);
            }
            // The other family, the other protocol and the other port do not match.
            for filter in [
                format!("(remote tcp{} \"*:*\")", 10 - family),
                "(remote udp \"*:*\")".to_owned(),
                format!("(remote tcp \"localhost:{}\")", server.port ^ 1),
                "(remote unix-socket)".to_owned(),
            ] {
                let allow = outbound("(remote tcp)");
                twins(place, &server, &allow, &outbound(&filter), &["connect", &peer], "network-outbound", &target);
            }
        }
    });
}

#[test]
fn the_unspecified_address_is_judged_as_the_host_it_reaches() {
    each_user(|place| {
        for (listen, host, spelt) in [("127.0.0.1:0", "0.0.0.0", "127.0.0.1"), ("[::1]:0", "[::]", "[::1]")] {
            let server = Server::tcp(listen, "A");
            let (peer, target) = (format!("tcp:{host}:{}", server.port), format!("tcp:{spelt}:{}", server.port));
            let deny = "(allow network-outbound)(deny network-outbound (remote ip \"localhost:*\"))";
            let allow = outbound("(remote ip \"localhost:*\")");
            twins(place, &server, &allow, deny, &["connect", &peer], "network-outbound", &target);
        }
    });
}

#[test]
fn datagrams_are_decided_on_every_way_of_sending() {
    each_user(|place| {
        for (listen, host) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]")] {
            let server = Server::udp(listen);
            let peer = format!("udp:{host}:{}", server.port);
            let allow = outbound(&format!("(remote udp \"localhost:{}\")", server.port));
            // Something else may be sent to, so datagram sockets are given.
            let deny = outbound("(remote udp \"localhost:1\")");
            for way in ["connect", "sendto", "sendmsg", "sendmmsg"] {
                twins(place, &server, &allow, &deny, &[way, &peer], "network-outbound", &peer);
                assert!(answer(&net(place, &allow, &[way, &peer])).1.ends_with('A'), "{way}: no answer came back");
            }
            // Nothing may be sent to: the socket itself is refused, by the rule that refuses all of it.
            let none = net(place, OTHER.replace("ip", "tcp").as_str(), &["sendto", &peer]);
            assert_eq!(answer(&none).0, libc::EPERM);
            assert!(none.denied("network-outbound", "udp:0.0.0.0:0"), "{none:#?}");
        }
    });
}

#[test]
fn unix_sockets_are_decided_by_the_path_they_are_found_at() {
    each_user(|place| {
        let directory = place.directory("d");
        let real = place.path("d/s");
        let listener = UnixListener::bind(&real).unwrap();
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o777)).unwrap();
        let server = Server::unix(listener);
        place.link("link", "d/s");
        place.link("way", "d");
        let see = "(allow file-read-metadata (subpath \"$W\"))";
        let target = format!("unix:{real}");
        let link = place.path("link");
        for spelling in [real.as_str(), "d/s", "./d/../d//s", "link", "way/s", link.as_str()] {
            let peer = format!("unix:{spelling}");
            for filter in [
                "(remote unix-socket (path-literal \"$W/d/s\"))",
                "(remote unix-socket (subpath \"$W/d\"))",
                "(path \"$W/d/s\")",
                "(subpath \"$W/d\")",
                "(remote unix-socket)",
            ] {
                let allow = format!("{see}{}", outbound(filter));
                // The link's own path is not the socket's.
                let deny = format!("{see}{}", outbound("(path \"$W/link\") (path \"$W/way/s\")"));
                twins(place, &server, &allow, &deny, &["connect", &peer], "network-outbound", &target);
            }
        }
        // A file rule does not open sockets.
        let denied = net(place, &format!("{see}(allow file* (subpath \"$W\"))"), &["connect", &format!("unix:{real}")]);
        assert_eq!(answer(&denied).0, libc::EPERM);
        let absent = net(place, &format!("{see}{}", outbound("(subpath \"$W\")")), &["connect", "unix:d/none"]);
        assert_eq!(answer(&absent).0, libc::ENOENT);
        assert!(std::fs::symlink_metadata(directory).is_ok());
    });
}

#[test]
fn unix_datagrams_are_decided_by_path() {
    each_user(|place| {
        let path = place.path("s");
        let socket = UnixDatagram::bind(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        let server = Server::unix_datagram(socket);
        let peer = format!("unix-datagram:{path}");
        let deny = outbound("(subpath \"$W/other\")");
        for way in ["sendto", "sendmsg", "sendmmsg"] {
            let target = format!("unix:{path}");
            twins(place, &server, &outbound("(path \"$W/s\")"), &deny, &[way, &peer], "network-outbound", &target);
        }
        let none = net(place, OTHER, &["sendto", &peer]);
        assert!(answer(&none).0 == libc::EPERM && none.denied("network-outbound", "unix:"), "{none:#?}");
    });
}

#[test]
fn abstract_sockets_need_all_unix_sockets_allowed() {
    each_user(|place| {
        let name = format!("enforce-{}-{:?}", std::process::id(), place.user);
        let listener = UnixListener::bind_addr(&UnixAddress::from_abstract_name(&name).unwrap()).unwrap();
        let server = Server::unix(listener);
        let (peer, target) = (format!("abstract:{name}"), format!("unix:@{name}"));
        let all = outbound("(remote unix-socket)");
        let deny = outbound("(remote unix-socket (subpath \"/\"))");
        twins(place, &server, &all, &deny, &["connect", &peer], "network-outbound", &target);
        // Left alone, connecting reaches outside as well.
        let before = server.reached();
        assert_eq!(answer(&net(place, "(allow network-outbound)", &["connect", &peer])).0, 0);
        assert_eq!(server.reached(), before + 1);
    });
}

#[test]
fn binding_and_listening_are_decided_by_the_own_address() {
    each_user(|place| {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let own = format!("tcp:127.0.0.1:{port}");
        let bind = format!("(allow network-bind (local ip \"localhost:{port}\"))");
        let listen = format!("(allow network-inbound (local tcp \"localhost:{port}\"))");
        assert_eq!(answer(&net(place, &bind, &["bind", &own])).0, 0);
        let denied = net(place, &listen, &["bind", &own]);
        assert!(answer(&denied).0 == libc::EPERM && denied.denied("network-bind", &own), "{denied:#?}");
        let denied = net(place, &bind, &["listen", &own]);
        assert!(answer(&denied).0 == libc::EPERM && denied.denied("network-inbound", &own), "{denied:#?}");
        assert_eq!(taken(place, &format!("{bind}{listen}"), &own, port), "served");
        // Every address is more than localhost.
        let every = format!("tcp:0.0.0.0:{port}");
        let denied = net(place, &format!("{bind}{listen}"), &["bind", &every]);
        assert!(answer(&denied).0 == libc::EPERM && denied.denied("network-bind", &every), "{denied:#?}");
        let wide = format!("(allow network-bind network-inbound (local ip \"*:{port}\"))");
        assert_eq!(answer(&net(place, &wide, &["bind", &every])).0, 0);
        // `::` takes IPv4 as well.
        let six = format!("(allow network-bind (local ip6 \"*:{port}\"))");
        let denied = net(place, &six, &["bind", &format!("tcp:[::]:{port}")]);
        assert!(answer(&denied).0 == libc::EPERM && denied.denied("network-bind", &every), "{denied:#?}");
        assert_eq!(answer(&net(place, &wide, &["bind", &format!("tcp:[::]:{port}")])).0, 0);
    });
}

/// What somebody outside gets from a server inside.
fn taken(place: &Place, rules: &str, own: &str, port: u16) -> String {
    let mut server = place.command(rules, &[&place.fake(), "net", "listen", own]);
    let mut server = server.stdout(std::process::Stdio::null()).spawn().unwrap();
    let mut text = String::new();
    for _ in 0..200 {
        std::thread::sleep(Duration::from_millis(20));
        if let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) {
            stream.read_to_string(&mut text).unwrap();
            break;
        }
    }
    assert!(server.wait().unwrap().success());
    text
}

#[test]
fn listening_unbound_is_binding_too() {
    each_user(|place| {
        let inbound = "(allow network-inbound)";
        let denied = net(place, inbound, &["listen-unbound"]);
        assert!(answer(&denied).0 == libc::EPERM && denied.denied("network-bind", "tcp:0.0.0.0:0"), "{denied:#?}");
        assert_eq!(answer(&net(place, &format!("{inbound}(allow network-bind (local ip))"), &["listen-unbound"])).0, 0);
        // Which port it will be is not known, so a rule about ports cannot allow it.
        let ports = net(place, &format!("{inbound}(allow network-bind (local ip \"*:80\"))"), &["listen-unbound"]);
        assert_eq!(answer(&ports).0, libc::EPERM);
        let mut reasons = ports.denials.iter().filter_map(|denial| denial["undecided"].as_str());
        assert!(reasons.any(|reason| reason.contains("port")), "{ports:#?}");
    });
}

#[test]
fn binding_to_a_path_makes_a_file_and_keeps_its_name() {
    each_user(|place| {
        place.directory("d");
        let path = place.path("d/s");
        let (bind, make) = ("(allow network-bind (subpath \"$W/d\"))", "(allow file-write-create (subpath \"$W/d\"))");
        for (rules, operation, target) in
            [(make, "network-bind", format!("unix:{path}")), (bind, "file-write-create", path.clone())]
        {
            let denied = net(place, rules, &["bind", "unix:d/s"]);
            assert!(answer(&denied).0 == libc::EPERM && denied.denied(operation, &target), "{denied:#?}");
            assert!(!place.exists("d/s"));
        }
        let rules = format!("{bind}{make}");
        for (number, spelling) in ["d/s0", "./d/../d/s1"].iter().enumerate() {
            let ran = net(place, &rules, &["name", &format!("unix:{spelling}")]);
            assert_eq!(answer(&ran), (0, format!("{spelling:?}").as_str()), "{ran:#?}");
            assert!(place.exists(&format!("d/s{number}")));
        }
        assert_eq!(answer(&net(place, &rules, &["bind", "unix:d/s0"])).0, libc::EADDRINUSE);
        // Listening is decided by the path, too, and clients reach it there.
        let refused = net(place, &rules, &["listen", "unix:d/s2"]);
        assert!(refused.denied("network-inbound", &format!("unix:{}", place.path("d/s2"))), "{refused:#?}");
        let inbound = format!("{rules}(allow network-inbound (local unix-socket (subpath \"$W/d\")))");
        let mut server = place.command(&inbound, &[&place.fake(), "net", "listen", "unix:d/s3"]);
        let mut server = server.stdout(std::process::Stdio::null()).spawn().unwrap();
        let mut text = String::new();
        for _ in 0..200 {
            std::thread::sleep(Duration::from_millis(20));
            if let Ok(mut stream) = std::os::unix::net::UnixStream::connect(place.path("d/s3")) {
                stream.read_to_string(&mut text).unwrap();
                break;
            }
        }
        assert!(server.wait().unwrap().success() && text == "served", "{text}");
    });
}

#[test]
fn a_path_as_long_as_an_address_takes_is_listened_at() {
    each_user(|place| {
        let rules = "(allow network* file-write-create (subpath \"$W\"))";
        for length in [107, 108] {
            let words = ["listen-and-connect", &format!("unix:{}", "x".repeat(length))];
            let ran = net(place, rules, &words);
            assert_eq!(answer(&ran), (0, "connected"), "{length} {ran:#?}");
        }
    });
}

#[test]
fn a_connection_that_does_not_wait_and_one_that_is_undone() {
    each_user(|place| {
        let server = Server::tcp("127.0.0.1:0", "A");
        let peer = format!("127.0.0.1:{}", server.port);
        let allow = outbound(&format!("(remote tcp \"localhost:{}\")", server.port));
        let target = format!("tcp:{peer}");
        twins(place, &server, &allow, OTHER, &["nonblocking", &peer], "network-outbound", &target);
        let udp = Server::udp("127.0.0.1:0");
        let allow = outbound(&format!("(remote udp \"localhost:{}\")", udp.port));
        let ran = net(place, &allow, &["disconnect", &format!("udp:127.0.0.1:{}", udp.port)]);
        assert_eq!(answer(&ran), (0, libc::EDESTADDRREQ.to_string().as_str()), "{ran:#?}");
    });
}

/// A listener that nobody takes from: connections beyond its backlog wait.
fn idle_listener(backlog: i32) -> (std::os::fd::OwnedFd, u16) {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    rustix::net::listen(&socket, backlog).unwrap();
    let port = SocketAddr::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap().port();
    (socket, port)
}

fn start_connecting(port: u16) -> std::os::fd::OwnedFd {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
    let _ = rustix::net::connect(&socket, &SocketAddr::from(([127, 0, 0, 1], port)));
    socket
}

#[test]
fn a_connection_that_has_to_wait_holds_nobody_up() {
    each_user(|place| {
        let (_full, port) = idle_listener(1);
        let file = place.file("a", "x");
        let rules = format!(
            "(allow file-read-data file-read-metadata (subpath \"$W\")){}",
            outbound(&format!("(remote tcp \"localhost:{port}\")"))
        );
        let begin = std::time::Instant::now();
        let ran = net(place, &rules, &["backlog", &format!("tcp:127.0.0.1:{port}"), &file]);
        assert_eq!(answer(&ran), (0, "200"), "{ran:#?}");
        // The program ended while connections still waited, and so did the supervisor.
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    });
}

/// Local TCP connections to this port that wait for an answer (proc_pid_net(5): state 2 is SYN_SENT).
fn waiting_for(port: u16) -> usize {
    let remote = format!("0100007F:{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let waits = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next() == Some(remote.as_str()) && fields.next() == Some("02")
    };
    table.lines().filter(waits).count()
}

#[test]
fn a_connection_whose_program_died_is_given_up() {
    each_user(|place| {
        let (full, port) = idle_listener(1);
        let outside: Vec<_> = (0..3).map(|_| start_connecting(port)).collect();
        let rules = format!("(allow signal){}", outbound(&format!("(remote tcp \"localhost:{port}\")")));
        let script = format!("{} net connect tcp:127.0.0.1:{port} & sleep 2; kill -9 $!; sleep 3", place.fake());
        let before = waiting_for(port);
        let mut ran = place.command(&rules, &["sh", "-c", &script]).spawn().unwrap();
        let seen = |wanted: usize| {
            (0..150).any(|_| {
                std::thread::sleep(Duration::from_millis(20));
                waiting_for(port) == wanted
            })
        };
        assert!(seen(before + 1), "the connection never began to wait");
        assert!(seen(before), "the connection outlives its program");
        assert!(ran.try_wait().unwrap().is_none(), "it ended with the whole tree only");
        ran.wait().unwrap();
        drop((full, outside));
    });
}

#[test]
fn sockets_that_linger_hold_no_worker_when_their_program_is_gone() {
    each_user(|place| {
        let (_idle, port) = idle_listener(1_000);
        let file = place.file("a", "read");
        let rules =
            format!("(allow file-read* (subpath \"$W\")){}", outbound(&format!("(remote tcp \"localhost:{port}\")")));
        // More than there are workers.
        let script = format!("{} net linger tcp:127.0.0.1:{port} 300 4000; cat {file}", place.fake());
        let ran = place.run(&rules, &["sh", "-c", &script]).good();
        assert_eq!(ran.stdout, "read", "{ran:#?}");
    });
}

#[test]
fn sending_to_somebody_gone_raises_the_signal_it_should() {
    each_user(|place| {
        let path = place.path("s");
        let listener = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        std::thread::spawn(move || listener.incoming().for_each(drop));
        let peer = format!("unix:{path}");
        for (how, status) in [("default", 128 + libc::SIGPIPE), ("ignored", 0)] {
            // Both where the kernel sends and where the supervisor does.
            for rules in ["(allow network-outbound)", "(allow network-outbound (subpath \"$W\"))"] {
                let ran = place.run(rules, &[&place.fake(), "net", "gone", &peer, how]);
                assert_eq!(ran.status, status, "{rules} {how} {ran:#?}");
                assert!(status != 0 || answer(&ran).0 == libc::EPIPE, "{ran:#?}");
            }
        }
    });
}

#[test]
fn other_kinds_of_socket_are_not_given() {
    each_user(|place| {
        let make = |rules: &str, words: [&str; 3]| {
            let number = libc::SYS_socket.to_string();
            let ran = place.run(rules, &[&place.fake(), "call", &number, words[0], words[1], words[2]]).good();
            let errno = ran.stdout.split_whitespace().nth(1).unwrap().parse::<i32>().unwrap();
            (errno, ran)
        };
        for (words, domain) in [
            (["2", "1", "262"], "AF_INET"),
            (["10", "1", "132"], "AF_INET6"),
            (["2", "3", "17"], "AF_INET"),
            (["17", "3", "0"], "AF_PACKET"),
            (["38", "5", "0"], "AF_ALG"),
            (["40", "1", "0"], "AF_VSOCK"),
        ] {
            for rules in ["", "(allow network*)(allow system-socket)"] {
                let (errno, ran) = make(rules, words);
                assert_eq!(errno, libc::EPERM, "{words:?}");
                assert!(ran.denied("system-socket", domain), "{words:?} {ran:#?}");
            }
        }
        // The kernel's socket about routes and interfaces is the profile's AF_ROUTE.
        for (rules, expected) in [
            ("", libc::EPERM),
            ("(allow system-socket)", 0),
            ("(allow system-socket (socket-domain AF_ROUTE))", 0),
            ("(allow system-socket (socket-domain AF_SYSTEM))", libc::EPERM),
        ] {
            let (errno, ran) = make(rules, ["16", "3", "0"]);
            assert_eq!(errno, expected, "{rules} {ran:#?}");
            assert_eq!(ran.denied("system-socket", "AF_ROUTE"), expected != 0, "{rules} {ran:#?}");
        }
        assert_eq!(make("", ["2", "1", "6"]).0, 0);
    });
}

#[test]
fn ways_around_the_address_are_closed() {
    each_user(|place| {
        let server = Server::tcp("127.0.0.1:0", "A");
        let peer = format!("tcp:127.0.0.1:{}", server.port);
        // Even where the address itself is allowed: it is refused by the flag alone, and programs then connect plainly.
        let allow = outbound(&format!("(remote tcp \"localhost:{}\")", server.port));
        for rules in [allow.as_str(), OTHER] {
            assert_eq!(answer(&net(place, rules, &["fastopen", &peer])).0, libc::EOPNOTSUPP);
        }
        assert_eq!(server.reached(), 0);
        for (level, option) in [("0", "4"), ("41", "57"), ("1", "25")] {
            assert_eq!(answer(&net(place, &allow, &["option", level, option])).0, libc::EPERM, "{level} {option}");
            let free = answer(&net(place, "(allow network-outbound)", &["option", level, option])).0;
            assert_ne!(free, libc::EPERM, "{level} {option}");
        }
    });
}

#[test]
fn what_goes_with_a_message_arrives() {
    each_user(|place| {
        let path = place.path("s");
        let listener = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        // Reads the file it is handed, or all there is, and tells.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = stream.map(read_what_is_handed);
            }
        });
        let file = place.file("a", "content");
        let rules = format!("(allow file-read-data (subpath \"$W\")){}", outbound("(subpath \"$W\")"));
        let ran = net(place, &rules, &["rights", &format!("unix:{path}"), &file]);
        assert_eq!(answer(&ran), (0, "content"), "{ran:#?}");
        let ran = net(place, &rules, &["long", &format!("unix:{path}"), "5000000"]);
        assert_eq!(answer(&ran), (0, "5000000 5000000"), "{ran:#?}");
    });
}

fn read_what_is_handed(mut stream: std::os::unix::net::UnixStream) {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut first = [0; 1];
    recvmsg(&stream, &mut [std::io::IoSliceMut::new(&mut first)], &mut control, RecvFlags::empty()).unwrap();
    let handed = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let text = match handed {
        Some(descriptor) => std::io::read_to_string(std::fs::File::from(descriptor)).unwrap(),
        None => (1 + std::io::copy(&mut stream, &mut std::io::sink()).unwrap()).to_string(),
    };
    let _ = stream.write_all(text.as_bytes());
}

#[test]
fn an_address_flipped_during_a_call_wins_nothing() {
    each_user(|place| {
        let (good, bad) = (Server::tcp("127.0.0.1:0", "A"), Server::tcp("127.0.0.1:0", "F"));
        let words = [good.port.to_string(), bad.port.to_string()];
        let race = |rules: &str| {
            let ran = net(place, rules, &["flip", &words[0], &words[1], "800"]);
            let numbers = ran.stdout.lines().next().unwrap();
            let numbers: Vec<u64> = numbers.split_whitespace().map(|number| number.parse().unwrap()).collect();
            (numbers[0], numbers[1], numbers[2])
        };
        let one = outbound(&format!("(remote tcp \"localhost:{}\")", good.port));
        let (attempts, wins, passes) = race(&one);
        println!("connect: {attempts} attempts, {wins} forbidden, {passes} allowed");
        assert!(wins == 0 && bad.reached() == 0, "{wins} of {attempts}");
        assert!(passes > 0);
        // The twin: where the profile allows both, the race is seen.
        let both = format!("{one}{}", outbound(&format!("(remote tcp \"localhost:{}\")", bad.port)));
        assert!(race(&both).1 > 0 && bad.reached() > 0, "the test cannot see a hole");
    });
}

#[test]
fn a_socket_that_takes_ipv4_against_its_word_does_not_listen() {
    each_user(|place| {
        // Another thread says that the socket means IPv6 only, and takes it back, while it is bound and while it begins to listen.
        let script = "\
import socket, threading, time, sys
six, only, own, stop, wins, passes = socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, None, False, 0, 0
def flip():
    while not stop:
        try:
            own.setsockopt(six, only, 1)
            own.setsockopt(six, only, 0)
        except (OSError, AttributeError): pass
threads = [threading.Thread(target=flip) for _ in range(2)]
for thread in threads: thread.start()
end = time.time() + 2
sys.setswitchinterval(1e-5)
while time.time() < end:
    own = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    if sys.argv[1] == 'bind':
        try: own.bind(('::', 0))
        except OSError: pass
    try:
        own.listen(1)
        if own.getsockopt(six, only): passes += 1
        else: wins += 1
    except OSError: pass
    own.close()
stop = True
for thread in threads: thread.join()
print(wins, passes)
";
        let script = place.file("script.py", script);
        let base = "(allow file-read* (subpath \"/usr\") (literal \"$W/script.py\"))(allow network-inbound)";
        let race = |rules: &str, how: &str| {
            let ran = place.run(&format!("{base}{rules}"), &["python3", &script, how]).good();
            let mut numbers = ran.stdout.split_whitespace().map(|number| number.parse::<u64>().unwrap());
            (numbers.next().unwrap(), numbers.next().unwrap())
        };
        for how in ["bind", "listen"] {
            let (wins, _) = race("(allow network-bind (local ip6 \"*:*\"))", how);
            assert_eq!(wins, 0, "{how}");
            // The twin: where the profile allows both, the race is seen.
            assert!(race("(allow network-bind)", how).0 > 0, "the test cannot see a hole");
        }
    });
}

#[test]
fn a_socket_swapped_during_a_call_wins_nothing() {
    each_user(|place| {
        let (stream, allowed, server) =
            (Server::tcp("127.0.0.1:0", "A"), Server::udp("127.0.0.1:0"), Server::udp("127.0.0.1:0"));
        let one = format!("tcp:127.0.0.1:{}", stream.port);
        let to = format!("udp:127.0.0.1:{}", server.port);
        let words = ["swap", &one, "udp:127.0.0.1:1", &to, "800"];
        let rules = format!(
            "{}{}",
            outbound(&format!("(remote tcp \"localhost:{}\")", stream.port)),
            outbound(&format!("(remote udp \"localhost:{}\")", allowed.port))
        );
        net(place, &rules, &words);
        assert_eq!(server.reached(), 0);
        net(place, &format!("{rules}{}", outbound(&format!("(remote udp \"localhost:{}\")", server.port))), &words);
        assert!(server.reached() > 0, "the test cannot see a hole");
    });
}

#[test]
fn the_inner_domain_alone_lets_no_connection_through() {
    each_user(|place| {
        let server = Server::tcp("127.0.0.1:0", "A");
        let peer = format!("tcp:127.0.0.1:{}", server.port);
        let rules = outbound(&format!("(remote tcp \"localhost:{}\")", server.port));
        let without = |layers: &[&str]| {
            let options: Vec<&str> = layers.iter().flat_map(|layer| ["--without-layer", layer]).collect();
            let place = Place::new(place.user).with(&options);
            [["connect", &peer], ["bind", "tcp:127.0.0.1:0"]].map(|words| answer(&net(&place, &rules, &words)).0)
        };
        // Nobody performs calls on behalf then, and the program itself may reach no port.
        assert_eq!(without(&["seccomp_notify"]), [libc::EACCES; 2]);
        assert_eq!(server.reached(), 0);
        assert_eq!(without(&["seccomp_notify", "landlock"]), [0; 2]);
        assert_eq!(server.reached(), 1);
    });
}

#[test]
fn a_datagram_socket_that_is_handed_in_is_watched() {
    each_user(|place| {
        let server = Server::udp("127.0.0.1:0");
        let to = format!("udp:127.0.0.1:{}", server.port);
        let run = |rules: &str| {
            let handed = std::os::fd::OwnedFd::from(UdpSocket::bind("127.0.0.1:0").unwrap());
            let mut command = place.command(rules, &[&place.fake(), "net", "handed", &to]);
            place.ran(&command.stdin(handed).output().unwrap()).good()
        };
        // No rule names datagrams, so none can be made; this one is there.
        let denied = run("(allow network-outbound (remote tcp))");
        assert!(answer(&denied).0 == libc::EPERM && denied.denied("network-outbound", &to), "{denied:#?}");
        assert_eq!(server.reached(), 0);
        assert_eq!(answer(&run("(allow network-outbound (remote udp))")).0, 0);
        assert_eq!(server.reached(), 1);
    });
}

#[test]
fn the_report_says_how_far() {
    each_user(|place| {
        let ran = place.run("(allow network-outbound (remote ip \"localhost:80\"))", &["true"]).good();
        for (operation, status) in
            [("network-outbound", "enforced"), ("network-bind", "enforced"), ("network-inbound", "partly")]
        {
            assert_eq!(ran.report["operations"][operation]["status"], status, "{operation}");
        }
    });
}

#[test]
fn observed_connections_go_through_and_are_recorded() {
    each_user(|place| {
        let place = Place::new(place.user).with(&["--observe"]);
        let server = Server::tcp("127.0.0.1:0", "A");
        let peer = format!("tcp:127.0.0.1:{}", server.port);
        let ran = net(&place, "", &["connect", &peer]);
        assert_eq!(answer(&ran), (0, "A"), "{ran:#?}");
        assert!(ran.denied("network-outbound", &peer), "{ran:#?}");
    });
}

#[test]
fn foreign_clients_and_servers_work_where_they_may() {
    each_user(|place| {
        let server = Server::tcp("127.0.0.1:0", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nyes");
        let url = format!("http://127.0.0.1:{}/", server.port);
        let libraries = "(allow file-read* (subpath \"/usr\") (subpath \"/etc\") (subpath \"/proc\"))";
        let allow = format!("{libraries}{}", outbound(&format!("(remote tcp \"localhost:{}\")", server.port)));
        let ran = place.run(&allow, &["curl", "-s", &url]).good();
        assert_eq!(ran.stdout, "yes");
        let ran = place.run(&format!("{libraries}{OTHER}"), &["curl", "-s", &url]).bad();
        assert!(ran.denied("network-outbound", &format!("tcp:127.0.0.1:{}", server.port)), "{ran:#?}");
        // Client and server in one program, by name.
        let script = "import socket,threading\n\
            s=socket.create_server(('127.0.0.1',0)); p=s.getsockname()[1]\n\
            t=threading.Thread(target=lambda: s.accept()[0].sendall(b'hello'), daemon=True)\n\
            t.start()\n\
            print(socket.create_connection(('localhost',p),5).recv(9).decode()); t.join(9)";
        let file = place.file("both.py", script);
        let run = |rules: &str| {
            let rules = format!("{libraries}(allow file-read* (subpath \"$W\")){rules}");
            place.run(&rules, &["/usr/bin/python3", "-S", &file])
        };
        let inside = "(allow network-bind network-inbound (local ip \"localhost:*\"))";
        let ran = run(&format!("{inside}{}", outbound("(remote ip \"localhost:*\")"))).good();
        assert_eq!(ran.stdout, "hello\n");
        for rules in [inside.to_owned(), outbound("(remote ip \"localhost:*\")")] {
            let ran = run(&rules).bad();
            assert!(ran.stderr.contains("Operation not permitted"), "{ran:#?}");
        }
    });
}
