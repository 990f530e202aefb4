/// The directions of a record type: put, read, or both. A type with one direction needs no code for the other.
///
/// Derived types set it by `#[kinesis(put_only)]` or `#[kinesis(get_only)]`, types with an implementation by hand by
/// [`KinesisRecord::DIRECTION`](crate::KinesisRecord::DIRECTION). A program that uses a type in the wrong direction does
/// not build:
///
/// ```compile_fail
/// # use kinesis_pipeline::{KinesisRecord, KinesisStream};
/// # use serde::Serialize;
/// #[derive(Serialize, KinesisRecord)]
/// #[kinesis(put_only)]
/// struct Visit {
///     page: String,
/// }
///
/// # async fn journey(stream: KinesisStream<Visit>) -> Result<(), Box<dyn std::error::Error>> {
/// let mut records = stream.iter_from_all().await?;
/// let first = records.next().await; // only put
/// # Ok(())
/// # }
/// # fn built(stream: KinesisStream<Visit>) -> Box<dyn Future<Output = Result<(), Box<dyn std::error::Error>>>> {
/// #     Box::new(journey(stream))
/// # }
/// # fn main() { std::hint::black_box(built as fn(_) -> _); }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Direction {
    /// Records are put and read.
    Both,
    /// Records are only put: `decode` returns an error.
    PutOnly,
    /// Records are only read: `encode` returns an error.
    GetOnly,
}

impl Direction {
    /// Fails the build of a program that puts records of a type that is only read.
    pub(crate) const fn assert_put(self) {
        assert!(
            !matches!(self, Self::GetOnly),
            "records of this type are only read (`get_only`): they cannot be put. Remove `get_only` and derive `Serialize`"
        );
    }

    /// Fails the build of a program that reads records of a type that is only put.
    pub(crate) const fn assert_get(self) {
        assert!(
            !matches!(self, Self::PutOnly),
            "records of this type are only put (`put_only`): they cannot be read. Remove `put_only` and derive `Deserialize`"
        );
    }
}
