//! A service that fails at random: a client with prepared calls tells the same of each put as one without.

use std::collections::BTreeMap;

use super::{
    STORED, is_prepared, ok, put,
    server::{Answer, Server},
};
use crate::{
    service::{ErrorClass, PutRecordsAnswer, ServiceError, aws::AwsKinesis},
    trials::seeds,
};

const PUTS: usize = 30;
const DENIED: &str = r#"{"__type":"AccessDeniedException"}"#;
/// The answers, by status and body. Every second one of a run is the first.
const ANSWERS: [(u16, &str); 8] = [
    (200, STORED),
    (
        400,
        r#"{"__type":"ProvisionedThroughputExceededException"}"#,
    ),
    (400, r#"{"__type":"ResourceNotFoundException"}"#),
    (400, DENIED),
    (500, r#"{"__type":"InternalFailure"}"#),
    (503, "<html>"),
    (200, "{\"Records\":"),
    (200, r#"{"Records":[]}"#),
];

/// The part of a put's outcome that its caller acts on.
type Outcome = Result<usize, (ErrorClass, Option<String>, bool)>;

fn outcome(put: Result<PutRecordsAnswer, ServiceError>) -> Outcome {
    let stored = put.map(|answer| answer.results.len());
    stored.map_err(|error| (error.class, error.code, error.may_have_been_done))
}

fn answer((status, body): (u16, &'static str)) -> Answer {
    (status, String::new(), body)
}

/// Returns a client that does not take the server's JSON for ignorance of CBOR.
fn client(server: &Server) -> AwsKinesis {
    let aws = server.aws();
    aws.dialect.answered_in_cbor();
    aws
}

/// Returns the outcome of each answer for a client without prepared calls.
async fn outcomes() -> BTreeMap<(u16, &'static str), Outcome> {
    let mut outcomes = BTreeMap::new();
    for told in ANSWERS {
        let server = Server::start([answer(told)]).await;
        let aws = client(&server).without_prepared_calls();
        outcomes.insert(told, outcome(put(&aws).await));
    }
    outcomes
}

#[tokio::test]
async fn every_put_has_the_outcome_of_the_last_answer_and_is_sent_once_unless_it_is_denied() {
    let expected = outcomes().await;
    let mut prepared = 0;
    for seed in 0..seeds(4) {
        let mut random = fastrand::Rng::with_seed(seed);
        let told = (0..2 * PUTS).map(|_| {
            let is_good = random.bool();
            let answer = if is_good {
                0
            } else {
                random.usize(..ANSWERS.len())
            };
            ANSWERS[answer]
        });
        let told: Vec<_> = told.collect();
        let server = Server::start([ok()].into_iter().chain(told.iter().copied().map(answer)));
        let mut server = server.await;
        let aws = client(&server);
        put(&aws).await.unwrap();
        server.request().await;
        let mut told = told.into_iter();
        for number in 0..PUTS {
            let was_prepared = is_prepared(&aws);
            prepared += usize::from(was_prepared);
            let outcome = outcome(put(&aws).await);
            let mut answer = told.next().unwrap();
            server.request().await;
            if was_prepared && answer.1 == DENIED {
                answer = told.next().unwrap();
                server.request().await;
            }
            let place = format!("seed {seed}, put {number}: {answer:?}");
            assert!(server.requests.try_recv().is_err(), "sent again: {place}");
            assert_eq!(outcome, expected[&answer], "{place}");
        }
    }
    assert!(prepared > PUTS, "{prepared} puts were prepared");
}
