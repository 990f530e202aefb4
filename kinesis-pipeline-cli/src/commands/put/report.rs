use std::{
    error::Error as _,
    io::{self, Write},
};

use kinesis_pipeline::{AttemptError, PutError, Receipt, service::ErrorClass};
use serde::Serialize;

use super::lines::Progress;
use crate::{
    failure::{self, Failure},
    hints::{self, Trouble},
    interrupt::Signal,
    output,
    progress_bar::tell,
};

/// Whether to go on reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    Good,
    /// No later record can be stored either: the failure is not about the record.
    Hopeless,
}

/// A report of the result of each line: receipts on standard output if wanted, errors on standard error.
pub(super) struct Report<W> {
    out: W,
    prints_receipts: bool,
    stored: u64,
    failed: u64,
    /// Failures that only repeat the hopeless one.
    repeated: u64,
    outlook: Outlook,
    /// The kind of the hopeless failure.
    trouble: Option<Trouble>,
}

impl<W: Write> Report<W> {
    pub(super) fn new(out: W, prints_receipts: bool) -> Self {
        Self {
            out,
            prints_receipts,
            stored: 0,
            failed: 0,
            repeated: 0,
            outlook: Outlook::Good,
            trouble: None,
        }
    }

    /// Reports the result of one line.
    pub(super) fn result(
        &mut self,
        line: u64,
        result: Result<Receipt, PutError>,
    ) -> Result<Outlook, Failure> {
        match result {
            Ok(receipt) => self.stored(line, &receipt)?,
            Err(error) => self.failed(line, &error),
        }
        Ok(self.outlook)
    }

    fn stored(&mut self, line: u64, receipt: &Receipt) -> Result<(), Failure> {
        self.stored += 1;
        if !self.prints_receipts {
            return Ok(());
        }
        let written = output::json_line(&mut self.out, &ReceiptLine::new(line, receipt));
        self.unless_closed(written)
    }

    /// Stops printing receipts after the pipe is closed; the records are still put.
    fn unless_closed(&mut self, written: io::Result<()>) -> Result<(), Failure> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.prints_receipts = false;
                Ok(())
            }
            written => Ok(written?),
        }
    }

    fn failed(&mut self, line: u64, error: &PutError) {
        self.failed += 1;
        let hopeless = is_hopeless(error);
        if hopeless && self.outlook == Outlook::Hopeless {
            self.repeated += 1;
            return;
        }
        failure::report(&format!("line {line}: {}", words(error)));
        if hopeless {
            self.outlook = Outlook::Hopeless;
            self.trouble = hints::of_error(error);
        }
    }

    /// Returns the number of records that were stored.
    pub(super) fn stored_count(&self) -> u64 {
        self.stored
    }

    /// Whether to go on reading.
    pub(super) fn outlook(&self) -> Outlook {
        self.outlook
    }

    /// Flushes the buffered output.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        let flushed = self.out.flush();
        self.unless_closed(flushed)
    }

    /// Reports the rest as sums, which were not reported line by line; `stopped` is the signal that came, if one did.
    pub(super) fn finish(
        mut self,
        input: &str,
        progress: &Progress,
        stopped: Option<Signal>,
    ) -> Result<(), Failure> {
        self.flush()?;
        match (self.repeated, progress.without_result()) {
            (0, 0) => {}
            (more, 0) => failure::report(&format!("{more} more lines were not stored")),
            (more, unknown) => {
                let more = more + unknown;
                failure::report(&format!("{more} more lines are not known to be stored"));
            }
        }
        if self.outlook == Outlook::Hopeless && !progress.is_ended() {
            let last = progress.last_put();
            failure::report(&format!("{input} was not read beyond line {last}"));
        }
        if let Some(error) = progress.take_error() {
            failure::report(&format!("the input cannot be read further: {error}"));
            return Err(Failure::Reported(None));
        }
        if let Some(signal) = stopped.filter(|_| !progress.is_ended()) {
            tell(&stop_line(signal, input, progress));
            return Err(Failure::Stopped(signal));
        }
        match self.failed {
            0 => Ok(()),
            _ => Err(Failure::Reported(self.trouble)),
        }
    }
}

/// Returns the message about the line at which a signal stopped the put, so that it can continue there.
pub(super) fn stop_line(signal: Signal, input: &str, progress: &Progress) -> String {
    let (last, last_put) = (progress.last(), progress.last_put());
    let mut line = if last == 0 {
        format!("stopped by {signal} before the first line of {input} was stored")
    } else {
        let failed = match progress.failed() {
            0 => String::new(),
            failed => format!(" but {failed} that failed"),
        };
        let stored = format!("it and all before it are stored{failed}");
        format!("stopped by {signal} after line {last} of {input}: {stored}")
    };
    if last_put > last {
        line = format!("{line}; some up to line {last_put} may be");
    }
    line
}

