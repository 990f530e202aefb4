use std::fmt::Write as _;

/// S3's limit of a key, in bytes; GCS and Azure have the same.
const KEY_BYTES_MAX: usize = 1_024;
/// The limit of a file name on local disks, in bytes: a key keeps it everywhere, so that objects can be copied.
const SEGMENT_BYTES_MAX: usize = 255;

/// A value of a record that cannot name a folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ValueError {
    #[error("the record has no partition key `{0}`")]
    Missing(String),
    #[error("the partition key `{0}` of the record is empty")]
    Empty(String),
    #[error(
        "the partition keys of the record make a key of more than {KEY_BYTES_MAX} bytes, or a part of more than {SEGMENT_BYTES_MAX}"
    )]
    TooLong,
    #[cfg(feature = "jq")]
    #[error("the jq query makes no partition keys of the record: {0}")]
    Query(String),
    #[cfg(feature = "jq")]
    #[error("the jq query takes more than {0} steps on the record: make it simpler")]
    QuerySteps(u64),
}

/// Characters that are escaped, besides control characters, because a store or a shell treats them specially.
const UNSAFE: &str = "/\\%{}^`[]\"<>#|~*?:";

/// Returns a value of a record as one part of a key: characters that could leave the folder or confuse a store are
/// written as `%XX`.
///
/// Different values stay different.
pub(crate) fn safe(value: &str) -> Box<str> {
    let mut out = String::with_capacity(value.len());
    let dots_only = value.bytes().all(|byte| byte == b'.');
    for char in value.chars() {
        if char.is_control() || UNSAFE.contains(char) || (dots_only && char == '.') {
            let mut bytes = [0; 4];
            for byte in char.encode_utf8(&mut bytes).bytes() {
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(char);
        }
    }
    out.into()
}

/// Checks the lengths of a whole key and of its parts.
pub(crate) fn check_key(key: &str) -> Result<(), ValueError> {
    let fits =
        key.len() <= KEY_BYTES_MAX && key.split('/').all(|part| part.len() <= SEGMENT_BYTES_MAX);
    fits.then_some(()).ok_or(ValueError::TooLong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_cannot_leave_its_folder() {
        for (value, text) in [
            ("NY", "NY"),
            ("..", "%2E%2E"),
            ("a.b", "a.b"),
            ("../../etc", "..%2F..%2Fetc"),
            ("a\nb\0", "a%0Ab%00"),
            ("50%", "50%25"),
            ("C:\\x", "C%3A%5Cx"),
            ("Zürich", "Zürich"),
        ] {
            assert_eq!(&*safe(value), text);
        }
    }

    proptest! {
        #[test]
        fn different_values_stay_different_and_are_one_part_of_a_path(a in ".*", b in ".*") {
            let (safe_a, safe_b) = (safe(&a), safe(&b));
            prop_assert_eq!(a == b, safe_a == safe_b);
            prop_assert!(!safe_a.contains('/') && &*safe_a != "." && &*safe_a != "..");
            prop_assert!(!safe_a.chars().any(char::is_control));
        }
    }
}
