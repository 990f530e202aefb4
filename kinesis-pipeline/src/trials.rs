//! How long tests with random inputs search.

/// Returns how many seeds a test tries: `few`, or as many times more as `KINESIS_PIPELINE_SEEDS` says.
pub(crate) fn seeds(few: u64) -> u64 {
    let times = std::env::var("KINESIS_PIPELINE_SEEDS").ok();
    few * times.map_or(1, |times| times.parse().expect("a number"))
}
