//! MD5 of several texts at once, with SIMD.
//!
//! The MD5 of a text is a long chain of dependent steps. Hashing eight texts side by side keeps the processor busy: it
//! takes less than a third of the time, for short and long texts, and with AVX-512 half of that. The features of the
//! processor are detected at run time.

#![expect(
    clippy::inline_always,
    reason = "a function that is called and not inlined is compiled for any processor, and its vectors go through memory"
)]

mod sines;

use std::hint::black_box;

use fearless_simd::{Level, Simd, SimdBase as _, SimdFrom as _, dispatch, u32x8};
use md5::{Digest as _, Md5};

use self::sines::SINES;

/// The number of texts that are hashed side by side: one for each SIMD lane.
pub(crate) const LANES: usize = 8;
/// The smallest number of texts that is hashed side by side. Fewer are faster one by one, and so is any number in
/// builds without optimization.
const LANES_MIN: usize = if cfg!(debug_assertions) {
    usize::MAX
} else {
    3
};

const BLOCK_BYTES: usize = 64;
/// The bytes of MD5's padding: a mark, and the length in bits.
const END_BYTES: usize = 9;

/// The longest text that takes only one block, in bytes.
const SHORT_BYTES_MAX: usize = BLOCK_BYTES - END_BYTES;

/// The MD5 of a text.
pub(crate) type Digest = [u8; 16];

type Block = [u8; BLOCK_BYTES];

/// The initial state of MD5, by RFC 1321, section 3.3.
const INITIAL: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
/// Returns the MD5 of one text.
pub(crate) fn of(text: &[u8]) -> Digest {
    if cfg!(debug_assertions) {
        // The dependency is optimized even in debug builds.
        return Md5::digest(text).into();
    }
    alone(text)
}

/// Hashes one text. The `md5` crate takes a fifth longer: it adds the constant of each step last, when the step before
/// is done.
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
        // Without `black_box` the compiler moves known constants to the end of a sum, where they wait for the step
        // before.
        let sines = black_box(&SINES);
        let (words, _) = block.as_chunks::<4>();
        let words = std::array::from_fn(|word| u32::from_le_bytes(words[word]));
        compress(state, &words, |step| sines[step]);
    }
}

/// Returns the MD5 of each text, in their order.
pub(crate) fn of_each(texts: &[&[u8]]) -> Vec<Digest> {
    of_each_by(texts, LANES_MIN)
}

