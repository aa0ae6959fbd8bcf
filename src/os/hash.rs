//! SHA-256 of many files at once, with what the processor offers.
//!
//! Processors with SHA instructions hash one file after the other ([`sha2`] uses them). Those without, but with AVX2 or AVX-512,
//! hash as many files at the same time as a vector has lanes: every lane holds the state of another file. The last file of a
//! thread, and what arrives as a stream, is hashed with the vectors working ahead on its blocks; other processors use [`sha2`]'s
//! portable code. Each file is read once, in pieces.
//!
//! Invariant: whichever way is taken, the digest is that of the bytes read, and their number is the size the file had when it
//! was opened; tests compare every way with [`sha2`].

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::fs::RegularFile;
#[cfg(target_os = "linux")]
use super::linux::descriptors::OwnTable;
use super::thread;
use crate::base::digest::Sha256Hex;

#[cfg(target_arch = "x86_64")]
mod ahead_x86;
#[cfg(target_arch = "x86_64")]
mod lanes_x86;
mod stream;

pub use stream::HashStream;

/// More threads than this never help hashing.
const MAX_JOBS: usize = 256;
/// Files that all threads together hold open; the usual limit of a process is 1024.
const MAX_OPEN: usize = 512;
/// Bytes read at once; a multiple of a block.
const PIECE_BYTES: usize = 64 * 1024;
/// A piece with its padding.
const ROOM_BYTES: usize = PIECE_BYTES + 2 * BLOCK_BYTES;
/// SHA-256 works on blocks of so many bytes.
const BLOCK_BYTES: usize = 64;

/// The most files that one thread hashes at the same time.
const MAX_LANES: usize = 16;

/// The initial state (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Why a file has no digest.
#[derive(Debug)]
pub enum HashError<E> {
    /// The caller did not open it.
    Open(E),
    /// It cannot be read.
    Read(io::Error),
    /// It grew or shrank while it was read.
    Changed,
}

/// Digest and size of a file.
pub type Hashed<E> = Result<(Sha256Hex, u64), HashError<E>>;

/// Hashes `count` files on `jobs` threads (0: one per processor; at most 256). `open` opens the file of a number below `count`,
/// on any thread; it is asked once for each. `judge` makes of each digest what is kept of it, on any thread. The answers stand in
/// the order of the numbers.
pub fn hash_files<E, T: Send + Sync>(
    count: usize,
    jobs: usize,
    open: &(dyn Fn(usize) -> Result<RegularFile, E> + Sync),
    judge: &(dyn Fn(usize, Hashed<E>) -> T + Sync),
) -> impl Iterator<Item = T> + use<E, T> {
    let processors = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = if jobs == 0 { processors() } else { jobs }.min(MAX_JOBS).min(count.max(1));
    let engine = Engine::of_this_processor();
    // Few files are spread over the threads rather than over the lanes of one.
    let lanes = engine.lanes().min(count.div_ceil(jobs)).min(MAX_OPEN / jobs).max(1);
    let answers: Vec<OnceLock<T>> = (0..count).map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let worker = Worker { engine, lanes, next: &next, open, judge, answers: &answers };
    std::thread::scope(|scope| {
        let own = || worker.run(&mut Closing::of_this_thread());
        // This thread waits, and the first of the others takes its processor.
        let spread = jobs > 1 && std::thread::Builder::new().spawn_scoped(scope, own).is_ok();
        for _ in 1..jobs {
            // Fewer threads than wanted are no reason to fail.
            let _ = thread::start(scope, own);
        }
        if !spread {
            worker.run(&mut Closing::Each);
        }
    });
    answers.into_iter().map(|answer| answer.into_inner().expect("every number was handed out once"))
}

/// How a thread closes its files.
enum Closing {
    /// Many with one system call.
    #[cfg(target_os = "linux")]
    Together(OwnTable),
    /// Each by itself.
    Each,
}

impl Closing {
    /// For a thread that ends with its work.
    fn of_this_thread() -> Self {
        #[cfg(target_os = "linux")]
        if let Ok(table) = OwnTable::of_this_thread() {
            return Self::Together(table);
        }
        Self::Each
    }

    fn close(&mut self, file: File) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Together(table) => table.close(file),
            Self::Each => drop(file),
        }
    }
}

