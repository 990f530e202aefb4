//! The names of all settings, and the messages about unknown names.

use crate::rows;

/// The settings of a type.
const TYPE_SETTINGS: &[&str] = &[
    "codec",
    "compat",
    "event_type",
    "produced_by",
    "metadata",
    "partition_key",
    "put_only",
    "get_only",
    "crate",
];

/// The settings of a field.
const FIELD_SETTINGS: &[&str] = &["partition_key", "explicit_hash_key"];

/// The codecs that have a short name.
pub(crate) const CODECS: &[&str] = &["json", "msgpack", "bytes"];

/// The largest edit distance of a typing error.
const EDITS_MAX: usize = 3;

/// The place of an attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Type,
    Variant,
    Field,
}

/// Returns the message for a setting `name` that `place` does not have, with a suggestion.
pub(crate) fn misplaced(name: &str, place: Place) -> String {
    let is_type_setting = TYPE_SETTINGS.contains(&name) || rows::TYPE_SETTINGS.contains(&name);
    if place != Place::Type && is_type_setting && name != "partition_key" {
        return format!(
            "`{name}` is a setting of the whole type: write it in `#[kinesis(...)]` above the `struct` or `enum`"
        );
    }
    let is_field_setting = FIELD_SETTINGS.contains(&name) || rows::FIELD_SETTINGS.contains(&name);
    if place != Place::Field && is_field_setting {
        return format!("`{name}` marks a field: write `#[kinesis({name})]` above the field");
    }
    let (own, of_rows) = match place {
        Place::Type => (TYPE_SETTINGS, rows::TYPE_SETTINGS),
        Place::Variant | Place::Field => (FIELD_SETTINGS, rows::FIELD_SETTINGS),
    };
    let known = [own, of_rows].concat();
    let list = match place {
        Place::Type => "a type has",
        Place::Variant => "a variant has no settings, its fields have",
        Place::Field => "a field has",
    };
    format!(
        "unknown setting `{name}`{}: {list} {}",
        did_you_mean(name, &known),
        listed(&known)
    )
}

/// Returns ` (did you mean ...?)` if one of the known names is near, otherwise nothing.
pub(crate) fn did_you_mean(name: &str, known: &[&str]) -> String {
    nearest(name, known).map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"))
}

pub(crate) fn listed(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let edits_allowed = EDITS_MAX.min(name.chars().count() / 2);
    known
        .iter()
        .map(|known| (edits(name, known), *known))
        .filter(|(edits, _)| *edits <= edits_allowed)
        .min()
        .map(|(_, known)| known)
}

/// Returns the edit distance of two words, in characters.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, from_char) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, to_char) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(from_char != *to_char);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_in_all_three_kinds() {
        for (from, to, count) in [
            ("codec", "codec", 0),
            ("codek", "codec", 1),
            ("codc", "codec", 1),
            ("ccodec", "codec", 1),
            ("", "codec", 5),
            ("event", "event_type", 5),
        ] {
            assert_eq!(edits(from, to), count, "{from} {to}");
        }
    }

    #[test]
    fn only_near_names_are_suggested() {
        assert_eq!(
            nearest("partition_kye", TYPE_SETTINGS),
            Some("partition_key")
        );
        assert_eq!(nearest("jsn", CODECS), Some("json"));
        assert_eq!(nearest("avro", CODECS), None);
        assert_eq!(nearest("x", CODECS), None);
    }

    #[test]
    fn lists_read_as_a_sentence() {
        assert_eq!(listed(&["a"]), "`a`");
        assert_eq!(listed(&["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
