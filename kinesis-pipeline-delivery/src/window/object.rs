use std::{io, time::SystemTime};

use bytes::Bytes;
use kinesis_pipeline::Position;

use crate::encode::{BLOCK_BYTES, Encoder, Tail};

/// The least raw bytes of a block that is compressed before the object ends.
const BLOCK_BYTES_MIN: usize = 16 * 1024;
/// A buffer up to this size grows by doubling.
const SMALL_BYTES: usize = 32 * 1024;
/// An object's own memory besides its records: keys, maps, buffers that are larger than their content.
pub(super) const OBJECT_OVERHEAD_BYTES: usize = 1024;
/// A part of an object that is uploaded while it grows. S3 takes 10,000 parts of at least 5 MiB: 80 GiB in all.
pub(crate) const PART_BYTES: usize = 8 * 1024 * 1024;

/// The kind of an object's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// Records that the transform kept.
    Delivered,
    /// Records that failed in the transform.
    Failed,
    /// Records whose partition keys name no folder.
    Unplaced,
    /// Records that the format cannot hold.
    Unformatted,
    /// Records as they came, before the transform.
    Source,
}

impl Kind {
    /// Whether its records are Firehose's lines about failed records.
    pub(crate) fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Unplaced | Self::Unformatted)
    }

    /// Returns the text of `!{firehose:error-output-type}`.
    pub(crate) fn error_type(self) -> &'static str {
        match self {
            Self::Delivered | Self::Source => "",
            Self::Failed => "processing-failed",
            Self::Unplaced => "partitioning-failed",
            Self::Unformatted => "format-conversion-failed",
        }
    }
}

/// The folder of an object: its kind, and the values of its records' partition keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Folder {
    pub(crate) kind: Kind,
    pub(crate) values: Box<[Box<str>]>,
}

impl Folder {
    pub(crate) fn of(kind: Kind) -> Self {
        Self {
            kind,
            values: Box::default(),
        }
    }
}

/// An object that is complete.
#[derive(Clone, Debug)]
pub(crate) struct SealedObject {
    pub(crate) folder: Folder,
    pub(crate) first: Position,
    pub(crate) last: Position,
    /// The arrival of the first record.
    pub(crate) oldest: SystemTime,
    /// The bytes that are not uploaded yet.
    pub(crate) chunks: Vec<Bytes>,
    /// All bytes, with those of parts that are uploaded.
    pub(crate) bytes: u64,
    /// The CRC-32 of all bytes, if parts of it are uploaded.
    pub(crate) crc: Option<u32>,
    pub(crate) records: u64,
}

/// A part of an object that still grows.
#[derive(Clone, Debug)]
pub(crate) struct Spill {
    pub(crate) folder: Folder,
    pub(crate) first: Position,
    pub(crate) oldest: SystemTime,
    pub(crate) chunks: Vec<Bytes>,
}

/// An object under construction.
#[derive(Debug)]
pub(super) struct OpenObject {
    pub(super) first: Position,
    last: Position,
    oldest: SystemTime,
    pub(super) last_arrival: SystemTime,
    /// Framed records that are not compressed yet.
    raw: Vec<u8>,
    done: Vec<Bytes>,
    /// The bytes of `done`.
    done_bytes: usize,
    /// Bytes that were spilled before, and their CRC-32.
    spilled_bytes: u64,
    spilled_crc: u32,
    tail: Tail,
    records: u64,
}

impl OpenObject {
    pub(super) fn new(first: Position, arrived_at: SystemTime) -> Self {
        Self {
            last: first.clone(),
            first,
            oldest: arrived_at,
            last_arrival: arrived_at,
            raw: Vec::new(),
            done: Vec::new(),
            done_bytes: 0,
            spilled_bytes: 0,
            spilled_crc: 0,
            tail: Tail::default(),
            records: 0,
        }
    }

