//! The constraints of the service's model on members, and its messages about broken ones.

use std::fmt::{Display, Write as _};

use super::api_error::ApiError;

/// The service reports at most this many broken constraints of one request.
const ERRORS_MAX: usize = 10;

/// A constraint on the text of a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    pub(super) chars_min: usize,
    pub(super) chars_max: usize,
    pub(super) pattern: Option<Pattern>,
}

/// A regular expression of the model, and the same as code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pattern {
    pub(super) words: &'static str,
    pub(super) matches: fn(&str) -> bool,
}

/// The names of streams, shards and consumers.
pub(super) const NAME: Text = Text {
    chars_min: 1,
    chars_max: 128,
    pattern: Some(Pattern {
        words: "[a-zA-Z0-9_.-]+",
        matches: is_name,
    }),
};
pub(super) const STREAM_ARN: Text = Text {
    chars_min: 1,
    chars_max: 2048,
    pattern: Some(Pattern {
        words: "arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+",
        matches: is_stream_arn,
    }),
};
pub(super) const CONSUMER_ARN: Text = Text {
    chars_min: 1,
    chars_max: 2048,
    pattern: Some(Pattern {
        words: "^(arn):aws.*:kinesis:.*:\\d{12}:.*stream\\/[a-zA-Z0-9_.-]+\\/consumer\\/[a-zA-Z0-9_.-]+:[0-9]+",
        matches: |text| consumer_of_arn(text).is_some(),
    }),
};
pub(super) const RESOURCE_ARN: Text = Text {
    chars_min: 1,
    chars_max: 2048,
    pattern: Some(Pattern {
        words: "arn:aws.*:kinesis:.*:\\d{12}:.*(stream|channel|queue)/\\S+",
        matches: |text| {
            let kinds = ["stream/", "channel/", "queue/"];
            kinds.iter().any(|kind| is_arn_of(text, kind))
        },
    }),
};
pub(super) const KEY_ID: Text = Text {
    chars_min: 1,
    chars_max: 2048,
    pattern: None,
};
pub(super) const TAG_KEY: Text = Text {
    chars_min: 1,
    chars_max: 128,
    pattern: None,
};
pub(super) const TAG_VALUE: Text = Text {
    chars_min: 0,
    chars_max: 256,
    pattern: None,
};
pub(super) const PARTITION_KEY: Text = Text {
    chars_min: 1,
    chars_max: 256,
    pattern: None,
};
pub(super) const HASH_KEY: Text = Text {
    chars_min: 0,
    chars_max: usize::MAX,
    pattern: Some(Pattern {
        words: "0|([1-9]\\d{0,38})",
        matches: |text| is_decimal(text, 39),
    }),
};
pub(super) const SEQUENCE_NUMBER: Text = Text {
    chars_min: 0,
    chars_max: usize::MAX,
    pattern: Some(Pattern {
        words: "0|([1-9]\\d{0,128})",
        matches: |text| is_decimal(text, 129),
    }),
};
pub(super) const SHARD_ITERATOR: Text = Text {
    chars_min: 1,
    chars_max: 512,
    pattern: None,
};
pub(super) const NEXT_TOKEN: Text = Text {
    chars_min: 1,
    chars_max: 1_048_576,
    pattern: None,
};

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn is_stream_arn(text: &str) -> bool {
    is_arn_of(text, "stream/")
}

/// Whether the text is the ARN of a resource of this kind.
fn is_arn_of(text: &str, kind: &str) -> bool {
    Arn::parse(text).is_some_and(|arn| {
        arn.resource
            .strip_prefix(kind)
            .is_some_and(|name| !name.is_empty() && !name.contains(char::is_whitespace))
    })
}

/// Returns the ARN of a consumer's stream, and the consumer's name.
pub(super) fn consumer_of_arn(text: &str) -> Option<(&str, &str)> {
    let (stream_arn, consumer) = text.split_once("/consumer/")?;
    let (name, created) = consumer.rsplit_once(':')?;
    let number = !created.is_empty() && created.bytes().all(|byte| byte.is_ascii_digit());
    (is_stream_arn(stream_arn) && is_name(name) && number).then_some((stream_arn, name))
}

/// Returns the name of the stream that an ARN names: its own, or that of a consumer.
pub(super) fn stream_name_of_arn(text: &str) -> Option<&str> {
    let resource = Arn::parse(text)?.resource.strip_prefix("stream/")?;
    Some(resource.split('/').next().unwrap_or(resource))
}

fn is_decimal(text: &str, digits_max: usize) -> bool {
    text == "0"
        || (1..=digits_max).contains(&text.len())
            && !text.starts_with('0')
            && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The parts of a Kinesis ARN that tell resources apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arn<'a> {
    pub(super) region: &'a str,
    pub(super) account_id: &'a str,
    /// The part after the account: `stream/orders`.
    pub(super) resource: &'a str,
}

