//! The wire format of the calls that carry records: CBOR or JSON, by what is known of their endpoint.
//!
//! The service takes CBOR, which the SDK for Java sends. Without base64, a quarter fewer bytes are signed, copied and
//! sent. Not every server that imitates the service knows it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::service::ErrorClass;

/// The wire format of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Written by the SDK from its types.
    Typed,
    /// Written here, as `application/x-amz-json-1.1`.
    Json,
    /// Written here, as `application/x-amz-cbor-1.1`.
    Cbor,
}

impl Form {
    /// Returns the media type of a request.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Typed | Self::Json => "application/x-amz-json-1.1",
            Self::Cbor => "application/x-amz-cbor-1.1",
        }
    }
}

/// The form of the next call. It begins as CBOR and may become JSON once, for good.
///
/// Calls on several threads read and change it without a lock (relaxed): each flag changes once, and a call that reads an
/// old value is at most refused once more, or leads to JSON where CBOR would do.
#[derive(Debug)]
pub(super) struct Dialect {
    /// Whether records may bypass the SDK's types: no interceptor reads them there, and the client's protocol is the
    /// service's JSON as far as is known.
    is_direct: AtomicBool,
    is_cbor: AtomicBool,
    /// Whether the endpoint has answered in CBOR. A refusal that comes later is not about the form.
    knows_cbor: AtomicBool,
}

impl Dialect {
    pub(super) fn new(is_direct: bool, is_cbor: bool) -> Self {
        Self {
            is_direct: is_direct.into(),
            is_cbor: is_cbor.into(),
            knows_cbor: false.into(),
        }
    }

    /// Returns a dialect for the same client that never uses CBOR.
    pub(super) fn without_cbor(&self) -> Self {
        Self::new(self.is_direct.load(Ordering::Relaxed), false)
    }

    pub(super) fn form(&self) -> Form {
        if !self.is_direct.load(Ordering::Relaxed) {
            Form::Typed
        } else if self.is_cbor.load(Ordering::Relaxed) {
            Form::Cbor
        } else {
            Form::Json
        }
    }

    /// Notes that the SDK's own protocol is another one than the service's JSON.
    pub(super) fn is_other_protocol(&self) {
        self.is_direct.store(false, Ordering::Relaxed);
    }

    /// Notes an answer in CBOR.
    pub(super) fn answered_in_cbor(&self) {
        self.knows_cbor.store(true, Ordering::Relaxed);
    }

    /// Notes a call in CBOR whose failure was not answered in CBOR. Returns whether the call was refused for its form, so
    /// that it is made again in JSON: only if the answer says that nothing was done.
    ///
    /// Some servers break over a form that they do not know. Such an answer counts as it is, and the next call is in JSON.
    pub(super) fn failed_otherwise(&self, status: u16, code: Option<&str>) -> bool {
        if self.knows_cbor.load(Ordering::Relaxed) {
            return false;
        }
        let is_refused = is_refusal(status, code);
        if is_refused || status >= 500 {
            self.is_cbor.store(false, Ordering::Relaxed);
        }
        is_refused
    }
}

/// Whether the answer may mean that the body was not understood. Then nothing was stored.
fn is_refusal(status: u16, code: Option<&str>) -> bool {
    // Permissions and limits do not depend on the form.
    let is_of_the_form = match code.map(ErrorClass::of_code) {
        Some(class) => matches!(class, ErrorClass::Invalid | ErrorClass::Other),
        None => !matches!(status, 401 | 403 | 407 | 408 | 413 | 429),
    };
    (400..500).contains(&status) && is_of_the_form
}

/// Whether the environment forbids CBOR, by the variables of the SDKs for Java: `AWS_CBOR_DISABLE` of version 1,
/// `CBOR_ENABLED` of version 2.
pub(super) fn is_cbor_disabled(variable: impl Fn(&str) -> Option<String>) -> bool {
    let is_false = |value: &str| value.eq_ignore_ascii_case("false");
    variable("AWS_CBOR_DISABLE").is_some_and(|value| !is_false(&value))
        || variable("CBOR_ENABLED").is_some_and(|value| is_false(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_that_may_be_of_the_form_is_one() {
        for (status, code, refused) in [
            (400, None, true),
            (404, None, true),
            (415, None, true),
            (400, Some("SerializationException"), true),
            (404, Some("UnknownOperationException"), true),
            (400, Some("InvalidArgumentException"), true),
            (400, Some("ResourceNotFoundException"), false),
            (400, Some("ProvisionedThroughputExceededException"), false),
            (400, Some("AccessDeniedException"), false),
            (401, None, false),
            (403, None, false),
            (413, None, false),
            (429, None, false),
        ] {
            let dialect = Dialect::new(true, true);
            assert_eq!(
                dialect.failed_otherwise(status, code),
                refused,
                "{status} {code:?}"
            );
            let form = if refused { Form::Json } else { Form::Cbor };
            assert_eq!(dialect.form(), form, "{status} {code:?}");
        }
    }

    #[test]
    fn a_server_that_breaks_is_not_asked_again_but_the_next_call_is_in_json() {
        let dialect = Dialect::new(true, true);
        assert!(!dialect.failed_otherwise(500, None));
        assert_eq!(dialect.form(), Form::Json);
    }

    #[test]
    fn who_has_answered_in_cbor_knows_it() {
        let dialect = Dialect::new(true, true);
        dialect.answered_in_cbor();
        for status in [400, 404, 503] {
            assert!(!dialect.failed_otherwise(status, None));
        }
        assert_eq!(dialect.form(), Form::Cbor);
    }

    #[test]
    fn the_environment_may_forbid_cbor_in_two_ways() {
        let disabled = |set: &[(&str, &str)]| {
            is_cbor_disabled(|name| {
                let found = set.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(!disabled(&[]));
        assert!(disabled(&[("AWS_CBOR_DISABLE", "1")]));
        assert!(disabled(&[("AWS_CBOR_DISABLE", "true")]));
        assert!(!disabled(&[("AWS_CBOR_DISABLE", "False")]));
        assert!(disabled(&[("CBOR_ENABLED", "false")]));
        assert!(!disabled(&[("CBOR_ENABLED", "true")]));
    }
}
