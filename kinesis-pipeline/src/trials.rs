//! The number of seeds that tests with random inputs try.

/// Returns the number of seeds of a test: `few`, times `KINESIS_PIPELINE_SEEDS`.
pub(crate) fn seeds(few: u64) -> u64 {
    few * times()
}

/// Returns the settings of a property's test that tries `few` cases, times `KINESIS_PIPELINE_SEEDS`.
pub(crate) fn cases(few: u32) -> proptest::test_runner::Config {
    let times = u32::try_from(times()).expect("a small number");
    proptest::test_runner::Config::with_cases(few * times)
}

fn times() -> u64 {
    let times = std::env::var("KINESIS_PIPELINE_SEEDS").ok();
    times.map_or(1, |times| times.parse().expect("a number"))
}
