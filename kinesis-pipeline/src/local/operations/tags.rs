//! Tags of streams and consumers.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::local::{
    api_error::ApiError,
    validate::{Checks, TAG_KEY, TAG_VALUE, Text},
};

/// The most tags a resource has.
const TAGS_MAX: usize = 50;
/// The most tags that one call adds, and the most that one takes away.
const ADDED_TAGS_MAX: usize = 200;
const REMOVED_TAGS_MAX: usize = 50;
/// The characters of tags beside letters, digits and white space.
const TAG_MARKS: &str = "_.:/=+-@";

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
    let pairs: Vec<_> = tags
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let words = format!("{{{}}}", pairs.join(", "));
    check_count(checks, "tags", &words, tags.len(), ADDED_TAGS_MAX);
    check_lengths(checks, "tags", &words, "Map keys", TAG_KEY, tags.keys());
    check_lengths(
        checks,
        "tags",
        &words,
        "Map value",
        TAG_VALUE,
        tags.values(),
    );
}

/// Checks the keys of tags that a call takes away.
pub(super) fn check_keys(checks: &mut Checks, keys: &[String]) {
    let words = format!("[{}]", keys.join(", "));
    check_count(checks, "tagKeys", &words, keys.len(), REMOVED_TAGS_MAX);
    check_lengths(checks, "tagKeys", &words, "Member", TAG_KEY, keys.iter());
}

fn check_count(checks: &mut Checks, member: &str, words: &str, count: usize, count_max: usize) {
    if count == 0 {
        checks.length(member, &words, "greater", 1);
    }
    if count > count_max {
        checks.length(member, &words, "less", count_max);
    }
}

/// Checks the lengths of texts in a member, about which the service says one thing together.
fn check_lengths<'a>(
    checks: &mut Checks,
    member: &str,
    words: &str,
    which: &str,
    rule: Text,
    mut texts: impl Iterator<Item = &'a String>,
) {
    let bounds = rule.chars_min..=rule.chars_max;
    if texts.all(|text| bounds.contains(&text.chars().count())) {
        return;
    }
    let constraint = format!(
        "{which} must satisfy constraint: [Member must have length less than or equal to {}, \
         Member must have length greater than or equal to {}]",
        rule.chars_max, rule.chars_min
    );
    checks.broken(member, Some(&words), &constraint);
}

/// Refuses tags, or keys of tags, with characters that the service does not take: control characters such as
/// tab and newline are no white space to it, and it refuses the percent sign that its own words allow.
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
         Unicode letters, digits, white space, _ . / = + - % @.",
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
