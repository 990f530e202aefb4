//! A call whose body is written and whose answer is read here: all else is the SDK's.
//!
//! ```text
//!   body ─> SDK: headers, endpoint, signature, connection, time-outs ─> answer ─┬─ error ─> SDK
//!                                                                               └─ success ─> read
//! ```
//!
//! The SDK reads an answer member by member through its schema, makes a string of each, and builds its types, from
//! which ours are made: for the calls that carry records that is half of the CPU time of the whole path.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeSerializationInterceptorContextMut},
        runtime_components::RuntimeComponents,
    },
    http::{Request, Response},
};
use aws_smithy_schema::{
    Schema, ShapeId,
    protocol::{ClientProtocolInner, SharedClientProtocol},
    serde::{SerdeError, SerializableStruct, ShapeDeserializer},
    shape_id,
};
use aws_smithy_types::{
    body::SdkBody, config_bag::ConfigBag, endpoint::Endpoint, error::metadata::Builder,
};
use bytes::Bytes;

use crate::json::{Malformed, Scanner, Text};

/// What the SDK gets to see of an answer that was read here.
const NOTHING: &[u8] = b"{}";

/// Reads the body of a successful answer.
pub(super) type Read<A> = fn(&[u8]) -> Result<A, Malformed>;

/// The protocol that the bodies are written for.
const JSON: ShapeId<'static> = shape_id!("aws.protocols", "awsJson1_1");

/// One call, to be given to the SDK's operation as its interceptor.
pub(super) struct Direct<A> {
    /// `None`: the SDK's own.
    body: Option<Bytes>,
    read: Read<A>,
    answer: Arc<Mutex<Reached<A>>>,
}

/// Where the answer is once the call has succeeded.
pub(super) struct Answer<A>(Arc<Mutex<Reached<A>>>);

/// How far a call has come.
enum Reached<A> {
    /// The answer is not there, or was taken.
    Nothing,
    /// Nothing was sent: the SDK speaks another protocol.
    OtherProtocol,
    /// The answer was read.
    Answer(A),
}

impl<A> Direct<A> {
    /// A call with this body.
    pub(super) fn new(body: Option<Bytes>, read: Read<A>) -> (Self, Answer<A>) {
        let answer = Arc::new(Mutex::new(Reached::Nothing));
        let call = Self {
            body,
            read,
            answer: Arc::clone(&answer),
        };
        (call, Answer(answer))
    }
}

impl<A> Answer<A> {
    /// The answer; `None` if the SDK did not ask for it.
    pub(super) fn take(&self) -> Option<A> {
        match std::mem::replace(&mut *lock(&self.0), Reached::Nothing) {
            Reached::Answer(answer) => Some(answer),
            Reached::Nothing | Reached::OtherProtocol => None,
        }
    }

    /// Whether the call was given up before anything was sent, because the client speaks another protocol.
    pub(super) fn is_other_protocol(&self) -> bool {
        matches!(*lock(&self.0), Reached::OtherProtocol)
    }
}

fn lock<A>(reached: &Mutex<Reached<A>>) -> MutexGuard<'_, Reached<A>> {
    reached.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<A> Clone for Direct<A> {
    fn clone(&self) -> Self {
        Self {
            body: self.body.clone(),
            read: self.read,
            answer: Arc::clone(&self.answer),
        }
    }
}

/// Without the body: it has the user's records.
impl<A> fmt::Debug for Direct<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct").finish_non_exhaustive()
    }
}

impl<A: fmt::Debug + Send + 'static> Intercept for Direct<A> {
    fn name(&self) -> &'static str {
        "kinesis-pipeline"
    }

    fn modify_before_serialization(
        &self,
        _context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let sdk = config
            .load::<SharedClientProtocol>()
            .cloned()
            .ok_or("the client has no protocol")?;
        if *sdk.protocol_id() != JSON {
            *lock(&self.answer) = Reached::OtherProtocol;
            return Err(format!("the client speaks {}", sdk.protocol_id()).into());
        }
        let protocol = Protocol {
            sdk,
            call: self.clone(),
        };
        config
            .interceptor_state()
            .store_put(SharedClientProtocol::new(protocol));
        Ok(())
    }
}

/// The SDK's protocol except for the body of the request and that of a successful answer.
#[derive(Debug)]
struct Protocol<A> {
    sdk: SharedClientProtocol,
    call: Direct<A>,
}

impl<A: fmt::Debug + Send + 'static> ClientProtocolInner for Protocol<A> {
    type Request = Request;
    type Response = Response;

    fn protocol_id(&self) -> &ShapeId<'static> {
        self.sdk.protocol_id()
    }

    fn serialize_request(
        &self,
        input: &dyn SerializableStruct,
        input_schema: &Schema<'_>,
        endpoint: &str,
        config: &ConfigBag,
    ) -> Result<Request, SerdeError> {
        let mut request = self
            .sdk
            .serialize_request(input, input_schema, endpoint, config)?;
        if let Some(body) = &self.call.body {
            let length = body.len().to_string();
            request.headers_mut().insert("Content-Length", length);
            *request.body_mut() = SdkBody::from(body.clone());
        }
        Ok(request)
    }

    fn deserialize_response<'a>(
        &self,
        response: &'a Response,
        _output_schema: &Schema<'_>,
        _config: &'a ConfigBag,
    ) -> Result<Box<dyn ShapeDeserializer + 'a>, SerdeError> {
        let body = response.body().bytes().unwrap_or_default();
        let answer =
            (self.call.read)(body).map_err(|error| SerdeError::custom(error.to_string()))?;
        *lock(&self.call.answer) = Reached::Answer(answer);
        self.sdk
            .payload_codec()
            .map(|codec| codec.create_deserializer(NOTHING))
            .ok_or_else(|| SerdeError::custom("the client's protocol has no codec"))
    }

    fn parse_error_metadata(
        &self,
        response: &Response,
        config: &ConfigBag,
    ) -> Result<Builder, SerdeError> {
        self.sdk.parse_error_metadata(response, config)
    }

    fn deserialize_error_response<'a>(
        &self,
        response: &'a Response,
        config: &'a ConfigBag,
    ) -> Result<Box<dyn ShapeDeserializer + 'a>, SerdeError> {
        self.sdk.deserialize_error_response(response, config)
    }

    fn update_endpoint(
        &self,
        request: &mut Request,
        endpoint: &Endpoint,
        config: &ConfigBag,
    ) -> Result<(), SerdeError> {
        self.sdk.update_endpoint(request, endpoint, config)
    }
}

/// A text that may be left out or `null`, which leaves what was there.
pub(super) fn set_text<'a>(
    place: &mut Option<Text<'a>>,
    scanner: &mut Scanner<'a>,
) -> Result<(), Malformed> {
    if !scanner.null()? {
        *place = Some(scanner.string()?);
    }
    Ok(())
}
