//! The body of a subscription's answer: one frame per event.

use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::sync::watch;

use crate::local::{
    api_error::ApiError,
    operations::subscribe_to_shard::{Event, Subscription},
    protocol::{Format, event_stream},
};

type Frames = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, std::convert::Infallible>> + Send>>;

/// Frames until the subscription ends or the server stops.
pub(super) type EventBody = StreamBody<Frames>;

/// Returns a body that opens with an `initial-response` frame, without which some clients refuse the stream.
pub(super) fn body(
    format: Format,
    subscription: Subscription,
    mut stopping: watch::Receiver<bool>,
) -> EventBody {
    let first = stream::iter([initial_response(format)]);
    let rest = subscription.map(move |event| match event {
        Ok(event) => event_frame(format, &event),
        Err(error) => exception_frame(format, &error),
    });
    let stopped = async move {
        // An error means that the server is gone, which is a stop too.
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    let frames = first.chain(rest).take_until(Box::pin(stopped));
    StreamBody::new(Box::pin(frames.map(|frame| Ok(Frame::data(frame)))))
}

fn initial_response(format: Format) -> Bytes {
    let payload = match format {
        Format::Json => b"{}".to_vec(),
        Format::AwsCbor | Format::RpcCbor => vec![0xA0],
    };
    event_stream::event_frame("initial-response", format.content_type(), &payload)
}

fn event_frame(format: Format, event: &Event) -> Bytes {
    match format.write(event) {
        Ok(payload) => {
            event_stream::event_frame("SubscribeToShardEvent", format.content_type(), &payload)
        }
        Err(error) => exception_frame(format, &error),
    }
}

fn exception_frame(format: Format, error: &ApiError) -> Bytes {
    let payload = format.write_error(error);
    event_stream::exception_frame(error.code, format.content_type(), &payload)
}
