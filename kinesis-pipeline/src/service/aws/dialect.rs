//! In which form the calls that carry records are made, and what is known of their endpoint.
//!
//! The service takes them in CBOR, which the SDK for Java has sent since 2016: there is no base64, so that a quarter
//! fewer bytes are signed, copied and sent. Not every server that stands in for the service knows it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::service::ErrorClass;

/// The wire format of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// By the SDK, out of its types.
    Typed,
    /// Here, as `application/x-amz-json-1.1`.
    Json,
    /// Here, as `application/x-amz-cbor-1.1`.
    Cbor,
}

impl Form {
    /// The media type of a request.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Typed | Self::Json => "application/x-amz-json-1.1",
            Self::Cbor => "application/x-amz-cbor-1.1",
        }
    }
}

/// The form of the next call. It begins with CBOR and may become JSON once, for good.
#[derive(Debug)]
pub(super) struct Dialect {
    /// Records need not go through the SDK's types: nobody looks at them there, and the client's protocol is the
    /// service's JSON as far as is known.
    is_direct: AtomicBool,
    is_cbor: AtomicBool,
    /// The endpoint has answered in CBOR: whatever it refuses later, it is not the form.
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

    /// The same without CBOR.
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

    /// It was found that the SDK's own protocol is another one.
    pub(super) fn is_other_protocol(&self) {
        self.is_direct.store(false, Ordering::Relaxed);
    }

    /// The endpoint answered in CBOR.
    pub(super) fn answered_in_cbor(&self) {
        self.knows_cbor.store(true, Ordering::Relaxed);
    }

    /// A call in CBOR failed, and the answer was not in CBOR. Whether it was refused for its form, so that the same
    /// call is to be made in JSON: only where the answer says that nothing was done.
    ///
    /// Servers also break over what they do not know. Such an answer counts as it is, and the next call is in JSON.
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

/// Whether the answer may mean that the body was not understood. It then stored nothing.
fn is_refusal(status: u16, code: Option<&str>) -> bool {
    // Whoever may call, how often, and how much does not depend on the form.
    let is_of_the_form = match code.map(ErrorClass::of_code) {
        Some(class) => matches!(class, ErrorClass::Invalid | ErrorClass::Other),
        None => !matches!(status, 401 | 403 | 407 | 408 | 413 | 429),
    };
    (400..500).contains(&status) && is_of_the_form
}

/// Whether the environment forbids CBOR, as the SDKs for Java have it: `AWS_CBOR_DISABLE` of the first,
/// `CBOR_ENABLED` of the second.
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
