use jiff::Zoned;

use super::{name::ObjectId, timestamp::TimePattern};

/// A prefix that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrefixError {
    /// An expression is not closed.
    #[error("the expression `{expression}` has no `}}`")]
    Open {
        /// The expression, from its `!{`.
        expression: String,
    },
    /// An expression that Firehose does not have.
    #[error(
        "unknown expression `!{{{expression}}}`: there are timestamp, firehose:random-string, firehose:error-output-type, partitionKeyFromLambda and partitionKeyFromQuery"
    )]
    Unknown {
        /// The text between the braces.
        expression: String,
    },
    /// A letter of a timestamp that is not supported. `Y` for example is the week-based year, which differs from the
    /// calendar year around New Year and depends on the country.
    #[error("the letter `{letter}` of a timestamp is not supported{}: quote text, as in yyyy'T'HH", instead_of(*letter))]
    TimeLetter {
        /// The letter.
        letter: char,
    },
    /// A letter of a timestamp that is repeated more or less often than is supported.
    #[error("`{letters}` of a timestamp is not supported: write its letter {counts} times")]
    TimeCount {
        /// The letters.
        letters: String,
        /// The supported counts.
        counts: String,
    },
    /// A quote in a timestamp that is not closed.
    #[error("the quote in `{pattern}` is not closed")]
    OpenQuote {
        /// The pattern.
        pattern: String,
    },
    /// The error type in the prefix of delivered records, or a partition key in the prefix of failed ones.
    #[error("`!{{{expression}}}` cannot stand in {place}")]
    Misplaced {
        /// The text between the braces.
        expression: &'static str,
        /// The prefix.
        place: &'static str,
    },
    /// The rendered prefix is no path: it is too long, or has a `//`, `.` or `..`.
    #[error("`{prefix}` is no prefix of keys: {problem}")]
    NoPath {
        /// The prefix with sample values.
        prefix: String,
        /// The problem.
        problem: String,
    },
}

fn instead_of(letter: char) -> &'static str {
    match letter {
        'Y' => " (the year of the week), write `y`",
        _ => "",
    }
}

/// The source of a partition key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Source {
    /// The transform: Firehose's Lambda function.
    Transform,
    /// The jq query.
    Query,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Time(TimePattern),
    Random,
    ErrorType,
    /// The value of the partition key at this index of `Template::keys`.
    Value(usize),
}

/// A parsed prefix with its expressions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
    /// The partition keys that it needs of a record, in their order.
    keys: Vec<(Source, String)>,
}

/// The values that replace expressions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) time: &'a Zoned,
    /// The values of the keys, escaped.
    pub(crate) values: &'a [Box<str>],
    pub(crate) error_type: &'a str,
    pub(crate) id: &'a ObjectId,
}

