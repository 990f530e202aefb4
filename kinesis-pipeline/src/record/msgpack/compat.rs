//! The conversion from the current `MessagePack` format to the old one: strings and bytes become "raw", without the
//! one-byte length that old readers do not know.

use bytes::{BufMut, BytesMut};

use super::items::{Item, Malformed};

/// Rewrites the values of `out` from `start` on. Values that are in the old form already are not moved.
pub(super) fn to_old_form(out: &mut BytesMut, start: usize) -> Result<(), Malformed> {
    let Some(first) = next_new_item(out, start)? else {
        return Ok(());
    };
    let values = out.split_off(first.start);
    let mut copied = 0;
    while let Some(item) = next_new_item(&values, copied)? {
        out.put_slice(&values[copied..item.start]);
        write_raw_header(item.payload.len(), out);
        out.put_slice(&values[item.payload.clone()]);
        copied = item.payload.end;
    }
    out.put_slice(&values[copied..]);
    Ok(())
}

/// Returns the first item from `at` on that the old form does not have.
fn next_new_item(values: &[u8], mut at: usize) -> Result<Option<Item>, Malformed> {
    while at < values.len() {
        let item = Item::read(values, at)?;
        if is_new(item.marker) {
            return Ok(Some(item));
        }
        at = item.payload.end;
    }
    Ok(None)
}

/// Whether the marker is one of bin8, bin16, bin32 and str8.
fn is_new(marker: u8) -> bool {
    matches!(marker, 0xc4..=0xc6 | 0xd9)
}

fn write_raw_header(bytes: usize, out: &mut BytesMut) {
    match (
        u8::try_from(bytes),
        u16::try_from(bytes),
        u32::try_from(bytes),
    ) {
        (Ok(bytes @ ..=31), _, _) => out.put_u8(0xa0 | bytes),
        (_, Ok(bytes), _) => {
            out.put_u8(0xda);
            out.put_u16(bytes);
        }
        (_, _, bytes) => {
            out.put_u8(0xdb);
            // An item's length has at most 32 bits.
            out.put_u32(bytes.unwrap_or(u32::MAX));
        }
    }
}
