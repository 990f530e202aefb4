//! The guide: one page for each question of the first weeks.
//!
//! Read [putting] and [reading] first, [errors] before the first deployment, and the others when you need
//! them. Every program on these pages is compiled, and run, by the tests of this library.
//!
//! | page | question |
//! |---|---|
//! | [`putting`] | Which of the puts do I call? |
//! | [`producing`] | How do I write at the full speed of the shards? |
//! | [`reading`] | How do I read, go on after a restart, and share the work? |
//! | [`sql`] | How do I bring records into a database, each once? |
//! | [`errors`] | Which errors do I retry, and where do bad records go? |
//! | [`duplicates`] | Which records can be there twice, and how do I tell? |
//! | [`testing`] | How do I test without AWS and without waiting? |
//! | [`tuning`] | What are the defaults, and what does each trade? |
//! | [`memory`] | How much memory does each part take at most? |
//! | [`iam`] | Which permissions does my program need? |
//! | [`cost`] | What does AWS charge for what I do? |
//! | [`resharding`] | What happens when the stream is split, merged or scaled? |
//! | [`operating`] | What do I watch, and when do I wake somebody? |
//! | [`kubernetes`] | How do I probe a worker, and scale a fleet by its lag? |
//! | [`from_sdk`] | I have a loop around `aws-sdk-kinesis`: what replaces its parts? |
//! | [`from_kpl`] | I know the Kinesis Producer Library: what is what here? |
//! | [`from_kcl`] | I know the Kinesis Client Library: what is what here? |
//! | [`words`] | What is an aggregate, a stray, a lease, Triton? |
//!
//! The modules of this guide hold text alone: nothing of them is in your program.

#![cfg_attr(
    not(all(
        feature = "aws",
        feature = "config",
        feature = "dynamodb",
        feature = "health-server",
        feature = "local-server",
        feature = "metrics"
    )),
    allow(rustdoc::broken_intra_doc_links)
)]

#[doc = include_str!("putting.md")]
pub mod putting {}

#[doc = include_str!("producing.md")]
pub mod producing {}

#[doc = include_str!("reading.md")]
pub mod reading {}

#[doc = include_str!("sql.md")]
pub mod sql {}

#[doc = include_str!("errors.md")]
pub mod errors {}

#[doc = include_str!("duplicates.md")]
pub mod duplicates {}

#[doc = include_str!("testing.md")]
#[doc = "```"]
#[doc = include_str!("whole_test.rs")]
#[doc = "```"]
pub mod testing {}

#[doc = include_str!("tuning.md")]
pub mod tuning {}

#[doc = include_str!("memory.md")]
pub mod memory {}

#[doc = include_str!("iam.md")]
pub mod iam {}

#[doc = include_str!("cost.md")]
pub mod cost {}

#[doc = include_str!("resharding.md")]
pub mod resharding {}

#[doc = include_str!("operating.md")]
pub mod operating {}

#[doc = include_str!("kubernetes.md")]
pub mod kubernetes {}

#[doc = include_str!("from_sdk.md")]
pub mod from_sdk {}

#[doc = include_str!("from_kpl.md")]
pub mod from_kpl {}

#[doc = include_str!("from_kcl.md")]
pub mod from_kcl {}

#[doc = include_str!("words.md")]
pub mod words {}
