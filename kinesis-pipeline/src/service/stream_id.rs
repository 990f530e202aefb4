use std::{fmt, sync::Arc};

/// A stream's name, or its ARN for a stream of another account or region. Cheap to clone.
///
/// A text that starts with `arn:` is an ARN, anything else a name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// Returns the name or ARN, as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the ARN, if it is one.
    #[must_use]
    pub fn arn(&self) -> Option<&str> {
        self.0.starts_with("arn:").then_some(&*self.0)
    }

    /// Returns the stream's name; of an ARN, the part after `:stream/`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self.arn() {
            Some(arn) => arn.rsplit_once(":stream/").map_or(arn, |(_, name)| name),
            None => &self.0,
        }
    }

    /// Returns the name for a request's `StreamName`; `None` if the stream is given by its ARN.
    #[cfg_attr(
        not(any(feature = "aws", feature = "local")),
        allow(dead_code, reason = "only implementations of the seam write requests")
    )]
    pub(crate) fn name_parameter(&self) -> Option<String> {
        self.arn().is_none().then(|| self.0.to_string())
    }

    /// Returns the ARN for a request's `StreamARN`; `None` if the stream is given by its name.
    #[cfg_attr(
        not(any(feature = "aws", feature = "local")),
        allow(dead_code, reason = "only implementations of the seam write requests")
    )]
    pub(crate) fn arn_parameter(&self) -> Option<String> {
        self.arn().map(str::to_owned)
    }
}

impl From<&str> for StreamId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for StreamId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&String> for StreamId {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<&StreamId> for StreamId {
    fn from(id: &StreamId) -> Self {
        id.clone()
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_told_from_a_name() {
        let arn = StreamId::from("arn:aws:kinesis:us-east-1:000000000000:stream/orders");
        assert_eq!(arn.name(), "orders");
        assert!(arn.arn().is_some() && arn.name_parameter().is_none());
        assert_eq!(StreamId::from("orders").name(), "orders");
        assert!(StreamId::from("orders").arn().is_none());
    }
}