/// A way of hashing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    /// One file after the other, with SHA instructions where there are any.
    One,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Engine {
    #[cfg(target_arch = "x86_64")]
    fn of_this_processor() -> Self {
        // Without optimisation every vector instruction is a call; `sha2` is optimised in every build (`Cargo.toml`).
        if cfg!(debug_assertions) || is_x86_feature_detected!("sha") {
            return Self::One;
        }
        Self::all().into_iter().rev().find(|engine| engine.is_available()).unwrap_or(Self::One)
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn of_this_processor() -> Self {
        Self::One
    }

    #[cfg(target_arch = "x86_64")]
    fn all() -> [Self; 3] {
        [Self::One, Self::Avx2, Self::Avx512]
    }

    #[cfg(target_arch = "x86_64")]
    fn is_available(self) -> bool {
        match self {
            Self::One => true,
            Self::Avx2 => {
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2")
            }
            Self::Avx512 => {
                Self::Avx2.is_available() && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl")
            }
        }
    }

    /// Files hashed at the same time.
    fn lanes(self) -> usize {
        match self {
            Self::One => 1,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 8,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => MAX_LANES,
        }
    }

    /// Takes `blocks` blocks of every one of `data` into the state of the same place.
    fn compress(self, states: &mut [[u32; 8]], data: &[&[u8]], blocks: usize) {
        match (self, states.len()) {
            (_, 0) => {}
            (_, 1) => {
                let (whole, _) = data[0].as_chunks::<BLOCK_BYTES>();
                self.compress_one(&mut states[0], &whole[..blocks]);
            }
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this way was chosen because the processor has AVX2.
            (Self::Avx2, _) => unsafe { lanes_x86::avx2(states, data, blocks) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this way was chosen because the processor has AVX-512F and AVX-512VL.
            (Self::Avx512, ..=8) => unsafe { lanes_x86::avx512_half(states, data, blocks) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            (Self::Avx512, _) => unsafe { lanes_x86::avx512(states, data, blocks) },
            (Self::One, _) => unreachable!("it has one lane"),
        }
    }

    /// Takes all blocks of one file into its state.
    fn compress_one(self, state: &mut [u32; 8], blocks: &[[u8; BLOCK_BYTES]]) {
        #[cfg(target_arch = "x86_64")]
        let blocks = match self {
            Self::One => blocks,
            way => {
                let (groups, rest) = blocks.as_chunks::<{ ahead_x86::AHEAD }>();
                if way == Self::Avx512 {
                    // SAFETY: this way was chosen because the processor has AVX-512F, AVX-512VL, AVX2, BMI1 and BMI2.
                    unsafe { ahead_x86::avx512(state, groups) };
                } else {
                    // SAFETY: this way was chosen because the processor has AVX2, BMI1 and BMI2.
                    unsafe { ahead_x86::avx2(state, groups) };
                }
                rest
            }
        };
        sha2::block_api::compress256(state, blocks);
    }
}

/// One thread's work.
struct Worker<'a, E, T> {
    engine: Engine,
    lanes: usize,
    next: &'a AtomicUsize,
    open: &'a (dyn Fn(usize) -> Result<RegularFile, E> + Sync),
    judge: &'a (dyn Fn(usize, Hashed<E>) -> T + Sync),
    /// One place for each file.
    answers: &'a [OnceLock<T>],
}

/// A file that is being hashed.
struct Lane {
    number: usize,
    file: RegularFile,
    /// Bytes read so far.
    read_bytes: u64,
    /// [`ROOM_BYTES`]. Whole blocks, padding included, stand before `end`; those before `at` have been hashed.
    piece: Vec<u8>,
    at: usize,
    end: usize,
    ended: bool,
}

impl<E, T> Worker<'_, E, T> {
    fn run(&self, closing: &mut Closing) {
        let mut lanes: Vec<Lane> = Vec::with_capacity(self.lanes);
        let mut states: Vec<[u32; 8]> = Vec::with_capacity(self.lanes);
        let mut spare: Vec<Vec<u8>> = Vec::new();
        loop {
            while lanes.len() < self.lanes {
                let piece = spare.pop().unwrap_or_else(|| vec![0; ROOM_BYTES]);
                let Some(lane) = self.start(piece) else { break };
                lanes.push(lane);
                states.push(INITIAL);
            }
            let mut place = 0;
            while place < lanes.len() {
                let lane = &mut lanes[place];
                let answer = match lane.fill() {
                    Ok(true) => {
                        place += 1;
                        continue;
                    }
                    Ok(false) => Ok((Sha256Hex::from_words(states[place]), lane.read_bytes)),
                    Err(error) => Err(error),
                };
                let Lane { number, file, piece, .. } = lanes.swap_remove(place);
                states.swap_remove(place);
                closing.close(file.file);
                spare.push(piece);
                self.answer(number, answer);
            }
            if lanes.is_empty() {
                if self.next.load(Ordering::Relaxed) >= self.answers.len() {
                    return;
                }
                continue;
            }
            // New files first: a lane that stays empty costs as much as a full one.
            if lanes.len() < self.lanes && self.next.load(Ordering::Relaxed) < self.answers.len() {
                continue;
            }
            let blocks = lanes.iter().map(|lane| (lane.end - lane.at) / BLOCK_BYTES).min().unwrap_or(0);
            let mut data = [&[][..]; MAX_LANES];
            for (data, lane) in data.iter_mut().zip(&lanes) {
                *data = &lane.piece[lane.at..lane.end];
            }
            self.engine.compress(&mut states, &data[..lanes.len()], blocks);
            for lane in &mut lanes {
                lane.at += blocks * BLOCK_BYTES;
            }
        }
    }

    /// The next file that can be opened.
    fn start(&self, piece: Vec<u8>) -> Option<Lane> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.answers.len() {
                return None;
            }
            match (self.open)(number) {
                Ok(file) => {
                    return Some(Lane { number, file, read_bytes: 0, piece, at: 0, end: 0, ended: false });
                }
                Err(error) => self.answer(number, Err(HashError::Open(error))),
            }
        }
    }

    fn answer(&self, number: usize, answer: Hashed<E>) {
        let first = self.answers[number].set((self.judge)(number, answer)).is_ok();
        assert!(first, "every number is handed out once");
    }
}

