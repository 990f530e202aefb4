//! The choice of the faults that strike a call: a pure function of the rules, the call, and the seed.

use bytestring::ByteString;

use super::{
    Plan,
    fault::{Effect, Fault},
};
use crate::local::api_error::ApiError;

/// The waiting faults in the order in which they were added, and the source of random numbers.
#[derive(Debug)]
pub(super) struct Rules {
    faults: Vec<Fault>,
    random: fastrand::Rng,
}

/// A call as the rules see it.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) operation: &'a str,
    /// The shards that the call is about, each once.
    pub(super) shards: &'a [ByteString],
    /// The number of entries of a put.
    pub(super) entries: usize,
}

impl Rules {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            faults: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.faults.len()
    }

    pub(super) fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.faults.clear();
    }

    /// Decides which faults strike the call. Delays add up; of the refusals, the first one counts.
    pub(super) fn decide(&mut self, call: &Call<'_>) -> Plan {
        let Self { faults, random } = self;
        let mut plan = Plan::default();
        for fault in faults.iter_mut().filter(|fault| fault.fits_call(call)) {
            if fault.each_entry {
                strike_entries(fault, call, random, &mut plan);
            } else if fault.strikes(random) {
                apply(fault, call, &mut plan);
            }
        }
        faults.retain(|fault| fault.times != Some(0));
        plan
    }

    /// Whether the next event of a subscription to this shard is held back.
    pub(super) fn half_opens(&mut self, shard_id: &ByteString) -> bool {
        let Self { faults, random } = self;
        let shard = |fault: &Fault| {
            let named = fault.shard.as_ref();
            named.is_none_or(|named| named.as_str() == &**shard_id)
        };
        let strikes = faults
            .iter_mut()
            .filter(|fault| fault.effect == Effect::HalfOpen && shard(fault))
            .any(|fault| fault.strikes(random));
        faults.retain(|fault| fault.times != Some(0));
        strikes
    }
}

impl Fault {
    fn fits_call(&self, call: &Call<'_>) -> bool {
        let operation = self.operation.as_deref();
        let shard = self.shard.as_ref();
        self.effect != Effect::HalfOpen
            && operation.is_none_or(|operation| operation == call.operation)
            && shard.is_none_or(|shard| call.shards.iter().any(|id| *id == *shard.as_str()))
    }

    /// Counts one fitting call. Returns whether it is struck.
    fn strikes(&mut self, random: &mut fastrand::Rng) -> bool {
        if self.passing > 0 {
            self.passing -= 1;
            return false;
        }
        if self.times == Some(0) || random.f64() >= self.probability {
            return false;
        }
        self.times = self.times.map(|times| times - 1);
        true
    }
}

fn strike_entries(fault: &mut Fault, call: &Call<'_>, random: &mut fastrand::Rng, plan: &mut Plan) {
    for entry in 0..call.entries {
        if let Some(error) = fault
            .error(call.operation)
            .filter(|_| fault.strikes(random))
        {
            plan.refusals.entries.push((entry, of_entry(error)));
        }
    }
}

fn apply(fault: &Fault, call: &Call<'_>, plan: &mut Plan) {
    match (fault.effect, fault.error(call.operation)) {
        (Effect::Delay(delay), _) => plan.delay += delay,
        (Effect::LoseResponse, _) => plan.lost = true,
        (_, Some(error)) => match &fault.shard {
            Some(shard) if call.operation == "PutRecords" => {
                let shard = ByteString::from(shard.as_str());
                plan.refusals.shards.push((shard, of_entry(error)));
            }
            _ => _ = plan.refused.get_or_insert(error),
        },
        (_, None) => {}
    }
}

/// Converts a call's error to an entry's: the code for a fault of the service differs.
fn of_entry(error: ApiError) -> ApiError {
    match error.code {
        "InternalFailureException" => ApiError {
            code: "InternalFailure",
            ..error
        },
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn call<'a>(operation: &'a str, shards: &'a [ByteString]) -> Call<'a> {
        Call {
            operation,
            shards,
            entries: 3,
        }
    }

    fn rules(faults: impl IntoIterator<Item = Fault>) -> Rules {
        let mut rules = Rules::new(1);
        faults.into_iter().for_each(|fault| rules.add(fault));
        rules
    }

    fn code(plan: &Plan) -> Option<&'static str> {
        plan.refused.as_ref().map(|error| error.code)
    }

    #[test]
    fn a_fault_strikes_the_calls_it_fits_as_often_as_it_was_told() {
        let mut rules = rules([Fault::throttle().on("GetRecords").after(1).times(2)]);
        let struck: Vec<_> = (0..5)
            .map(|_| {
                assert_eq!(rules.decide(&call("ListShards", &[])), Plan::default());
                code(&rules.decide(&call("GetRecords", &[]))).is_some()
            })
            .collect();
        assert_eq!(struck, [false, true, true, false, false]);
        assert_eq!(rules.len(), 0, "a fault that is used up is forgotten");
    }

    #[test]
    fn of_two_refusals_the_first_counts_and_delays_add_up() {
        let second = Duration::from_secs(1);
        let mut rules = rules([
            Fault::delay(second),
            Fault::deny(),
            Fault::fail(),
            Fault::delay(second),
        ]);
        let plan = rules.decide(&call("PutRecord", &[]));
        assert_eq!(code(&plan), Some("AccessDeniedException"));
        assert_eq!(plan.delay, 2 * second);
    }

    #[test]
    fn a_put_is_refused_shard_by_shard_or_entry_by_entry() {
        let shards = [ByteString::from("a"), ByteString::from("b")];
        let mut rules = rules([
            Fault::fail().shard("b"),
            Fault::throttle().each_entry().times(2),
        ]);
        let plan = rules.decide(&call("PutRecords", &shards));
        assert_eq!(plan.refused, None);
        assert_eq!(plan.refusals.of(2, "b").unwrap().code, "InternalFailure");
        let throttled = plan.refusals.of(0, "a").unwrap().code;
        assert_eq!(throttled, "ProvisionedThroughputExceededException");
        assert_eq!(plan.refusals.of(2, "a"), None);
    }

    #[test]
    fn chances_repeat_with_the_seed() {
        let history = |seed| {
            let mut rules = Rules::new(seed);
            rules.add(Fault::fail().probability(0.5).always());
            (0..64)
                .map(|_| code(&rules.decide(&call("GetRecords", &[]))).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(history(7), history(7));
        assert_ne!(history(7), history(8));
        let struck = history(7).into_iter().filter(|struck| *struck).count();
        assert!((16..=48).contains(&struck), "{struck}");
    }

    #[test]
    fn only_subscriptions_are_half_opened() {
        let shard = ByteString::from("a");
        let mut rules = rules([Fault::half_open().shard("a")]);
        let plan = rules.decide(&call("SubscribeToShard", std::slice::from_ref(&shard)));
        assert_eq!(plan, Plan::default());
        assert!(!rules.half_opens(&"b".into()));
        assert!(rules.half_opens(&shard) && !rules.half_opens(&shard));
    }
}
