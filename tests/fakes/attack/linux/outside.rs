//! What stands outside the sandbox during an attack: an outsider with a secret, and surroundings a run is started in.

use std::ffi::CString;

use super::help::{CWD, contents, descriptor, fork, open_at, sys, text, wait};

pub(crate) fn main(name: &str, words: &[String]) {
    match name {
        "outsider" => outsider(&words[0]),
        "descriptor" => {
            // Left open across the exec.
            open_at(CWD, "closed/secret", libc::O_RDONLY).unwrap();
            become_command(words);
        }
        "keyring" => {
            const JOIN_SESSION: i32 = 1;
            const SESSION_KEYRING: i32 = -3;
            sys!(SYS_keyctl, JOIN_SESSION, 0, 0, 0, 0).unwrap();
            let (kind, name, value) = (text("user"), text("attack-secret"), text(&words[0]));
            sys!(SYS_add_key, kind, name, value, words[0].len(), SESSION_KEYRING).unwrap();
            become_command(&words[1..]);
        }
        "ipc" => ipc(&words[0], words[1].parse().unwrap(), &words[2]),
        "terminal" => terminal(words),
        _ => panic!("nobody outside is called {name}"),
    }
}

fn become_command(words: &[String]) {
    let words: Vec<CString> = words.iter().map(text).collect();
    let argv: Vec<_> = words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect();
    // SAFETY: a null-terminated array of NUL-terminated strings that outlive the call.
    unsafe { libc::execvp(words[0].as_ptr(), argv.as_ptr()) };
    panic!("cannot execute {words:?}");
}

/// Holds the secret in its memory, its arguments, an open file and its working directory until its input ends.
fn outsider(secret: &str) {
    let fd = open_at(CWD, "closed/secret", libc::O_RDONLY).unwrap();
    std::env::set_current_dir("closed").unwrap();
    let memory = text(secret);
    println!("{} {fd} {}", std::process::id(), memory.as_ptr() as usize);
    // Ends when whoever started it closes the pipe.
    contents(0);
    drop(memory);
}

/// System V shared memory and a message queue under `key`, a POSIX queue under `name`; removed at the end of input.
fn ipc(secret: &str, key: i32, name: &str) {
    let (secret, queue_name) = (text(secret), text(name));
    let size = secret.as_bytes_with_nul().len();
    let memory = sys!(SYS_shmget, key, 4096, libc::IPC_CREAT | 0o666).unwrap();
    let at = sys!(SYS_shmat, memory, 0, 0).unwrap() as *mut libc::c_char;
    // SAFETY: the segment has a page.
    unsafe { std::ptr::copy(secret.as_ptr(), at, size) };
    let queue = sys!(SYS_msgget, key, libc::IPC_CREAT | 0o666).unwrap();
    let mut message = vec![1, 0, 0, 0, 0, 0, 0, 0];
    message.extend(secret.as_bytes_with_nul());
    sys!(SYS_msgsnd, queue, message.as_ptr(), size, 0).unwrap();
    let posix = sys!(SYS_mq_open, queue_name, libc::O_CREAT | libc::O_RDWR, 0o666, 0).unwrap();
    let _ = sys!(SYS_fchmod, posix, 0o666);
    sys!(SYS_mq_timedsend, posix, secret, size, 0, 0).unwrap();
    println!("ready");
    contents(0);
    let _ = sys!(SYS_shmctl, memory, libc::IPC_RMID, 0);
    let _ = sys!(SYS_msgctl, queue, libc::IPC_RMID, 0);
    let _ = sys!(SYS_mq_unlink, queue_name);
}

/// Runs a command whose terminal is a new one; tells what was written to that terminal.
fn terminal(words: &[String]) {
    const UNLOCK: u64 = 0x4004_5431;
    const NUMBER: u64 = 0x8004_5430;
    let controller = open_at(CWD, "/dev/ptmx", libc::O_RDWR | libc::O_NOCTTY).unwrap();
    let (mut number, locked) = (0_u32, 0_i32);
    sys!(SYS_ioctl, controller, UNLOCK, &raw const locked).unwrap();
    sys!(SYS_ioctl, controller, NUMBER, &raw mut number).unwrap();
    let child = fork(|| {
        let _ = sys!(SYS_setsid);
        let fd = sys!(SYS_openat, CWD, text(format!("/dev/pts/{number}")), libc::O_RDWR).map(descriptor).unwrap();
        sys!(SYS_ioctl, fd, libc::TIOCSCTTY, 0).unwrap();
        let _ = sys!(SYS_dup2, fd, 0);
        become_command(words);
        1
    });
    wait(child);
    let mut poll = libc::pollfd { fd: controller, events: libc::POLLIN, revents: 0 };
    while sys!(SYS_poll, &raw mut poll, 1, 50) == Ok(1) && poll.revents & libc::POLLIN != 0 {
        println!("TERMINAL: {}", contents(controller));
    }
}
