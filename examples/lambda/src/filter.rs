//! The transform's function. It does not depend on Lambda, and runs unchanged in a test.

use std::collections::BTreeMap;

use kinesis_pipeline::firehose::Verdict;

/// The states whose records are dropped: all of the US except New York, and the capital's district.
const OTHER_STATES: [&str; 50] = [
    "AK", "AL", "AR", "AZ", "CA", "CO", "CT", "DC", "DE", "FL", "GA", "HI", "IA", "ID", "IL", "IN",
    "KS", "KY", "LA", "MA", "MD", "ME", "MI", "MN", "MO", "MS", "MT", "NC", "ND", "NE", "NH", "NJ",
    "NM", "NV", "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VA", "VT", "WA", "WI",
    "WV", "WY",
];

/// Decides on an entry `{uuid: state}`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a transform gives the record away"
)]
pub(crate) fn filter(entry: String) -> Result<Verdict<String>, serde_json::Error> {
    let states: BTreeMap<String, String> = serde_json::from_str(&entry)?;
    Ok(match states.values().next().map(String::as_str) {
        Some("NY") => Verdict::Keep(format!("New York State found !! for entry: {entry}")),
        Some(state) if OTHER_STATES.contains(&state) => Verdict::Drop,
        _ => Verdict::Fail("not a state of the US"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict_of(state: &str) -> Verdict<String> {
        filter(format!(r#"{{"u": "{state}"}}"#)).unwrap()
    }

    #[test]
    fn new_york_is_kept_other_states_dropped_and_the_rest_failed() {
        let kept = r#"New York State found !! for entry: {"u": "NY"}"#;
        assert_eq!(verdict_of("NY"), Verdict::Keep(kept.into()));
        for state in OTHER_STATES {
            assert_eq!(verdict_of(state), Verdict::Drop);
        }
        for region in ["IDF", "PACA", ""] {
            assert!(matches!(verdict_of(region), Verdict::Fail(_)));
        }
        assert!(filter("no JSON".into()).is_err());
    }
}
