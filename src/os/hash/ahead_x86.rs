//! SHA-256 of one file, for processors with AVX2 and without SHA instructions: the messages of eight blocks that follow each other
//! are expanded side by side, between the rounds of the eight blocks before, which take one block after the other: so the two do
//! not wait for each other. FIPS 180-4, 6.2.2.

use std::arch::x86_64::*;

use super::BLOCK_BYTES;
use super::lanes_x86::{K, XOR3, message_8};

/// Blocks whose messages are expanded at once.
pub(super) const AHEAD: usize = 8;
/// Words of the messages of so many blocks.
const WORDS: usize = 64 * AHEAD;

/// Words of the messages with the round constants added: word `t` of block `b` stands at `8 t + b`. Room for one more row, so
/// that the words of a block are a slice that begins with its first.
type Expanded = [u32; WORDS + AHEAD];

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

/// The rounds of one block, whose words begin at `$words`; before every eighth `$step` of a number.
macro_rules! block {
    ($state:ident, $words:expr, $($step:expr)*) => {
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *$state;
        let mut last = b ^ c;
        let mut rows = $words.as_chunks::<{ 8 * AHEAD }>().0.iter();
        $(
            $step;
            let Some(word) = rows.next() else { return };
            round!(a b d e f g h, last, word[0]);
            round!(h a c d e f g, last, word[AHEAD]);
            round!(g h b c d e f, last, word[2 * AHEAD]);
            round!(f g a b c d e, last, word[3 * AHEAD]);
            round!(e f h a b c d, last, word[4 * AHEAD]);
            round!(d e g h a b c, last, word[5 * AHEAD]);
            round!(c d f g h a b, last, word[6 * AHEAD]);
            round!(b c e f g h a, last, word[7 * AHEAD]);
        )*
        let _ = last;
        for (word, new) in $state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *word = word.wrapping_add(new);
        }
    };
}

/// One way: `$name` takes all blocks of `groups` into `state`. In `rotate_right`, `BY` and `BACK` are the bits to rotate by to the
/// right and to the left. `steps` are the numbers from 0 to 15: written out, because with indices known only when it runs the
/// messages would not stay in registers.
macro_rules! way {
    (
        $name:ident, $features:literal,
        rotate_right: |$value:ident| $ror:expr,
        xor3: |$x1:ident, $x2:ident, $x3:ident| $xor3:expr,
        steps: [$($low:literal)*] [$($high:literal)*]
    ) => {
        #[target_feature(enable = $features)]
        pub(super) fn $name(state: &mut [u32; 8], groups: &[[[u8; BLOCK_BYTES]; AHEAD]]) {
            #[inline]
            #[target_feature(enable = $features)]
            fn rotate<const BY: i32, const BACK: i32>($value: __m256i) -> __m256i {
                $ror
            }
            #[inline]
            #[target_feature(enable = $features)]
            fn xor3($x1: __m256i, $x2: __m256i, $x3: __m256i) -> __m256i {
                $xor3
            }
            /// Writes word `16 quarter + T` of the eight messages, of which `w` holds the sixteen words before.
            #[inline]
            #[target_feature(enable = $features)]
            fn step<const T: usize>(w: &mut [__m256i; 16], quarter: usize, into: &mut [u32; WORDS / 4]) {
                if quarter > 0 {
                    let (x, y) = (w[(T + 1) % 16], w[(T + 14) % 16]);
                    let s0 = xor3(rotate::<7, 25>(x), rotate::<18, 14>(x), _mm256_srli_epi32::<3>(x));
                    let s1 = xor3(rotate::<17, 15>(y), rotate::<19, 13>(y), _mm256_srli_epi32::<10>(y));
                    w[T] = _mm256_add_epi32(_mm256_add_epi32(w[T], s0), _mm256_add_epi32(w[(T + 9) % 16], s1));
                }
                let with_constant = _mm256_add_epi32(w[T], _mm256_set1_epi32(K[quarter * 16 + T].cast_signed()));
                let words: &mut [u32; AHEAD] = &mut into.as_chunks_mut().0[T];
                // SAFETY: the array is as large as a vector, and the store needs no alignment.
                unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), with_constant) };
            }

            let mut both: [Expanded; 2] = [[0; _]; 2];
            let [words, ahead] = &mut both;
            let (mut words, mut ahead) = (words, ahead);
            let Some((first, rest)) = groups.split_first() else { return };
            let mut w = message_8(&first.each_ref());
            for (quarter, into) in words.as_chunks_mut().0.iter_mut().enumerate() {
                $(step::<$low>(&mut w, quarter, into);)*
                $(step::<$high>(&mut w, quarter, into);)*
            }
            for next in rest {
                w = message_8(&next.each_ref());
                for (quarter, into) in ahead.as_chunks_mut().0.iter_mut().enumerate() {
                    block!(state, words[2 * quarter..], $(step::<$low>(&mut w, quarter, into))*);
                    block!(state, words[2 * quarter + 1..], $(step::<$high>(&mut w, quarter, into))*);
                }
                std::mem::swap(&mut words, &mut ahead);
            }
            for block in 0..AHEAD {
                block!(state, words[block..], $({ let _ = $low; })*);
            }
        }
    };
}

way!(
    avx512, "avx512f,avx512vl,bmi1,bmi2",
    rotate_right: |value| _mm256_ror_epi32::<BY>(value),
    xor3: |x, y, z| _mm256_ternarylogic_epi32::<XOR3>(x, y, z),
    steps: [0 1 2 3 4 5 6 7] [8 9 10 11 12 13 14 15]
);

way!(
    avx2, "avx2,bmi1,bmi2",
    rotate_right: |value| _mm256_or_si256(_mm256_srli_epi32::<BY>(value), _mm256_slli_epi32::<BACK>(value)),
    xor3: |x, y, z| _mm256_xor_si256(_mm256_xor_si256(x, y), z),
    steps: [0 1 2 3 4 5 6 7] [8 9 10 11 12 13 14 15]
);
