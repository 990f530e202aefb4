use std::{fmt::Write as _, ops::RangeInclusive};

use jiff::Zoned;

use super::PrefixError;

/// A pattern of Java's `DateTimeFormatter`, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TimePattern {
    fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Text(String),
    /// A letter of the pattern and how often it stands there.
    Letter(char, usize),
}

/// The supported letters: those that Java formats for a time with a zone, in its English form.
const LETTERS: &str = "yuMLdDHkKhmsSaEQqnAxXzVZ";

impl TimePattern {
    pub(super) fn parse(pattern: &str) -> Result<Self, PrefixError> {
        let mut fields = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(first) = chars.next() {
            let field = match first {
                '\'' => Field::Text(quoted(&mut chars).ok_or_else(|| PrefixError::OpenQuote {
                    pattern: pattern.to_owned(),
                })?),
                letter if letter.is_ascii_alphabetic() => {
                    let mut count = 1;
                    while chars.next_if_eq(&letter).is_some() {
                        count += 1;
                    }
                    if !LETTERS.contains(letter) {
                        return Err(PrefixError::TimeLetter { letter });
                    }
                    let counts = counts_of(letter);
                    if !counts.contains(&count) {
                        return Err(PrefixError::TimeCount {
                            letters: letter.to_string().repeat(count.min(20)),
                            counts: format!("{} to {}", counts.start(), counts.end()),
                        });
                    }
                    Field::Letter(letter, count)
                }
                other => Field::Text(other.into()),
            };
            fields.push(field);
        }
        Ok(Self { fields })
    }

    pub(super) fn render(&self, time: &Zoned, out: &mut String) {
        for field in &self.fields {
            match field {
                Field::Text(text) => out.push_str(text),
                Field::Letter(letter, count) => write_field(*letter, *count, time, out),
            }
        }
    }
}

/// Returns the supported counts of a letter: those of Java that are rendered here as Java does in English.
fn counts_of(letter: char) -> RangeInclusive<usize> {
    match letter {
        'a' => 1..=1,
        'd' | 'H' | 'h' | 'K' | 'k' | 'm' | 's' | 'Q' | 'q' => 1..=2,
        'D' | 'X' | 'x' | 'Z' | 'z' => 1..=3,
        'M' | 'L' | 'E' => 1..=5,
        'S' => 1..=9,
        'V' => 2..=2,
        _ => 1..=19,
    }
}

/// Returns the text up to the closing quote. Two quotes stand for one, and so does an empty text.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let mut text = String::new();
    loop {
        match chars.next()? {
            '\'' if chars.next_if_eq(&'\'').is_some() => text.push('\''),
            '\'' if text.is_empty() => return Some("'".to_owned()),
            '\'' => return Some(text),
            other => text.push(other),
        }
    }
}

fn write_field(letter: char, count: usize, time: &Zoned, out: &mut String) {
    let number = match letter {
        'y' | 'u' if count == 2 => i64::from(time.year()).rem_euclid(100),
        'y' | 'u' => i64::from(time.year()),
        'M' | 'L' if count > 2 => return push_name(&time.strftime("%B").to_string(), count, out),
        'M' | 'L' => time.month().into(),
        'd' => time.day().into(),
        'D' => time.day_of_year().into(),
        'H' => time.hour().into(),
        'k' => (i64::from(time.hour()) + 23) % 24 + 1,
        'K' => i64::from(time.hour()) % 12,
        'h' => (i64::from(time.hour()) + 11) % 12 + 1,
        'm' => time.minute().into(),
        's' => time.second().into(),
        'n' => time.subsec_nanosecond().into(),
        'A' => millis_of_day(time),
        'Q' | 'q' => (i64::from(time.month()) - 1) / 3 + 1,
        'S' => {
            let digits = format!("{:09}", time.subsec_nanosecond());
            return out.extend(digits.chars().take(count));
        }
        'a' => return out.push_str(if time.hour() < 12 { "AM" } else { "PM" }),
        'E' => return push_name(&time.strftime("%A").to_string(), count, out),
        'z' => return out.push_str(&time.strftime("%Z").to_string()),
        'V' => return out.push_str(time.time_zone().iana_name().unwrap_or("Z")),
        _ => return push_offset(letter, count, time, out),
    };
    let _ = write!(out, "{number:0count$}");
}

fn millis_of_day(time: &Zoned) -> i64 {
    let seconds =
        (i64::from(time.hour()) * 60 + i64::from(time.minute())) * 60 + i64::from(time.second());
    seconds * 1_000 + i64::from(time.millisecond())
}

/// Appends a name: up to three letters stand for the short form, such as `Jan`, four for the whole name, five for its
/// first letter.
fn push_name(name: &str, count: usize, out: &mut String) {
    let chars = match count {
        4 => name.len(),
        5 => 1,
        _ => 3,
    };
    out.extend(name.chars().take(chars));
}

/// Appends a UTC offset: `X` writes `Z` for UTC, `x` and `Z` write digits; `XXX`, `xxx` and longer put a colon between.
fn push_offset(letter: char, count: usize, time: &Zoned, out: &mut String) {
    let seconds = time.offset().seconds();
    if letter == 'X' && seconds == 0 {
        return out.push('Z');
    }
    let (sign, seconds) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let _ = match (letter, count) {
        ('x' | 'X', 1) if minutes == 0 => write!(out, "{sign}{hours:02}"),
        ('x' | 'X', 3..) => write!(out, "{sign}{hours:02}:{minutes:02}"),
        _ => write!(out, "{sign}{hours:02}{minutes:02}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(pattern: &str) -> String {
        let time: Zoned = "2026-03-09T15:04:05.006-05:00[America/Chicago]"
            .parse()
            .unwrap();
        let mut out = String::new();
        TimePattern::parse(pattern).unwrap().render(&time, &mut out);
        out
    }

    #[test]
    fn javas_patterns_are_rendered_as_java_does() {
        for (pattern, text) in [
            ("yyyy/MM/dd/HH", "2026/03/09/15"),
            ("yyyy'-'MM'-'dd", "2026-03-09"),
            ("yy''M d H", "26'3 9 15"),
            ("'year='yyyy''''", "year=2026'"),
            ("h a E EEEE MMM MMMM", "3 PM Mon Monday Mar March"),
            ("D DDD Q", "68 068 1"),
            ("mm:ss.SSS", "04:05.006"),
            ("SSSSSSSSS", "006000000"),
            ("MMMMM EEEEE", "M M"),
            (
                "x xx xxx X Z z VV",
                "-05 -0500 -05:00 -05 -0500 CDT America/Chicago",
            ),
            ("k K A", "15 3 54245006"),
        ] {
            assert_eq!(render(pattern), text, "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_rendered_is_refused() {
        let letter = TimePattern::parse("yyyy-ww");
        assert!(matches!(
            letter,
            Err(PrefixError::TimeLetter { letter: 'w' })
        ));
        for pattern in [
            "ddd",
            "aa",
            "V",
            "zzzz",
            "ZZZZ",
            "QQQ",
            "SSSSSSSSSS",
            "MMMMMM",
        ] {
            let count = TimePattern::parse(pattern);
            assert!(
                matches!(count, Err(PrefixError::TimeCount { .. })),
                "{pattern}"
            );
        }
        let open = TimePattern::parse("yyyy'x");
        assert!(matches!(open, Err(PrefixError::OpenQuote { .. })));
    }
}
