//! A program whose lines are read while it runs: a stream that somebody else waits on.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use rustix::process::Pid;

use super::spawn::{self, Start};
use super::{WorkerError, kill_group, nothing, pipe, started};

/// What a program said, or that it says no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A line without its end. Bytes that are not UTF-8 are replaced.
    Line(String),
    /// A line longer than the limit was left out.
    TooLong,
    /// More than the limit of all lines was said; nothing is read any more.
    TooMuch,
    /// Its output is closed; exit status, unless a signal ended it.
    End(Option<i32>),
}

/// A running program. Dropping it kills its process group.
#[derive(Debug)]
pub struct LineStream {
    leader: Pid,
    said: Receiver<Said>,
    ended: Option<Option<i32>>,
}

impl LineStream {
    /// Starts a program with an empty stdin, a small environment and its stderr thrown away. Lines of more than `longest` bytes
    /// are left out, and reading ends after `most` bytes.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(exe: &Path, args: &[OsString], longest: usize, most: usize) -> Result<Self, WorkerError> {
        let env = [("PATH".into(), "/usr/bin:/bin:/usr/sbin:/sbin".into()), ("LC_ALL".into(), "C".into())];
        let (output, output_end) = pipe().map_err(WorkerError::Prepare)?;
        let nothing = nothing().map_err(WorkerError::Prepare)?;
        let start = Start { exe, args, env: &env, cwd: None };
        let leader = started(&start, &[(nothing.as_fd(), 0), (output_end.as_fd(), 1), (nothing.as_fd(), 2)])?;
        drop(output_end);
        let (send, said) = channel();
        std::thread::spawn(move || {
            let mut total = 0_usize;
            let mut reader = BufReader::new(File::from(output));
            while let Ok(Some((bytes, line))) = next_line(&mut reader, longest) {
                total = total.saturating_add(bytes);
                let heard = if total > most { Said::TooMuch } else { line };
                // Nobody listens any more, or nothing more is to be read.
                let last = heard == Said::TooMuch;
                if send.send(heard).is_err() || last {
                    break;
                }
            }
        });
        Ok(Self { leader, said, ended: None })
    }

    /// The next thing it says; `None` when nothing is said until then.
    pub fn next(&mut self, until: Instant) -> Option<Said> {
        if let Some(status) = self.ended {
            return Some(Said::End(status));
        }
        match self.said.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(said) => Some(said),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.end();
                self.ended = Some(status);
                Some(Said::End(status))
            }
        }
    }

    /// Ends the program where it has not ended by itself; its exit status, unless a signal ended it.
    fn end(&mut self) -> Option<i32> {
        // A program that closed its output is about to end; one that only closed it is not waited for.
        let patience = Instant::now() + std::time::Duration::from_millis(200);
        while !super::has_ended(self.leader) && Instant::now() < patience {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        kill_group(self.leader);
        spawn::wait(self.leader).ok().and_then(|status| status.code())
    }
}

impl Drop for LineStream {
    fn drop(&mut self) {
        if self.ended.is_none() {
            kill_group(self.leader);
            let _ = spawn::wait(self.leader);
        }
    }
}

/// Reads one line: how many bytes it took, and what is told of it. `None` at the end.
fn next_line(reader: &mut BufReader<File>, longest: usize) -> std::io::Result<Option<(usize, Said)>> {
    let mut line = Vec::new();
    let limit = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = reader.by_ref().take(limit).read_until(b'\n', &mut line)?;
    if bytes == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') || bytes <= longest {
        let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).into_owned();
        return Ok(Some((bytes, Said::Line(text))));
    }
    // The rest of it is read and thrown away, a buffer at a time.
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(Some((bytes, Said::TooLong)));
        }
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        reader.consume(used);
        bytes = bytes.saturating_add(used);
        if end.is_some() {
            return Ok(Some((bytes, Said::TooLong)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn all(script: &str, longest: usize, most: usize) -> Vec<Said> {
        let mut stream = LineStream::start(Path::new("/bin/sh"), &["-c".into(), script.into()], longest, most).unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        let mut heard = Vec::new();
        loop {
            let said = stream.next(until).expect("it ends");
            let last = matches!(said, Said::End(_));
            heard.push(said);
            if last {
                return heard;
            }
        }
    }

    #[test]
    fn lines_arrive_and_so_does_the_end() {
        let line = |text: &str| Said::Line(text.to_owned());
        assert_eq!(all("echo a; printf 'b'; exit 3", 100, 1000), [line("a"), line("b"), Said::End(Some(3))]);
        assert_eq!(all("echo 123456; echo ok", 5, 1000), [Said::TooLong, line("ok"), Said::End(Some(0))]);
        assert_eq!(all("echo 12345; kill -9 $$", 5, 1000), [line("12345"), Said::End(None)]);
        assert_eq!(all("printf '\\377\\n'", 5, 1000), [line("\u{fffd}"), Said::End(Some(0))]);
        let much = all("while :; do echo 12345678; done", 100, 50);
        assert_eq!(much[much.len() - 2], Said::TooMuch);
    }

    #[test]
    fn silence_is_not_the_end() {
        let mut stream = LineStream::start(Path::new("/bin/sleep"), &["60".into()], 10, 10).unwrap();
        assert_eq!(stream.next(Instant::now() + Duration::from_millis(30)), None);
        let pid = stream.leader.as_raw_nonzero();
        drop(stream);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
