//! Types of columns, read back by another client.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use kinesis_pipeline::{
    DeadLetter, ErrorPolicy, KinesisRecord, MemoryLeases, StartAt, dead_letters_to,
};
use kinesis_pipeline_sql::{
    SqlError, SqlSink,
    row::{ColumnType, Columns},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{builder, put, stream, support::Postgres, wait_for, worker};

/// Times and numbers as chrono, time, jiff and `rust_decimal` write them: texts.
#[derive(Clone, Debug, Default, Serialize, Deserialize, KinesisRecord)]
struct Wide {
    #[kinesis(partition_key)]
    id: String,
    at: Option<String>,
    day: Option<String>,
    price: Value,
    cents: Value,
    tags: Option<Vec<Option<String>>>,
    names: Vec<String>,
    counts: Option<Vec<Option<i64>>>,
    shorts: Vec<i64>,
    ints: Vec<i64>,
    points: Vec<f64>,
    reals: (f64, f64),
}

fn wide(number: u8) -> Wide {
    Wide {
        id: format!("2f1acc6c-9c5b-4b3e-9d9b-1f0a3c0f8a{number:02x}"),
        names: vec!["a".into()],
        ..Wide::default()
    }
}

const TABLE: &str = "CREATE TABLE wide (id uuid, at timestamptz, day date, price numeric, cents numeric(6, 2), \
    tags text[], names varchar(5)[], counts bigint[], shorts int2[], ints int4[], points double precision[], reals real[])";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_all_types_are_what_another_client_reads() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    postgres.psql(TABLE);
    let stream = stream::<Wide>(1).await;
    let full = Wide {
        at: Some("2026-11-28T18:30:00.250001+02:00".into()),
        day: Some("2026-02-28".into()),
        price: json!("-12345678901234567890.00012300"),
        cents: json!(0.1),
        tags: Some(vec![
            Some("a,b".into()),
            None,
            Some("\"{}\\ ü".into()),
            Some(String::new()),
        ]),
        counts: Some(vec![Some(i64::MIN), None, Some(i64::MAX)]),
        shorts: vec![-32_768, 32_767],
        ints: vec![2_147_483_647],
        points: vec![0.1, -1e300, 0.0],
        reals: (0.5, -2.0),
        ..wide(1)
    };
    let before_2000 = Wide {
        at: Some("1969-12-31T23:59:59.999999Z".into()),
        day: Some("1999-12-31".into()),
        price: json!(u64::MAX),
        cents: json!("1e3"),
        tags: Some(Vec::new()),
        ..wide(2)
    };
    let small = Wide {
        price: json!("0.00000000001"),
        cents: json!(-7),
        day: Some("0001-01-01".into()),
        ..wide(3)
    };
    let zero = Wide {
        price: json!("-0.000"),
        cents: json!(1.005),
        ..wide(4)
    };
    let large = Wide {
        price: json!("1e20"),
        ..wide(5)
    };
    put(&stream, vec![full, before_2000, small, zero, large]).await;
    let sink = SqlSink::postgres(postgres.sink_url()).table("wide");
    let running = tokio::spawn(sink.run(worker(&stream, &MemoryLeases::new())));
    wait_for(&postgres, "SELECT count(*) FROM wide", 5).await;
    running.abort();
    let query = "SELECT right(id::text, 2), at AT TIME ZONE 'UTC', day, price, cents, tags, counts, shorts, ints, points, \
        reals, names, array_lower(shorts, 1) FROM wide ORDER BY id";
    let expected = [
        "01|2026-11-28 16:30:00.250001|2026-02-28|-12345678901234567890.00012300|0.10|{\"a,b\",NULL,\"\\\"{}\\\\ ü\",\"\"}\
         |{-9223372036854775808,NULL,9223372036854775807}|{-32768,32767}|{2147483647}|{0.1,-1e+300,0}|{0.5,-2}|{a}|1",
        "02|1969-12-31 23:59:59.999999|1999-12-31|18446744073709551615|1000.00|{}||{}|{}|{}|{0,0}|{a}|",
        "03||0001-01-01|0.00000000001|-7.00|||{}|{}|{}|{0,0}|{a}|",
        "04|||0.000|1.01|||{}|{}|{}|{0,0}|{a}|",
        "05|||100000000000000000000||||{}|{}|{}|{0,0}|{a}|",
    ];
    assert_eq!(postgres.psql(query), expected.join("\n"));
}