impl Lane {
    /// Makes sure that there is a block to hash; `false`: the file is done.
    fn fill<E>(&mut self) -> Result<bool, HashError<E>> {
        if self.at < self.end {
            return Ok(true);
        }
        if self.ended {
            return Ok(false);
        }
        self.at = 0;
        // Room for what is left and one byte more, so that the end shows; a piece that is not the last is whole blocks.
        let left = self.file.size_bytes.saturating_sub(self.read_bytes).saturating_add(1);
        let room = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let mut filled = 0;
        while filled < room {
            let wanted = room - filled;
            match self.file.file.read(&mut self.piece[filled..room]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(read) => {
                    filled += read;
                    self.read_bytes += read as u64;
                    if self.read_bytes > self.file.size_bytes {
                        return Err(HashError::Changed);
                    }
                    // A regular file gives fewer bytes than there is room for at its end only; its size says that it is.
                    if read < wanted && self.read_bytes == self.file.size_bytes {
                        self.ended = true;
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(HashError::Read(error)),
            }
        }
        self.end = filled;
        if self.ended {
            if self.read_bytes != self.file.size_bytes {
                return Err(HashError::Changed);
            }
            // FIPS 180-4, 5.1.1: one bit, zeros, and the length in bits at the end of a block.
            self.end = (filled + 1 + 8).div_ceil(BLOCK_BYTES) * BLOCK_BYTES;
            let padding = &mut self.piece[filled..self.end];
            padding.fill(0);
            padding[0] = 0x80;
            let (_, length) = padding.split_at_mut(padding.len() - 8);
            length.copy_from_slice(&(self.read_bytes * 8).to_be_bytes());
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths around the ends of blocks and of pieces.
    #[cfg(target_arch = "x86_64")]
    fn lengths() -> Vec<usize> {
        let ends = [0, BLOCK_BYTES, 2 * BLOCK_BYTES, 1000, PIECE_BYTES, 2 * PIECE_BYTES];
        let mut all: Vec<usize> = ends
            .iter()
            .flat_map(|end| [-65i64, -10, -9, -8, -1, 0, 1, 7, 8, 9, 55, 56].map(|by| *end as i64 + by))
            .filter_map(|length| usize::try_from(length).ok())
            .collect();
        all.extend((0..300).map(|at| (at * 7919) % 9000));
        all
    }

    fn bytes(length: usize, seed: usize) -> Vec<u8> {
        (0..length).map(|at| (at.wrapping_mul(31).wrapping_add(seed * 131) >> 3) as u8).collect()
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn every_way_gives_the_digest_of_the_reference() {
        let temp = tempfile::tempdir().unwrap();
        let dir = super::super::fs::Dir::open(temp.path()).unwrap();
        let name = |at: usize| crate::base::rel_path::RelPath::try_from(format!("f{at}")).unwrap();
        let texts: Vec<Vec<u8>> = lengths().iter().enumerate().map(|(at, length)| bytes(*length, at)).collect();
        for (at, text) in texts.iter().enumerate() {
            dir.write(&name(at), text).unwrap();
        }
        let mut ways = 0;
        for engine in Engine::all().into_iter().filter(|engine| engine.is_available()) {
            for lanes in [1, 2, 3, 7, 8, 9, 16].into_iter().filter(|lanes| *lanes <= engine.lanes()) {
                let answers: Vec<_> = texts.iter().map(|_| OnceLock::new()).collect();
                let next = AtomicUsize::new(0);
                let open = |at| dir.open_file(&name(at));
                let judge = |_, answer| answer;
                let worker = Worker { engine, lanes, next: &next, open: &open, judge: &judge, answers: &answers };
                worker.run(&mut Closing::Each);
                for (number, (answer, text)) in answers.iter().zip(&texts).enumerate() {
                    let (digest, size) = answer.get().unwrap().as_ref().unwrap();
                    assert_eq!(
                        (digest, *size),
                        (&Sha256Hex::of(text), text.len() as u64),
                        "{engine:?} {lanes} {number}"
                    );
                }
                ways += 1;
            }
        }
        // Without vectors only the plain way is left, which proves nothing about the others.
        if !Engine::Avx2.is_available() {
            let _ =
                io::Write::write_all(&mut io::stderr(), b"SKIPPED: vector ways of hashing, this processor has none\n");
        }
        assert!(ways >= 1);
    }

    #[test]
    fn threads_share_the_files_and_refusals_keep_their_place() {
        let temp = tempfile::tempdir().unwrap();
        let dir = super::super::fs::Dir::open(temp.path()).unwrap();
        let name = |at: usize| crate::base::rel_path::RelPath::try_from(format!("f{at}")).unwrap();
        for at in (0..100).filter(|at| at % 7 != 3) {
            dir.write(&name(at), &bytes(at * 50, at)).unwrap();
        }
        for jobs in [0, 1, 3, 1000] {
            let answers = hash_files(100, jobs, &|at| dir.open_file(&name(at)), &|_, answer| answer);
            for (at, answer) in answers.enumerate() {
                match answer {
                    Ok((digest, _)) => assert_eq!(digest, Sha256Hex::of(&bytes(at * 50, at))),
                    Err(HashError::Open(error)) => assert!(error.is_not_found() && at % 7 == 3),
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
        assert!(hash_files(0, 0, &|_| Err(()), &|_, answer| answer).next().is_none());
    }

    #[test]
    fn a_file_that_has_another_size_than_when_it_was_opened_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let dir = super::super::fs::Dir::open(temp.path()).unwrap();
        let name = crate::base::rel_path::RelPath::try_from("f").unwrap();
        for (before, after) in [(100, 101), (100, 99), (PIECE_BYTES, PIECE_BYTES + 1), (PIECE_BYTES, 10), (0, 1)] {
            dir.write(&name, &bytes(before, 0)).unwrap();
            let open = |_| {
                let opened = dir.open_file(&name);
                let file = std::fs::File::options().write(true).open(temp.path().join("f")).unwrap();
                file.set_len(after as u64).unwrap();
                opened
            };
            let mut answers = hash_files(1, 1, &open, &|_, answer| answer);
            let answer = answers.next();
            assert!(matches!(answer, Some(Err(HashError::Changed))), "{before} {after}: {answer:?}");
        }
    }
}
