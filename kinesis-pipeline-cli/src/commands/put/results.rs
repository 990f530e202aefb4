use futures_util::{Stream, StreamExt as _, TryFutureExt as _, future};
use kinesis_pipeline::{KinesisStream, Order, PutError, Receipt};

use super::line::Line;
use crate::failure::Told;

/// The most lines between the input and the results: as many records as a producer holds, so that the aggregates of all
/// shards fill. The producer bounds their bytes.
const LINES_AHEAD_MAX: usize = 100_000;

/// Puts each line as a record of its own, in any order. The results are in the order of the lines.
pub(super) fn unordered(
    stream: &KinesisStream<Line>,
    lines: impl Stream<Item = Line>,
) -> impl Stream<Item = Result<Receipt, PutError>> {
    let results = stream.put_stream(Box::pin(lines));
    results.map(|result| result.map_err(|failed| failed.error))
}

/// Puts the lines in aggregates. The results are in the order of the lines.
pub(super) fn aggregated(
    stream: &KinesisStream<Line>,
    order: Order,
    lines: impl Stream<Item = Line>,
) -> Result<impl Stream<Item = Result<Receipt, PutError>>, Told> {
    let producer = stream.producer().aggregate(true).order(order).build();
    let producer = producer.map_err(|error| Told(error.to_string()))?;
    // Lines are accepted one after the other, so that they keep their order.
    let accepted = lines.then(move |line| {
        let producer = producer.clone();
        async move { producer.put(&line).await }
    });
    let results = accepted.map(|accepted| future::ready(accepted).and_then(|pending| pending));
    Ok(results.buffered(LINES_AHEAD_MAX))
}
