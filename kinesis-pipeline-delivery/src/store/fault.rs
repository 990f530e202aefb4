use std::fmt;

use object_store::Error;

/// A kind of store failure that may pass, so that the call is retried.
///
/// Firehose treats them alike: it retries for 24 hours, also when the bucket is gone or the role lacks a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreFault {
    /// No answer in time, a throttled request, or an error of the store's own. It passes by itself.
    Unavailable,
    /// The credentials have expired, are not known, or could not be obtained. It passes when new ones come.
    Credentials,
    /// The store denies the request. It passes when the permission is granted, or when a change of permissions has
    /// reached all servers of the store.
    Denied,
    /// The bucket does not exist, or not yet.
    NoBucket,
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "it does not answer, or fails",
            Self::Credentials => "the credentials have expired or are not accepted",
            Self::Denied => "access is denied",
            Self::NoBucket => "there is no such bucket",
        })
    }
}

/// The kind of a call. It decides whether the answer "not found" is about the bucket, the upload or the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// Reads an object, or asks for its size.
    Read,
    /// Makes an object, or begins an upload.
    Write,
    /// Sends a part of an upload, or completes it.
    Part,
}

/// The codes of S3 for credentials that it does not accept (status 400 or 403). The store's client gives them as text.
const CREDENTIAL_CODES: &[&str] = &[
    "ExpiredToken",
    "TokenRefreshRequired",
    "InvalidToken",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "RequestTimeTooSkewed",
];
const NO_BUCKET: &str = "NoSuchBucket";

impl StoreFault {
    /// Returns the kind of a failure that may pass; `None` for an answer about the object, and for a failure that no
    /// retry changes.
    pub(super) fn of(error: &Error, call: Call) -> Option<Self> {
        match error {
            Error::AlreadyExists { .. }
            | Error::Precondition { .. }
            | Error::NotModified { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::InvalidPath { .. }
            | Error::UnknownConfigurationKey { .. } => None,
            Error::NotFound { .. } => match call {
                Call::Write => Some(Self::NoBucket),
                Call::Read | Call::Part => error
                    .to_string()
                    .contains(NO_BUCKET)
                    .then_some(Self::NoBucket),
            },
            Error::Unauthenticated { .. } => Some(Self::Credentials),
            _ if is_of_credentials(error) => Some(Self::Credentials),
            Error::PermissionDenied { .. } => Some(Self::Denied),
            _ => Some(Self::Unavailable),
        }
    }

    /// Whether a person must act before it passes.
    pub(super) fn is_denial(self) -> bool {
        matches!(self, Self::Denied | Self::NoBucket)
    }
}

fn is_of_credentials(error: &Error) -> bool {
    let text = error.to_string();
    CREDENTIAL_CODES.iter().any(|code| text.contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &'static str) -> Error {
        let source = text.into();
        Error::Generic {
            store: "S3",
            source,
        }
    }

    fn denied(text: &'static str) -> Error {
        let (path, source) = ("a".to_owned(), text.into());
        Error::PermissionDenied { path, source }
    }

    fn not_found(text: &'static str) -> Error {
        let (path, source) = ("a".to_owned(), text.into());
        Error::NotFound { path, source }
    }

    #[test]
    fn answers_about_an_object_are_none_and_all_else_may_pass() {
        let fault = StoreFault::of;
        let busy = "Server returned non-2xx status code: 503 Service Unavailable: SlowDown";
        assert_eq!(
            fault(&generic(busy), Call::Write),
            Some(StoreFault::Unavailable)
        );
        let expired = "Server returned non-2xx status code: 400 Bad Request: <Error><Code>ExpiredToken</Code>";
        assert_eq!(
            fault(&generic(expired), Call::Part),
            Some(StoreFault::Credentials)
        );
        let unknown = denied("<Code>InvalidAccessKeyId</Code>");
        assert_eq!(fault(&unknown, Call::Read), Some(StoreFault::Credentials));
        let denied = denied("<Code>AccessDenied</Code>");
        assert_eq!(fault(&denied, Call::Write), Some(StoreFault::Denied));
        let exists = Error::AlreadyExists {
            path: "a".to_owned(),
            source: "there".into(),
        };
        assert_eq!(fault(&exists, Call::Write), None);
    }

    #[test]
    fn not_found_is_about_the_bucket_of_a_write_the_upload_of_a_part_and_the_object_of_a_read() {
        let (plain, bucket) = (not_found("404"), not_found("<Code>NoSuchBucket</Code>"));
        let no_bucket = Some(StoreFault::NoBucket);
        for (call, of_plain) in [
            (Call::Write, no_bucket),
            (Call::Part, None),
            (Call::Read, None),
        ] {
            assert_eq!(StoreFault::of(&plain, call), of_plain);
            assert_eq!(StoreFault::of(&bucket, call), no_bucket);
        }
    }
}
