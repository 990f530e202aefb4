//! MD5 of several texts at once.
//!
//! A text's MD5 is one long chain of steps that each wait for the one before. Eight texts side by side keep the processor
//! busy: short keys take a quarter of the time, long bodies a fifth.

use std::hint::black_box;

use md5::{Digest as _, Md5};
use wide::u32x4;

/// How many texts are hashed side by side.
pub(crate) const LANES: usize = 8;
/// Fewer are faster one by one; without optimisation, any number is.
const LANES_MIN: usize = if cfg!(debug_assertions) {
    usize::MAX
} else {
    3
};

const BLOCK_BYTES: usize = 64;
/// What the last block has besides the text: a mark and the length in bits.
const END_BYTES: usize = 9;

/// An MD5.
pub(crate) type Digest = [u8; 16];

/// The same word of all lanes.
type Lanes = [u32x4; LANES / 4];
type Block = [u8; BLOCK_BYTES];

/// RFC 1321, section 3.3.
const INITIAL: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
/// RFC 1321, section 3.4: the integer part of 2^32 times the sine of each number from 1 to 64.
static SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// The MD5 of one text.
pub(crate) fn of(text: &[u8]) -> Digest {
    if cfg!(debug_assertions) {
        // It is optimised even then.
        return Md5::digest(text).into();
    }
    alone(text)
}

/// The crate's takes a fifth longer: there, the constant of each step is added last, when the step before is done.
fn alone(text: &[u8]) -> Digest {
    let (whole, _) = text.as_chunks();
    let end = &end_of(text)[..blocks_of(text) - whole.len()];
    let mut state = INITIAL;
    compress_each(&mut state, whole);
    compress_each(&mut state, end);
    digest_of(state)
}

fn compress_each(state: &mut [u32; 4], blocks: &[Block]) {
    for block in blocks {
        // The compiler moves what it knows to be constant to the end of a sum.
        let sines = black_box(&SINES);
        let (words, _) = block.as_chunks::<4>();
        let words = std::array::from_fn(|word| u32::from_le_bytes(words[word]));
        compress(state, &words, |step| sines[step]);
    }
}

/// The MD5 of each text, in their order.
pub(crate) fn of_each(texts: &[&[u8]]) -> Vec<Digest> {
    of_each_by(texts, LANES_MIN)
}

fn of_each_by(texts: &[&[u8]], lanes_min: usize) -> Vec<Digest> {
    let mut digests = vec![Digest::default(); texts.len()];
    let mut order: Vec<usize> = (0..texts.len()).collect();
    if texts.iter().any(|text| blocks_of(text) > 1) {
        // All lanes take as long as the longest.
        order.sort_unstable_by_key(|&index| texts[index].len());
    }
    for indices in order.chunks(LANES) {
        if indices.len() < lanes_min {
            for &index in indices {
                digests[index] = of(texts[index]);
            }
            continue;
        }
        let lanes =
            std::array::from_fn(|lane| indices.get(lane).map_or(&[][..], |&index| texts[index]));
        for (&index, digest) in indices.iter().zip(side_by_side(lanes)) {
            digests[index] = digest;
        }
    }
    digests
}

fn blocks_of(text: &[u8]) -> usize {
    (text.len() + END_BYTES).div_ceil(BLOCK_BYTES)
}

fn side_by_side(texts: [&[u8]; LANES]) -> [Digest; LANES] {
    let mut digests = [Digest::default(); LANES];
    let ends = texts.map(end_of);
    let blocks = texts.map(blocks_of);
    let mut state = INITIAL.map(all);
    for number in 0..blocks.into_iter().max().unwrap_or(0) {
        let block = |lane: usize| block_of(texts[lane], &ends[lane], number);
        compress(&mut state, &words(std::array::from_fn(block)), |step| {
            all(SINES[step])
        });
        for lane in (0..LANES).filter(|&lane| blocks[lane] == number + 1) {
            digests[lane] = digest_of(state.map(|word| word[lane / 4].to_array()[lane % 4]));
        }
    }
    digests
}

/// What follows the last whole block of a text: its rest, the mark, and its length in bits; one block or two.
fn end_of(text: &[u8]) -> [Block; 2] {
    let mut end = [0; 2 * BLOCK_BYTES];
    let (_, rest) = text.as_chunks::<BLOCK_BYTES>();
    end[..rest.len()].copy_from_slice(rest);
    end[rest.len()] = 0x80;
    let length_at = (rest.len() + END_BYTES).next_multiple_of(BLOCK_BYTES) - 8;
    let bits = (text.len() as u64).wrapping_mul(8);
    end[length_at..length_at + 8].copy_from_slice(&bits.to_le_bytes());
    let (blocks, _) = end.as_chunks();
    [blocks[0], blocks[1]]
}

