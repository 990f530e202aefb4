//! The number of seeds that tests with random inputs try.

/// Returns the number of seeds of a test: `few`, times `KINESIS_PIPELINE_SEEDS`.
pub(crate) fn seeds(few: u64) -> u64 {
    let times = std::env::var("KINESIS_PIPELINE_SEEDS").ok();
    few * times.map_or(1, |times| times.parse().expect("a number"))
}
