//! gzip, with a limit for the decompressed size.

use std::io::{self, Read as _, Write as _};

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};

use super::FailureReason;

const MAGIC: &[u8] = b"\x1f\x8b";

/// Whether the data begins with the magic bytes of gzip.
pub(super) fn is_compressed(data: &[u8]) -> bool {
    data.starts_with(MAGIC)
}

/// Decompresses all data. A result over `bytes_max` is an error.
pub(super) fn decompress(data: &[u8], bytes_max: usize) -> Result<Vec<u8>, FailureReason> {
    let mut out = Vec::new();
    let mut decoder = MultiGzDecoder::new(data).take(bytes_max as u64 + 1);
    let read = decoder.read_to_end(&mut out).and_then(|_| {
        if out.len() > bytes_max {
            return Err(io::Error::other("it is larger than the limit"));
        }
        Ok(())
    });
    read.map(|()| out)
        .map_err(|source| FailureReason::NotGzip { source })
}

pub(super) fn compress(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(data).and_then(|()| encoder.finish());
    written.expect("memory takes all that is written")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_larger_than_the_limit_is_an_error() {
        let data = compress(&[0; 1_000]);
        assert_eq!(decompress(&data, 1_000).unwrap().len(), 1_000);
        assert!(decompress(&data, 999).is_err());
        assert!(decompress(&data[..data.len() - 1], 1_000).is_err());
    }

    proptest! {
        #[test]
        fn data_comes_back(data: Vec<u8>, noise: Vec<u8>) {
            prop_assert_eq!(decompress(&compress(&data), data.len()).unwrap(), data);
            let _ = decompress(&noise, 1_000);
            let _ = decompress(&[MAGIC, &[8], &noise].concat(), 1_000);
        }
    }
}
