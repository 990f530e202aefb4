//! Tests of requests and answers apart from the operations: browsers of other origins, methods other than `POST`, and
//! the members of errors.

use serde_json::json;

use crate::wire::{JSON, SIGNED, exchange, send, server};

const PUT_RECORD: &str = "X-Amz-Target: Kinesis_20131202.PutRecord\r\n";

#[tokio::test]
async fn a_browser_may_ask_and_send_from_any_origin() {
    let server = server().await;
    let ask = b"OPTIONS / HTTP/1.1\r\nHost: local\r\nConnection: close\r\nOrigin: https://example.com\r\n\
        Access-Control-Request-Method: POST\r\n\
        Access-Control-Request-Headers: authorization,x-amz-target\r\n\r\n";
    let answer = exchange(server.address(), &[ask]).await;
    assert_eq!(answer.status, 200);
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-max-age", "172800"),
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-headers", "authorization,x-amz-target"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn answers_to_a_page_of_another_origin_may_be_read_by_it() {
    let server = server().await;
    let target = "X-Amz-Target: Kinesis_20131202.ListStreams\r\n";
    let plain = format!("{SIGNED}{JSON}{target}");
    let answer = send(&server, "/", &plain, b"{}").await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let from_page = format!("{plain}Origin: https://example.com\r\n");
    for (body, status) in [(&b"{}"[..], 200), (b"{", 400)] {
        let answer = send(&server, "/", &from_page, body).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let exposed = answer.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("x-amzn-ErrorType"), "{exposed}");
    }
}

#[tokio::test]
async fn a_method_other_than_post_is_denied_in_xml() {
    let server = server().await;
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let request = format!("{method} / HTTP/1.1\r\nHost: local\r\nConnection: close\r\n\r\n");
        let answer = exchange(server.address(), &[request.as_bytes()]).await;
        assert_eq!(answer.status, 403, "{method}");
        let body = str::from_utf8(&answer.body).unwrap();
        assert!(body.starts_with("<AccessDeniedException>"), "{body}");
    }
}

#[tokio::test]
async fn a_member_of_the_wrong_type_is_told_with_a_capital_m() {
    let server = server().await;
    for (body, words) in [
        (
            json!({"StreamName": 7}),
            "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String",
        ),
        (
            json!({"DryRun": "yes"}),
            "class java.lang.String can not be converted to an Boolean",
        ),
        (
            json!({"PartitionKey": ["k"]}),
            "Start of list found where not expected",
        ),
        (
            json!({"Data": true}),
            "class java.lang.Boolean can not be converted to a Blob",
        ),
    ] {
        let headers = format!("{SIGNED}{JSON}{PUT_RECORD}");
        let answer = send(&server, "/", &headers, body.to_string().as_bytes()).await;
        let told = json!({"__type": "SerializationException", "Message": words});
        assert_eq!((answer.status, answer.json()), (400, told));
    }
    let target = "X-Amz-Target: Kinesis_20131202.ListStreams\r\n";
    let headers = format!("{SIGNED}{JSON}{target}");
    let answer = send(&server, "/", &headers, br#"{"Limit": "three"}"#).await;
    let words = "class java.lang.String can not be converted to an Integer";
    assert_eq!(answer.json()["Message"], words);
}

#[tokio::test]
async fn an_operation_that_is_not_there_is_told_without_words() {
    let server = server().await;
    for target in ["Kinesis_20131202.MakeCoffee", "Coffee.PutRecord"] {
        let headers = format!("{SIGNED}{JSON}X-Amz-Target: {target}\r\n");
        let answer = send(&server, "/", &headers, b"{}").await;
        let bare = json!({"__type": "UnknownOperationException"});
        assert_eq!((answer.status, answer.json()), (400, bare), "{target}");
    }
}
