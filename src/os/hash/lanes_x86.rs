//! SHA-256 in the lanes of x86 vectors: lane `l` of every vector belongs to file `l`. FIPS 180-4, 6.2.2, is the source of the
//! rounds; only the operations of a vector differ between the ways.

use std::arch::x86_64::*;

use super::BLOCK_BYTES;

/// The round constants (FIPS 180-4, 4.2.2).
pub(super) const K: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

/// Truth tables of three-way operations, for `vpternlogd`: `a ^ b ^ c`, `a ? b : c`, the majority of `a`, `b`, `c`.
pub(super) const XOR3: i32 = 0x96;
const CHOOSE: i32 = 0xca;
const MAJORITY: i32 = 0xe8;

/// The 16 words of a block of each of eight files: vector `t` holds word `t` of every file.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn message_8(rows: &[&[u8; BLOCK_BYTES]; 8]) -> [__m256i; 16] {
    let mut words = [_mm256_setzero_si256(); 16];
    let (first, second) = words.split_at_mut(8);
    for (half, words) in [first, second].into_iter().enumerate() {
        let mut r = [_mm256_setzero_si256(); 8];
        for (vector, row) in r.iter_mut().zip(rows) {
            *vector = big_endian(row.as_chunks::<32>().0[half]);
        }
        let mut t = [_mm256_setzero_si256(); 8];
        for pair in 0..4 {
            t[2 * pair] = _mm256_unpacklo_epi32(r[2 * pair], r[2 * pair + 1]);
            t[2 * pair + 1] = _mm256_unpackhi_epi32(r[2 * pair], r[2 * pair + 1]);
        }
        let mut u = [_mm256_setzero_si256(); 8];
        for quad in 0..2 {
            for odd in 0..2 {
                u[4 * quad + 2 * odd] = _mm256_unpacklo_epi64(t[4 * quad + odd], t[4 * quad + 2 + odd]);
                u[4 * quad + 2 * odd + 1] = _mm256_unpackhi_epi64(t[4 * quad + odd], t[4 * quad + 2 + odd]);
            }
        }
        for word in 0..4 {
            words[word] = _mm256_permute2x128_si256::<0x20>(u[word], u[4 + word]);
            words[4 + word] = _mm256_permute2x128_si256::<0x31>(u[word], u[4 + word]);
        }
    }
    words
}

/// The same of sixteen files.
#[inline]
#[target_feature(enable = "avx512f")]
fn message_16(rows: &[&[u8; BLOCK_BYTES]; 16]) -> [__m512i; 16] {
    let (halves, _) = rows.as_chunks::<8>();
    let (low, high) = (message_8(&halves[0]), message_8(&halves[1]));
    let mut words = [_mm512_setzero_si512(); 16];
    for (word, (low, high)) in words.iter_mut().zip(low.into_iter().zip(high)) {
        *word = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
    }
    words
}

/// Eight words of a message, which are big-endian.
#[inline]
#[target_feature(enable = "avx2")]
fn big_endian(bytes: [u8; 32]) -> __m256i {
    // SAFETY: the array is as large as a vector, and the load needs no alignment.
    let words = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
    let swap = 0x0c0d_0e0f_0809_0a0b_0405_0607_0001_0203i128;
    let (low, high) = (swap as i64, (swap >> 64) as i64);
    _mm256_shuffle_epi8(words, _mm256_set_epi64x(high, low, high, low))
}

