//! The stream that a request names.

use serde::Deserialize;

use super::validate::{Checks, NAME, STREAM_ARN, stream_name_of_arn};

/// The members that name a stream: its name, its ARN, or both. Flattened into requests.
///
/// The third one of the API, `StreamId`, is reserved: it is taken and ignored like any member that is not known.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StreamRef {
    pub(super) stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    pub(super) stream_arn: Option<String>,
}

impl StreamRef {
    /// Returns the member `StreamName`.
    pub(super) fn name(&self) -> Option<&str> {
        self.stream_name.as_deref()
    }

    /// Returns the member `StreamARN`.
    pub(super) fn arn(&self) -> Option<&str> {
        self.stream_arn.as_deref()
    }

    /// Returns the stream's name, from whichever member has it.
    pub(super) fn any_name(&self) -> Option<&str> {
        self.name()
            .or_else(|| self.arn().and_then(stream_name_of_arn))
    }

    /// Begins the checks of a request with those of these members.
    pub(super) fn checks(&self) -> Checks {
        let mut checks = Checks::new();
        checks.text("streamName", self.name(), NAME);
        checks.text("streamARN", self.arn(), STREAM_ARN);
        checks
    }

    /// Whether neither member is there.
    pub(super) fn is_empty(&self) -> bool {
        self.stream_name.is_none() && self.stream_arn.is_none()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stream_is_named_by_its_name_or_by_its_arn() {
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
        for (members, name) in [
            (json!({"StreamName": "orders"}), Some("orders")),
            (json!({"StreamARN": arn}), Some("orders")),
            (json!({"StreamId": "x"}), None),
        ] {
            let stream: StreamRef = serde_json::from_value(members).unwrap();
            assert_eq!(stream.any_name(), name);
            assert_eq!(stream.is_empty(), name.is_none());
        }
    }
}
