//! The service's words for a member whose value has the wrong type.
//!
//! The service is written in Java and names its classes. serde tells both types in its message, and nowhere
//! else: `invalid type: string "three", expected i64`.

/// Returns the service's words for serde's message; `None` if that is about something else.
///
/// The value that was found is not repeated: it may be part of a record.
pub(super) fn words(message: &str) -> Option<String> {
    let rest = message.strip_prefix("invalid type: ")?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let expected = expected.split(" at line ").next().unwrap_or(expected);
    let class = match found.split([' ', '`']).next()? {
        "string" => "class java.lang.String",
        "boolean" => "class java.lang.Boolean",
        "integer" | "floating" => "class com.amazon.coral.value.json.numbers.TruncatingBigNumber",
        "sequence" => return Some("Start of list found where not expected".to_owned()),
        "map" => return Some("Start of structure or map found where not expected.".to_owned()),
        _ => "",
    };
    match expected {
        "a sequence" | "array" => return Some("Expected list or null".to_owned()),
        "a map" | "map" => return Some("Expected map or null".to_owned()),
        _ if expected.starts_with("struct ") => return Some("Expected null".to_owned()),
        _ if class.is_empty() => return None,
        _ => {}
    }
    Some(format!(
        "{class} can not be converted to {}",
        wanted(expected)?
    ))
}

/// Returns the service's name, with its article, of a type as serde names it.
fn wanted(expected: &str) -> Option<&'static str> {
    Some(match expected {
        "i64" | "u32" | "u64" | "i32" | "integer" => "an Integer",
        "f64" | "a number" => "milliseconds since epoch",
        "a boolean" => "an Boolean",
        text if text.starts_with("byte") => "a Blob",
        text if text.contains("str") => "an String",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_type_is_told_in_the_services_words() {
        for (message, told) in [
            (
                "invalid type: string \"three\", expected i64 at line 1 column 17",
                "class java.lang.String can not be converted to an Integer",
            ),
            (
                "invalid type: boolean `true`, expected a string",
                "class java.lang.Boolean can not be converted to an String",
            ),
            (
                "invalid type: integer `5`, expected a sequence",
                "Expected list or null",
            ),
            (
                "invalid type: sequence, expected a boolean",
                "Start of list found where not expected",
            ),
            (
                "invalid type: sequence, expected a map at line 1 column 9",
                "Start of list found where not expected",
            ),
            (
                "invalid type: map, expected a sequence at line 1 column 9",
                "Start of structure or map found where not expected.",
            ),
            ("invalid type: null, expected struct Entry", "Expected null"),
            (
                "invalid type: floating point `1.5`, expected a string",
                "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String",
            ),
            (
                "invalid type: string \"now\", expected f64 at line 3 column 1",
                "class java.lang.String can not be converted to milliseconds since epoch",
            ),
            (
                "invalid type: map, expected f64 at line 3 column 1",
                "Start of structure or map found where not expected.",
            ),
        ] {
            assert_eq!(words(message).as_deref(), Some(told), "{message}");
        }
        assert_eq!(words("Invalid symbol 33, offset 6."), None);
    }

    #[test]
    fn a_wrong_type_in_cbor_is_told_in_the_same_words() {
        for (message, told) in [
            (
                "invalid type: string, expected integer",
                "class java.lang.String can not be converted to an Integer",
            ),
            (
                "invalid type: boolean `true`, expected integer",
                "class java.lang.Boolean can not be converted to an Integer",
            ),
            (
                "invalid type: string, expected bytes",
                "class java.lang.String can not be converted to a Blob",
            ),
            (
                "invalid type: boolean `true`, expected str",
                "class java.lang.Boolean can not be converted to an String",
            ),
            (
                "invalid type: string \"now\", expected a number",
                "class java.lang.String can not be converted to milliseconds since epoch",
            ),
            (
                "invalid type: integer `5`, expected array",
                "Expected list or null",
            ),
            (
                "invalid type: sequence, expected map",
                "Start of list found where not expected",
            ),
        ] {
            assert_eq!(words(message).as_deref(), Some(told), "{message}");
        }
    }

    #[test]
    fn a_value_that_looks_like_a_message_does_not_show() {
        let message = "invalid type: string \"a, expected i64\", expected a boolean";
        let told = "class java.lang.String can not be converted to an Boolean";
        assert_eq!(words(message).as_deref(), Some(told));
    }
}