impl<'a> Arn<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let arn_of_aws = parts.next() == Some("arn") && parts.next()?.starts_with("aws");
        let of_kinesis = parts.next() == Some("kinesis");
        let (region, account_id, resource) = (parts.next()?, parts.next()?, parts.next()?);
        let account =
            account_id.len() == 12 && account_id.bytes().all(|byte| byte.is_ascii_digit());
        (arn_of_aws && of_kinesis && account).then_some(Self {
            region,
            account_id,
            resource,
        })
    }
}

/// Collects the constraints that a request breaks.
#[derive(Debug, Default)]
pub(super) struct Checks {
    errors: Vec<String>,
}

impl Checks {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Reports a broken constraint of a member in the service's words.
    pub(super) fn broken(&mut self, member: &str, value: Option<&dyn Display>, constraint: &str) {
        if self.errors.len() >= ERRORS_MAX {
            return;
        }
        let value = value.map_or_else(|| "null".to_owned(), |value| format!("'{value}'"));
        self.errors.push(format!(
            "Value {value} at '{member}' failed to satisfy constraint: {constraint}"
        ));
    }

    /// Checks that a member is there; without it, the type's default stands in until [`finish`](Self::finish).
    pub(super) fn required<T: Default>(&mut self, member: &str, value: Option<T>) -> T {
        if value.is_none() {
            self.broken(member, None, "Member must not be null");
        }
        value.unwrap_or_default()
    }

    /// Checks a text that must be there.
    pub(super) fn required_text<'a>(
        &mut self,
        member: &str,
        value: Option<&'a str>,
        rule: Text,
    ) -> &'a str {
        self.text(member, value, rule);
        self.required(member, value)
    }

    /// Checks a text if it is there.
    pub(super) fn text(&mut self, member: &str, value: Option<&str>, rule: Text) {
        let Some(text) = value else {
            return;
        };
        let chars = text.chars().count();
        if let Some(pattern) = rule.pattern
            && !(pattern.matches)(text)
        {
            let words = pattern.words;
            let constraint = format!("Member must satisfy regular expression pattern: {words}");
            self.broken(member, Some(&text), &constraint);
        }
        if chars < rule.chars_min {
            self.length(member, &text, "greater", rule.chars_min);
        }
        if chars > rule.chars_max {
            self.length(member, &text, "less", rule.chars_max);
        }
    }

    /// Reports a length that breaks a bound.
    pub(super) fn length(&mut self, member: &str, value: &dyn Display, side: &str, bound: usize) {
        let constraint = format!("Member must have length {side} than or equal to {bound}");
        self.broken(member, Some(value), &constraint);
    }

    /// Checks a number if it is there.
    pub(super) fn number(&mut self, member: &str, value: Option<i64>, min: i64, max: i64) {
        let Some(number) = value else {
            return;
        };
        if number < min {
            let constraint = format!("Member must have value greater than or equal to {min}");
            self.broken(member, Some(&number), &constraint);
        }
        if number > max {
            let constraint = format!("Member must have value less than or equal to {max}");
            self.broken(member, Some(&number), &constraint);
        }
    }

    /// Checks a member that has one of a few values, if it is there.
    pub(super) fn one_of(&mut self, member: &str, value: Option<&str>, values: &[&str]) {
        if let Some(text) = value
            && !values.contains(&text)
        {
            let set = values.join(", ");
            let constraint = format!("Member must satisfy enum value set: [{set}]");
            self.broken(member, Some(&text), &constraint);
        }
    }

    /// Returns the service's answer if any constraint is broken.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        if self.errors.is_empty() {
            return Ok(());
        }
        let count = self.errors.len();
        let plural = if count == 1 { "" } else { "s" };
        let mut message = format!("{count} validation error{plural} detected: ");
        for (index, error) in self.errors.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(message, "{separator}{error}").expect("writing to a String cannot fail");
        }
        Err(ApiError::validation(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_constraints_are_reported_together_in_the_services_words() {
        let mut checks = Checks::new();
        checks.text("streamName", Some("no spaces"), NAME);
        checks.required_text("shardId", None, NAME);
        checks.number("limit", Some(0), 1, 10_000);
        let error = checks.finish().unwrap_err();
        assert_eq!(error.code, "ValidationException");
        assert_eq!(
            error.message,
            "3 validation errors detected: Value 'no spaces' at 'streamName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; \
             Value null at 'shardId' failed to satisfy constraint: Member must not be null; \
             Value '0' at 'limit' failed to satisfy constraint: \
             Member must have value greater than or equal to 1"
        );
    }

    #[test]
    fn names_have_up_to_128_characters() {
        for (name, fine) in [("a.b_c-D9", true), ("", false), (&*"a".repeat(129), false)] {
            let mut checks = Checks::new();
            checks.text("streamName", Some(name), NAME);
            assert_eq!(checks.finish().is_ok(), fine, "{name}");
        }
    }

    #[test]
    fn stream_arns_are_told_from_other_texts() {
        assert!(is_stream_arn(
            "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
        ));
        for text in [
            "arn:aws:kinesis:us-east-1:0:stream/orders",
            "arn:aws:kinesis:us-east-1:000000000000:stream/",
            "arn:aws:sqs:us-east-1:000000000000:stream/orders",
            "orders",
        ] {
            assert!(!is_stream_arn(text), "{text}");
        }
    }
}
