//! What a program file asks the kernel to load besides itself: script interpreter and ELF interpreter. Pure.

/// The kernel looks at this many bytes of a file to tell what it is (linux/binfmts.h, BINPRM_BUF_SIZE).
pub(super) const HEAD: usize = 256;

/// What a program file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Image {
    /// A script: the interpreter's path as written, and what else stands on its line.
    Script { interpreter: Vec<u8>, argument: Option<Vec<u8>> },
    /// A native program; where its program headers are.
    Elf(ProgramHeaders),
    /// Nothing the kernel runs by itself.
    Unknown,
}

/// Position of the program header table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProgramHeaders {
    pub(super) offset: u64,
    pub(super) count: u16,
}

/// Size of one entry of a 64-bit table (elf(5)); the kernel accepts no other.
pub(super) const HEADER_SIZE: usize = 56;
/// The kernel takes at most 64 KiB of headers.
pub(super) const MOST_HEADERS: u16 = 1170;

const PT_INTERP: u32 = 3;
/// `ET_EXEC` and `ET_DYN`.
const RUNNABLE: [u16; 2] = [2, 3];

/// Tells what a file is by its first bytes.
pub(super) fn identify(head: &[u8]) -> Image {
    if head.starts_with(b"#!") {
        return script(head);
    }
    elf(head).map_or(Image::Unknown, Image::Elf)
}

/// Reads a `#!` line as the kernel does (fs/binfmt_script.c, `load_script`): blanks, the interpreter, and the rest of the line without
/// the blanks at its ends as one argument. An interpreter that the window cuts off is refused.
fn script(head: &[u8]) -> Image {
    let mut window = [0; HEAD];
    let length = head.len().min(HEAD);
    window[..length].copy_from_slice(&head[..length]);
    let blank = |at: &usize| matches!(window[*at], b' ' | b'\t');
    let ends_word = |at: &usize| blank(at) || window[*at] == 0;
    let last = HEAD - 1;
    let mut end = match window.iter().position(|&byte| byte == b'\n') {
        Some(line_end) => line_end,
        None => {
            let start = (2..=last).find(|at| !blank(at));
            if !start.is_some_and(|start| (start..=last).any(|at| ends_word(&at))) {
                return Image::Unknown;
            }
            last
        }
    };
    while blank(&(end - 1)) {
        end -= 1;
    }
    let Some(start) = (2..=end).find(|at| !blank(at)).filter(|start| *start < end) else { return Image::Unknown };
    let separator = (start..=end).find(ends_word);
    let interpreter = window[start..separator.unwrap_or(end)].to_vec();
    let argument = separator.filter(|at| window[*at] != 0).and_then(|at| (at..=end).find(|at| !blank(at)));
    let argument = argument.map(|from| {
        let text = &window[from..end];
        text[..text.iter().position(|&byte| byte == 0).unwrap_or(text.len())].to_vec()
    });
    Image::Script { interpreter, argument }
}

fn elf(head: &[u8]) -> Option<ProgramHeaders> {
    // Magic, 64-bit, little-endian; the machine is the filter's business: a foreign one gets no system call through.
    if !head.starts_with(b"\x7fELF\x02\x01") || head.len() < 64 || !RUNNABLE.contains(&u16_at(head, 16)?) {
        return None;
    }
    let (offset, size, count) = (u64_at(head, 32)?, u16_at(head, 54)?, u16_at(head, 56)?);
    (usize::from(size) == HEADER_SIZE && count <= MOST_HEADERS).then_some(ProgramHeaders { offset, count })
}

/// Where the interpreter's path stands in the file: offset and size of the first `PT_INTERP`, as the kernel takes it.
pub(super) fn interpreter(table: &[u8]) -> Option<(u64, u64)> {
    table
        .chunks_exact(HEADER_SIZE)
        .find(|entry| u32_at(entry, 0) == Some(PT_INTERP))
        .and_then(|entry| Some((u64_at(entry, 8)?, u64_at(entry, 32)?)))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_of_scripts_are_read_like_the_kernel_does() {
        for (head, expected) in [
            (&b"#!/bin/sh\n"[..], Some(("/bin/sh", None))),
            (b"#! \t/bin/sh -e\n", Some(("/bin/sh", Some("-e")))),
            (b"#!/bin/sh", Some(("/bin/sh", None))),
            (b"#!/bin/sh -e", Some(("/bin/sh", Some("-e")))),
            (b"#!/bin/sh  \n", Some(("/bin/sh", None))),
            (b"#!/usr/bin/env  -S a b \t\nrest", Some(("/usr/bin/env", Some("-S a b")))),
            (b"#!/bin/sh -e\0f\n", Some(("/bin/sh", Some("-e")))),
            (b"#!/bin/sh\0 -e\n", Some(("/bin/sh", None))),
            // Without a line end the window's zeros follow: an argument without text.
            (b"#!/bin/sh ", Some(("/bin/sh", Some("")))),
            (b"#!sh\tx", Some(("sh", Some("x")))),
            (b"#!\n", None),
            (b"#!  \n/bin/sh", None),
            (b"echo", None),
            (b"", None),
        ] {
            let expected = expected.map_or(Image::Unknown, |(interpreter, argument)| Image::Script {
                interpreter: interpreter.into(),
                argument: argument.map(Into::into),
            });
            assert_eq!(identify(head), expected, "{head:?}");
        }
        let mut long = b"#!/".to_vec();
        long.resize(HEAD, b'a');
        assert_eq!(identify(&long), Image::Unknown);
        long[20] = b' ';
        let Image::Script { argument: Some(argument), .. } = identify(&long) else { panic!("not recognised") };
        assert_eq!(argument.len(), HEAD - 1 - 21, "the last byte of the window is never used");
    }

    #[test]
    fn this_program_has_an_interpreter_or_is_static_and_garbage_is_unknown() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        let Image::Elf(headers) = identify(&own[..HEAD]) else { panic!("not recognised") };
        let start = usize::try_from(headers.offset).unwrap();
        let table = &own[start..start + usize::from(headers.count) * HEADER_SIZE];
        if let Some((offset, size)) = interpreter(table) {
            let (offset, size) = (usize::try_from(offset).unwrap(), usize::try_from(size).unwrap());
            assert!(own[offset..offset + size].starts_with(b"/lib"));
        }
        assert_eq!(identify(&own[..40]), Image::Unknown);
        assert_eq!(interpreter(&[0; 30]), None);
    }
}
