//! SHA-256 of one file, for processors with AVX2 and without SHA instructions: the messages of eight blocks that follow each other
//! are expanded side by side, ahead of the rounds, which take one block after the other. FIPS 180-4, 6.2.2.

use std::arch::x86_64::*;

use super::BLOCK_BYTES;
use super::lanes_x86::{K, message_8};

/// Blocks whose messages are expanded at once.
pub(super) const AHEAD: usize = 8;

/// Words of the messages with the round constants added: of round `t`, one of every block.
type Expanded = [[u32; AHEAD]; 64];

#[inline]
#[target_feature(enable = "avx2")]
fn rotate<const BY: i32, const BACK: i32>(value: __m256i) -> __m256i {
    _mm256_or_si256(_mm256_srli_epi32::<BY>(value), _mm256_slli_epi32::<BACK>(value))
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor3(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_xor_si256(_mm256_xor_si256(x, y), z)
}

#[inline]
#[target_feature(enable = "avx2")]
fn expand(blocks: &[[u8; BLOCK_BYTES]; AHEAD], into: &mut Expanded) {
    let mut w = message_8(&blocks.each_ref());
    for (t, words) in into.iter_mut().enumerate() {
        let at = t % 16;
        if t >= 16 {
            let (x, y) = (w[(at + 1) % 16], w[(at + 14) % 16]);
            let s0 = xor3(rotate::<7, 25>(x), rotate::<18, 14>(x), _mm256_srli_epi32::<3>(x));
            let s1 = xor3(rotate::<17, 15>(y), rotate::<19, 13>(y), _mm256_srli_epi32::<10>(y));
            w[at] = _mm256_add_epi32(_mm256_add_epi32(w[at], s0), _mm256_add_epi32(w[(at + 9) % 16], s1));
        }
        let with_constant = _mm256_add_epi32(w[at], _mm256_set1_epi32(K[t].cast_signed()));
        // SAFETY: the array is as large as a vector, and the store needs no alignment.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), with_constant) };
    }
}

/// One round. Instead of moving the eight words on by one, the caller names them in another order; `$last` is `a ^ b` of the
/// round before, which is `b ^ c` of this one.
macro_rules! round {
    ($a:ident $b:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $last:ident, $word:expr) => {
        let big1 = $e.rotate_right(6) ^ $e.rotate_right(11) ^ $e.rotate_right(25);
        // The two have no bit in common.
        let choose = ($e & $f).wrapping_add(!$e & $g);
        $h = $h.wrapping_add($word).wrapping_add(choose).wrapping_add(big1);
        $d = $d.wrapping_add($h);
        let big0 = $a.rotate_right(2) ^ $a.rotate_right(13) ^ $a.rotate_right(22);
        let differ = $a ^ $b;
        $h = $h.wrapping_add(big0).wrapping_add((differ & $last) ^ $b);
        $last = differ;
    };
}

/// Takes all blocks into the state.
#[target_feature(enable = "avx2,bmi1,bmi2")]
pub(super) fn compress(state: &mut [u32; 8], groups: &[[[u8; BLOCK_BYTES]; AHEAD]]) {
    let mut words: Expanded = [[0; AHEAD]; 64];
    for group in groups {
        expand(group, &mut words);
        for block in 0..AHEAD {
            let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
            let mut last = b ^ c;
            for w in words.as_chunks::<8>().0 {
                round!(a b d e f g h, last, w[0][block]);
                round!(h a c d e f g, last, w[1][block]);
                round!(g h b c d e f, last, w[2][block]);
                round!(f g a b c d e, last, w[3][block]);
                round!(e f h a b c d, last, w[4][block]);
                round!(d e g h a b c, last, w[5][block]);
                round!(c d f g h a b, last, w[6][block]);
                round!(b c e f g h a, last, w[7][block]);
            }
            for (word, new) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
                *word = word.wrapping_add(new);
            }
        }
    }
}
