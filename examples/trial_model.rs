//! A data lake's first load in one derive and one line of `main`: the program of data-migrator's tutorial.
//!
//! ```text
//! cargo run -p kinesis-pipeline-examples --features load --example trial_model -- \
//!     -i examples/data/trial_model.tsv --stream my-stream -t
//! ```

use std::process::ExitCode;

use kinesis_pipeline::{
    KinesisRecord,
    record::{EncodeContext, row::UtcTime},
};
use kinesis_pipeline_load as load;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(metadata = meta, partition_key = TrialModel::key)]
struct TrialModel {
    #[kinesis(pos = 3, uuid)]
    uuid: Option<Uuid>,
    #[kinesis(pos = 8)]
    value: i64,
    #[kinesis(pos = 10)]
    created_by: String,
    #[kinesis(pos = 9)]
    created_at: String,
    #[kinesis(pos = 12)]
    updated_by: String,
    #[kinesis(pos = 11)]
    updated_at: String,
}

impl TrialModel {
    fn key(&self) -> String {
        self.value.to_string()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    event_type: &'static str,
    timestamp: UtcTime,
    produced_by: &'static str,
}

fn meta(_: &TrialModel, context: &EncodeContext) -> Meta {
    Meta {
        event_type: "model.create",
        timestamp: UtcTime(context.now()),
        produced_by: "data-migrator",
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    load::main::<TrialModel>().await
}