    /// Appends a framed record, and compresses a block when one is full.
    pub(super) fn add(
        &mut self,
        framed: &[u8],
        last: &Position,
        arrived_at: SystemTime,
        object_bytes: u64,
        encoder: &mut Encoder,
    ) -> io::Result<()> {
        self.make_room(framed.len());
        self.raw.extend_from_slice(framed);
        self.last.clone_from(last);
        self.last_arrival = self.last_arrival.max(arrived_at);
        self.records += 1;
        if self.raw.len() >= self.block_bytes(object_bytes, encoder.is_plain()) {
            self.compress(encoder)?;
        }
        Ok(())
    }

    /// Grows the buffer by doubling while it is small, then to a block at once: doubled, a plain block would keep twice its
    /// memory until it is written.
    fn make_room(&mut self, framed_bytes: usize) {
        let len = self.raw.len() + framed_bytes;
        if len > self.raw.capacity() && len > SMALL_BYTES {
            let room = (BLOCK_BYTES + framed_bytes).saturating_sub(self.raw.len());
            self.raw.reserve_exact(room);
        }
    }

    /// Returns the raw bytes at which the next block is compressed: a whole block, or the bytes that the object still
    /// lacks.
    fn block_bytes(&self, object_bytes: u64, is_plain: bool) -> usize {
        let lacking = object_bytes.saturating_sub(self.bytes());
        let lacking = usize::try_from(lacking).unwrap_or(usize::MAX);
        let least = if is_plain { 1 } else { BLOCK_BYTES_MIN };
        lacking.clamp(least, BLOCK_BYTES)
    }

    fn compress(&mut self, encoder: &mut Encoder) -> io::Result<()> {
        if self.raw.is_empty() {
            return Ok(());
        }
        let raw = std::mem::take(&mut self.raw);
        let block = if encoder.is_plain() {
            raw
        } else {
            encoder.block(&raw, &mut self.tail)?
        };
        self.push(block.into());
        Ok(())
    }

    fn push(&mut self, block: Bytes) {
        self.done_bytes += block.len();
        self.done.push(block);
    }

    /// Returns the bytes after compression, without those that are not compressed yet.
    pub(super) fn bytes(&self) -> u64 {
        self.spilled_bytes + self.done_bytes as u64
    }

    /// Returns the bytes that it takes in memory: a function of the records and not of the allocator, because the
    /// memory limit decides where objects end.
    pub(super) fn memory_bytes(&self) -> usize {
        let raw = match self.raw.len() {
            small @ ..=SMALL_BYTES => small.next_power_of_two(),
            large => large.max(BLOCK_BYTES),
        };
        raw + self.done_bytes + OBJECT_OVERHEAD_BYTES
    }

    /// Takes out a part that is to be uploaded while the object grows.
    pub(super) fn spill(&mut self, folder: &Folder) -> Option<Spill> {
        if self.done_bytes < PART_BYTES {
            return None;
        }
        let chunks = std::mem::take(&mut self.done);
        self.spilled_bytes += self.done_bytes as u64;
        self.done_bytes = 0;
        self.spilled_crc = crc_after(self.spilled_crc, &chunks);
        Some(Spill {
            folder: folder.clone(),
            first: self.first.clone(),
            oldest: self.oldest,
            chunks,
        })
    }

    pub(super) fn seal(
        mut self,
        folder: Folder,
        encoder: &mut Encoder,
    ) -> io::Result<SealedObject> {
        self.compress(encoder)?;
        let end = encoder.end(self.tail);
        if !end.is_empty() {
            self.push(end.into());
        }
        let bytes = self.bytes();
        let is_spilled = self.spilled_bytes > 0;
        let crc = is_spilled.then(|| crc_after(self.spilled_crc, &self.done));
        Ok(SealedObject {
            folder,
            first: self.first,
            last: self.last,
            oldest: self.oldest,
            chunks: self.done,
            bytes,
            crc,
            records: self.records,
        })
    }
}

/// Returns the CRC-32 of earlier bytes, whose CRC-32 is `before`, and these chunks.
pub(crate) fn crc_after(before: u32, chunks: &[Bytes]) -> u32 {
    let mut crc = crc32fast::Hasher::new_with_initial(before);
    for chunk in chunks {
        crc.update(chunk);
    }
    crc.finalize()
}
