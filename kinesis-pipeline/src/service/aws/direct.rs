//! A call whose body is written and whose answer is read here, while the SDK does all else.
//!
//! ```text
//!   body ─> SDK: headers, endpoint, signature, connection, time-outs ─> answer ─┬─ error ─> SDK
//!                                                                               └─ success ─> read
//! ```
//!
//! Most puts repeat a call that the SDK composed, see [`prepared`](super::prepared).
//!
//! Requests are in the form that the endpoint is expected to know, see [`dialect`](super::dialect). Answers are read in
//! either form: the first byte tells a JSON object from a CBOR map. An error in CBOR is rewritten in JSON, which the SDK
//! reads. A page of records in CBOR is read while it comes, see [`incoming`].
//!
//! The reason is speed. The SDK reads an answer member by member through its schema, makes a string of each, and builds
//! its types, from which ours would be made: half of the CPU time of the whole path for calls that carry records.

mod failure;
mod incoming;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{
            Intercept,
            context::{
                BeforeDeserializationInterceptorContextMut,
                BeforeSerializationInterceptorContextMut, BeforeTransmitInterceptorContextRef,
            },
        },
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
    body::SdkBody,
    config_bag::ConfigBag,
    endpoint::Endpoint,
    error::metadata::{Builder, ErrorMetadata},
};
use bytes::Bytes;

pub(super) use self::failure::Failure;
use self::incoming::Incoming;
use super::{
    dialect::{Dialect, Form},
    prepared::Recorder,
};
use crate::{cbor, json::Malformed};

/// The answer that the SDK gets in place of the one that was read here.
const NOTHING: &[u8] = b"{}";

/// Reads the body of a successful answer.
pub(super) struct Read<A> {
    pub(super) json: fn(&[u8]) -> Result<A, Malformed>,
    pub(super) cbor: ReadCbor<A>,
}

/// Reads a body in CBOR.
pub(super) enum ReadCbor<A> {
    /// Reads it when all of it has come.
    Whole(fn(&[u8]) -> Result<A, Malformed>),
    /// Makes a reader that reads it part by part, as the connection delivers it.
    Parts(BeginParts<A>),
}

impl<A> Read<A> {
    /// Reads the body of a successful answer that has come as a whole.
    pub(super) fn whole(&self, dialect: &Dialect, body: &[u8]) -> Result<A, Malformed> {
        match self.cbor {
            ReadCbor::Whole(read) if cbor::is_cbor(body) => {
                let answer = read(body)?;
                dialect.answered_in_cbor();
                Ok(answer)
            }
            _ => (self.json)(body),
        }
    }
}

/// Makes the reader of a body of this many bytes; 0 if the size is not known.
type BeginParts<A> = fn(usize) -> Box<dyn ReadParts<A>>;

/// A reader of a body that comes in parts.
pub(super) trait ReadParts<A>: Send {
    /// Reads the next part.
    fn push(&mut self, part: &[u8]);

    /// Returns the answer, after the last part.
    fn end(self: Box<Self>) -> Result<A, Malformed>;
}

/// The protocol that the bodies are written for.
const JSON: ShapeId<'static> = shape_id!("aws.protocols", "awsJson1_1");

/// One call, as an interceptor of the SDK's operation.
pub(super) struct Direct<A: 'static> {
    form: Form,
    /// The body; `None`: the SDK writes it.
    body: Option<Bytes>,
    read: &'static Read<A>,
    dialect: Arc<Dialect>,
    incoming: Incoming<A>,
    reached: Arc<Mutex<Reached<A>>>,
    recorder: Option<Recorder>,
}

/// The slot for the answer of a call.
pub(super) struct Answer<A>(Arc<Mutex<Reached<A>>>);

/// The progress of a call.
pub(super) enum Reached<A> {
    /// No answer yet.
    Nothing,
    /// Nothing was sent: the SDK speaks another protocol.
    OtherProtocol,
    /// Nothing was done: the endpoint does not know the form.
    Refused,
    /// The answer was read.
    Answer(A),
}

