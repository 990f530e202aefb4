//! `local`.

use kinesis_pipeline::{
    EncodedRecord, KinesisStream, PartitionKey, aws_sdk_kinesis, service::PutRecords,
};
use tokio::time::timeout;

use crate::{PATIENCE, bare_command, end_of, lines_of};

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn local_prints_what_to_set_and_serves_until_it_is_interrupted() {
    let mut local =
        bare_command("local --listen 127.0.0.1:0 --dynamodb 127.0.0.1:0 --stream readings=2 -q")
            .spawn()
            .unwrap();
    let lines = lines_of(&mut local, 6).await;
    let name = |line: &String| line.split('=').next().unwrap().replace("export ", "");
    let names: Vec<_> = lines.iter().map(name).collect();
    let expected = [
        "AWS_ENDPOINT_URL_KINESIS",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ENDPOINT_URL_DYNAMODB",
    ];
    assert_eq!(names, expected);
    let mut streams = bare_command("streams");
    for line in &lines {
        let variable = line.strip_prefix("export ").unwrap();
        let (name, value) = variable.split_once('=').unwrap();
        streams.env(name, value);
    }
    let done = end_of(streams, "").await;
    assert_eq!(
        (done.status, done.out.as_str()),
        (Some(0), "readings\n"),
        "{}",
        done.err
    );
    crate::interrupt(&local);
    let status = timeout(PATIENCE, local.wait())
        .await
        .expect("it ends")
        .unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn local_throttles_as_the_service_does_when_asked() {
    for (line, is_throttled) in [
        ("local --listen 127.0.0.1:0 --stream one=1 -q", false),
        (
            "local --listen 127.0.0.1:0 --stream one=1 -q --enforce-limits",
            true,
        ),
    ] {
        let mut local = bare_command(line).spawn().unwrap();
        let lines = lines_of(&mut local, 4).await;
        let url = lines[0].split_once('=').unwrap().1;
        let stream = KinesisStream::<EncodedRecord>::with_client(client(url), "one");
        // 4 MiB at once: a shard takes 1 MiB a second.
        let record = EncodedRecord::new(PartitionKey::random(), vec![b'x'; 512 * 1024].into());
        let call = PutRecords::new(stream.id().clone(), vec![record; 8]);
        let results = stream.service().put_records(call).await.unwrap().results;
        let throttled = results.iter().filter_map(|result| result.as_ref().err());
        assert_eq!(throttled.count() > 0, is_throttled, "{line}: {results:?}");
        local.kill().await.unwrap();
    }
}

fn client(url: &str) -> aws_sdk_kinesis::Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(aws_sdk_kinesis::config::BehaviorVersion::latest())
        .region(aws_sdk_kinesis::config::Region::from_static("us-east-1"))
        .credentials_provider(aws_sdk_kinesis::config::Credentials::new(
            "t", "t", None, None, "t",
        ))
        .endpoint_url(url)
        .build();
    aws_sdk_kinesis::Client::from_conf(config)
}
