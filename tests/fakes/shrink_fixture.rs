//! Small programs whose needs are known: what `shrink-trace` is tested with.
//!
//! `target` reads a file, a kernel setting and the user's entry, makes a directory, and makes or truncates a file; `net PORT`
//! needs a connection to this host; `spawn` needs another program; `min` needs nothing. The others do one thing each.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a test program")]

use std::io::{ErrorKind, Result, Write as _};
use std::net::TcpStream;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{words:?}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    match words {
        ["target"] => target(),
        ["net", port] => connect(port),
        ["spawn"] => match Command::new("/usr/bin/id").arg("-u").status()?.success() {
            true => Ok(()),
            false => Err(ErrorKind::Other.into()),
        },
        ["min"] => Ok(()),
        // Reads every file that is named.
        ["read", files @ ..] => files.iter().try_for_each(|file| std::fs::read(file).map(drop)),
        // Makes a file where there is none; what is there must be readable.
        ["keep", file] => match std::fs::read(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => std::fs::write(file, "kept"),
            other => other.map(drop),
        },
        // Goes on without the file, and needs another one only when it is there.
        ["plugin", plugin, needs] => match std::fs::read(plugin) {
            Ok(_) => std::fs::read(needs).map(drop),
            Err(_) => Ok(()),
        },
        // Fails every third time, whatever it may do.
        ["flaky", counter] => {
            let count: u32 = std::fs::read_to_string(counter).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
            std::fs::write(counter, (count + 1).to_string())?;
            if count % 3 == 2 { Err(ErrorKind::Other.into()) } else { Ok(()) }
        }
        ["sleep", seconds] => {
            std::io::stdout().flush()?;
            std::thread::sleep(std::time::Duration::from_secs(seconds.parse().unwrap_or(60)));
            Ok(())
        }
        _ => Err(ErrorKind::InvalidInput.into()),
    }
}

fn target() -> Result<()> {
    std::fs::read("/etc/hosts")?;
    std::fs::read("/proc/sys/kernel/ostype")?;
    let users = std::fs::read_to_string("/etc/passwd")?;
    println!("{} users", users.lines().count());
    match std::fs::create_dir("made") {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    std::fs::write("made/file", "text")?;
    // Tried, and not needed.
    let _ = connect("9");
    Ok(())
}

fn connect(port: &str) -> Result<()> {
    let port: u16 = port.parse().map_err(|_| ErrorKind::InvalidInput)?;
    match TcpStream::connect(("127.0.0.1", port)) {
        Err(error) if error.kind() != ErrorKind::ConnectionRefused => Err(error),
        _ => Ok(()),
    }
}
