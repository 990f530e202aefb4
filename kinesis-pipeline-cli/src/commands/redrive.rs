use std::{
    io::BufReader,
    path::{Path, PathBuf},
};

use clap::Args;
use kinesis_pipeline::{EncodedRecord, FileDeadLetters, KinesisStream, RedriveReport};

use crate::{
    cli::{Global, StreamArgument},
    failure::Failure,
    interrupt::{Asked, Signal},
    progress_bar::tell,
};

#[derive(Args, Debug)]
pub(crate) struct Redrive {
    #[command(flatten)]
    stream: StreamArgument,
    /// The stream of the dead letters, read from its oldest record to its tip.
    #[arg(long, value_name = "STREAM", conflicts_with = "file")]
    from_stream: Option<String>,
    /// The most times that a record is put back. Its envelope has the count.
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    redrives_max: u32,
    /// A file to which letters are appended that were put back too often.
    #[arg(long, value_name = "FILE")]
    spent: Option<PathBuf>,
    /// Skip this many letters, which a previous run has put back.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    skip: u64,
    /// Put back letters of every stream. Without it, letters of other streams are skipped.
    #[arg(long)]
    any_stream: bool,
    /// The file of dead letters, one JSON object per line; standard input unless given.
    file: Option<PathBuf>,
}

impl Redrive {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        self.check_files()?;
        let connected = global.connect_to(&self.stream.stream).await?;
        let redrive = self.redrive(&connected.stream());
        let asked = Asked::default();
        let (name, skip) = (self.source(), self.skip);
        let (stop, last) = (redrive.handle(), redrive.handle());
        let last_name = name.clone();
        let last_words =
            move |signal| tell(&stop_line(signal, &last_name, skip, &last.report(), true));
        let listening = asked.clone();
        let listener = tokio::spawn(async move {
            listening.to_end(last_words).await;
            stop.stop();
        });
        let done = match (&self.from_stream, &self.file) {
            (Some(letters), _) => {
                let letters = global.connect_to(letters).await?;
                redrive
                    .from_stream(&letters.stream::<EncodedRecord>())
                    .await
            }
            (None, Some(file)) => redrive.from_file(file).await,
            (None, None) => redrive.from_reader(BufReader::new(std::io::stdin())).await,
        };
        listener.abort();
        let report = done?;
        if !global.quiet {
            tell(&summary(&report));
        }
        match asked.signal() {
            Some(signal) if report.is_stopped => {
                tell(&stop_line(signal, &name, skip, &report, false));
                Err(Failure::Stopped(signal))
            }
            _ => Ok(()),
        }
    }

    fn redrive(&self, stream: &KinesisStream<EncodedRecord>) -> kinesis_pipeline::Redrive {
        let mut redrive = kinesis_pipeline::Redrive::into_stream(stream)
            .redrives_max(self.redrives_max)
            .skip(self.skip);
        if self.any_stream {
            redrive = redrive.of_any_stream();
        }
        match &self.spent {
            Some(path) => redrive.spent_to(FileDeadLetters::new(path)),
            None => redrive,
        }
    }

    /// Refuses one file for both reading and appending letters: it would have no end.
    fn check_files(&self) -> Result<(), Failure> {
        let real = |path: &Option<PathBuf>| Path::canonicalize(path.as_deref()?).ok();
        match (real(&self.file), real(&self.spent)) {
            (Some(file), Some(spent)) if file == spent => {
                let told = "--spent names the file of the letters themselves: give it another one";
                Err(Failure::Usage(told.to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Returns a description of the source of the letters.
    fn source(&self) -> String {
        match (&self.from_stream, &self.file) {
            (Some(stream), _) => format!("stream `{stream}`"),
            (None, Some(file)) => file.display().to_string(),
            (None, None) => "standard input".to_owned(),
        }
    }
}

/// Returns the counts in one line.
fn summary(report: &RedriveReport) -> String {
    format!(
        "{} put back, {} put back too often before, {} of other streams",
        report.put, report.spent, report.of_other_streams
    )
}

/// Returns the message about the letter at which a signal stopped the redrive, so that it can continue there.
fn stop_line(
    signal: Signal,
    source: &str,
    skip: u64,
    report: &RedriveReport,
    at_once: bool,
) -> String {
    let letters = report.letters.max(skip);
    let behind = if at_once {
        ", and some behind it may be too"
    } else {
        ""
    };
    if letters == 0 {
        return format!(
            "stopped by {signal} before the first dead letter of {source} was put back{behind}"
        );
    }
    format!(
        "stopped by {signal} after dead letter {letters} of {source}: it and all before it are done{behind}; \
         --skip {letters} goes on behind it"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_tells_how_many_letters_to_skip() {
        let mut report = RedriveReport::default();
        let line = |report: &RedriveReport, skip, at_once| {
            stop_line(Signal::Interrupt, "f", skip, report, at_once)
        };
        let none = "stopped by SIGINT before the first dead letter of f was put back";
        assert_eq!(line(&report, 0, false), none);
        assert!(line(&report, 7, false).ends_with("--skip 7 goes on behind it"));
        report.letters = 500;
        assert!(line(&report, 7, false).ends_with("are done; --skip 500 goes on behind it"));
        assert!(line(&report, 7, true).contains("some behind it may be too"));
    }
}
