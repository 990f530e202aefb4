//! The conditional writes of a lease, and what a refused one means.

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

/// What became of a conditional write.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was made: the row as it is now, for an update.
    Done(Option<Item>),
    /// The row is not as it was expected to be, but like this; `None` if there is none.
    Refused(Option<Item>),
}

impl LeaseTable<'_> {
    /// Adds a row that must not be there yet.
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

/// What to do about a refused write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was carried out before, and its answer was lost.
    Done,
    /// Nobody but us was there: write on the condition of this counter, or that there is no row.
    Again(Option<u64>),
}

/// Decides about a refused write of `writer`'s, who wanted the row to be `wanted`, or gone, and finds `found`.
pub(super) fn judge(
    identity: &Identity,
    writer: &str,
    wanted: Option<&LeaseRow>,
    found: Option<&LeaseRow>,
) -> Result<Verdict, LeaseError> {
    let Some(found) = found else {
        return Ok(Verdict::Again(None));
    };
    let mark = found.mark.as_ref();
    // The answer to that write was lost, or not waited for.
    if mark.is_some_and(|mark| mark.writer == writer && mark.counter == found.lease.counter) {
        return Ok(
            if wanted.is_some_and(|wanted| wanted.is_as_written(found)) {
                Verdict::Done
            } else {
                Verdict::Again(Some(found.lease.counter))
            },
        );
    }
    let shard = || found.lease.shard_id.clone();
    Err(match (&found.lease.owner, mark) {
        (Some(owner), _) => LeaseError::Held {
            shard: shard(),
            owner: owner.to_string(),
        },
        (None, Some(mark)) if mark.identity != *identity => LeaseError::OtherStream {
            app: mark.identity.app.clone(),
            stream: mark.identity.stream.clone(),
        },
        (None, _) => LeaseError::Overtaken { shard: shard() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{
        lease::{Lease, LeaseCheckpoint},
        mark::{Mark, Notes},
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
        let notes = Notes {
            checkpoint: words(&place).0.to_owned(),
            sub_sequence_number: 0,
            begun_at_millis: None,
            arrived_at_millis: None,
            current_at_millis: None,
            stream_created_at_millis: None,
        };
        let mut lease = Lease::new("s".into(), place);
        lease.counter = counter;
        let mark = Mark {
            identity: identity("mine"),
            writer: writer.to_owned(),
            counter,
            notes,
        };
        LeaseRow {
            lease,
            mark: Some(mark),
        }
    }

    fn verdict(wanted: &LeaseRow, found: &LeaseRow) -> Result<Verdict, LeaseError> {
        judge(&identity("mine"), "me", Some(wanted), Some(found))
    }

    #[test]
    fn our_own_write_that_was_repeated_is_done() {
        let wanted = row(5, 7, "me");
        assert_eq!(verdict(&wanted, &wanted).unwrap(), Verdict::Done);
    }

    #[test]
    fn an_older_write_of_ours_that_nobody_waited_for_is_written_over() {
        let verdict = verdict(&row(5, 8, "me"), &row(5, 7, "me")).unwrap();
        assert_eq!(verdict, Verdict::Again(Some(5)));
    }

    #[test]
    fn a_row_that_is_gone_is_created_again() {
        let verdict = judge(&identity("mine"), "me", Some(&row(5, 8, "me")), None);
        assert_eq!(verdict.unwrap(), Verdict::Again(None));
    }

    #[test]
    fn an_owner_who_has_written_holds_the_lease_whatever_we_wrote_before() {
        let mut found = row(5, 7, "me");
        found.lease.counter = 6;
        found.lease.owner = Some("java".into());
        let error = verdict(&row(6, 7, "me"), &found).unwrap_err();
        assert!(matches!(error, LeaseError::Held { owner, .. } if owner == "java"));
    }

    #[test]
    fn another_reader_has_overtaken_us_and_another_stream_is_told_apart() {
        let wanted = row(5, 7, "me");
        let error = verdict(&wanted, &row(5, 7, "you")).unwrap_err();
        assert!(matches!(error, LeaseError::Overtaken { .. }), "{error}");
        let mut found = row(5, 7, "you");
        found.mark.as_mut().unwrap().identity = identity("yours");
        let error = verdict(&wanted, &found).unwrap_err();
        assert!(matches!(error, LeaseError::OtherStream { stream, .. } if stream == "yours"));
        found.mark = None;
        let error = verdict(&wanted, &found).unwrap_err();
        assert!(matches!(error, LeaseError::Overtaken { .. }), "{error}");
    }
}
