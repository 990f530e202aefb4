//! Answers of `/_sql`.

use serde::Deserialize;
use serde_json::Value;

use super::{error::CrateDbError, transport::RawAnswer};

/// The rowcount of a row of a bulk statement that failed.
const ROW_FAILED: i64 = -2;

/// The answer to a statement with one list of arguments.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    pub(super) rows: Vec<Vec<Value>>,
}

#[derive(Deserialize)]
struct BulkAnswer {
    results: Vec<BulkResult>,
}

#[derive(Deserialize)]
struct BulkResult {
    rowcount: i64,
    error: Option<ErrorBody>,
    /// The message in the form of versions before 5.
    error_message: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: u32,
    #[serde(default)]
    message: String,
}

/// The outcome of one row of a bulk statement.
#[derive(Clone, Debug)]
pub(super) enum RowResult {
    /// The row is stored, or the statement's guard kept the row that is there.
    Done,
    /// The row failed, for this reason.
    Failed(CrateDbError),
    /// The row failed, and the server gives reasons for other rows only.
    FailedSilently,
}

/// Reads the answer to a statement with one list of arguments.
pub(super) fn answer(raw: &RawAnswer) -> Result<Answer, CrateDbError> {
    succeeded(raw)?;
    serde_json::from_slice(&raw.body).map_err(|error| bad_answer(raw, error.to_string()))
}

/// Reads the answer to a bulk statement of this many rows.
pub(super) fn row_results(raw: &RawAnswer, rows: usize) -> Result<Vec<RowResult>, CrateDbError> {
    succeeded(raw)?;
    let answer: BulkAnswer =
        serde_json::from_slice(&raw.body).map_err(|error| bad_answer(raw, error.to_string()))?;
    let results = answer.results;
    if results.len() != rows {
        let count = results.len();
        return Err(bad_answer(raw, format!("{count} results for {rows} rows")));
    }
    Ok(results.into_iter().map(row_result).collect())
}

fn row_result(result: BulkResult) -> RowResult {
    match (result.rowcount, result.error, result.error_message) {
        (0.., None, None) => RowResult::Done,
        (_, Some(error), _) => RowResult::Failed(CrateDbError::of_code(error.code, &error.message)),
        (ROW_FAILED, None, Some(message)) => {
            RowResult::Failed(CrateDbError::of_code(4000, &message))
        }
        _ => RowResult::FailedSilently,
    }
}

fn succeeded(raw: &RawAnswer) -> Result<(), CrateDbError> {
    let status = raw.status;
    if (200..300).contains(&status) {
        return Ok(());
    }
    if matches!(status, 429 | 502 | 503 | 504) {
        return Err(CrateDbError::Busy { status });
    }
    if status == 401 {
        let message = "the user or the password is wrong".to_owned();
        return Err(CrateDbError::Unauthorized { message });
    }
    match serde_json::from_slice::<Failure>(&raw.body) {
        Ok(failure) => Err(CrateDbError::of_code(
            failure.error.code,
            &failure.error.message,
        )),
        Err(error) => Err(bad_answer(raw, error.to_string())),
    }
}

fn bad_answer(raw: &RawAnswer, reason: String) -> CrateDbError {
    let status = raw.status;
    CrateDbError::BadAnswer { status, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(status: u16, body: &str) -> RawAnswer {
        RawAnswer {
            status,
            body: body.to_owned().into(),
        }
    }

    #[test]
    fn each_row_has_its_result() {
        let body = r#"{"cols": [], "results": [{"rowcount": 1}, {"rowcount": 0}, {"rowcount": -2},
            {"rowcount": -2, "error": {"code": 4091, "message": "twice"}}]}"#;
        let results = row_results(&raw(200, body), 4).unwrap();
        assert!(matches!(results[0], RowResult::Done) && matches!(results[1], RowResult::Done));
        assert!(matches!(results[2], RowResult::FailedSilently));
        assert!(matches!(
            results[3],
            RowResult::Failed(CrateDbError::DuplicateKey { .. })
        ));
        let error = row_results(&raw(200, body), 5).unwrap_err();
        assert!(
            error.to_string().contains("4 results for 5 rows"),
            "{error}"
        );
    }

    #[test]
    fn a_failure_is_told_by_its_code_and_else_by_its_status() {
        let of = |status, body| answer(&raw(status, body)).unwrap_err();
        let failure = r#"{"error": {"code": 4041, "message": "Relation 't' unknown"}}"#;
        assert!(matches!(
            of(404, failure),
            CrateDbError::UnknownTable { .. }
        ));
        assert!(matches!(
            of(503, failure),
            CrateDbError::Busy { status: 503 }
        ));
        assert!(matches!(of(401, ""), CrateDbError::Unauthorized { .. }));
        assert!(matches!(
            of(500, "<html>"),
            CrateDbError::BadAnswer { status: 500, .. }
        ));
        assert!(matches!(
            answer(&raw(200, "<html>")).unwrap_err(),
            CrateDbError::BadAnswer { .. }
        ));
    }
}
