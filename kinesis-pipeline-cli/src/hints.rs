//! Hints: a line after an error with advice for the user.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kinesis_pipeline::{
    AttemptError, LeaseError, PutError, RedriveError,
    aws_sdk_kinesis::error::ConnectorError,
    service::{ErrorClass, ServiceError},
};

use kinesis_pipeline_load::LoadError;

use crate::{commands::streams, connect::Connected, failure::Failure, sdk::CallFailed};

/// The longest time for listing the streams after a command has failed.
const LIST_TIME_MAX: Duration = Duration::from_secs(3);
/// The most names that a hint has.
const NAMES_MAX: usize = 3;
/// The shortest name that is looked for as a part of others.
const PART_BYTES_MIN: usize = 3;

/// A kind of failure that a hint is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The stream, or something in it, does not exist.
    NotFound,
    /// Kinesis did not answer, or another service did.
    NoKinesis,
    /// DynamoDB did not answer.
    NoDynamoDb,
    /// A redrive ended at this letter.
    AtLetter(u64),
}

/// The streams that a command has used.
#[derive(Clone, Debug, Default)]
pub(crate) struct Used(Arc<Mutex<Vec<Connected>>>);

impl Used {
    pub(crate) fn add(&self, stream: Connected) {
        self.streams().push(stream);
    }

