//! Tags of streams and consumers.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::local::{
    api_error::ApiError,
    validate::{Checks, TAG_KEY, TAG_VALUE},
};

/// The most tags a resource has.
const TAGS_MAX: usize = 50;
/// The most tags that one call adds, and the most that one takes away.
const ADDED_TAGS_MAX: usize = 200;
const REMOVED_TAGS_MAX: usize = 50;
/// The characters of tags beside letters, digits and white space.
const TAG_MARKS: &str = "_.:/=+-%@";

/// A tag as the API lists it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Tag {
    key: String,
    value: String,
}

impl From<(&String, &String)> for Tag {
    fn from((key, value): (&String, &String)) -> Self {
        Self {
            key: key.clone(),
            value: value.clone(),
        }
    }
}

/// Checks the tags of a call.
pub(super) fn check(checks: &mut Checks, tags: &BTreeMap<String, String>) {
    check_count(checks, "tags", tags.len(), ADDED_TAGS_MAX);
    for (key, value) in tags {
        checks.text("tags", Some(key), TAG_KEY);
        checks.text("tags", Some(value), TAG_VALUE);
    }
}

/// Checks the keys of tags that a call takes away.
pub(super) fn check_keys(checks: &mut Checks, keys: &[String]) {
    check_count(checks, "tagKeys", keys.len(), REMOVED_TAGS_MAX);
    for key in keys {
        checks.text("tagKeys", Some(key), TAG_KEY);
    }
}

fn check_count(checks: &mut Checks, member: &str, count: usize, count_max: usize) {
    let words = format!("[{count} tags]");
    if count == 0 {
        checks.length(member, &words, "greater", 1);
    }
    if count > count_max {
        checks.length(member, &words, "less", count_max);
    }
}

/// Refuses tags, or keys of tags, with characters that the service does not take: control characters such as
/// tab and newline are no white space to it.
pub(super) fn check_characters<'a>(
    mut texts: impl Iterator<Item = &'a String>,
) -> Result<(), ApiError> {
    let is_allowed = |char: char| {
        char.is_alphanumeric()
            || (char.is_whitespace() && !char.is_control())
            || TAG_MARKS.contains(char)
    };
    if texts.all(|text| text.chars().all(is_allowed)) {
        return Ok(());
    }
    Err(ApiError::invalid_argument(
        "Some tags contain invalid characters. Valid characters: \
         Unicode letters, digits, white space, _ . : / = + - % @.",
    ))
}

/// Adds tags to a resource's; those of the same key are replaced.
pub(super) fn add(
    tags: &mut BTreeMap<String, String>,
    added: BTreeMap<String, String>,
) -> Result<(), ApiError> {
    check_characters(added.iter().flat_map(|(key, value)| [key, value]))?;
    let new = added.keys().filter(|key| !tags.contains_key(*key)).count();
    if tags.len() + new > TAGS_MAX {
        return Err(ApiError::invalid_argument(format!(
            "A resource cannot have more than {TAGS_MAX} tags associated with it."
        )));
    }
    tags.extend(added);
    Ok(())
}
