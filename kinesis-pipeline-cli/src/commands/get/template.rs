//! Templates, by which the user defines the line of each record.

use std::{
    io::{self, Write},
    str::FromStr,
};

use kinesis_pipeline::{EncodedRecord, Record};

use crate::data;

/// The parsed text of `-f`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Time,
    PartitionKey,
    HashKey,
    Shard,
    SequenceNumber,
    SubSequenceNumber,
    Data,
    DataBytes,
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            let part = match char {
                '\\' => {
                    literal.push(escape(chars.next())?);
                    continue;
                }
                '%' => directive(chars.next())?,
                _ => {
                    literal.push(char);
                    continue;
                }
            };
            let Some(part) = part else {
                literal.push('%');
                continue;
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(part);
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }
}

fn escape(char: Option<char>) -> Result<char, String> {
    match char {
        Some('n') => Ok('\n'),
        Some('t') => Ok('\t'),
        Some('0') => Ok('\0'),
        Some('\\') => Ok('\\'),
        Some(other) => Err(format!("`\\{other}` is not \\n, \\t, \\0 or \\\\")),
        None => Err("it ends with a single \\".to_owned()),
    }
}

/// Parses the letter of a directive. `None` is the percent sign itself.
fn directive(char: Option<char>) -> Result<Option<Part>, String> {
    Ok(Some(match char {
        Some('%') => return Ok(None),
        Some('t') => Part::Time,
        Some('k') => Part::PartitionKey,
        Some('h') => Part::HashKey,
        Some('i') => Part::Shard,
        Some('s') => Part::SequenceNumber,
        Some('u') => Part::SubSequenceNumber,
        Some('d') => Part::Data,
        Some('b') => Part::DataBytes,
        Some(other) => {
            let known = "%t, %k, %h, %i, %s, %u, %d, %b or %%";
            return Err(format!("`%{other}` is not {known}"));
        }
        None => return Err("it ends with a single %".to_owned()),
    }))
}

impl Template {
    /// Writes a record with this data.
    pub(super) fn write(
        &self,
        out: &mut impl Write,
        record: &Record<EncodedRecord>,
        data: &[u8],
    ) -> io::Result<()> {
        let position = record.position();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.write_all(text.as_bytes())?,
                Part::Time => write!(out, "{}", data::rfc3339(record.arrived_at))?,
                Part::PartitionKey => out.write_all(record.partition_key.as_bytes())?,
                Part::HashKey => {
                    if let Some(key) = record.explicit_hash_key {
                        write!(out, "{key}")?;
                    }
                }
                Part::Shard => write!(out, "{}", position.shard_id)?,
                Part::SequenceNumber => write!(out, "{}", position.sequence_number)?,
                Part::SubSequenceNumber => write!(out, "{}", position.sub_sequence_number)?,
                Part::Data => out.write_all(data)?,
                Part::DataBytes => write!(out, "{}", data.len())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use kinesis_pipeline::{PartitionKey, Position};

    use super::*;

    fn written(template: &str) -> String {
        let key = PartitionKey::new("k").unwrap();
        let position = Position::new("shardId-000000000001".into(), "4955".parse().unwrap());
        let encoded = EncodedRecord::new(key.clone(), "hi".into());
        let position = position.at_sub_sequence_number(3);
        let mut record = Record::new(encoded, key, position, SystemTime::UNIX_EPOCH);
        record.explicit_hash_key = Some(kinesis_pipeline::HashKey::new(7));
        let mut out = Vec::new();
        let template: Template = template.parse().unwrap();
        template.write(&mut out, &record, b"hi").unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn directives_are_what_is_known_of_a_record() {
        assert_eq!(
            written("%t %k %s %d\\n"),
            "1970-01-01T00:00:00Z k 4955 hi\n"
        );
        assert_eq!(written("%i\\t%u\\0%h%b"), "shardId-000000000001\t3\u{0}72");
        assert_eq!(written("100%% \\\\ é"), "100% \\ é");
        assert_eq!(written(""), "");
    }

    #[test]
    fn what_is_unknown_is_refused() {
        for wrong in ["%x", "%", "a\\", "\\q"] {
            assert!(wrong.parse::<Template>().is_err(), "{wrong}");
        }
    }
}