/// A block of a text; for one that has ended, any.
fn block_of<'a>(text: &'a [u8], end: &'a [Block; 2], number: usize) -> &'a Block {
    let (whole, _) = text.as_chunks::<BLOCK_BYTES>();
    whole
        .get(number)
        .or_else(|| end.get(number - whole.len()))
        .unwrap_or(&end[0])
}

/// The words of a block of each lane.
fn words(blocks: [&Block; LANES]) -> [Lanes; 16] {
    let lanes = blocks.map(|block| block.as_chunks::<4>().0);
    std::array::from_fn(|word| {
        let of_lane = |lane: usize| u32::from_le_bytes(lanes[lane][word]);
        std::array::from_fn(|four| u32x4::new(std::array::from_fn(|lane| of_lane(4 * four + lane))))
    })
}

fn digest_of(state: [u32; 4]) -> Digest {
    let mut digest = Digest::default();
    let (parts, _) = digest.as_chunks_mut::<4>();
    for (part, word) in parts.iter_mut().zip(state) {
        *part = word.to_le_bytes();
    }
    digest
}

/// RFC 1321, section 3.4.
#[inline]
fn compress<W: Word>(state: &mut [W; 4], words: &[W; 16], sine: impl Fn(usize) -> W + Copy) {
    let mut next = *state;
    round::<7, 12, 17, 22, _>(
        &mut next,
        words,
        |step| (step, sine(step)),
        |sum, b, c, d| sum.add(d.xor(b.and(c.xor(d)))),
    );
    // The two halves of this one never have a bit in common: added apart, only one of them waits for the step before.
    round::<5, 9, 14, 20, _>(
        &mut next,
        words,
        |step| (5 * step + 1, sine(16 + step)),
        |sum, b, c, d| sum.add(c.and(d.not())).add(b.and(d)),
    );
    round::<4, 11, 16, 23, _>(
        &mut next,
        words,
        |step| (3 * step + 5, sine(32 + step)),
        |sum, b, c, d| sum.add(c.xor(d).xor(b)),
    );
    round::<6, 10, 15, 21, _>(
        &mut next,
        words,
        |step| (7 * step, sine(48 + step)),
        |sum, b, c, d| sum.add(c.xor(b.or(d.not()))),
    );
    for (word, next) in state.iter_mut().zip(next) {
        *word = word.add(next);
    }
}

/// Sixteen steps that mix the words in an order of their own and rotate by four amounts in turn.
#[inline]
fn round<const R0: u32, const R1: u32, const R2: u32, const R3: u32, W: Word>(
    [a, b, c, d]: &mut [W; 4],
    words: &[W; 16],
    word_and_sine: impl Fn(usize) -> (usize, W),
    mix: impl Fn(W, W, W, W) -> W,
) {
    // Known before the step before is done.
    let sum = |step: usize, own: W| {
        let (word, sine) = word_and_sine(step);
        own.add(sine).add(words[word % 16])
    };
    for step in (0..16).step_by(4) {
        *a = mix(sum(step, *a), *b, *c, *d).rotate::<R0>().add(*b);
        *d = mix(sum(step + 1, *d), *a, *b, *c).rotate::<R1>().add(*a);
        *c = mix(sum(step + 2, *c), *d, *a, *b).rotate::<R2>().add(*d);
        *b = mix(sum(step + 3, *b), *c, *d, *a).rotate::<R3>().add(*c);
    }
}

/// A word of one text, or of several texts side by side.
trait Word: Copy {
    fn add(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn not(self) -> Self;
    fn rotate<const BITS: u32>(self) -> Self;
}

impl Word for u32 {
    #[inline]
    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline]
    fn and(self, other: Self) -> Self {
        self & other
    }

    #[inline]
    fn or(self, other: Self) -> Self {
        self | other
    }

    #[inline]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }

    #[inline]
    fn not(self) -> Self {
        !self
    }

    #[inline]
    fn rotate<const BITS: u32>(self) -> Self {
        self.rotate_left(BITS)
    }
}

impl Word for Lanes {
    #[inline]
    fn add(self, other: Self) -> Self {
        of_two(self, other, |a, b| a + b)
    }

    #[inline]
    fn and(self, other: Self) -> Self {
        of_two(self, other, |a, b| a & b)
    }

    #[inline]
    fn or(self, other: Self) -> Self {
        of_two(self, other, |a, b| a | b)
    }

    #[inline]
    fn xor(self, other: Self) -> Self {
        of_two(self, other, |a, b| a ^ b)
    }

    #[inline]
    fn not(self) -> Self {
        self.map(|a| !a)
    }

    #[inline]
    fn rotate<const BITS: u32>(self) -> Self {
        self.map(|a| (a << BITS) | (a >> (32 - BITS)))
    }
}

#[inline]
fn all(word: u32) -> Lanes {
    [u32x4::splat(word); LANES / 4]
}

#[inline]
fn of_two(a: Lanes, b: Lanes, f: impl Fn(u32x4, u32x4) -> u32x4) -> Lanes {
    std::array::from_fn(|four| f(a[four], b[four]))
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
