//! The framing `application/vnd.amazon.eventstream`, in which `SubscribeToShard` answers.
//!
//! A frame is a prelude (two big-endian lengths and their CRC-32), headers, a payload, and the CRC-32 of all
//! that came before. Every header we write has a text value (type 7).
//! Format: <https://smithy.io/2.0/aws/amazon-eventstream.html>.

use bytes::{BufMut, Bytes, BytesMut};

/// The prelude with its checksum.
const PRELUDE_BYTES: usize = 12;
/// The checksum at the end.
const TRAILER_BYTES: usize = 4;
/// The type of a header whose value is text.
const HEADER_TYPE_TEXT: u8 = 7;

/// Returns the frame of one event: its type, such as `SubscribeToShardEvent`, and its payload.
pub(in crate::local) fn event_frame(event_type: &str, content_type: &str, payload: &[u8]) -> Bytes {
    let headers = [
        (":message-type", "event"),
        (":event-type", event_type),
        (":content-type", content_type),
    ];
    frame(&headers, payload)
}

/// Returns the frame of an exception that ends the stream: its code, such as `ResourceNotFoundException`.
pub(in crate::local) fn exception_frame(code: &str, content_type: &str, payload: &[u8]) -> Bytes {
    let headers = [
        (":message-type", "exception"),
        (":exception-type", code),
        (":content-type", content_type),
    ];
    frame(&headers, payload)
}

fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let header_bytes: usize = headers.iter().map(encoded_len).sum();
    let frame_bytes = PRELUDE_BYTES + header_bytes + payload.len() + TRAILER_BYTES;
    let mut frame = BytesMut::with_capacity(frame_bytes);
    frame.put_u32(length(frame_bytes));
    frame.put_u32(length(header_bytes));
    frame.put_u32(crc32fast::hash(&frame));
    for (name, value) in headers {
        put_header(&mut frame, name, value);
    }
    frame.put_slice(payload);
    frame.put_u32(crc32fast::hash(&frame));
    frame.freeze()
}

fn encoded_len((name, value): &(&str, &str)) -> usize {
    1 + name.len() + 1 + 2 + value.len()
}

fn put_header(frame: &mut BytesMut, name: &str, value: &str) {
    frame.put_u8(u8::try_from(name.len()).expect("the names of headers are ours and short"));
    frame.put_slice(name.as_bytes());
    frame.put_u8(HEADER_TYPE_TEXT);
    frame.put_u16(u16::try_from(value.len()).expect("the values of headers are ours and short"));
    frame.put_slice(value.as_bytes());
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("an event holds at most one page, which is far below 4 GiB")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads one frame as a client does: its headers and its payload.
    fn read(frame: &[u8]) -> (Vec<(String, String)>, Vec<u8>) {
        let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
        let end = frame.len() - TRAILER_BYTES;
        assert_eq!(word(0) as usize, frame.len());
        assert_eq!(word(8), crc32fast::hash(&frame[..8]));
        assert_eq!(word(end), crc32fast::hash(&frame[..end]));
        let payload_at = PRELUDE_BYTES + word(4) as usize;
        let mut rest = &frame[PRELUDE_BYTES..payload_at];
        let mut headers = Vec::new();
        while let [name_len, tail @ ..] = rest {
            let (name, tail) = tail.split_at(usize::from(*name_len));
            assert_eq!(tail[0], HEADER_TYPE_TEXT);
            let value_len = usize::from(u16::from_be_bytes([tail[1], tail[2]]));
            let (value, tail) = tail[3..].split_at(value_len);
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            headers.push((text(name), text(value)));
            rest = tail;
        }
        (headers, frame[payload_at..end].to_vec())
    }

    #[test]
    fn the_bytes_of_a_known_frame_do_not_change() {
        // An empty frame, as the specification's test vectors have it.
        assert_eq!(
            frame(&[], b"")[..],
            [0, 0, 0, 16, 0, 0, 0, 0, 5, 194, 72, 235, 125, 152, 200, 255]
        );
    }

    #[test]
    fn an_exception_is_told_from_an_event_by_its_headers() {
        let (headers, _) = read(&exception_frame("InternalFailureException", "t", b"{}"));
        assert_eq!(headers[0], (":message-type".into(), "exception".into()));
        assert_eq!(
            headers[1],
            (":exception-type".into(), "InternalFailureException".into())
        );
    }

    proptest! {
        #[test]
        fn what_a_frame_holds_is_read_back(
            kind in "[a-zA-Z-]{1,40}",
            payload in proptest::collection::vec(any::<u8>(), 0..2000),
        ) {
            let (headers, read_payload) = read(&event_frame(&kind, "application/json", &payload));
            prop_assert_eq!(&headers[1], &(":event-type".to_owned(), kind));
            prop_assert_eq!(read_payload, payload);
        }
    }
}
