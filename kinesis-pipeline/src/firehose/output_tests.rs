use proptest::{collection::vec, prelude::*};

use super::*;

#[test]
fn a_response_is_written_to_the_byte() {
    let records = [
        OutputRecord::ok("1", b"hi\n").with_partition_key("state", "N\"Y"),
        OutputRecord::dropped("2\n"),
        OutputRecord::failed("3").with_data(b"x"),
    ];
    let expected = concat!(
        r#"{"records":["#,
        r#"{"recordId":"1","result":"Ok","data":"aGkK","metadata":{"partitionKeys":{"state":"N\"Y"}}},"#,
        r#"{"recordId":"2\n","result":"Dropped","data":"","metadata":{"partitionKeys":{}}},"#,
        r#"{"recordId":"3","result":"ProcessingFailed","data":"eA==","metadata":{"partitionKeys":{}}}"#,
        "]}"
    );
    let json = OutputRecord::write_all(&records);
    assert_eq!(std::str::from_utf8(&json).unwrap(), expected);
    assert_eq!(OutputRecord::write_all(&[]), br#"{"records":[]}"#);
}

#[test]
fn ok_in_capitals_is_read_and_another_result_is_an_error() {
    let read = |result: &str| {
        let json = format!(r#"{{"records":[{{"recordId":"1","result":"{result}","data":null}}]}}"#);
        OutputRecord::parse_all(json.as_bytes()).map(|records| records[0].result)
    };
    assert_eq!(read("OK").unwrap(), Outcome::Ok);
    assert_eq!(read("ProcessingFailed").unwrap(), Outcome::ProcessingFailed);
    assert!(read("Fine").is_err() && read("").is_err());
    let without = br#"{"records":[{"recordId":"1","result":"Dropped"}]}"#;
    assert_eq!(
        OutputRecord::parse_all(without).unwrap()[0]
            .bytes()
            .unwrap(),
        ""
    );
}

fn any_output() -> impl Strategy<Value = OutputRecord<'static>> {
    let keys = vec((".{0,4}", ".{0,4}"), 0..3);
    (".{1,9}", 0..3, vec(any::<u8>(), 0..99), keys).prop_map(|(id, result, data, keys)| {
        let record = match result {
            0 => OutputRecord::ok(id, &data),
            1 => OutputRecord::dropped(id),
            _ => OutputRecord::failed(id).with_data(&data),
        };
        keys.into_iter().fold(record, |record, (name, value)| {
            record.with_partition_key(name, value)
        })
    })
}

proptest! {
    #[test]
    fn a_response_comes_back(records in vec(any_output(), 0..9)) {
        let json = OutputRecord::write_all(&records);
        let back = OutputRecord::parse_all(&json).unwrap();
        prop_assert_eq!(back.len(), records.len());
        for (back, record) in back.iter().zip(&records) {
            prop_assert_eq!(&back.record_id, &record.record_id);
            prop_assert_eq!(back.result, record.result);
            prop_assert_eq!(back.bytes().unwrap(), record.bytes().unwrap());
            let none = PartitionKeys::new();
            prop_assert_eq!(
                back.partition_keys().unwrap_or(&none),
                record.partition_keys().unwrap_or(&none)
            );
        }
    }

    #[test]
    fn an_answer_takes_what_it_says(record in any_output()) {
        let keys = record.partition_keys().map(keys_json);
        let answer = Answer {
            record_id: Id::new(&record.record_id),
            result: record.result,
            keys_json: keys.as_deref(),
        };
        let json = OutputRecord::write_all(std::slice::from_ref(&record));
        // The length includes a comma, also for the first answer, which has none.
        prop_assert_eq!(answer.bytes(record.data.len()) + FRAME_BYTES, json.len() + 1);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(noise: Vec<u8>) {
        let _ = OutputRecord::parse_all(&noise);
    }
}