fn of_each_by(texts: &[&[u8]], lanes_min: usize) -> Vec<Digest> {
    if texts.iter().all(|text| text.len() <= SHORT_BYTES_MAX) {
        return of_each_short(texts, lanes_min);
    }
    let mut digests = vec![Digest::default(); texts.len()];
    let mut order: Vec<usize> = (0..texts.len()).collect();
    // Texts of similar length share a group, as all lanes take as long as the longest text.
    order.sort_unstable_by_key(|&index| texts[index].len());
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

/// Returns the MD5 of each text. All texts take one block, as most partition keys do.
fn of_each_short(texts: &[&[u8]], lanes_min: usize) -> Vec<Digest> {
    dispatch!(Level::new(), simd => of_each_short_with(simd, texts, lanes_min))
}

#[inline(always)]
fn of_each_short_with<S: Simd>(simd: S, texts: &[&[u8]], lanes_min: usize) -> Vec<Digest> {
    let all = |word| u32x8::splat(simd, word);
    let mut digests = Vec::with_capacity(texts.len());
    for texts in texts.chunks(LANES) {
        if texts.len() < lanes_min {
            digests.extend(texts.iter().map(|text| of(text)));
            continue;
        }
        let mut words = [[0; LANES]; 16];
        for (lane, text) in texts.iter().enumerate() {
            put_short(text, |word, value| words[word][lane] = value);
        }
        let mut state = INITIAL.map(all);
        let words = words.map(|words| u32x8::simd_from(simd, words));
        compress(&mut state, &words, |step| all(SINES[step]));
        let state = state.map(<[u32; LANES]>::from);
        let digest = |lane: usize| digest_of(state.map(|word| word[lane]));
        digests.extend((0..texts.len()).map(digest));
    }
    digests
}

/// Passes the words of a text's only block to `put`: the text, the mark, and its length in bits.
#[inline(always)]
fn put_short(text: &[u8], mut put: impl FnMut(usize, u32)) {
    let (words, rest) = text.as_chunks();
    for (number, word) in words.iter().enumerate() {
        put(number, u32::from_le_bytes(*word));
    }
    let end = rest
        .iter()
        .rfold(0x80, |end, &byte| end << 8 | u32::from(byte));
    put(words.len(), end);
    put(14, u32::try_from(8 * text.len()).unwrap_or_default());
}

fn blocks_of(text: &[u8]) -> usize {
    (text.len() + END_BYTES).div_ceil(BLOCK_BYTES)
}

fn side_by_side(texts: [&[u8]; LANES]) -> [Digest; LANES] {
    dispatch!(Level::new(), simd => side_by_side_with(simd, texts))
}

#[inline(always)]
fn side_by_side_with<S: Simd>(simd: S, texts: [&[u8]; LANES]) -> [Digest; LANES] {
    let all = |word| u32x8::splat(simd, word);
    let mut digests = [Digest::default(); LANES];
    let ends = texts.map(end_of);
    let blocks = texts.map(blocks_of);
    let mut state = INITIAL.map(all);
    for number in 0..blocks.into_iter().max().unwrap_or(0) {
        let mut of_lanes = [&ends[0][0]; LANES];
        for (lane, block) in of_lanes.iter_mut().enumerate() {
            *block = block_of(texts[lane], &ends[lane], number);
        }
        let words = words(simd, of_lanes);
        compress(&mut state, &words, |step| all(SINES[step]));
        for lane in (0..LANES).filter(|&lane| blocks[lane] == number + 1) {
            digests[lane] = digest_of(state.map(|word| word[lane]));
        }
    }
    digests
}

/// Returns the padded end of a text, in one block or two: the rest after its last whole block, the mark, and the length
/// in bits.
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

/// Returns a block of a text, or any block if the text has ended.
fn block_of<'a>(text: &'a [u8], end: &'a [Block; 2], number: usize) -> &'a Block {
    let (whole, _) = text.as_chunks::<BLOCK_BYTES>();
    whole
        .get(number)
        .or_else(|| end.get(number - whole.len()))
        .unwrap_or(&end[0])
}

/// Returns the words of one block of each lane, each word as a vector over the lanes. It uses loops: a closure that the
/// standard library calls would be compiled without the processor's features.
#[inline(always)]
fn words<S: Simd>(simd: S, blocks: [&Block; LANES]) -> [u32x8<S>; 16] {
    let mut words = [u32x8::splat(simd, 0); 16];
    for (half, words) in words.chunks_exact_mut(LANES).enumerate() {
        for (row, block) in words.iter_mut().zip(blocks) {
            let (parts, _) = block[half * BLOCK_BYTES / 2..].as_chunks::<4>();
            for (word, part) in row.iter_mut().zip(parts) {
                *word = u32::from_le_bytes(*part);
            }
        }
        transpose(words);
    }
    words
}

/// Swaps rows and columns. Three times, each row in the first half is zipped with the row four places behind it.
#[inline(always)]
fn transpose<S: Simd>(rows: &mut [u32x8<S>]) {
    let half = LANES / 2;
    for _ in 0..LANES.ilog2() {
        let mut zipped = [rows[0]; LANES];
        for number in 0..half {
            zipped[2 * number] = rows[number].zip_low(rows[number + half]);
            zipped[2 * number + 1] = rows[number].zip_high(rows[number + half]);
        }
        rows.copy_from_slice(&zipped);
    }
}

fn digest_of(state: [u32; 4]) -> Digest {
    let mut digest = Digest::default();
    let (parts, _) = digest.as_chunks_mut::<4>();
    for (part, word) in parts.iter_mut().zip(state) {
        *part = word.to_le_bytes();
    }
    digest
}

/// Hashes one block, by RFC 1321, section 3.4.
#[inline(always)]
fn compress<W: Word>(state: &mut [W; 4], words: &[W; 16], sine: impl Fn(usize) -> W + Copy) {
    let mut next = *state;
    round::<7, 12, 17, 22, _>(
        &mut next,
        words,
        |step| (step, sine(step)),
        |sum, b, c, d| sum.add(d.xor(b.and(c.xor(d)))),
    );
    // The two halves of this function never have a bit in common. If they are added one by one, only one of them waits
    // for the step before.
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

/// Runs sixteen steps. Each takes a word in the round's own order, and rotates by one of four amounts in turn.
#[inline(always)]
fn round<const R0: u32, const R1: u32, const R2: u32, const R3: u32, W: Word>(
    [a, b, c, d]: &mut [W; 4],
    words: &[W; 16],
    word_and_sine: impl Fn(usize) -> (usize, W),
    mix: impl Fn(W, W, W, W) -> W,
) {
    // This sum does not depend on the step before, so it can be computed early.
    let sum = |step: usize, own: W| {
        let (word, sine) = word_and_sine(step);
        own.add(sine).add(words[word % 16])
    };
    // The compiler would not unroll a loop over so many steps.
    macro_rules! four_steps {
        ($($step:literal)*) => {$(
            *a = mix(sum($step, *a), *b, *c, *d).rotate::<R0>().add(*b);
            *d = mix(sum($step + 1, *d), *a, *b, *c).rotate::<R1>().add(*a);
            *c = mix(sum($step + 2, *c), *d, *a, *b).rotate::<R2>().add(*d);
            *b = mix(sum($step + 3, *b), *c, *d, *a).rotate::<R3>().add(*c);
        )*};
    }
    four_steps!(0 4 8 12);
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

impl<S: Simd> Word for u32x8<S> {
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self & other
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self | other
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }

    #[inline(always)]
    fn not(self) -> Self {
        !self
    }

    #[inline(always)]
    fn rotate<const BITS: u32>(self) -> Self {
        (self << BITS) | (self >> (32 - BITS))
    }
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
