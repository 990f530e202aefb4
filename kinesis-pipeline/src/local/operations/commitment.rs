//! The account's commitment to a minimum throughput.

use serde::{Deserialize, Serialize};

use crate::local::protocol::values::{Timestamp, read_from_maps};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", remote = "Self")]
pub(in crate::local) struct Input {
    pub(in crate::local) status: Option<String>,
}

read_from_maps!(Input);

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Response {
    minimum_throughput_billing_commitment: Commitment,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Commitment {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
}

impl Response {
    /// Returns the answer about a commitment that began at this time, if it did.
    pub(super) fn of(began_millis: Option<u64>) -> Self {
        Self {
            minimum_throughput_billing_commitment: Commitment {
                status: if began_millis.is_some() {
                    "ENABLED"
                } else {
                    "DISABLED"
                },
                started_at: began_millis.map(Timestamp::from_millis),
            },
        }
    }
}
