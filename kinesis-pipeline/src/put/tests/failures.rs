//! What fails, what is retried, and what the error says.

use std::time::Duration;

use super::{
    Answer, Script,
    script::{ENDPOINT, record},
};
use crate::{AttemptError, Clock, PutError, PutOptions, service::ErrorClass};

#[tokio::test(start_paused = true)]
async fn a_request_that_is_throttled_is_retried_with_growing_waits() {
    let throttled = || Answer::Error("ThrottlingException");
    let script = Script::new([throttled(), throttled(), throttled()]);
    let receipt = script.stream().put(&record("k")).await.unwrap();
    assert_eq!(receipt.attempts, 4);
    // Half or all of 50, 100 and 200 ms, and four answers after 5 ms each.
    let took = receipt.time_in_buffer.as_millis();
    assert!((175 + 20..=350 + 25).contains(&took), "{took} ms");
}

#[tokio::test(start_paused = true)]
async fn a_record_is_given_up_after_its_attempts() {
    let script = Script::with([], |_| Answer::Error("InternalFailure"));
    let stream = script.stream_with(PutOptions::new().attempts_max(3));
    let error = stream.put(&record("k")).await.unwrap_err();
    assert!(
        matches!(error, PutError::GaveUp { attempts: 3, .. }),
        "{error}"
    );
    assert!(error.is_retryable() && !error.may_have_been_stored());
    assert_eq!(script.sizes(), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn failures_for_good_fail_at_once_with_their_class() {
    for (code, class) in [
        ("AccessDeniedException", ErrorClass::AccessDenied),
        ("ResourceNotFoundException", ErrorClass::NotFound),
        ("InvalidArgumentException", ErrorClass::Invalid),
        ("SomethingNew", ErrorClass::Other),
    ] {
        let script = Script::with([], move |_| Answer::Error(code));
        let error = script.stream().put(&record("k")).await.unwrap_err();
        assert!(
            matches!(error, PutError::Rejected { attempts: 1, .. }),
            "{error}"
        );
        assert_eq!(error.last_attempt().map(AttemptError::class), Some(class));
        assert!(!error.is_retryable());
        assert_eq!(script.sizes(), [1], "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_where_nothing_listens_is_an_error_within_seconds_that_names_it() {
    let script = Script::with([], |_| Answer::Refused);
    let begun = Clock::system().instant();
    let error = script.stream().put(&record("k")).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(8));
    assert!(error.to_string().contains(ENDPOINT), "{error}");
    assert!(!error.may_have_been_stored());
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_remembered_when_the_record_is_refused_later() {
    let script = Script::new([Answer::Lost, Answer::Error("AccessDeniedException")]);
    let error = script.stream().put(&record("k")).await.unwrap_err();
    assert!(
        matches!(error, PutError::Rejected { attempts: 2, .. }),
        "{error}"
    );
    assert!(error.may_have_been_stored());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_times_out_and_may_have_stored_the_record() {
    let script = Script::with([], |_| Answer::Silence);
    let options = PutOptions::new()
        .attempts_max(2)
        .request_timeout(Duration::from_secs(3));
    let error = script
        .stream_with(options)
        .put(&record("k"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, PutError::GaveUp { attempts: 2, .. }),
        "{error}"
    );
    assert!(error.may_have_been_stored());
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_a_result_too_few_fails_its_records_as_maybe_stored() {
    let script = Script::new([Answer::OneTooFew]);
    let results = script.stream().put_all((0..3).map(record)).await;
    for result in results {
        assert!(result.unwrap_err().error.may_have_been_stored());
    }
    assert_eq!(script.sizes(), [3], "a repeat could store them twice");
}

#[tokio::test(start_paused = true)]
async fn one_poison_record_fails_alone() {
    let script = Script::with([], |call| {
        let poison = |record: &crate::EncodedRecord| record.partition_key == "77";
        if call.records.iter().any(poison) {
            Answer::Error("ValidationException")
        } else {
            Answer::Stored
        }
    });
    let results = script.stream().put_all((0..300).map(record)).await;
    for (number, result) in results.into_iter().enumerate() {
        match result {
            Ok(receipt) => assert_eq!(receipt.attempts, 1, "the refusals were not about it"),
            Err(failure) => {
                assert_eq!(number, 77);
                assert!(matches!(failure.error, PutError::Rejected { .. }));
            }
        }
    }
    assert!(script.calls().len() < 25, "{}", script.calls().len());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_panics_fails_the_records_it_had_and_the_pipeline_goes_on() {
    let script = Script::new([Answer::Panic]);
    let stream = script.stream();
    let error = stream.put(&record("k")).await.unwrap_err();
    assert!(
        matches!(error, PutError::Rejected { attempts: 1, .. }),
        "{error}"
    );
    assert!(error.may_have_been_stored());
    assert!(stream.put(&record("k")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_throttles_everything_gets_through_the_old_records_first() {
    // Takes 100 records a request: five times less than it is sent.
    const THROTTLED: [usize; 400] = {
        let mut indices = [0; 400];
        let mut index = 0;
        while index < 400 {
            indices[index] = index + 100;
            index += 1;
        }
        indices
    };
    let script = Script::with([], |_| {
        Answer::Failed(&THROTTLED, "ProvisionedThroughputExceededException")
    });
    let results = script.stream().put_all((0..5_000).map(record)).await;
    let failed = results.iter().filter(|result| result.is_err()).count();
    assert_eq!(failed, 0);
}
