use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

use serde_saphyr::Spanned;

use super::{ConfigError, ConfigProblem, NamedStream};

/// The allowed keys of a stream.
pub(super) const KEYS: [&str; 5] = ["name", "partition_key", "region", "endpoint_url", "profile"];

/// The largest edit distance at which an unknown key counts as misspelt.
const TYPING_ERRORS_MAX: usize = 2;

/// The keys and values of a stream. Values are read as texts, also words that YAML gives another meaning: `y` can be a
/// stream's name.
type Entry = BTreeMap<String, Spanned<Option<String>>>;

/// Returns the text of a file of at most `bytes_max` bytes.
pub(super) fn file(path: &Path, bytes_max: u64) -> Result<String, ConfigError> {
    let refused = |found| ConfigError::new(ConfigProblem::NotConfiguration { found });
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes))
        .map_err(|source| ConfigError::new(ConfigProblem::Unreadable { source }))?;
    if bytes.len() as u64 > bytes_max {
        return Err(refused("it is larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8 text"))
}

/// Returns the streams of a YAML text.
pub(super) fn text(text: &str) -> Result<BTreeMap<String, NamedStream>, ConfigError> {
    let entries: Option<BTreeMap<String, Spanned<Option<Entry>>>> =
        serde_saphyr::from_str(text).map_err(|error| malformed(&error))?;
    entries
        .unwrap_or_default()
        .into_iter()
        .map(|(stream, entry)| {
            let line = entry.referenced.line();
            let named = named(&stream, entry.value.unwrap_or_default(), line)?;
            Ok((stream, named))
        })
        .collect()
}

fn malformed(error: &serde_saphyr::Error) -> ConfigError {
    let line = error.location().map_or(0, |location| location.line());
    let message = error.without_snippet().to_string();
    // The parser may add a picture of the place below its message. Only the first line is kept.
    let message = message.lines().next().unwrap_or_default().to_owned();
    ConfigError::new(ConfigProblem::Malformed { message }).at_line(line)
}

fn named(stream: &str, entry: Entry, line: u64) -> Result<NamedStream, ConfigError> {
    let mut texts = BTreeMap::new();
    for (key, value) in entry {
        let text = text_of(stream, &key, value.value)
            .map_err(|error| error.at_line(value.referenced.line()))?;
        texts.insert(key, text);
    }
    let mut take = |key| texts.remove(key).flatten();
    let missing = ConfigProblem::MissingKey {
        stream: stream.to_owned(),
        key: "name",
    };
    Ok(NamedStream {
        name: take("name").ok_or_else(|| ConfigError::new(missing).at_line(line))?,
        partition_key: take("partition_key"),
        region: take("region"),
        endpoint_url: take("endpoint_url"),
        profile: take("profile"),
    })
}

/// Returns the text of a known key. An empty text counts as absent.
fn text_of(stream: &str, key: &str, value: Option<String>) -> Result<Option<String>, ConfigError> {
    if KEYS.contains(&key) {
        return Ok(value.filter(|text| !text.is_empty()));
    }
    Err(ConfigError::new(ConfigProblem::UnknownKey {
        stream: stream.to_owned(),
        key: key.to_owned(),
        meant: meant(key),
    }))
}

fn meant(key: &str) -> Option<&'static str> {
    let key = key.to_lowercase().replace('-', "_");
    KEYS.into_iter()
        .map(|known| (typing_errors(&key, known), known))
        .filter(|(errors, _)| *errors <= TYPING_ERRORS_MAX)
        .min()
        .map(|(_, known)| known)
}

/// Returns the edit distance of two texts, in characters. It estimates typing errors.
fn typing_errors(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn problem_of(yaml: &str) -> (Option<u64>, String) {
        let error = text(yaml).unwrap_err();
        assert!(!error.to_string().contains('\n'), "{error}");
        (error.line, error.problem.to_string())
    }

    #[test]
    fn tritons_file_is_read() {
        let streams = text(
            "my_stream:\n  name: my_stream_v2\n  partition_key: value\n  region: us-west-1\nother: {name: o, profile: dev}\n",
        )
        .unwrap();
        let mine = &streams["my_stream"];
        assert_eq!(mine.name, "my_stream_v2");
        assert_eq!(mine.partition_key.as_deref(), Some("value"));
        assert_eq!(mine.region.as_deref(), Some("us-west-1"));
        assert_eq!(streams["other"].profile.as_deref(), Some("dev"));
        assert_eq!(streams["other"].partition_key, None);
    }

    #[test]
    fn a_file_without_streams_has_none() {
        for yaml in ["", "{}", "# nothing\n", "---\n"] {
            assert!(text(yaml).unwrap().is_empty(), "{yaml:?}");
        }
    }

    #[test]
    fn mistakes_name_line_stream_and_key() {
        let (line, problem) = problem_of("a: {name: x}\nmy_stream:\n  region: us-west-1\n");
        assert!(line.is_some_and(|line| line == 2 || line == 3), "{line:?}");
        assert_eq!(problem, "stream `my_stream` has no `name`: add `name: ...`");

        let (line, problem) = problem_of("s:\n  name: x\n  partition-key: value\n");
        assert_eq!(line, Some(3));
        let text = "stream `s` has an unknown key `partition-key`: did you mean `partition_key`?";
        assert_eq!(problem, text);

        let (_, problem) = problem_of("s: {name: x, colour: red}");
        assert!(
            problem.ends_with("the keys are name, partition_key, region, endpoint_url, profile")
        );
    }

    #[test]
    fn a_bare_word_is_a_text_whatever_yaml_takes_it_for() {
        for name in ["2024", "y", "1.5", "true", "0x10"] {
            let streams = text(&format!("s: {{name: {name}}}")).unwrap();
            assert_eq!(streams["s"].name, name);
        }
    }

    #[test]
    fn what_is_no_map_of_streams_names_the_line() {
        for (yaml, at) in [
            ("- a\n", 1),
            ("s: text\n", 1),
            ("s:\n  name: [x\n", 0),
            ("s:\n  name: [x]\n", 2),
            ("s: {name: a}\ns: {name: b}\n", 2),
        ] {
            let (line, problem) = problem_of(yaml);
            assert!(
                problem.starts_with("not a YAML map of streams: "),
                "{problem}"
            );
            assert!(at == 0 || line == Some(at), "{yaml:?} {line:?} {problem}");
        }
    }

    #[test]
    fn an_empty_value_is_as_good_as_none() {
        let streams = text("s:\n  name: x\n  region:\n  profile: ''\n").unwrap();
        assert_eq!(streams["s"], NamedStream::new("x"));
    }

    proptest! {
        #[test]
        fn no_text_panics(yaml in any::<String>()) {
            let _ = text(&yaml);
        }

        #[test]
        fn typing_errors_are_symmetric_and_zero_only_for_equals(a in "[a-c]{0,6}", b in "[a-c]{0,6}") {
            prop_assert_eq!(typing_errors(&a, &b), typing_errors(&b, &a));
            prop_assert_eq!(typing_errors(&a, &b) == 0, a == b);
        }
    }
}
