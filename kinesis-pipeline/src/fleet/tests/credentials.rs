//! Tests of a store whose source of credentials fails.

use aws_credential_types::provider::error::CredentialsError;

use super::database::{Database, after, failed, lease_error};
use crate::{CheckpointStore, LeaseError, service::aws::credentials::tests::Flaky};

#[tokio::test]
async fn a_store_outlasts_credentials_that_fail_for_a_moment() {
    let database = Database::start().await;
    let source = Flaky::new(|| CredentialsError::provider_error("503"));
    let store = database.store_signed_by(source.clone());
    source.fail(2);
    store.save("app", "s", vec![after("a", 1)]).await.unwrap();
    source.fail(2);
    assert_eq!(store.load("app", "s").await.unwrap(), [after("a", 1)]);
    source.fail(2);
    store.remove("app", "s", vec!["a".into()]).await.unwrap();
    assert_eq!(store.load("app", "s").await.unwrap(), []);
}

#[tokio::test]
async fn missing_credentials_are_final_and_say_what_to_set() {
    let database = Database::start().await;
    let source = Flaky::new(CredentialsError::not_loaded_no_source);
    source.fail(usize::MAX);
    let error = failed(database.store_signed_by(source).load("app", "s").await);
    assert!(!error.is_retryable());
    let text = lease_error(&error).to_string();
    assert!(text.contains("AWS_ACCESS_KEY_ID"), "{text}");
}

#[test]
fn answers_of_the_database_are_final_as_those_of_kinesis_are() {
    for (code, is_retryable, awaits_credentials) in [
        ("AccessDeniedException", false, false),
        ("UnrecognizedClientException", false, false),
        ("InvalidSignatureException", false, false),
        ("ValidationException", false, false),
        ("ExpiredTokenException", true, true),
        ("ProvisionedThroughputExceededException", true, false),
        ("ResourceNotFoundException", true, false),
        ("InternalServerError", true, false),
    ] {
        let error = LeaseError::Service {
            operation: "Scan",
            code: Some(code.to_owned()),
            message: String::new(),
            source: "an answer".into(),
        };
        assert_eq!(error.is_retryable(), is_retryable, "{code}");
        assert_eq!(error.awaits_credentials(), awaits_credentials, "{code}");
    }
}
