//! The id of a record, `_meta.id`: its place in its file, by which a sink can drop duplicates.

use std::fmt;

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

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
const META: &[u8] = b"\"_meta\"";
const ID: &[u8] = b"\"id\"";

/// Returns the record with its id as the first field of `_meta`, which becomes the first field of the record and is made if
/// there is none; `None` for bytes that are no JSON object, or whose `_meta` is no object.
///
/// The bytes must be valid JSON. An id that `_meta` has is replaced.
pub(crate) fn stamped(data: &Bytes, stamp: Stamp<'_>) -> Option<Bytes> {
    let inside = data.strip_prefix(b"{")?.trim_ascii_start();
    let (meta, rest): (&[u8], &[u8]) = match after_meta(inside) {
        Some(fields) if !has_key(first_value(fields)?, ID) && !has_key(fields, META) => {
            (b"", fields.strip_prefix(b"{")?.trim_ascii_start())
        }
        None if !has_key(inside, META) => (b"}", inside),
        _ => return stamped_by_fields(data, stamp),
    };
    let id = id_of(stamp);
    let mut out = BytesMut::with_capacity(data.len() + id.len() + 16);
    out.put_slice(b"{\"_meta\":{");
    out.put_slice(id.as_bytes());
    out.put_slice(meta);
    if rest.first() != Some(&b'}') {
        out.put_slice(b",");
    }
    out.put_slice(rest);
    Some(out.freeze())
}

fn id_of(stamp: Stamp<'_>) -> String {
    let hash = stamp.hash.get(..HASH_DIGITS).unwrap_or(stamp.hash);
    let part = match stamp.part {
        0 => String::new(),
        part => format!(".{part}"),
    };
    format!("\"id\":\"{hash}:{}{part}\"", stamp.line)
}

/// Returns the bytes after `"_meta":`, if it is the first field.
fn after_meta(inside: &[u8]) -> Option<&[u8]> {
    let rest = inside.strip_prefix(META)?.trim_ascii_start();
    Some(rest.strip_prefix(b":")?.trim_ascii_start())
}

/// Returns the bytes of the value that these bytes begin with.
fn first_value(json: &[u8]) -> Option<&[u8]> {
    let mut values = serde_json::Deserializer::from_slice(json).into_iter::<&RawValue>();
    Some(values.next()?.ok()?.get().as_bytes())
}

/// Whether the text may have this key. A string value that is equal counts too.
fn has_key(json: &[u8], key: &[u8]) -> bool {
    memchr::memmem::find(json, key).is_some()
}

/// Writes the record anew, field by field: its `_meta` is not the first field, or has an id.
fn stamped_by_fields(data: &[u8], stamp: Stamp<'_>) -> Option<Bytes> {
    let Fields(fields) = serde_json::from_slice(data).ok()?;
    let mut out = format!("{{\"_meta\":{{{}", id_of(stamp));
    for (_, meta) in fields.iter().filter(|(key, _)| key == "_meta") {
        let Fields(inner) = serde_json::from_str(meta.get()).ok()?;
        for (key, value) in inner.iter().filter(|(key, _)| key != "id") {
            push_field(&mut out, key, value)?;
        }
    }
    out.push('}');
    for (key, value) in fields.iter().filter(|(key, _)| key != "_meta") {
        push_field(&mut out, key, value)?;
    }
    out.push('}');
    Some(out.into())
}

fn push_field(out: &mut String, key: &str, value: &RawValue) -> Option<()> {
    let key = serde_json::to_string(key).ok()?;
    out.extend([",", &key, ":", value.get()]);
    Some(())
}

/// The fields of an object in their order, with their values as they are written.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
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
            (
                "{\"a\":1.50, \"_meta\":{\"b\":2,\"id\":7}}",
                "{\"_meta\":{\"id\":\"0123456789abcdef:7\",\"b\":2},\"a\":1.50}",
            ),
            (
                "{\"_meta\":{\"id\":7},\"a\":\"\\n\",\"_meta\":{\"c\":3}}",
                "{\"_meta\":{\"id\":\"0123456789abcdef:7\",\"c\":3},\"a\":\"\\n\"}",
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
        assert_eq!(of("{\"a\":1,\"_meta\":1}", 0), None);
    }
}
