//! Input and settings that cannot be loaded, told before the first row.

use std::{fs, io::Write as _, path::Path};

use kinesis_pipeline::{KinesisStream, LocalKinesis};
use kinesis_pipeline_load::{ColumnType, Format, Input, LoadError, Loader, Policy, Untyped};
use serde_json::Value;

use crate::support::{Airport, BAD, Dir, Row, all, stream, table};

/// The message of a load that fails.
async fn fails(input: impl Into<Input>) -> String {
    let stream = stream::<Row>(1).await;
    Loader::new(&stream)
        .load(input)
        .await
        .unwrap_err()
        .to_string()
}

#[tokio::test]
async fn bad_files_give_one_clear_line() {
    let dir = Dir::new("bad");
    let at = |path: &Path, message: &str| format!("{}: {message}", path.display());

    let comma = dir.file("comma.tsv", "key,number\na,1\n");
    assert_eq!(
        fails(comma.clone()).await,
        at(
            &comma,
            "the header has 1 column(s), and the field `number` reads position 1, counted from 0: correct the file, the delimiter or the mapping"
        )
    );
    let empty = dir.file("empty.tsv", "");
    assert_eq!(
        fails(empty.clone()).await,
        at(&empty, "the file is empty: it has no header")
    );
    let bytes = dir.file("bytes.tsv", b"key\tnumber\n\xff\t1\n");
    assert!(
        fails(bytes)
            .await
            .contains("line 2: column 0 (`key`) is not text in UTF-8")
    );
    assert!(
        fails(dir.0.clone())
            .await
            .ends_with("this is a directory: name the files in it")
    );
    assert!(
        fails(dir.path("none.tsv"))
            .await
            .contains("cannot be opened: No such file")
    );

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(table(0..5000).as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let cut = dir.file("cut.tsv.gz", &gzip[..gzip.len() / 2]);
    let message = fails(cut).await;
    assert!(
        message.contains("the compressed file is cut short"),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1);

    let quote = dir.file(
        "quote.tsv",
        [b"key\tnumber\na\t\"", &vec![b'x'; 20 << 20][..]].concat(),
    );
    let message = fails(quote).await;
    assert!(
        message.contains("a quote is opened and not closed"),
        "{message}"
    );
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_found_before_the_first_row() {
    let local = LocalKinesis::start().await.unwrap();
    let stream = KinesisStream::<Row>::with_service(local.service(), "none");
    let error = Loader::new(&stream)
        .load(Input::reader("t", &b"key\tnumber\n"[..]))
        .await
        .unwrap_err();
    assert!(matches!(error, LoadError::Stream(_)), "{error}");
}

#[tokio::test]
async fn a_file_that_is_read_is_not_overwritten() {
    let dir = Dir::new("overwrite");
    let input = dir.file("a.tsv", BAD);
    let stream = stream::<Row>(1).await;
    let loader = Loader::new(&stream).policy(Policy::Rejects(input.clone()));
    assert!(matches!(
        loader.load(input.clone()).await,
        Err(LoadError::Options(_))
    ));
    assert_eq!(fs::read_to_string(&input).unwrap(), BAD);
    let export = dir.file("row.json", BAD);
    let loader = Loader::new(&stream).format(Format::TSV).outdir(&dir.0);
    assert!(matches!(
        loader.load(export.clone()).await,
        Err(LoadError::Options(_))
    ));
    assert_eq!(fs::read_to_string(export).unwrap(), BAD);
}

#[cfg(unix)]
#[tokio::test]
async fn a_pipe_has_no_ids_and_no_resume_file_whatever_its_name() {
    let dir = Dir::new("pipe");
    let pipe = dir.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let stream = stream::<Row>(1).await;
    let ids = Loader::new(&stream).ids(true).load(pipe.clone()).await;
    assert!(matches!(ids, Err(LoadError::Options(_))), "{ids:?}");
    let resume = Loader::new(&stream).resume(dir.path("resume"));
    let resume = resume.load(pipe).await;
    let is_told = matches!(&resume, Err(LoadError::Resume { .. }));
    assert!(is_told, "{resume:?}");
    let folder = Loader::new(&stream).ids(true).load(dir.0.clone()).await;
    let told = folder.unwrap_err().to_string();
    assert!(told.ends_with("name the files in it"), "{told}");
}

#[tokio::test]
async fn a_table_without_its_columns_is_told_before_the_first_row() {
    let stream = stream::<Airport>(1).await;
    let input = Input::reader(
        "t",
        &b"iata\tname\tcity\tlatitude\tlongitude\nA\tn\tc\t1\t2\n"[..],
    );
    let error = Loader::new(&stream).load(input).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "t: the header has no column `state`, which the field `state` reads: it has `iata`, `name`, `city`, `latitude`, `longitude`; correct the file, the delimiter or the mapping"
    );
    let untyped = stream.with_record_type::<Value>();
    let load = |key: &str, text: &'static str| {
        let loader = Loader::untyped(&untyped, Untyped::new("t").key(key));
        loader.load(Input::reader("t", text.as_bytes()))
    };
    let error = load("id", "a\tb\n1\t2\n").await.unwrap_err().to_string();
    assert_eq!(
        error,
        "t: the header has no column `id` for the key: it has `a`, `b`"
    );
    let error = load("id", "id,b\n1,2\n").await.unwrap_err().to_string();
    assert_eq!(
        error,
        "t: the header is one column, \"id,b\", cut at '\\t': the delimiter seems to be ','"
    );
    assert!(all(&stream).await.is_empty());
}

#[tokio::test]
async fn a_resume_file_that_cannot_be_written_is_told_before_a_row_is_put() {
    let dir = Dir::new("no-resume");
    let input = dir.file("a.tsv", table(0..10));
    let stream = stream::<Row>(1).await;
    let loader = Loader::new(&stream).resume(dir.path("none").join("resume"));
    let error = loader.load(input).await.unwrap_err();
    assert!(matches!(error, LoadError::Output { .. }), "{error}");
    assert!(all(&stream).await.is_empty());
}

#[tokio::test]
async fn a_type_for_json_lines_is_an_error() {
    let stream = stream::<Value>(1).await;
    let table = Untyped::new("t").column_type("zip", ColumnType::Text);
    let loader = Loader::untyped(&stream, table).format(Format::JsonLines);
    let rows = Input::reader("t", &b"{\"zip\":210}\n"[..]);
    assert_eq!(
        loader.load(rows).await.unwrap_err().to_string(),
        "t: JSON lines are put as they are, with the types that they have: give no type for `zip`"
    );
}
