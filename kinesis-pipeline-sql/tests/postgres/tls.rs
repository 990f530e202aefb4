//! TLS to a real server, with a certificate of an authority that the system may know or not. The list of authorities is
//! read from the environment, so that each case is a process of its own.

use std::process::{Command, Stdio};

use kinesis_pipeline::{MemoryLeases, ShardId};
use kinesis_pipeline_sql::{SqlError, SqlSink, row::Columns};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::{Reading, builder, put, reading, stream, support::Postgres, wait_for};

const URL: &str = "TLS_TEST_URL";
const TRUSTED: &str = "TLS_TEST_TRUSTED";

/// An authority, as PEM, and a certificate of it for `localhost` with its key.
fn certificates() -> [String; 3] {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    [authority, certificate.pem(), key.serialize_pem()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_writes_through_tls_and_refuses_a_server_that_no_authority_vouches_for() {
    let Some(mut postgres) = Postgres::start().await else {
        return;
    };
    let [authority, certificate, key] = certificates();
    let [other, ..] = certificates();
    postgres.serve_tls(&certificate, &key).await;
    for (authority, is_trusted) in [(other, false), (authority, true)] {
        let file = std::env::temp_dir().join(format!("authority-{}.pem", std::process::id()));
        std::fs::write(&file, authority).unwrap();
        let url = format!(
            "postgres://postgres@localhost:{}/postgres?sslmode=require",
            postgres.port()
        );
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "tls::the_sink",
                "--test-threads=1",
                "--nocapture",
            ])
            .env("SSL_CERT_FILE", &file)
            .env(URL, url)
            .env(TRUSTED, is_trusted.to_string())
            .stdin(Stdio::null())
            .output();
        let child = child.unwrap();
        std::fs::remove_file(file).unwrap();
        let told = String::from_utf8_lossy(&child.stdout) + String::from_utf8_lossy(&child.stderr);
        assert!(
            child.status.success() && told.contains("1 passed"),
            "{told}"
        );
    }
    wait_for(&postgres, "SELECT count(*) FROM readings", 10).await;
}

/// Not a test of its own: the process with the sink.
#[tokio::test]
async fn the_sink() {
    let (Ok(url), Ok(is_trusted)) = (std::env::var(URL), std::env::var(TRUSTED)) else {
        return;
    };
    let stream = stream(1).await;
    put(&stream, (0..10).map(reading).collect()).await;
    let worker = builder(&stream, &MemoryLeases::new()).build().unwrap();
    let handle = worker.handle();
    let columns = Columns::of::<Reading>().unwrap();
    let sink = SqlSink::postgres(&url)
        .table("readings")
        .columns(columns)
        .create_table();
    let open = sink.open(&worker).await;
    if is_trusted == "false" {
        let error = open.unwrap_err();
        assert!(
            matches!(
                error,
                SqlError::Database {
                    action: "connect",
                    ..
                }
            ),
            "{error:?}"
        );
        return;
    }
    let open = open.unwrap();
    let running = tokio::spawn(worker.run(move |_: &ShardId| open.processor()));
    // Seen by the server: the sink's connections are those with TLS.
    let plain = url
        .replace("localhost", "127.0.0.1")
        .replace("=require", "=disable");
    let (client, connection) = tokio_postgres::connect(&plain, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let query = "SELECT (SELECT count(*) FROM readings), count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl) \
        FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'kinesis-pipeline'";
    loop {
        let row = client.query_one(query, &[]).await.unwrap();
        let [rows, tls, plain]: [i64; 3] = [0, 1, 2].map(|index| row.get(index));
        assert_eq!(plain, 0);
        if rows == 10 {
            assert!(tls > 0);
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    handle.stop();
    running.await.unwrap().unwrap();
}
