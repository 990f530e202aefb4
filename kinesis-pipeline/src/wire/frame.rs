//! The frame of an aggregate: magic bytes before the protobuf, its MD5 behind it.

use bytes::Bytes;

use crate::digest;

/// The magic bytes of an aggregate.
pub(super) const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
pub(super) const MD5_BYTES: usize = 16;
/// The bytes of the frame: magic and MD5.
pub(super) const FRAME_BYTES: usize = MAGIC.len() + MD5_BYTES;

/// Returns for each of these whether it has the magic bytes and the MD5 of an aggregate. The MD5s are computed side by
/// side (SIMD).
pub(crate) fn are_framed<'a>(datas: impl Iterator<Item = &'a Bytes>) -> Vec<bool> {
    let framed: Vec<_> = datas.map(|data| body_and_checksum(data)).collect();
    let bodies: Vec<_> = framed.iter().flatten().map(|(body, _)| *body).collect();
    let mut digests = digest::of_each(&bodies).into_iter();
    let is_right = |framed: Option<(&[u8], &[u8])>| {
        let Some((_, checksum)) = framed else {
            return false;
        };
        digests.next().is_some_and(|md5| md5[..] == *checksum)
    };
    framed.into_iter().map(is_right).collect()
}

/// Whether data begins like an aggregate. For most plain records this is the whole check.
#[inline]
pub(crate) fn has_magic(data: &[u8]) -> bool {
    data.starts_with(&MAGIC)
}

/// Splits data into the protobuf and its expected MD5; `None` if it cannot be an aggregate.
pub(super) fn body_and_checksum(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let body = data.strip_prefix(&MAGIC)?;
    body.split_at_checked(body.len().checked_sub(MD5_BYTES)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EncodedRecord, PartitionKey, wire::aggregate};

    #[test]
    fn each_of_many_is_judged_as_it_is_alone() {
        let whole = |number: usize| {
            let mut writer = aggregate::Writer::new();
            let text = Bytes::from(vec![b'x'; 40 * number]);
            writer.push(&EncodedRecord::new(PartitionKey::stored("key"), text));
            writer.finish()
        };
        let torn = |number: usize| whole(number).slice(..whole(number).len() - 1);
        let datas: Vec<_> = (0..40)
            .map(|number| match number % 4 {
                0 => Bytes::from(vec![0; number]),
                1 => torn(number),
                2 => Bytes::from_static(&MAGIC),
                _ => whole(number),
            })
            .collect();
        let alone: Vec<_> = datas
            .iter()
            .map(|data| aggregate::split(data).is_some())
            .collect();
        assert_eq!(are_framed(datas.iter()), alone);
        let each = aggregate::split_each(&datas).into_iter().zip(&datas);
        for (split, data) in each {
            let records = |split: &aggregate::Aggregate| split.iter().collect::<Vec<_>>();
            let alone = aggregate::split(data);
            assert_eq!(split.as_ref().map(records), alone.as_ref().map(records));
        }
        assert_eq!(alone.iter().filter(|framed| **framed).count(), 10);
    }
}
