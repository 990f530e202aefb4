use ciborium::Value;
use proptest::{prelude::*, sample::Index};

use super::*;
use crate::cbor::{peer::agrees, put_bytes, put_text, put_unsigned};

/// Reads any value with the scanner. Whole numbers become floats too.
fn read(scanner: &mut Scanner<'_>) -> Result<Value, Malformed> {
    if scanner.null()? {
        return Ok(Value::Null);
    }
    if scanner.is_number()? {
        return Ok(match scanner.number()? {
            Number::Unsigned(number) => Value::from(number),
            Number::Float(number) => Value::from(number),
        });
    }
    Ok(match scanner.kind()? {
        TEXT => Value::from(&*scanner.text()?),
        BYTES => Value::from(&*scanner.bytes()?),
        ARRAY => {
            let (mut elements, mut read_elements) = (scanner.open_array()?, Vec::new());
            while scanner.has_next(&mut elements)? {
                read_elements.push(read(scanner)?);
            }
            Value::Array(read_elements)
        }
        MAP => {
            let (mut members, mut read_members) = (scanner.open_map()?, Vec::new());
            while let Some(key) = scanner.next_key(&mut members)? {
                let key = Value::from(str::from_utf8(&key).expect("a text"));
                read_members.push((key, read(scanner)?));
            }
            Value::Map(read_members)
        }
        _ => Value::Bool(scanner.head()?.width == 21),
    })
}

/// Writes a value, in one of the forms that CBOR allows for it.
fn write(value: &Value, forms: &mut impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    let form = forms.next().unwrap_or(0);
    if form & 2 > 0 {
        out.extend_from_slice(&[0xC0 | form >> 4 & 7, 0xD8, form]);
    }
    let is_open = form & 1 > 0;
    match value {
        Value::Text(text) if is_open => {
            out.push(0x7F);
            text.chars()
                .for_each(|part| put_text(out, &part.to_string()));
            out.push(BREAK);
        }
        Value::Bytes(bytes) if is_open => {
            out.push(0x5F);
            bytes.chunks(2).for_each(|part| put_bytes(out, part));
            out.push(BREAK);
        }
        Value::Text(text) => put_text(out, text),
        Value::Bytes(bytes) => put_bytes(out, bytes),
        Value::Integer(number) => put_unsigned(out, (*number).try_into().unwrap()),
        Value::Array(elements) => {
            out.push(if is_open {
                0x9F
            } else {
                0x80 | u8::try_from(elements.len()).unwrap()
            });
            for element in elements {
                write(element, forms, out);
            }
            out.extend(is_open.then_some(BREAK));
        }
        Value::Map(members) => {
            out.push(if is_open {
                0xBF
            } else {
                0xA0 | u8::try_from(members.len()).unwrap()
            });
            for (key, value) in members {
                write(key, forms, out);
                write(value, forms, out);
            }
            out.extend(is_open.then_some(BREAK));
        }
        simple => ciborium::into_writer(simple, out).unwrap(),
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
        "\\PC{0,9}".prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let member = ("\\PC{0,5}".prop_map(Value::from), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::Array),
            prop::collection::vec(member, 0..6).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn every_form_of_a_value_is_read_and_passed_over_and_no_part_of_it_is_a_value(
        value in values(), forms: Vec<u8>,
    ) {
        let mut body = Vec::new();
        write(&value, &mut forms.into_iter(), &mut body);
        let mut scanner = Scanner::new(&body);
        prop_assert_eq!(read(&mut scanner).unwrap(), value);
        scanner.end().unwrap();
        scanner = Scanner::new(&body);
        scanner.skip().unwrap();
        scanner.end().unwrap();
        for cut in 0..body.len() {
            prop_assert!(read(&mut Scanner::new(&body[..cut])).is_err());
            prop_assert!(Scanner::new(&body[..cut]).skip().is_err());
        }
    }

    #[test]
    fn any_change_of_a_value_is_read_as_ciborium_reads_it(
        value in values(),
        forms: Vec<u8>,
        changes in prop::collection::vec((any::<Index>(), any::<bool>(), any::<u8>()), 0..4),
    ) {
        let mut body = Vec::new();
        write(&value, &mut forms.into_iter(), &mut body);
        for (at, replace, byte) in changes {
            let start = at.index(body.len() + 1);
            let end = body.len().min(start + usize::from(replace));
            body.splice(start..end, [byte]);
        }
        agrees(&body);
    }

    #[test]
    fn any_bytes_are_read_as_ciborium_reads_them(
        noise: Vec<u8>,
        heads in prop::collection::vec(
            prop_oneof![
                prop::sample::select(&[
                    0x00, 0x18, 0x20, 0x40, 0x42, 0x5F, 0x60, 0x61, 0x62, 0x7F, 0x80, 0x82, 0x9F, 0xA0, 0xA1, 0xBF,
                    0xC0, 0xC2, 0xD8, 0xF4, 0xF6, 0xF7, 0xF9, 0xFA, 0xFB, 0xFF,
                ][..]),
                any::<u8>(),
            ],
            0..40,
        ),
    ) {
        agrees(&noise);
        agrees(&heads);
    }
}

#[test]
fn floats_of_every_width_are_numbers() {
    for (body, number) in [
        (&b"\xF9\x3E\x00"[..], 1.5),
        (b"\xF9\x00\x01", 2_f64.powi(-24)),
        (b"\xF9\xC4\x00", -4.0),
        (b"\xF9\x7C\x00", f64::INFINITY),
        (b"\xFA\x3F\xC0\x00\x00", 1.5),
        (b"\xFB\x3F\xF8\x00\x00\x00\x00\x00\x00", 1.5),
        (b"\x20", -1.0),
    ] {
        assert_eq!(Scanner::new(body).number().unwrap(), Number::Float(number));
    }
    let not_a_number = Scanner::new(b"\xF9\x7E\x00").number().unwrap();
    assert!(matches!(not_a_number, Number::Float(number) if number.is_nan()));
}

#[test]
fn what_is_no_value_or_too_deep_is_an_error() {
    let deep = [0x9F].repeat(100_000);
    for body in [
        &deep[..],
        b"",
        b"\xFF",
        b"\x1C",
        b"\x1F",
        b"\xDF",
        b"\xC1",
        b"\xBF\x61a\xFF",
        b"\x5F\x61a\xFF",
        b"\x7F\x7F\xFF\xFF",
        b"\x5B\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
        b"\x9B\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x00",
    ] {
        assert!(Scanner::new(body).skip().is_err(), "{body:02X?}");
    }
    assert!(Scanner::new(b"\x61\xFF").text().is_err());
    assert!(Scanner::new(b"\x7F\x61\xC3\x61\xA9\xFF").text().is_ok());
}
