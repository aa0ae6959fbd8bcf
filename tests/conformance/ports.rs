//! The other ends that connections of the tables are made to.

use std::net::{TcpListener, UdpSocket};
use std::sync::OnceLock;

#[derive(Debug)]
struct Ports {
    /// Word of the tables and its number.
    words: Vec<(&'static str, u16)>,
    /// Held open as long as the tests run.
    _open: (Vec<TcpListener>, Vec<UdpSocket>),
}

/// A text with the ports for `$TCP1`, `$TCP2` (127.0.0.1), `$TCP6` (::1), `$UDP1`, `$UDP2` (127.0.0.1), where somebody listens, and
/// `$FREE1`, `$FREE2`, where nobody did a moment ago.
pub(crate) fn expand(text: &str) -> String {
    static PORTS: OnceLock<Ports> = OnceLock::new();
    let ports = PORTS.get_or_init(Ports::open);
    ports.words.iter().fold(text.to_owned(), |text, (word, port)| text.replace(word, &port.to_string()))
}

impl Ports {
    fn open() -> Self {
        let tcp = |address: &str| TcpListener::bind(address).unwrap();
        let udp = |address: &str| UdpSocket::bind(address).unwrap();
        let open = (
            vec![tcp("127.0.0.1:0"), tcp("127.0.0.1:0"), tcp("[::1]:0")],
            vec![udp("127.0.0.1:0"), udp("127.0.0.1:0")],
        );
        let free = [tcp("127.0.0.1:0"), tcp("127.0.0.1:0")];
        let listening = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let numbers = open.0.iter().map(listening);
        let numbers = numbers.chain(open.1.iter().map(|socket| socket.local_addr().unwrap().port()));
        let numbers = numbers.chain(free.iter().map(listening));
        let words = ["$TCP1", "$TCP2", "$TCP6", "$UDP1", "$UDP2", "$FREE1", "$FREE2"];
        Self { words: words.into_iter().zip(numbers).collect(), _open: open }
    }
}