impl<A> Direct<A> {
    /// Makes a call with this body.
    pub(super) fn new(
        dialect: &Arc<Dialect>,
        (form, body): (Form, Option<Bytes>),
        read: &'static Read<A>,
    ) -> (Self, Answer<A>) {
        let reached = Arc::new(Mutex::new(Reached::Nothing));
        let call = Self {
            form,
            body,
            read,
            dialect: Arc::clone(dialect),
            incoming: Incoming::default(),
            reached: Arc::clone(&reached),
            recorder: None,
        };
        (call, Answer(reached))
    }

    /// Records the request, if there is a recorder.
    pub(super) fn recorded_by(mut self, recorder: Option<Recorder>) -> Self {
        self.recorder = recorder;
        self
    }

    fn reach(&self, reached: Reached<A>) {
        *lock(&self.reached) = reached;
    }

    /// Returns the answer: of the parts that were read as they came, or else of `body`.
    fn read(&self, body: &[u8]) -> Result<A, Malformed> {
        let Some(parts) = self.incoming.take() else {
            return self.read.whole(&self.dialect, body);
        };
        let answer = parts.end()?;
        self.dialect.answered_in_cbor();
        Ok(answer)
    }
}

impl<A> Answer<A> {
    /// Returns the progress of the SDK's call.
    pub(super) fn reached(self) -> Reached<A> {
        std::mem::replace(&mut *lock(&self.0), Reached::Nothing)
    }
}

impl<A> Reached<A> {
    /// Whether the call was not carried out and there is another form to make it in.
    pub(super) fn has_another_way(&self) -> bool {
        matches!(self, Self::OtherProtocol | Self::Refused)
    }
}

fn lock<A>(reached: &Mutex<Reached<A>>) -> MutexGuard<'_, Reached<A>> {
    reached.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<A> Clone for Direct<A> {
    fn clone(&self) -> Self {
        Self {
            form: self.form,
            body: self.body.clone(),
            read: self.read,
            dialect: Arc::clone(&self.dialect),
            incoming: self.incoming.clone(),
            reached: Arc::clone(&self.reached),
            recorder: self.recorder.clone(),
        }
    }
}

/// Formats nothing of the body, which has the user's records.
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
            self.reach(Reached::OtherProtocol);
            return Err(format!("the client speaks {}", sdk.protocol_id()).into());
        }
        if let Some(recorder) = &self.recorder {
            recorder.note_protocol(&sdk);
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

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(recorder) = &self.recorder {
            recorder.record(context.request(), components, config);
        }
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        if let ReadCbor::Parts(begin) = self.read.cbor
            && response.status().is_success()
        {
            let body = std::mem::replace(response.body_mut(), SdkBody::taken());
            *response.body_mut() = self.incoming.parts_of(body, begin);
        }
        Ok(())
    }
}

/// The SDK's protocol except for the body of the request and that of a successful answer.
#[derive(Debug)]
struct Protocol<A: 'static> {
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
            let headers = request.headers_mut();
            headers.insert("Content-Type", self.call.form.content_type());
            headers.insert("Content-Length", length);
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
        let answer = self.call.read(body);
        let answer = answer.map_err(|error| SerdeError::custom(error.to_string()))?;
        self.call.reach(Reached::Answer(answer));
        self.nothing()
    }

    fn parse_error_metadata(
        &self,
        response: &Response,
        config: &ConfigBag,
    ) -> Result<Builder, SerdeError> {
        let how = (&*self.call.dialect, self.call.form);
        let failure = Failure::read(&self.sdk, how, response, config);
        if failure.is_refused {
            self.call.reach(Reached::Refused);
        }
        failure.metadata.map(ErrorMetadata::into_builder)
    }

    fn deserialize_error_response<'a>(
        &self,
        response: &'a Response,
        config: &'a ConfigBag,
    ) -> Result<Box<dyn ShapeDeserializer + 'a>, SerdeError> {
        let body = response.body().bytes().unwrap_or_default();
        if cbor::is_cbor(body) {
            // The code and message were read before, and an error has nothing else.
            return self.nothing();
        }
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

impl<A> Protocol<A> {
    /// Reads nothing.
    fn nothing<'a>(&self) -> Result<Box<dyn ShapeDeserializer + 'a>, SerdeError> {
        self.sdk
            .payload_codec()
            .map(|codec| codec.create_deserializer(NOTHING))
            .ok_or_else(|| SerdeError::custom("the client's protocol has no codec"))
    }
}