    fn streams(&self) -> std::sync::MutexGuard<'_, Vec<Connected>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds the trouble of a failure in its error and the error's causes.
pub(crate) fn of_failure(failure: &Failure) -> Option<Trouble> {
    match failure {
        Failure::Error(error) => of_error(error.as_ref()),
        Failure::Reported(trouble) => *trouble,
        Failure::Alert(_) | Failure::Usage(_) | Failure::Stopped(_) => None,
    }
}

/// Finds the trouble of an error in itself and its causes.
pub(crate) fn of_error(error: &(dyn Error + 'static)) -> Option<Trouble> {
    let mut is_of_dynamodb = false;
    let mut letter = None;
    let mut cause = Some(error);
    while let Some(error) = cause {
        is_of_dynamodb |= is::<LeaseError>(error).is_some();
        let is_unanswered =
            is::<ConnectorError>(error).is_some_and(|error| error.is_io() || error.is_timeout());
        if is_of_dynamodb && is_unanswered {
            return Some(Trouble::NoDynamoDb);
        }
        if let Some(trouble) = of_layer(error) {
            return Some(trouble);
        }
        let number = is::<RedriveError>(error).and_then(RedriveError::number);
        letter = letter.or(number.map(Trouble::AtLetter));
        cause = error.source();
    }
    // A trouble of a deeper cause is more precise, so the letter is only the fallback.
    letter
}

/// Returns the trouble of an error itself, without its causes.
fn of_layer(error: &(dyn Error + 'static)) -> Option<Trouble> {
    if let Some(error) = is::<ServiceError>(error) {
        return of_service(error);
    }
    if let Some(error) = is::<PutError>(error) {
        return match error.last_attempt()? {
            AttemptError::Request(error) => of_service(error),
            AttemptError::TimedOut { .. } => Some(Trouble::NoKinesis),
            _ => None,
        };
    }
    if let Some(LoadError::Stream(error)) = is::<LoadError>(error) {
        return of_service(error);
    }
    is::<CallFailed>(error)?.trouble
}

fn of_service(error: &ServiceError) -> Option<Trouble> {
    let is_answered = error.code.is_some();
    match error.class {
        ErrorClass::NotFound if is_answered => Some(Trouble::NotFound),
        ErrorClass::Transient | ErrorClass::Other if !is_answered => {
            (!error.awaits_credentials()).then_some(Trouble::NoKinesis)
        }
        _ => None,
    }
}

/// Returns the error as this type, also from a box.
fn is<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let boxed = || error.downcast_ref::<Box<T>>().map(|error| &**error);
    error.downcast_ref().or_else(boxed)
}

/// Returns the hint about a trouble, if there is one.
pub(crate) async fn hint(trouble: Trouble, used: &Used) -> Option<String> {
    let streams = used.streams().clone();
    match trouble {
        Trouble::NotFound => not_found(streams).await,
        Trouble::NoKinesis => Some(
            "is --endpoint-url right, or AWS_ENDPOINT_URL_KINESIS? `kinesis-pipeline local` starts a Kinesis on this \
             machine"
                .to_owned(),
        ),
        Trouble::NoDynamoDb => Some(
            "is AWS_ENDPOINT_URL_DYNAMODB right? `kinesis-pipeline local --dynamodb 127.0.0.1:8000` starts one on this \
             machine"
                .to_owned(),
        ),
        Trouble::AtLetter(number) => {
            let before = number - 1;
            Some(format!(
                "the letters before it are done: --skip {before} goes on at it, --skip {number} behind it"
            ))
        }
    }
}

/// Returns the hint about the first stream that is really absent. The error may instead be about a shard or a consumer.
async fn not_found(streams: Vec<Connected>) -> Option<String> {
    for stream in streams {
        let list = streams::list(&*stream.service);
        let Ok(Ok(names)) = tokio::time::timeout(LIST_TIME_MAX, list).await else {
            // The permission to list streams may be missing.
            return Some("`kinesis-pipeline streams` lists the streams".to_owned());
        };
        let id = stream.id();
        if !names.iter().any(|name| name == id.name()) {
            return Some(absent(id.name(), &names));
        }
    }
    None
}

/// Returns the hint about a stream that is not among these.
fn absent(name: &str, names: &[String]) -> String {
    if names.is_empty() {
        return "there are no streams here: --region, --profile and --endpoint-url say where to look, \
                `kinesis-pipeline create` makes one"
            .to_owned();
    }
    let all = format!("`kinesis-pipeline streams` lists all {}", names.len());
    match near(name, names).as_slice() {
        [] => all,
        near => format!("did you mean {}? {all}", near.join(" or ")),
    }
}

/// Returns the names that the user may have meant, the nearest first.
fn near(name: &str, names: &[String]) -> Vec<String> {
    let wanted = name.to_lowercase();
    let distance = |other: &String| {
        let other = other.to_lowercase();
        let is_long = wanted.len().min(other.len()) >= PART_BYTES_MIN;
        let is_part = is_long && (other.contains(&wanted) || wanted.contains(&other));
        match strsim::osa_distance(&wanted, &other) {
            distance if distance <= (wanted.chars().count() / 3).max(1) => Some(distance),
            _ if is_part => Some(usize::MAX),
            _ => None,
        }
    };
    let mut near: Vec<_> = names
        .iter()
        .filter_map(|other| Some((distance(other)?, other)))
        .collect();
    near.sort();
    let names = near.into_iter().take(NAMES_MAX);
    names.map(|(_, name)| format!("`{name}`")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_near_that_have_few_other_letters_or_are_a_part() {
        let names = [
            "readings",
            "Readings",
            "prod-readings",
            "orders",
            "s",
            "reading",
        ];
        let names = names.map(str::to_owned);
        assert_eq!(
            near("readngs", &names),
            ["`Readings`", "`readings`", "`reading`"]
        );
        assert_eq!(near("rders", &names), ["`orders`"]);
        assert_eq!(near("od-readin", &names), ["`prod-readings`"]);
        assert!(near("elsewhere", &names).is_empty());
        assert!(near("x", &names[3..4]).is_empty());
    }

    #[test]
    fn troubles_are_found_below_other_errors() {
        let unanswered = |class| ServiceError::unanswered("PutRecords", "here", class, "");
        let absent =
            || ServiceError::answered("ListShards", "here", "ResourceNotFoundException", "");
        let table = [
            (absent(), Some(Trouble::NotFound)),
            (unanswered(ErrorClass::Transient), Some(Trouble::NoKinesis)),
            (unanswered(ErrorClass::Other), Some(Trouble::NoKinesis)),
            (unanswered(ErrorClass::AccessDenied), None),
            (ServiceError::unsigned("PutRecords", "here", ""), None),
            (
                ServiceError::answered("x", "here", "InternalFailure", ""),
                None,
            ),
        ];
        for (error, expected) in table {
            assert_eq!(of_error(&error), expected, "{error}");
            let attempt = AttemptError::Request(Arc::new(error.clone()));
            let put = PutError::gave_up("s", "here", 1, attempt);
            assert_eq!(of_error(&put), expected, "{put}");
            let boxed: Box<dyn Error> = Box::new(Box::new(error));
            assert_eq!(of_error(boxed.as_ref()), expected);
        }
    }
}
