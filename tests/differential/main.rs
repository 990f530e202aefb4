//! A comparison of the embedded Kinesis with servers that others wrote: the same calls, through the official SDK, must
//! have the same answers. Known faults of the others are listed by name beside the calls.

mod call;
mod puts;
mod reshard;
mod world;

use call::Call;
use world::World;

/// Makes the calls on both sides. Panics with the seed if an answer differs.
async fn compare(
    ours: &mut World,
    theirs: &mut World,
    seed: u64,
    calls: impl Iterator<Item = Call>,
) {
    for (index, call) in calls.enumerate() {
        let (our_answer, their_answer) = tokio::join!(ours.answer(&call), theirs.answer(&call));
        assert_eq!(
            our_answer, their_answer,
            "seed {seed}, call {index}: {call:?}"
        );
    }
}

/// Compares the outcomes of all cases, except for the known faults of the other server.
fn compare_cases(
    ours: Vec<(&'static str, String)>,
    theirs: Vec<(&'static str, String)>,
    known_faults: &[(&str, &str)],
) {
    for (case, _) in known_faults {
        assert!(
            ours.iter().any(|(name, _)| name == case),
            "no case is named {case}"
        );
    }
    let mut differences = Vec::new();
    for ((case, our_answer), (_, their_answer)) in ours.into_iter().zip(theirs) {
        let known = known_faults.iter().find(|(name, _)| *name == case);
        let expected = known.map_or(&*our_answer, |(_, fault)| fault);
        if their_answer != expected {
            differences.push(format!(
                "{case}: ours {our_answer}, theirs {their_answer}, known {known:?}"
            ));
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}
