//! Directories that are not ours, or not free.

use super::*;

async fn refused(path: &Path) -> LocalError {
    start(path, &clock()).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_directory_belongs_to_one_kinesis_until_its_last_handle_is_gone() {
    let scratch = Scratch::new();
    let first = start(&scratch.0, &clock()).await.unwrap();
    let stream = first.stream::<Bytes>(STREAM, 1).await.unwrap();
    drop(first);
    let error = refused(&scratch.0).await;
    assert!(matches!(&error, LocalError::DataDirInUse { path, .. } if *path == scratch.0));
    assert!(error.to_string().contains("in use"));
    drop(stream);
    start(&scratch.0, &clock()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn directories_of_others_are_refused_and_left_as_they_are() {
    let scratch = Scratch::new();
    fs::create_dir_all(&scratch.0).unwrap();
    let file = scratch.0.join("letter.txt");
    fs::write(&file, "dear").unwrap();
    for place in [&scratch.0, &file] {
        let error = refused(place).await;
        assert!(matches!(&error, LocalError::DataDirForeign { path, .. } if path == place));
    }
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1);
    assert_eq!(fs::read(&file).unwrap(), b"dear");
}

#[tokio::test(start_paused = true)]
async fn a_format_of_the_future_is_refused() {
    let scratch = Scratch::new();
    drop(start(&scratch.0, &clock()).await.unwrap());
    let marker = scratch.0.join("kinesis-pipeline.txt");
    let text = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, text.replace("format 1", "format 2")).unwrap();
    let error = refused(&scratch.0).await;
    assert!(matches!(&error, LocalError::DataDirForeign { path, .. } if *path == marker));
}

#[tokio::test(start_paused = true)]
async fn a_directory_whose_making_was_cut_short_is_made_anew() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.0.join("store/keyspaces")).unwrap();
    fs::write(scratch.0.join("kinesis-pipeline.txt"), "streams of").unwrap();
    fs::write(scratch.0.join("store/version"), "").unwrap();
    drop(start(&scratch.0, &clock()).await.unwrap());
    start(&scratch.0, &clock()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn streams_of_another_region_are_not_served_under_wrong_names() {
    let scratch = Scratch::new();
    drop(start(&scratch.0, &clock()).await.unwrap());
    let other = builder(&clock()).region("eu-west-1").data_dir(&scratch.0);
    let error = other.start().await.unwrap_err();
    assert!(matches!(&error, LocalError::Settings { .. }));
    assert!(error.to_string().contains("us-east-1"), "{error}");
}
