//! The conditional writes of a lease, and the handling of refused ones.

use std::error::Error;

use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        delete_item::DeleteItemError, put_item::PutItemError, update_item::UpdateItemError,
    },
    types::{
        ReturnValue, ReturnValuesOnConditionCheckFailure, error::ConditionalCheckFailedException,
    },
};

use super::{
    LeaseError,
    expression::Expression,
    identity::Identity,
    row::{Item, LEASE_KEY, LeaseRow, text},
    table::LeaseTable,
};

/// The outcome of a conditional write.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The write was made. For an update, the row after it.
    Done(Option<Item>),
    /// The write was refused, because the row differs from the expected one. The row found; `None` if there is none.
    Refused(Option<Item>),
}

impl LeaseTable<'_> {
    /// Adds a row, on the condition that there is none yet.
    pub(super) async fn create_row(&self, row: Item) -> Result<Outcome, LeaseError> {
        let answer = self
            .client
            .put_item()
            .table_name(self.name)
            .set_item(Some(row))
            .condition_expression(format!("attribute_not_exists({LEASE_KEY})"))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        outcome("PutItem", answer.map(|_| None), |error| match error {
            PutItemError::ConditionalCheckFailedException(refused) => Some(refused),
            _ => None,
        })
    }

    /// Changes a row on a condition.
    pub(super) async fn update_row(
        &self,
        lease_key: &str,
        change: Expression,
    ) -> Result<Outcome, LeaseError> {
        let answer = self
            .client
            .update_item()
            .table_name(self.name)
            .key(LEASE_KEY, text(lease_key))
            .condition_expression(change.condition())
            .update_expression(change.update())
            .set_expression_attribute_values(Some(change.values))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let answer = answer.map(|answer| answer.attributes);
        outcome("UpdateItem", answer, |error| match error {
            UpdateItemError::ConditionalCheckFailedException(refused) => Some(refused),
            _ => None,
        })
    }

    /// Removes a row on a condition.
    pub(super) async fn delete_row(
        &self,
        lease_key: &str,
        change: Expression,
    ) -> Result<Outcome, LeaseError> {
        let answer = self
            .client
            .delete_item()
            .table_name(self.name)
            .key(LEASE_KEY, text(lease_key))
            .condition_expression(change.condition())
            .set_expression_attribute_values(Some(change.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        outcome("DeleteItem", answer.map(|_| None), |error| match error {
            DeleteItemError::ConditionalCheckFailedException(refused) => Some(refused),
            _ => None,
        })
    }
}

fn outcome<E>(
    operation: &'static str,
    answer: Result<Option<Item>, SdkError<E>>,
    refused: impl Fn(&E) -> Option<&ConditionalCheckFailedException>,
) -> Result<Outcome, LeaseError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match answer {
        Ok(item) => Ok(Outcome::Done(item)),
        Err(error) => match error.as_service_error().and_then(refused) {
            Some(refused) => Ok(Outcome::Refused(refused.item.clone())),
            None => Err(LeaseError::of_call(operation, error)),
        },
    }
}

/// The cause of a refused write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The write was carried out before, and its answer was lost.
    Done,
    /// Only this store has written. The write can be repeated on the condition of this counter, or that there is no
    /// row.
    Again(Option<u64>),
}

/// Decides on a refused write. `writer` wanted the row to be `wanted`, `None` for a removal, and `found` is in the
/// table.
pub(super) fn judge(
    identity: &Identity,
    writer: &str,
    wanted: Option<&LeaseRow>,
    found: Option<&LeaseRow>,
) -> Result<Refusal, LeaseError> {
    let Some(found) = found else {
        return Ok(Refusal::Again(None));
    };
    let extension = found.extension.as_ref();
    // Our last write is in the table, but its answer was lost or its future was dropped.
    if extension.is_some_and(|extension| {
        extension.writer == writer && extension.counter == found.lease.counter
    }) {
        return Ok(
            if wanted.is_some_and(|wanted| wanted.is_as_written(found)) {
                Refusal::Done
            } else {
                Refusal::Again(Some(found.lease.counter))
            },
        );
    }
    let shard = || found.lease.shard_id.clone();
    Err(match (&found.lease.owner, extension) {
        (Some(owner), _) => LeaseError::Held {
            shard: shard(),
            owner: owner.to_string(),
        },
        (None, Some(extension)) if extension.identity != *identity => LeaseError::OtherStream {
            app: extension.identity.app.clone(),
            stream: extension.identity.stream.clone(),
        },
        (None, _) => LeaseError::Overtaken { shard: shard() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{
        extension::{CheckpointTimes, Extension},
        lease::{Lease, LeaseCheckpoint},
        row::words,
    };

    fn identity(stream: &str) -> Identity {
        Identity::new("app", stream)
    }

    fn row(counter: u64, number: u128, writer: &str) -> LeaseRow {
        let place = LeaseCheckpoint::After {
            sequence_number: number.into(),
            sub_sequence_number: 0,
        };
        let times = CheckpointTimes {
            checkpoint: words(&place).0.to_owned(),
            sub_sequence_number: 0,
            begun_at_millis: None,
            arrived_at_millis: None,
            current_at_millis: None,
            stream_created_at_millis: None,
        };
        let mut lease = Lease::new("s".into(), place);
        lease.counter = counter;
        let extension = Extension {
            identity: identity("mine"),
            writer: writer.to_owned(),
            counter,
            times,
        };
        LeaseRow {
            lease,
            extension: Some(extension),
        }
    }

    fn refusal(wanted: &LeaseRow, found: &LeaseRow) -> Result<Refusal, LeaseError> {
        judge(&identity("mine"), "me", Some(wanted), Some(found))
    }

    #[test]
    fn our_own_write_that_was_repeated_is_done() {
        let wanted = row(5, 7, "me");
        assert_eq!(refusal(&wanted, &wanted).unwrap(), Refusal::Done);
    }

    #[test]
    fn an_older_write_of_ours_that_nobody_waited_for_is_written_over() {
        let refusal = refusal(&row(5, 8, "me"), &row(5, 7, "me")).unwrap();
        assert_eq!(refusal, Refusal::Again(Some(5)));
    }

    #[test]
    fn a_row_that_is_gone_is_created_again() {
        let refusal = judge(&identity("mine"), "me", Some(&row(5, 8, "me")), None);
        assert_eq!(refusal.unwrap(), Refusal::Again(None));
    }

    #[test]
    fn an_owner_who_has_written_holds_the_lease_whatever_we_wrote_before() {
        let mut found = row(5, 7, "me");
        found.lease.counter = 6;
        found.lease.owner = Some("java".into());
        let error = refusal(&row(6, 7, "me"), &found).unwrap_err();
        assert!(matches!(error, LeaseError::Held { owner, .. } if owner == "java"));
    }

    #[test]
    fn another_reader_has_overtaken_us_and_another_stream_is_told_apart() {
        let wanted = row(5, 7, "me");
        let error = refusal(&wanted, &row(5, 7, "you")).unwrap_err();
        assert!(matches!(error, LeaseError::Overtaken { .. }), "{error}");
        let mut found = row(5, 7, "you");
        found.extension.as_mut().unwrap().identity = identity("yours");
        let error = refusal(&wanted, &found).unwrap_err();
        assert!(matches!(error, LeaseError::OtherStream { stream, .. } if stream == "yours"));
        found.extension = None;
        let error = refusal(&wanted, &found).unwrap_err();
        assert!(matches!(error, LeaseError::Overtaken { .. }), "{error}");
    }
}
