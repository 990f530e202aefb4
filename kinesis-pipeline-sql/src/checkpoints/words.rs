//! A checkpoint as the columns of a row, and back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kinesis_pipeline::{Checkpoint, CheckpointPlace, ShardId};

use crate::postgres::triton::TRIM_HORIZON;

const AT_TIMESTAMP: &str = "AT_TIMESTAMP";
const SHARD_END: &str = "SHARD_END";

/// The columns of a row, without its key. Times are in milliseconds.
///
/// Triton writes `seq_num` alone. The other columns are then those of an earlier checkpoint: they count only while
/// `noted_seq_num` is equal to `seq_num`. `stream_created_at` always counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) seq_num: String,
    pub(super) noted_seq_num: Option<String>,
    pub(super) sub_seq_num: Option<i64>,
    pub(super) begun_at: Option<i64>,
    pub(super) arrived_at: Option<i64>,
    pub(super) current_at: Option<i64>,
    pub(super) stream_created_at: Option<i64>,
}

impl Words {
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        let (mut sub_seq_num, mut begun_at) = (None, None);
        let seq_num = match &checkpoint.place {
            CheckpointPlace::TrimHorizon => TRIM_HORIZON.to_owned(),
            CheckpointPlace::Timestamp(time) => {
                begun_at = Some(millis(*time));
                AT_TIMESTAMP.to_owned()
            }
            CheckpointPlace::After {
                sequence_number,
                sub_sequence_number,
            } => {
                sub_seq_num =
                    sub_sequence_number.map(|index| i64::try_from(index).unwrap_or(i64::MAX));
                sequence_number.to_string()
            }
            // The enum is non-exhaustive: only the end of a shard is left.
            _ => SHARD_END.to_owned(),
        };
        Self {
            noted_seq_num: Some(seq_num.clone()),
            seq_num,
            sub_seq_num,
            begun_at,
            arrived_at: checkpoint.arrived_at.map(millis),
            current_at: checkpoint.current_at.map(millis),
            stream_created_at: checkpoint.stream_created_at.map(millis),
        }
    }

    /// Returns the checkpoint of a row.
    pub(super) fn checkpoint(self, shard: &str) -> Result<Checkpoint, String> {
        let words = if self.noted_seq_num.as_ref() == Some(&self.seq_num) {
            self
        } else {
            Self {
                seq_num: self.seq_num,
                stream_created_at: self.stream_created_at,
                ..Self::default()
            }
        };
        let place = match words.seq_num.as_str() {
            TRIM_HORIZON => CheckpointPlace::TrimHorizon,
            SHARD_END => CheckpointPlace::ShardEnd,
            AT_TIMESTAMP => {
                let begun_at = words.begun_at.ok_or("AT_TIMESTAMP without its time")?;
                CheckpointPlace::Timestamp(time(begun_at))
            }
            number => CheckpointPlace::After {
                sequence_number: number.parse().map_err(|error| format!("{error}"))?,
                sub_sequence_number: words
                    .sub_seq_num
                    .and_then(|index| u64::try_from(index).ok()),
            },
        };
        let mut checkpoint = Checkpoint::new(ShardId::from(shard), place);
        checkpoint.arrived_at = words.arrived_at.map(time);
        checkpoint.current_at = words.current_at.map(time);
        checkpoint.stream_created_at = words.stream_created_at.map(time);
        Ok(checkpoint)
    }
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn time(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}