/// Returns the message about a line, or about the put of its record.
fn words(error: &PutError) -> String {
    match error {
        PutError::Key { source, .. } => failure::line(source),
        // The error of the line is the source of the codec's error.
        PutError::Encode { source, .. } => match source.source() {
            Some(refused) => failure::line(refused),
            None => failure::line(source),
        },
        error => failure::line(error),
    }
}

/// Whether the next record will fail as this one did: the stream does not exist, access is denied, or no service
/// answers.
fn is_hopeless(error: &PutError) -> bool {
    let Some(attempt) = error.last_attempt() else {
        return false;
    };
    match attempt.class() {
        ErrorClass::NotFound | ErrorClass::AccessDenied => true,
        _ => match attempt {
            AttemptError::Request(error) => error.code.is_none() || error.awaits_credentials(),
            AttemptError::TimedOut { .. } => true,
            _ => false,
        },
    }
}

#[derive(Serialize)]
struct ReceiptLine<'a> {
    line: u64,
    shard_id: &'a str,
    sequence_number: &'a str,
    sub_sequence_number: u64,
}

impl<'a> ReceiptLine<'a> {
    fn new(line: u64, receipt: &'a Receipt) -> Self {
        Self {
            line,
            shard_id: receipt.shard_id.as_str(),
            sequence_number: receipt.sequence_number.as_str(),
            sub_sequence_number: receipt.sub_sequence_number,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kinesis_pipeline::service::{EntryFailure, ServiceError};

    use super::*;

    fn gave_up(source: AttemptError) -> PutError {
        PutError::gave_up("s", "here", 1, source)
    }

    fn refused() -> AttemptError {
        let class = ErrorClass::Transient;
        AttemptError::Request(Arc::new(ServiceError::unanswered(
            "PutRecords",
            "here",
            class,
            "",
        )))
    }

    #[test]
    fn receipts_are_lines_of_json() {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out, true);
        let receipt = Receipt::new("shardId-000000000000".into(), "17".parse().unwrap());
        assert_eq!(report.result(3, Ok(receipt)).unwrap(), Outlook::Good);
        report.finish("f", &Progress::default(), None).unwrap();
        let line = concat!(
            r#"{"line":3,"shard_id":"shardId-000000000000","sequence_number":"17","#,
            r#""sub_sequence_number":0}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), line);
    }

    #[test]
    fn a_failed_line_fails_the_whole_and_the_next_goes_on() {
        let mut report = Report::new(Vec::new(), false);
        let throttled = EntryFailure::new("ProvisionedThroughputExceededException", "slow");
        let error = gave_up(AttemptError::Record(Arc::new(throttled)));
        assert_eq!(report.result(1, Err(error)).unwrap(), Outlook::Good);
        let failed = report.finish("f", &Progress::default(), None);
        assert!(matches!(failed, Err(Failure::Reported(None))));
    }

    #[test]
    fn a_stop_tells_the_line_to_go_on_after_and_what_is_not_known() {
        let progress = Progress::default();
        let told = || stop_line(Signal::Terminate, "big.txt", &progress);
        let none = "stopped by SIGTERM before the first line of big.txt was stored";
        assert_eq!(told(), none);
        (1..=9).for_each(|number| progress.put(number));
        assert_eq!(told(), format!("{none}; some up to line 9 may be"));
        (1..=8).for_each(|number| assert_eq!(progress.next_result(), number));
        let most = "stopped by SIGTERM after line 8 of big.txt: it and all before it are stored";
        assert_eq!(told(), format!("{most}; some up to line 9 may be"));
        progress.next_result();
        assert_eq!(told(), most.replace('8', "9"));
        (0..2).for_each(|_| progress.count_failed());
        assert_eq!(
            told(),
            format!("{} but 2 that failed", most.replace('8', "9"))
        );
    }

    #[test]
    fn there_is_no_hope_when_nobody_answers() {
        let mut report = Report::new(Vec::new(), false);
        let outlook = report.result(1, Err(gave_up(refused()))).unwrap();
        assert_eq!(outlook, Outlook::Hopeless);
        assert_eq!(report.repeated, 0);
        report.result(2, Err(gave_up(refused()))).unwrap();
        assert_eq!((report.failed, report.repeated), (2, 1));
    }
}
