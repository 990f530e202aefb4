use std::{fmt, str::FromStr};

use crate::{service::StreamSummary, shard::ShardId};

const NAME_CHARS_MAX: usize = 128;

/// The name of a stream in a lease table of several streams: `account:stream:creationEpoch`, in KCL's form.
///
/// The creation epoch tells a stream from an earlier one of the same name.
///
/// ```
/// use kinesis_pipeline::{ShardId, StreamIdentifier};
///
/// let stream: StreamIdentifier = "123456789012:readings:1751328000".parse()?;
/// assert_eq!((stream.name(), stream.creation_epoch()), ("readings", 1_751_328_000));
///
/// let key = stream.lease_key(&"shardId-000000000003".into());
/// assert_eq!(key.as_str(), "123456789012:readings:1751328000:shardId-000000000003");
/// assert_eq!(StreamIdentifier::of_lease_key(&key), Some((stream, ShardId::from("shardId-000000000003"))));
/// # Ok::<(), kinesis_pipeline::InvalidStreamIdentifier>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamIdentifier {
    account: String,
    name: String,
    creation_epoch: u64,
}

/// The error for a text that is not a stream identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no stream identifier: write the account's digits, the stream's name and the creation time in seconds, \
     with colons between them"
)]
#[non_exhaustive]
pub struct InvalidStreamIdentifier {
    /// The text.
    pub text: String,
}

impl StreamIdentifier {
    /// Returns the identifier of a described stream.
    ///
    /// # Errors
    /// [`InvalidStreamIdentifier`] for an ARN without an account, as some emulators give.
    pub fn of_stream(summary: &StreamSummary) -> Result<Self, InvalidStreamIdentifier> {
        let created_at = crate::clock::epoch_millis(summary.created_at) / 1_000;
        let account = summary.arn.split(':').nth(4).unwrap_or_default();
        format!("{account}:{}:{created_at}", summary.name).parse()
    }

    /// The account's number.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The stream's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stream's creation time, in seconds since 1970.
    #[must_use]
    pub fn creation_epoch(&self) -> u64 {
        self.creation_epoch
    }

    /// Returns the key of a shard's row.
    #[must_use]
    pub fn lease_key(&self, shard_id: &ShardId) -> ShardId {
        format!("{self}:{shard_id}").into()
    }

    /// Returns the stream and the shard of a row. `None` for a row in a table of a single stream, where the key is the
    /// shard's id.
    #[must_use]
    pub fn of_lease_key(key: &ShardId) -> Option<(Self, ShardId)> {
        let (stream, shard_id) = key.as_str().rsplit_once(':')?;
        let stream = stream.parse().ok()?;
        (!shard_id.is_empty()).then(|| (stream, shard_id.into()))
    }
}

impl FromStr for StreamIdentifier {
    type Err = InvalidStreamIdentifier;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| InvalidStreamIdentifier {
            text: text.to_owned(),
        })
    }
}

fn parse(text: &str) -> Option<StreamIdentifier> {
    let mut parts = text.split(':');
    let (account, name, epoch) = (parts.next()?, parts.next()?, parts.next()?);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    // The text becomes a part of lease keys, so each number must have one form only.
    let is_canonical = epoch == "0" || !epoch.starts_with('0');
    let is_valid = parts.next().is_none()
        && is_number(account)
        && (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.bytes().all(is_name)
        && is_number(epoch)
        && is_canonical;
    is_valid.then_some(())?;
    Some(StreamIdentifier {
        account: account.to_owned(),
        name: name.to_owned(),
        creation_epoch: epoch.parse().ok()?,
    })
}

impl fmt::Display for StreamIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            account,
            name,
            creation_epoch,
        } = self;
        write!(f, "{account}:{name}:{creation_epoch}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_identifier_comes_back_as_it_was_written(
            text in "[0-9]{1,12}:[a-zA-Z0-9_.-]{1,128}:(0|[1-9][0-9]{0,17})",
            shard in "shardId-[0-9]{12}",
        ) {
            let stream: StreamIdentifier = text.parse().unwrap();
            prop_assert_eq!(stream.to_string(), text);
            let shard = ShardId::from(shard);
            let key = stream.lease_key(&shard);
            prop_assert_eq!(StreamIdentifier::of_lease_key(&key), Some((stream, shard)));
        }

        #[test]
        fn what_is_taken_for_an_identifier_is_printed_as_it_was(text in ".{0,3}:.{0,3}:[0-9+ ]{0,24}") {
            if let Ok(stream) = text.parse::<StreamIdentifier>() {
                prop_assert_eq!(stream.to_string(), text);
            }
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let long = format!("1:{}:1", "n".repeat(129));
        let texts = [
            "",
            "readings",
            "1:a",
            "1:a:1:shard",
            ":a:1",
            "x:a:1",
            "1::1",
            "1:a b:1",
            "1:a:",
            "1:a:01",
            "1:a:99999999999999999999",
            &long,
        ];
        for text in texts {
            let error = text.parse::<StreamIdentifier>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{text}` is no")));
        }
        for key in ["shardId-000000000000", "1:a:1:", "a:1:shardId-000000000000"] {
            assert_eq!(StreamIdentifier::of_lease_key(&key.into()), None, "{key}");
        }
    }
}
