//! An answer is split into one outcome per record.

use crate::{
    put::error::AttemptError,
    service::{EntryFailure, PutRecordsAnswer, StoredAt},
};

/// The outcome of a request, by record.
#[derive(Debug)]
pub(super) enum Outcomes {
    /// One outcome per record, in the order of the request.
    Each(Vec<Result<StoredAt, EntryFailure>>),
    /// One failure for all of them.
    All(AttemptError),
}

/// Splits the answer to a request of `sent` records.
pub(super) fn split(sent: usize, outcome: Result<PutRecordsAnswer, AttemptError>) -> Outcomes {
    match outcome {
        Err(failure) => Outcomes::All(failure),
        Ok(answer) if answer.results.len() != sent => Outcomes::All(AttemptError::WrongAnswer {
            sent,
            answered: answer.results.len(),
        }),
        Ok(answer) => Outcomes::Each(answer.results),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_about_another_number_of_records_is_an_error_that_may_have_stored_them() {
        let stored = StoredAt::new("s".into(), 1_u128.into());
        let outcomes = split(2, Ok(PutRecordsAnswer::new(vec![Ok(stored)])));
        assert!(
            matches!(&outcomes, Outcomes::All(failure) if failure.may_have_been_stored()),
            "{outcomes:?}"
        );
    }
}
