use std::io::{self, Write as _};

use flate2::{Compress, FlushCompress, Status};

use super::Compression;

const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;
/// The gzip header: magic, deflate, no flags, no time, no extra flags, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// The last, empty block of a deflate stream, with fixed codes.
const DEFLATE_END: [u8; 2] = [0x03, 0x00];

/// The state that an object carries from block to block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    crc: u32,
    raw_bytes: u64,
}

/// A compressor of blocks of any number of objects, one block at a time.
pub(crate) struct Encoder {
    engine: Engine,
}

enum Engine {
    None,
    Gzip(Compress),
    Zstd(zstd::bulk::Compressor<'static>),
    Snappy,
    HadoopSnappy(Box<snap::raw::Encoder>),
}

impl Encoder {
    pub(crate) fn new(compression: Compression) -> io::Result<Self> {
        let engine = match compression {
            Compression::None => Engine::None,
            Compression::Gzip => {
                Engine::Gzip(Compress::new(flate2::Compression::new(GZIP_LEVEL), false))
            }
            Compression::Zstd => {
                let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
                compressor.include_checksum(true)?;
                Engine::Zstd(compressor)
            }
            Compression::Snappy => Engine::Snappy,
            Compression::HadoopSnappy => Engine::HadoopSnappy(Box::new(snap::raw::Encoder::new())),
        };
        Ok(Self { engine })
    }

    /// Whether blocks are not compressed.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.engine, Engine::None)
    }

    /// Returns the compressed form of an object's next block.
    pub(crate) fn block(&mut self, raw: &[u8], tail: &mut Tail) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(raw.len() / 4 + 64);
        match &mut self.engine {
            Engine::None => out.extend_from_slice(raw),
            Engine::Gzip(compress) => {
                if tail.raw_bytes == 0 {
                    out.extend_from_slice(&GZIP_HEADER);
                }
                deflate(compress, raw, &mut out)?;
                let mut crc = crc32fast::Hasher::new_with_initial(tail.crc);
                crc.update(raw);
                tail.crc = crc.finalize();
            }
            Engine::Zstd(compressor) => out = compressor.compress(raw)?,
            Engine::Snappy => {
                let mut frames = snap::write::FrameEncoder::new(&mut out);
                frames.write_all(raw)?;
                frames.flush()?;
            }
            Engine::HadoopSnappy(encoder) => {
                let compressed = encoder.compress_vec(raw)?;
                out.extend_from_slice(&length(raw.len())?);
                out.extend_from_slice(&length(compressed.len())?);
                out.extend_from_slice(&compressed);
            }
        }
        tail.raw_bytes += raw.len() as u64;
        Ok(out)
    }

    /// Returns the trailer of an object: the bytes after its last block.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "gzip's length is taken modulo 2^32"
    )]
    pub(crate) fn end(&self, tail: Tail) -> Vec<u8> {
        if !matches!(self.engine, Engine::Gzip(_)) {
            return Vec::new();
        }
        let mut out = Vec::from(DEFLATE_END);
        out.extend_from_slice(&tail.crc.to_le_bytes());
        out.extend_from_slice(&(tail.raw_bytes as u32).to_le_bytes());
        out
    }
}

/// Appends deflate blocks that end on a byte and refer to nothing before them.
fn deflate(compress: &mut Compress, raw: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    compress.reset();
    let mut done = 0;
    loop {
        out.reserve(raw.len() / 4 + 64);
        let before = compress.total_in();
        let status = compress.compress_vec(&raw[done..], out, FlushCompress::Sync)?;
        done += usize::try_from(compress.total_in() - before).unwrap_or(usize::MAX);
        // Unused capacity means that all output was written.
        if done >= raw.len() && out.len() < out.capacity() || status == Status::StreamEnd {
            return Ok(());
        }
    }
}

fn length(bytes: usize) -> io::Result<[u8; 4]> {
    let bytes = u32::try_from(bytes).map_err(io::Error::other)?;
    Ok(bytes.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    pub(crate) fn decode(compression: Compression, mut bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match compression {
            Compression::None => out.extend_from_slice(bytes),
            // This decoder reads one member only: bytes after it would be left over.
            Compression::Gzip => {
                let mut decoder = flate2::bufread::GzDecoder::new(bytes);
                decoder.read_to_end(&mut out).unwrap();
                assert!(decoder.into_inner().is_empty());
            }
            Compression::Zstd => out = zstd::decode_all(bytes).unwrap(),
            Compression::Snappy => {
                snap::read::FrameDecoder::new(bytes)
                    .read_to_end(&mut out)
                    .unwrap();
            }
            Compression::HadoopSnappy => {
                while !bytes.is_empty() {
                    let number =
                        |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
                    let (raw, packed) = (number(0) as usize, number(4) as usize);
                    let block = snap::raw::Decoder::new()
                        .decompress_vec(&bytes[8..8 + packed])
                        .unwrap();
                    assert_eq!(block.len(), raw);
                    out.extend(block);
                    bytes = &bytes[8 + packed..];
                }
            }
        }
        out
    }

    fn encode(encoder: &mut Encoder, blocks: &[Vec<u8>]) -> Vec<u8> {
        let (mut tail, mut out) = (Tail::default(), Vec::new());
        for block in blocks {
            out.extend(encoder.block(block, &mut tail).unwrap());
        }
        out.extend(encoder.end(tail));
        out
    }

    const ALL: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Zstd,
        Compression::Snappy,
        Compression::HadoopSnappy,
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn blocks_are_read_back_as_one_and_an_encoder_that_was_used_makes_the_same_bytes(
            blocks in vec(vec(any::<u8>(), 1..3_000), 1..4), other in vec(any::<u8>(), 1..500)
        ) {
            for compression in ALL {
                let mut used = Encoder::new(compression).unwrap();
                encode(&mut used, std::slice::from_ref(&other));
                let bytes = encode(&mut used, &blocks);
                prop_assert_eq!(decode(compression, &bytes), blocks.concat());
                let fresh = encode(&mut Encoder::new(compression).unwrap(), &blocks);
                prop_assert_eq!(&bytes, &fresh);
            }
        }
    }

    #[test]
    fn large_blocks_that_shrink_a_lot_and_not_at_all_are_read_back() {
        let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
            .take(256 * 1024)
            .collect();
        let blocks = [vec![b'a'; 256 * 1024], noise, vec![b'b'; 70_000]];
        for compression in ALL {
            let bytes = encode(&mut Encoder::new(compression).unwrap(), &blocks);
            assert_eq!(
                decode(compression, &bytes),
                blocks.concat(),
                "{compression:?}"
            );
        }
    }
}
