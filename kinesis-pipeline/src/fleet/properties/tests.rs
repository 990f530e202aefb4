use proptest::prelude::*;

use super::*;

/// The settings file of `LorryStream`, as published.
const LORRYSTREAM: &str = "\
# The script that abides by the multi-language protocol.
executableName = record_processor.py
streamName = testdrive-stream
applicationName = stream-demo
AWSCredentialsProvider = DefaultAWSCredentialsProviderChain
processingLanguage = python/3.11
initialPositionInStream = TRIM_HORIZON
regionName = us-east-1
failoverTimeMillis = 10000
workerId = worker-1
shardSyncIntervalMillis = 60000
maxRecords = 10000
idleTimeBetweenReadsInMillis = 1000
";

fn parsed(text: &str) -> Vec<(String, String)> {
    let properties = WorkerProperties::parse(text).unwrap();
    properties.values.into_iter().collect()
}

#[test]
fn lines_are_read_as_java_reads_them() {
    let owned = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    for (text, name, value) in [
        ("a=b", "a", "b"),
        ("  a : b c", "a", "b c"),
        ("a b", "a", "b"),
        ("a", "a", ""),
        ("a = b \\\n   c", "a", "b c"),
        ("a\\=b = c\\u00e9\\t", "a=b", "cé\t"),
        ("# x = y\n! z\n\na==b", "a", "=b"),
        ("a = 1\na = 2", "a", "2"),
        ("a = b\\\\\n", "a", "b\\"),
    ] {
        assert_eq!(parsed(text), [owned(name, value)], "{text:?}");
    }
    let error = WorkerProperties::parse("a = b\nc = \\u12").unwrap_err();
    assert!(matches!(error, PropertiesError::Escape { line: 2 }));
}

proptest! {
    #[test]
    fn whatever_stands_in_a_file_is_no_panic(text in ".{0,80}") {
        let _ = WorkerProperties::parse(&text);
    }
}

#[test]
fn settings_without_a_meaning_are_named() {
    let properties = WorkerProperties::parse(LORRYSTREAM).unwrap();
    assert_eq!(
        properties.without_meaning().collect::<Vec<_>>(),
        [
            "AWSCredentialsProvider",
            "executableName",
            "processingLanguage",
            "shardSyncIntervalMillis"
        ]
    );
}

#[cfg(feature = "local")]
#[tokio::test]
async fn a_worker_is_set_up_as_the_file_says() {
    let local = crate::LocalKinesis::start().await.unwrap();
    let stream = local
        .stream::<bytes::Bytes>("testdrive-stream", 1)
        .await
        .unwrap();
    let directory = std::env::temp_dir().join(format!("properties-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join("record_processor.properties");
    fs::write(&file, LORRYSTREAM).unwrap();
    let worker = stream.worker_from_properties(&file).unwrap();
    let worker = worker.leases(crate::MemoryLeases::new()).build().unwrap();
    assert_eq!(worker.id().as_str(), "worker-1");
    let shown = format!("{worker:?}");
    for part in [
        "stream-demo",
        "failover: 10s",
        "TrimHorizon",
        "records_max: 10000",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }

    let wrong = |from: &str, to: &str| {
        fs::write(&file, LORRYSTREAM.replace(from, to)).unwrap();
        let error = stream.worker_from_properties(&file).err().unwrap();
        error.to_string()
    };
    assert!(wrong("TRIM_HORIZON", "OLDEST").contains("set TRIM_HORIZON"));
    assert!(wrong("10000", "soon").contains("a whole number"));
    assert!(wrong("testdrive-stream", "other").contains("`other`"));
    assert!(wrong("applicationName", "x").contains("no `applicationName`"));
    fs::remove_dir_all(directory).unwrap();
    let absent = stream.worker_from_properties(&file).err().unwrap();
    assert!(matches!(absent, PropertiesError::Unreadable { .. }));
}
