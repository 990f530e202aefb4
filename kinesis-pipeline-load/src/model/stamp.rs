//! The id of a record, `_meta.id`: its place in its file, by which a sink can drop duplicates.

use bytes::{BufMut as _, Bytes, BytesMut};

/// The id of the records of one row.
#[derive(Clone, Copy)]
pub(crate) struct Stamp<'a> {
    /// The hash of the file.
    pub(crate) hash: &'a str,
    /// The line on which the row begins.
    pub(crate) line: u64,
    /// The number of the record among those of its row.
    pub(crate) part: usize,
}

/// The digits of the file's hash in an id: 64 bits.
const HASH_DIGITS: usize = 16;

/// Returns the record with its id in `_meta`, which is made if there is none; `None` for bytes that are no JSON object,
/// or whose `_meta` is no object.
///
/// The bytes must be valid JSON. Only a `_meta` that is the first field is found; records with an envelope have it
/// there.
pub(crate) fn stamped(data: &Bytes, stamp: Stamp<'_>) -> Option<Bytes> {
    let inside = data.strip_prefix(b"{")?.trim_ascii_start();
    let (before, rest): (&[u8], &[u8]) = match after_meta(inside) {
        Some(fields) => (
            b"{\"_meta\":{",
            fields.strip_prefix(b"{")?.trim_ascii_start(),
        ),
        None => (b"{\"_meta\":{", inside),
    };
    let has_meta = after_meta(inside).is_some();
    let hash = stamp.hash.get(..HASH_DIGITS).unwrap_or(stamp.hash);
    let part = match stamp.part {
        0 => String::new(),
        part => format!(".{part}"),
    };
    let id = format!("\"id\":\"{hash}:{}{part}\"", stamp.line);
    let mut out = BytesMut::with_capacity(data.len() + id.len() + 16);
    out.put_slice(before);
    out.put_slice(id.as_bytes());
    if !has_meta {
        out.put_slice(b"}");
    }
    if rest.first() != Some(&b'}') {
        out.put_slice(b",");
    }
    out.put_slice(rest);
    Some(out.freeze())
}

/// Returns the bytes after `"_meta":`, if it is the first field.
fn after_meta(inside: &[u8]) -> Option<&[u8]> {
    let rest = inside.strip_prefix(b"\"_meta\"")?.trim_ascii_start();
    Some(rest.strip_prefix(b":")?.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(data: &'static str, part: usize) -> Option<String> {
        let hash = "0123456789abcdef0123456789abcdef";
        let stamp = Stamp {
            hash,
            line: 7,
            part,
        };
        let stamped = stamped(&Bytes::from(data), stamp)?;
        Some(String::from_utf8(stamped.to_vec()).unwrap())
    }

    #[test]
    fn the_id_is_the_first_field_of_an_envelope_that_is_there_or_made() {
        for (data, expected) in [
            (
                "{\"a\":1}",
                "{\"_meta\":{\"id\":\"0123456789abcdef:7\"},\"a\":1}",
            ),
            ("{}", "{\"_meta\":{\"id\":\"0123456789abcdef:7\"}}"),
            (
                "{\"_meta\":{\"b\":2},\"a\":1}",
                "{\"_meta\":{\"id\":\"0123456789abcdef:7\",\"b\":2},\"a\":1}",
            ),
            (
                "{ \"_meta\" : {}, \"a\":1}",
                "{\"_meta\":{\"id\":\"0123456789abcdef:7\"}, \"a\":1}",
            ),
        ] {
            let stamped = of(data, 0).unwrap();
            assert_eq!(stamped, expected);
            serde_json::from_str::<serde_json::Value>(&stamped).unwrap();
        }
    }

    #[test]
    fn the_records_of_one_row_have_ids_of_their_own() {
        assert!(of("{}", 2).unwrap().contains(":7.2\""));
    }

    #[test]
    fn what_is_no_object_gets_no_id() {
        assert_eq!(of("[1]", 0), None);
        assert_eq!(of("{\"_meta\":1}", 0), None);
    }
}
