//! The lease table: its creation and its scan.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    error::ProvideErrorMetadata,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
        TableDescription, TableStatus,
    },
};

use super::{
    LeaseError,
    error::NOT_FOUND,
    row::{LEASE_KEY, LeaseRow},
};
use crate::Clock;

/// The error code for a table that exists already.
const IN_USE: &str = "ResourceInUseException";

/// The longest wait for a new table. A reader allows 30 s for a whole save.
const ACTIVE_WAIT_MAX: Duration = Duration::from_secs(25);
const POLL_FIRST: Duration = Duration::from_millis(100);
const POLL_MAX: Duration = Duration::from_secs(1);
const _: () = assert!(POLL_MAX.as_millis() < ACTIVE_WAIT_MAX.as_millis());

/// The limit of pages in one segment. A page has 1 MiB, and a lease less than 1 KiB: together that is more rows than a
/// stream can retain shards.
const PAGES_MAX: u64 = 1_000;
const PAGE_ROWS: u64 = 1_000;

/// The allowed lengths of a table's name, by DynamoDB.
const NAME_CHARS: std::ops::RangeInclusive<usize> = 3..=255;

/// A lease table, and the client that reaches it.
#[derive(Clone, Debug)]
pub(super) struct LeaseTable<'a> {
    pub(super) client: &'a Client,
    pub(super) name: &'a str,
}

impl LeaseTable<'_> {
    /// Returns all leases in the table; `None` if the table does not exist.
    pub(super) async fn scan(&self) -> Result<Option<Vec<LeaseRow>>, LeaseError> {
        match self.scan_segment(0, 1).await {
            Ok(rows) => Ok(Some(rows)),
            Err(error) if error.says_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the leases in one segment of the table. Rows that are no leases are skipped.
    pub(super) async fn scan_segment(
        &self,
        segment: u8,
        segments: u8,
    ) -> Result<Vec<LeaseRow>, LeaseError> {
        check_name(self.name)?;
        let mut rows = Vec::new();
        let mut next = None;
        for _ in 0..PAGES_MAX {
            let scan = self.client.scan().table_name(self.name);
            let scan = match segments {
                1 => scan,
                _ => scan.segment(segment.into()).total_segments(segments.into()),
            };
            let page = scan
                .consistent_read(true)
                .set_exclusive_start_key(next)
                .send()
                .await;
            let page = page.map_err(|error| LeaseError::of_call("Scan", error))?;
            for item in page.items.unwrap_or_default() {
                rows.extend(LeaseRow::decode(&item)?);
            }
            next = page.last_evaluated_key;
            if next.is_none() {
                return Ok(rows);
            }
        }
        Err(LeaseError::TooLarge {
            rows_max: PAGES_MAX * PAGE_ROWS,
        })
    }

    /// Returns once the table can be written to. Creates it first if it does not exist and `may_create` is set.
    pub(super) async fn ensure(&self, may_create: bool, clock: &Clock) -> Result<(), LeaseError> {
        check_name(self.name)?;
        let began = clock.instant();
        let mut pause = POLL_FIRST;
        loop {
            let table = match self.describe().await? {
                None if !may_create => return Err(LeaseError::MissingTable),
                None => self.create().await?,
                table => table,
            };
            let status = table.as_ref().and_then(TableDescription::table_status);
            if let Some(table) = &table {
                check_key(table)?;
            }
            if let Some(TableStatus::Active | TableStatus::Updating) = status {
                return Ok(());
            }
            let waited = clock.instant() - began;
            if waited >= ACTIVE_WAIT_MAX {
                let status = status.map_or("unknown", TableStatus::as_str).to_owned();
                return Err(LeaseError::NotActive { status, waited });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(POLL_MAX);
        }
    }

    async fn describe(&self) -> Result<Option<TableDescription>, LeaseError> {
        match self
            .client
            .describe_table()
            .table_name(self.name)
            .send()
            .await
        {
            Ok(answer) => Ok(answer.table),
            Err(error) if error.code() == Some(NOT_FOUND) => Ok(None),
            Err(error) => Err(LeaseError::of_call("DescribeTable", error)),
        }
    }

    /// Creates the table as KCL does. `None` if another program is creating it.
    async fn create(&self) -> Result<Option<TableDescription>, LeaseError> {
        let key = KeySchemaElement::builder()
            .attribute_name(LEASE_KEY)
            .key_type(KeyType::Hash)
            .build()
            .expect("name and type are set");
        let definition = AttributeDefinition::builder()
            .attribute_name(LEASE_KEY)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .expect("name and type are set");
        let answer = self
            .client
            .create_table()
            .table_name(self.name)
            .key_schema(key)
            .attribute_definitions(definition)
            .billing_mode(BillingMode::PayPerRequest)
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(answer.table_description),
            Err(error) if error.code() == Some(IN_USE) => Ok(None),
            Err(error) => Err(LeaseError::of_call("CreateTable", error)),
        }
    }
}

/// Checks the name of a table. DynamoDB would refuse it too, but its error does not say that the name is the
/// application's.
fn check_name(name: &str) -> Result<(), LeaseError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let is_name = NAME_CHARS.contains(&name.len()) && name.bytes().all(is_allowed);
    if is_name || name.starts_with("arn:") {
        return Ok(());
    }
    let name = name.to_owned();
    Err(LeaseError::InvalidTableName { name })
}

/// Checks the key of a table, so that nothing is written to a table of another kind.
fn check_key(table: &TableDescription) -> Result<(), LeaseError> {
    let types = table.attribute_definitions();
    let type_of = |name: &str| {
        let found = types.iter().find(|found| found.attribute_name() == name);
        found.map_or("?", |found| found.attribute_type().as_str())
    };
    let parts = table.key_schema().iter().map(|part| {
        let name = part.attribute_name();
        format!("`{name}` ({})", type_of(name))
    });
    let key = parts.collect::<Vec<_>>().join(" and ");
    if key == format!("`{LEASE_KEY}` (S)") {
        return Ok(());
    }
    Err(LeaseError::NotALeaseTable { key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_3_to_255_letters_digits_underscores_dashes_and_dots_or_is_an_arn() {
        let longest = "x".repeat(255);
        let arn = "arn:aws:dynamodb:eu-west-1:000000000000:table/leases";
        for name in ["abc", "My_app-1.leases", &longest, arn] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "ab", "a b c", "äbc", "a/b", &format!("{longest}x")] {
            let error = check_name(name).unwrap_err();
            assert!(
                matches!(&error, LeaseError::InvalidTableName { name: found } if found == name)
            );
            assert!(!error.is_retryable());
        }
    }
}