/// In `rotate_right`, `BY` and `BACK` are the bits to rotate by to the right and to the left.
///
/// One way: `$name` takes `blocks` blocks of every file of `data` into the state of the same place in `states`. At most
/// `$lanes` files; every one has at least so many blocks.
macro_rules! way {
    (
        $name:ident, $features:literal, $vector:ty, $lanes:literal,
        add: $add:ident, set: $set:ident, load: $load:ident, store: $store:ident, message: $message:ident, shift_right: $srl:ident,
        rotate_right: |$value:ident| $ror:expr,
        xor3: |$x1:ident, $x2:ident, $x3:ident| $xor3:expr,
        choose: |$c1:ident, $c2:ident, $c3:ident| $choose:expr,
        majority: |$m1:ident, $m2:ident, $m3:ident| $majority:expr,
        rounds: $($t:literal)*
    ) => {
        #[target_feature(enable = $features)]
        pub(super) fn $name(states: &mut [[u32; 8]], data: &[&[u8]], blocks: usize) {
            const LANES: usize = $lanes;
            assert!(states.len() <= LANES && states.len() == data.len());

            #[inline]
            #[target_feature(enable = $features)]
            fn vector(words: &[u32; LANES]) -> $vector {
                // SAFETY: the array is as large as a vector, and the load needs no alignment.
                unsafe { $load(words.as_ptr().cast()) }
            }
            #[inline]
            #[target_feature(enable = $features)]
            fn rotate<const BY: i32, const BACK: i32>($value: $vector) -> $vector {
                $ror
            }
            #[inline]
            #[target_feature(enable = $features)]
            fn xor3($x1: $vector, $x2: $vector, $x3: $vector) -> $vector {
                $xor3
            }
            #[inline]
            #[target_feature(enable = $features)]
            fn choose($c1: $vector, $c2: $vector, $c3: $vector) -> $vector {
                $choose
            }
            #[inline]
            #[target_feature(enable = $features)]
            fn majority($m1: $vector, $m2: $vector, $m3: $vector) -> $vector {
                $majority
            }

            let mut words = [[0u32; LANES]; 8];
            for (lane, state) in states.iter().enumerate() {
                for (word, value) in words.iter_mut().zip(state) {
                    word[lane] = *value;
                }
            }
            let mut state = [$set(0); 8];
            for (vector_of, word) in state.iter_mut().zip(&words) {
                *vector_of = vector(word);
            }
            // Lanes without a file hash zeros that nobody looks at.
            let mut rows = [&[0u8; BLOCK_BYTES]; LANES];
            for block in 0..blocks {
                for (row, data) in rows.iter_mut().zip(data) {
                    *row = &data.as_chunks::<BLOCK_BYTES>().0[block];
                }
                let mut w = $message(&rows);
                let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
                // Unrolled by hand: with indices known only when it runs, the message would not stay in registers.
                for chunk in 0..4 {
                    $(
                        if chunk > 0 {
                            let (x, y) = (w[($t + 1) % 16], w[($t + 14) % 16]);
                            let s0 = xor3(rotate::<7, 25>(x), rotate::<18, 14>(x), $srl::<3>(x));
                            let s1 = xor3(rotate::<17, 15>(y), rotate::<19, 13>(y), $srl::<10>(y));
                            w[$t] = $add($add(w[$t], s0), $add(w[($t + 9) % 16], s1));
                        }
                        let big1 = xor3(rotate::<6, 26>(e), rotate::<11, 21>(e), rotate::<25, 7>(e));
                        let constant = $add($set(K[chunk * 16 + $t].cast_signed()), w[$t]);
                        let t1 = $add($add(h, constant), $add(choose(e, f, g), big1));
                        let big0 = xor3(rotate::<2, 30>(a), rotate::<13, 19>(a), rotate::<22, 10>(a));
                        let t2 = $add(big0, majority(a, b, c));
                        (h, g, f, e, d, c, b, a) = (g, f, e, $add(d, t1), c, b, a, $add(t1, t2));
                    )*
                }
                for (vector_of, new) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
                    *vector_of = $add(*vector_of, new);
                }
            }
            for (word, vector_of) in words.iter_mut().zip(state) {
                // SAFETY: the array is as large as a vector, and the store needs no alignment.
                unsafe { $store(word.as_mut_ptr().cast(), vector_of) };
            }
            for (lane, state) in states.iter_mut().enumerate() {
                for (word, value) in words.iter().zip(state) {
                    *value = word[lane];
                }
            }
        }
    };
}

way!(
    avx512, "avx512f", __m512i, 16,
    add: _mm512_add_epi32, set: _mm512_set1_epi32, load: _mm512_loadu_si512, store: _mm512_storeu_si512,
    message: message_16, shift_right: _mm512_srli_epi32,
    rotate_right: |value| _mm512_ror_epi32::<BY>(value),
    xor3: |x, y, z| _mm512_ternarylogic_epi32::<XOR3>(x, y, z),
    choose: |x, y, z| _mm512_ternarylogic_epi32::<CHOOSE>(x, y, z),
    majority: |x, y, z| _mm512_ternarylogic_epi32::<MAJORITY>(x, y, z),
    rounds: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
);

way!(
    avx512_half, "avx512f,avx512vl", __m256i, 8,
    add: _mm256_add_epi32, set: _mm256_set1_epi32, load: _mm256_loadu_si256, store: _mm256_storeu_si256,
    message: message_8, shift_right: _mm256_srli_epi32,
    rotate_right: |value| _mm256_ror_epi32::<BY>(value),
    xor3: |x, y, z| _mm256_ternarylogic_epi32::<XOR3>(x, y, z),
    choose: |x, y, z| _mm256_ternarylogic_epi32::<CHOOSE>(x, y, z),
    majority: |x, y, z| _mm256_ternarylogic_epi32::<MAJORITY>(x, y, z),
    rounds: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
);

way!(
    avx2, "avx2", __m256i, 8,
    add: _mm256_add_epi32, set: _mm256_set1_epi32, load: _mm256_loadu_si256, store: _mm256_storeu_si256,
    message: message_8, shift_right: _mm256_srli_epi32,
    rotate_right: |value| _mm256_or_si256(_mm256_srli_epi32::<BY>(value), _mm256_slli_epi32::<BACK>(value)),
    xor3: |x, y, z| _mm256_xor_si256(_mm256_xor_si256(x, y), z),
    choose: |x, y, z| _mm256_xor_si256(z, _mm256_and_si256(x, _mm256_xor_si256(y, z))),
    majority: |x, y, z| _mm256_or_si256(_mm256_and_si256(x, y), _mm256_and_si256(z, _mm256_or_si256(x, y))),
    rounds: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
);
