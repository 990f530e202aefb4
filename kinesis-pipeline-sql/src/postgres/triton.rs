//! The table `triton_checkpoint`: Triton's own columns, and further ones for facts that Triton does not know.

pub(crate) const CREATE: &str = "CREATE TABLE IF NOT EXISTS triton_checkpoint (\
    client varchar(255) NOT NULL, stream varchar(255) NOT NULL, shard varchar(255) NOT NULL, \
    seq_num varchar(255) NOT NULL, updated integer NOT NULL, PRIMARY KEY (client, stream, shard))";
pub(crate) const EXTEND: &str = "ALTER TABLE triton_checkpoint \
    ADD COLUMN IF NOT EXISTS updated integer, ADD COLUMN IF NOT EXISTS noted_seq_num text, \
    ADD COLUMN IF NOT EXISTS sub_seq_num bigint, ADD COLUMN IF NOT EXISTS begun_at bigint, \
    ADD COLUMN IF NOT EXISTS arrived_at bigint, ADD COLUMN IF NOT EXISTS current_at bigint, \
    ADD COLUMN IF NOT EXISTS stream_created_at bigint";
/// The column that positions of a sink need beside those of checkpoints.
pub(super) const EXTEND_FOR_SINK: &str =
    "ALTER TABLE triton_checkpoint ADD COLUMN IF NOT EXISTS token bigint";
/// The number of these columns that the table has.
pub(crate) const COUNT_COLUMNS: &str = "SELECT count(*) FROM pg_attribute \
    WHERE attrelid = to_regclass('triton_checkpoint') AND NOT attisdropped AND attname::text = ANY($1)";
pub(crate) const COLUMNS: [&str; 11] = [
    "client",
    "stream",
    "shard",
    "seq_num",
    "updated",
    "noted_seq_num",
    "sub_seq_num",
    "begun_at",
    "arrived_at",
    "current_at",
    "stream_created_at",
];
pub(super) const TOKEN: &str = "token";
pub(crate) const UPDATED_TYPE: &str = "SELECT format_type(atttypid, NULL) FROM pg_attribute \
    WHERE attrelid = to_regclass('triton_checkpoint') AND attname = 'updated' AND NOT attisdropped";
/// The lock under which the table is made: two sessions that make it at once would fail without.
pub(crate) const LOCK: &str = "SELECT pg_advisory_xact_lock(7594118226203115634)";
/// KCL's word for the place of a shard of which nothing is finished.
pub(crate) const TRIM_HORIZON: &str = "TRIM_HORIZON";

/// The type of the column `updated`, which Triton's versions differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Updated {
    Seconds,
    Timestamp,
}

impl Updated {
    /// Returns the type by its name in the catalog; the text of an error for a type that cannot hold a time.
    pub(crate) fn of(kind: Option<&str>) -> Result<Self, String> {
        match kind {
            Some("integer" | "bigint") => Ok(Self::Seconds),
            Some(kind) if kind.starts_with("timestamp") => Ok(Self::Timestamp),
            Some(kind) => Err(format!("the column `updated` has the type {kind}")),
            None => Err("there is no table with a column `updated`".to_owned()),
        }
    }

    pub(crate) fn now(self) -> &'static str {
        match self {
            Self::Seconds => "extract(epoch FROM now())::integer",
            Self::Timestamp => "now()",
        }
    }

    /// Returns the expression of a row's time in seconds.
    pub(crate) fn seconds(self) -> &'static str {
        match self {
            Self::Seconds => "updated::bigint",
            Self::Timestamp => "extract(epoch FROM updated)::bigint",
        }
    }
}
