//! SHA-256 of bytes that arrive in pieces, by the ways of this module.

use super::{BLOCK_BYTES, Engine, INITIAL};
use crate::base::digest::Sha256Hex;

/// Bytes kept until they are enough for the widest way.
const WAITING_BYTES: usize = 8 * BLOCK_BYTES;

/// The digest of everything given to [`update`](Self::update) so far.
#[derive(Debug)]
pub struct HashStream {
    engine: Engine,
    state: [u32; 8],
    /// Fewer than [`WAITING_BYTES`].
    waiting: Vec<u8>,
    size_bytes: u64,
}

impl Default for HashStream {
    fn default() -> Self {
        Self::by(Engine::of_this_processor())
    }
}

impl HashStream {
    pub(super) fn by(engine: Engine) -> Self {
        Self { engine, state: INITIAL, waiting: Vec::with_capacity(WAITING_BYTES), size_bytes: 0 }
    }

    /// Adds `bytes`.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.size_bytes += bytes.len() as u64;
        if !self.waiting.is_empty() {
            let (head, rest) = bytes.split_at(bytes.len().min(WAITING_BYTES - self.waiting.len()));
            self.waiting.extend_from_slice(head);
            bytes = rest;
            if self.waiting.len() < WAITING_BYTES {
                return;
            }
            self.engine.compress_one(&mut self.state, self.waiting.as_chunks().0);
            self.waiting.clear();
        }
        let (groups, rest) = bytes.as_chunks::<WAITING_BYTES>();
        self.engine.compress_one(&mut self.state, groups.as_flattened().as_chunks().0);
        self.waiting.extend_from_slice(rest);
    }

    /// The digest, and the number of bytes.
    #[must_use]
    pub fn finish(mut self) -> (Sha256Hex, u64) {
        // FIPS 180-4, 5.1.1: one bit, zeros, and the length in bits at the end of a block.
        let used = self.waiting.len();
        self.waiting.push(0x80);
        self.waiting.resize((used + 1 + 8).div_ceil(BLOCK_BYTES) * BLOCK_BYTES - 8, 0);
        self.waiting.extend((self.size_bytes * 8).to_be_bytes());
        self.engine.compress_one(&mut self.state, self.waiting.as_chunks().0);
        (Sha256Hex::from_words(self.state), self.size_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_and_every_cut_gives_the_digest_of_the_reference() {
        let text: Vec<u8> = (0..5000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        #[cfg(target_arch = "x86_64")]
        let ways: Vec<Engine> = Engine::all().into_iter().filter(|engine| engine.is_available()).collect();
        #[cfg(not(target_arch = "x86_64"))]
        let ways = [Engine::of_this_processor()];
        for engine in ways {
            for length in (0..1100).chain([4095, 4096, 5000]) {
                let mut stream = HashStream::by(engine);
                stream.update(&text[..length]);
                let expected = (Sha256Hex::of(&text[..length]), length as u64);
                assert_eq!(stream.finish(), expected, "{engine:?} {length}");
            }
            for piece in [1, 3, 63, 64, 65, 500, 511, 512, 513, 1000, 1024, 2000] {
                let mut stream = HashStream::by(engine);
                text.chunks(piece).for_each(|piece| stream.update(piece));
                assert_eq!(stream.finish(), (Sha256Hex::of(&text), 5000), "{engine:?} in pieces of {piece}");
            }
        }
    }
}
