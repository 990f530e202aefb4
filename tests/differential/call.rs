//! Calls, and seeded sequences of them.

use fastrand::Rng;

/// A call, in terms that have the same meaning on both sides.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Put {
        key: String,
        explicit_hash_key: Option<u128>,
        data: Vec<u8>,
    },
    PutMany {
        keys: Vec<String>,
    },
    /// Reads a shard, given by its index, to its tip or end, in pages of `limit`.
    Read {
        shard: usize,
        start: Start,
        limit: i32,
    },
    /// Splits the shard that takes `key` so that its second child begins there.
    Split {
        key: u128,
    },
    /// Merges the shard that takes `key` with the one above it, named in this order or the other.
    Merge {
        key: u128,
        is_lower_first: bool,
    },
    ListShards {
        filter: Filter,
    },
    Describe,
}

/// The start of a read. Records are numbered in the order of their puts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    TrimHorizon,
    Latest,
    At(usize),
    After(usize),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Filter {
    None,
    AtLatest,
    FromTrimHorizon,
    /// The index of a shard, counted round those that the stream began with.
    ///
    /// Known fault of kinesis-mock: behind a shard that is not there it lists all.
    AfterShard(usize),
}

/// The composition of a sequence of calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix {
    pub(crate) calls: usize,
    pub(crate) reshard_percent: u32,
    /// Whether shards are listed with filters.
    pub(crate) has_filters: bool,
}

/// Returns the calls of a seed.
pub(crate) fn calls(seed: u64, mix: Mix) -> impl Iterator<Item = Call> {
    let mut rng = Rng::with_seed(seed);
    (0..mix.calls).map(move |_| call(&mut rng, mix))
}

fn call(rng: &mut Rng, mix: Mix) -> Call {
    if rng.u32(..100) < mix.reshard_percent {
        let key = rng.u128(..);
        if rng.bool() {
            return Call::Split { key };
        }
        let is_lower_first = rng.bool();
        return Call::Merge {
            key,
            is_lower_first,
        };
    }
    match rng.u32(..10) {
        0..=2 => put(rng),
        3 | 4 => Call::PutMany {
            keys: (0..rng.usize(1..30)).map(|_| key(rng)).collect(),
        },
        5..=7 => Call::Read {
            shard: rng.usize(..8),
            start: start(rng),
            limit: *rng.choice(&[1, 3, 10, 10_000]).expect("a limit"),
        },
        8 => Call::ListShards {
            filter: if mix.has_filters {
                filter(rng)
            } else {
                Filter::None
            },
        },
        _ => Call::Describe,
    }
}

fn put(rng: &mut Rng) -> Call {
    let bytes = rng.usize(..300);
    Call::Put {
        key: key(rng),
        explicit_hash_key: rng.bool().then(|| rng.u128(..)),
        data: (0..bytes).map(|_| rng.u8(..)).collect(),
    }
}

fn key(rng: &mut Rng) -> String {
    let (chars, kind) = (rng.usize(1..20), rng.bool());
    (0..chars)
        .map(|_| {
            if kind {
                rng.alphanumeric()
            } else {
                rng.char('\u{a1}'..'\u{2fff}')
            }
        })
        .collect()
}

fn start(rng: &mut Rng) -> Start {
    match rng.u32(..4) {
        0 => Start::TrimHorizon,
        1 => Start::Latest,
        2 => Start::At(rng.usize(..)),
        _ => Start::After(rng.usize(..)),
    }
}

fn filter(rng: &mut Rng) -> Filter {
    match rng.u32(..4) {
        0 => Filter::None,
        1 => Filter::AtLatest,
        2 => Filter::FromTrimHorizon,
        _ => Filter::AfterShard(rng.usize(..8)),
    }
}
