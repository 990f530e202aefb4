use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::{Map, Value};

use super::{
    peer::{agrees, whole},
    scanner::NESTING_MAX,
    *,
};

#[test]
fn what_is_right_and_what_is_wrong_is_what_serde_json_says() {
    let cases = r#"
        null|nul|nulll|true|tru|false|falsey|t|n| 1 |1 2|-|-0|-01|01|00|0.|.5|1.5e+7|1e|1e+|1E-9|1e400|--1|+1
        18446744073709551616|-9223372036854775809|""|"|"a|"\"|"\\"|"\/\b\f\n\r\t\""|"\x"|"\u00e9"|"\u12"|"\u+123"
        "\ud83d\ude00"|"\ud83d"|"\ud83d\u0041"|"\ud83dx"|"\ude00"|"\ud83d\ud83d\ude00"|[]|[|]|[,]|[1,]|[1 2]|[1,2]
        [1}|{]|{}|{|}|{,}|{"a"}|{"a":}|{"a":1,}|{"a" : 1 , "b":[{}]}|{"a":1 "b":2}|{1:2}|{"\u0061":1,"a":2}
        {"\ud83d":1}|[["\ud83d"]]|[1e999]|nan|'a'|/**/1|[tru]|{"a":nul}
    "#;
    for case in cases.split(['|', '\n']) {
        agrees(case.trim_start().as_bytes());
    }
    for case in [
        &b"\"\xff\""[..],
        b"[\"\xff\"]",
        b"\"\n\"",
        b"\"\x1f\"",
        b"\"\x7f\"",
        b"\xef\xbb\xbf1",
        b"\x0c1",
        b"\"a\0\"",
    ] {
        agrees(case);
    }
}

#[test]
fn values_are_passed_over_as_deep_as_serde_json_reads_them() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let objects = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let levels_max = NESTING_MAX as usize;
    for json in [deep(levels_max), objects(levels_max)] {
        assert!(whole(json.as_bytes(), Scanner::skip).is_ok());
        assert!(serde_json::from_str::<Value>(&json).is_ok());
    }
    for json in [
        deep(levels_max + 1),
        objects(levels_max + 1),
        "[".repeat(1 << 20),
    ] {
        assert!(whole(json.as_bytes(), Scanner::skip).is_err());
        assert!(serde_json::from_str::<Value>(&json).is_err());
    }
}

#[test]
fn a_text_without_escapes_is_borrowed() {
    let text = |json: &'static str| Scanner::new(json.as_bytes()).string().unwrap();
    assert!(!text(r#""aé""#).has_escapes());
    assert!(matches!(
        text(r#""aé""#).to_str(),
        std::borrow::Cow::Borrowed("aé")
    ));
    assert!(text(r#""a\n""#).has_escapes());
    assert_eq!(text(r#""a\n""#).to_str(), "a\n");
}

#[test]
fn an_error_says_where_and_what() {
    let error = whole(b"[1,2", Scanner::skip).unwrap_err();
    assert_eq!(error.offset, 4);
    assert_eq!(
        error.to_string(),
        "a comma or an end is missing, at byte 4 of the text"
    );
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,9}".prop_map(Value::from),
        "[ -~\"\\\\\n]{0,70}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((".{0,9}", inner), 0..6)
                .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_is_read_as_serde_json_reads_it(value in any_value(), pretty: bool) {
        let json = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
        agrees(&json.unwrap());
    }

    #[test]
    fn any_change_of_a_value_is_judged_as_serde_json_judges_it(
        value in any_value(),
        changes in vec((any::<Index>(), "[\\[\\]{}:,\"\\\\/u0-9a-ftn .eE+-]{0,3}", any::<bool>()), 1..4),
    ) {
        let mut json = serde_json::to_vec(&value).unwrap();
        for (at, new, replace) in changes {
            let start = at.index(json.len() + 1);
            let end = if replace { json.len().min(start + new.len().max(1)) } else { start };
            json.splice(start..end, new.bytes());
        }
        agrees(&json);
    }

    #[test]
    fn any_bytes_are_judged_as_serde_json_judges_them(
        noise: Vec<u8>,
        tokens in "([\\[\\]{}:, ]|\"[a\\\\u0-9dDcC\"]{0,6}\"|-?[0-9]{1,2}([.eE+-][0-9]{0,2}){0,2}|null|true|false){0,12}",
        text in vec(prop_oneof![any::<u8>(), Just(b'\\'), Just(b'u'), Just(b'd'), b'a'..=b'z'], 0..40),
    ) {
        agrees(&noise);
        agrees(tokens.as_bytes());
        agrees(&[b"\"", &text[..], b"\""].concat());
    }

    #[test]
    fn a_value_is_passed_over_up_to_where_it_ends(value in any_value(), after in "[\\]}, :a\"]{0,5}") {
        let json = value.to_string();
        let mut scanner = Scanner::new(json.as_bytes());
        scanner.skip().unwrap();
        scanner.end().unwrap();
        // `after` never begins with a character that could continue the number.
        let longer = format!("{json}{after}");
        let mut scanner = Scanner::new(longer.as_bytes());
        assert_eq!(scanner.raw().unwrap(), json);
    }
}