const OPEN: &str = "!{";
const RANDOM_CHARS: usize = 11;

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, PrefixError> {
        let mut template = Self {
            parts: Vec::new(),
            keys: Vec::new(),
        };
        let mut rest = text;
        while let Some(at) = rest.find(OPEN) {
            template.push_text(&rest[..at]);
            let inside = &rest[at + OPEN.len()..];
            let end = inside.find('}').ok_or_else(|| PrefixError::Open {
                expression: rest[at..].to_owned(),
            })?;
            template.push_expression(&inside[..end])?;
            rest = &inside[end + 1..];
        }
        template.push_text(rest);
        Ok(template)
    }

    fn push_text(&mut self, text: &str) {
        if !text.is_empty() {
            self.parts.push(Part::Text(text.to_owned()));
        }
    }

    fn push_expression(&mut self, expression: &str) -> Result<(), PrefixError> {
        let unknown = || PrefixError::Unknown {
            expression: expression.to_owned(),
        };
        let (namespace, value) = expression.split_once(':').ok_or_else(unknown)?;
        let part = match (namespace, value) {
            ("timestamp", pattern) => Part::Time(TimePattern::parse(pattern)?),
            ("firehose", "random-string") => Part::Random,
            ("firehose", "error-output-type") => Part::ErrorType,
            ("partitionKeyFromLambda", name) => self.value(Source::Transform, name),
            ("partitionKeyFromQuery", name) => self.value(Source::Query, name),
            _ => return Err(unknown()),
        };
        self.parts.push(part);
        Ok(())
    }

    fn value(&mut self, source: Source, name: &str) -> Part {
        let key = (source, name.to_owned());
        let known = self.keys.iter().position(|other| *other == key);
        Part::Value(known.unwrap_or_else(|| {
            self.keys.push(key);
            self.keys.len() - 1
        }))
    }

    /// Appends the folders `yyyy/MM/dd/HH/` if the template has no timestamp, as Firehose does.
    pub(crate) fn with_hour(mut self) -> Self {
        if !self.parts.iter().any(|part| matches!(part, Part::Time(_))) {
            let hour = TimePattern::parse("yyyy/MM/dd/HH/").expect("its letters are known");
            self.parts.push(Part::Time(hour));
        }
        self
    }

    /// Returns the partition keys that it needs of a record.
    pub(crate) fn keys(&self) -> &[(Source, String)] {
        &self.keys
    }

    pub(crate) fn has_error_type(&self) -> bool {
        self.parts.contains(&Part::ErrorType)
    }

    /// Returns the text before the first expression.
    pub(crate) fn leading_text(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    pub(crate) fn render(&self, facts: Facts<'_>, out: &mut String) {
        let mut randoms = 0;
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Time(pattern) => pattern.render(facts.time, out),
                Part::ErrorType => out.push_str(facts.error_type),
                Part::Value(index) => out.push_str(&facts.values[*index]),
                Part::Random => {
                    out.push_str(&facts.id.text(&format!("random {randoms}"), RANDOM_CHARS));
                    randoms += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kinesis_pipeline::Position;

    use super::*;

    fn render(text: &str, values: &[&str]) -> String {
        render_at("2026-03-09T15:04:05Z[UTC]", text, values)
    }

    fn render_at(time: &str, text: &str, values: &[&str]) -> String {
        let template = Template::parse(text).unwrap().with_hour();
        let position = Position::new("shardId-000000000000".into(), 7_u128.into());
        let id = ObjectId::new("readings", "", &position);
        let values: Vec<Box<str>> = values.iter().map(|&value| value.into()).collect();
        let time: Zoned = time.parse().unwrap();
        let mut out = String::new();
        let facts = Facts {
            time: &time,
            values: &values,
            error_type: "processing-failed",
            id: &id,
        };
        template.render(facts, &mut out);
        out
    }

    #[test]
    fn expressions_are_replaced_and_a_prefix_without_time_gets_the_hour() {
        for (prefix, values, text) in [
            ("", &[][..], "2026/03/09/15/"),
            ("firehose/", &[], "firehose/2026/03/09/15/"),
            ("a-!{timestamp:yyyy'/'DDD}-b/", &[], "a-2026/068-b/"),
            (
                "!{firehose:error-output-type}/!{timestamp:HH}/",
                &[],
                "processing-failed/15/",
            ),
            (
                "s=!{partitionKeyFromLambda:s}/!{partitionKeyFromQuery:s}/!{partitionKeyFromLambda:s}/!{timestamp:yyyy}/",
                &["NY", "7"],
                "s=NY/7/NY/2026/",
            ),
        ] {
            assert_eq!(render(prefix, values), text, "{prefix}");
        }
    }

    /// The examples of the Firehose developer guide, at its time.
    #[test]
    fn prefixes_of_the_developer_guide_are_evaluated_as_it_says() {
        let time = "2018-08-27T10:30:00Z[UTC]";
        let year = "year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/";
        for (prefix, text) in [
            ("!{timestamp:yyyy/MM/dd/HH/}", "2018/08/27/10/"),
            (
                "myFirehoseFailures/!{firehose:error-output-type}/!{timestamp:yyyy}/anyMonth/!{timestamp:dd}",
                "myFirehoseFailures/processing-failed/2018/anyMonth/27",
            ),
            (year, "year=2018/month=08/day=27/hour=10/"),
            (
                "myPrefix/result=!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd}",
                "myPrefix/result=processing-failed/2018/08/27",
            ),
        ] {
            assert_eq!(render_at(time, prefix, &[]), text, "{prefix}");
        }
        let random = render_at(
            time,
            "DeliveredYear=!{timestamp:yyyy}/rand=!{firehose:random-string}",
            &[],
        );
        let (_, random) = random.split_once("DeliveredYear=2018/rand=").unwrap();
        assert_eq!(random.len(), 11);
        let week = Template::parse("!{timestamp:YYYY}")
            .unwrap_err()
            .to_string();
        assert!(week.contains("write `y`"), "{week}");
    }

    #[test]
    fn random_strings_differ_within_a_key_and_are_the_same_in_the_next_run() {
        let text = render(
            "!{firehose:random-string}/!{firehose:random-string}/!{timestamp:yyyy}/",
            &[],
        );
        let parts: Vec<_> = text.split('/').collect();
        assert_eq!(parts[0].len(), RANDOM_CHARS);
        assert_ne!(parts[0], parts[1]);
        assert_eq!(
            text,
            render(
                "!{firehose:random-string}/!{firehose:random-string}/!{timestamp:yyyy}/",
                &[]
            )
        );
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in ["!{timestamp}", "!{firehose:uuid}", "!{when:yyyy}", "!{}"] {
            assert!(
                matches!(Template::parse(text), Err(PrefixError::Unknown { .. })),
                "{text}"
            );
        }
        let open = Template::parse("a/!{timestamp:yyyy");
        assert!(matches!(open, Err(PrefixError::Open { .. })));
    }
}