/// Records that do not fit the table, with the words of their errors.
fn misfits() -> [(Wide, &'static str); 7] {
    [
        (
            Wide {
                day: Some("2026-02-30".into()),
                ..wide(1)
            },
            "column \"day\": `2026-02-30` is no date",
        ),
        (
            Wide {
                price: json!("1,5"),
                ..wide(2)
            },
            "column \"price\": `1,5` is no decimal number",
        ),
        (
            Wide {
                shorts: vec![1, 70_000],
                ..wide(3)
            },
            "column \"shorts\": 70000 does not fit",
        ),
        (
            Wide {
                at: Some("2026-11-28".into()),
                ..wide(4)
            },
            "column \"at\": `2026-11-28` is no timestamp",
        ),
        (
            Wide {
                tags: Some(vec![Some("\0".into())]),
                ..wide(5)
            },
            "column \"tags\": it holds a NUL",
        ),
        // These the database refuses.
        (
            Wide {
                cents: json!(100_000),
                ..wide(6)
            },
            "numeric field overflow",
        ),
        (
            Wide {
                names: vec!["longer".into()],
                ..wide(7)
            },
            "value too long",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_do_not_fit_their_type_are_named_and_the_others_are_written() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    postgres.psql(TABLE);
    let stream = stream::<Wide>(1).await;
    let bad = misfits();
    let mut records: Vec<_> = bad.iter().map(|(record, _)| record.clone()).collect();
    records.insert(3, wide(20));
    records.push(wide(21));
    put(&stream, records).await;
    let letters: Arc<Mutex<Vec<DeadLetter>>> = Arc::default();
    let kept = letters.clone();
    let policy = ErrorPolicy::retry().then_dead_letter(dead_letters_to(move |letters| {
        kept.lock().unwrap().extend(letters);
        std::future::ready(Ok(()))
    }));
    let builder = builder(&stream, &MemoryLeases::new()).on_error(policy);
    let worker = builder.batch_wait_max(Duration::from_secs(1)).build();
    let sink = SqlSink::postgres(postgres.sink_url()).table("wide");
    let running = tokio::spawn(sink.run(worker.unwrap()));
    wait_for(&postgres, "SELECT count(*) FROM wide", 2).await;
    running.abort();
    let letters = letters.lock().unwrap();
    let errors: Vec<_> = letters.iter().map(|letter| &letter.error).collect();
    assert_eq!(errors.len(), bad.len(), "{errors:?}");
    for (_, text) in bad {
        assert!(
            errors.iter().any(|error| error.contains(text)),
            "{text}: {errors:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_made_with_the_types_that_are_given_and_others_are_refused_by_name() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let stream = stream::<Wide>(1).await;
    let typed = [
        ("at", ColumnType::Timestamp),
        ("day", ColumnType::Date),
        ("price", ColumnType::Decimal),
        ("tags", ColumnType::TextArray),
        ("counts", ColumnType::IntArray),
        ("points", ColumnType::FloatArray),
    ];
    let columns = typed
        .into_iter()
        .fold(Columns::of::<Wide>().unwrap(), |columns, (name, kind)| {
            columns.typed(name, kind).unwrap()
        });
    put(&stream, vec![wide(1)]).await;
    let sink = SqlSink::postgres(postgres.sink_url())
        .table("made")
        .columns(columns)
        .create_table();
    let running = tokio::spawn(sink.run(worker(&stream, &MemoryLeases::new())));
    wait_for(&postgres, "SELECT count(*) FROM made", 1).await;
    running.abort();
    let query = "SELECT string_agg(format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute \
        WHERE attrelid = 'made'::regclass AND attnum > 0";
    assert_eq!(
        postgres.psql(query),
        "text, timestamp with time zone, date, numeric, jsonb, text[], jsonb, bigint[], jsonb, jsonb, \
         double precision[], jsonb"
    );

    postgres.psql("CREATE TABLE others (id text, at interval, tags inet[])");
    let on = SqlSink::<Wide>::postgres(postgres.sink_url()).table("others");
    let builder = stream.worker("others").leases(MemoryLeases::new());
    let worker = builder.start(StartAt::TrimHorizon).build().unwrap();
    let error = on.run(worker).await.unwrap_err();
    assert!(matches!(&error, SqlError::UnsupportedType { column, .. } if column == "at"));
    assert!(error.to_string().contains("interval"), "{error}");
}
