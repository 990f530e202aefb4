use std::{error::Error, io, process::ExitCode};

use crate::{hints::Trouble, interrupt::Signal, output, progress_bar};

/// The status of clap for options that cannot be parsed.
const WRONG_USAGE: u8 = 2;
/// The status of an alert of `lag --max`.
const ALERT: u8 = 3;

/// The reason why a command did not do all that it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An error that is still to be reported.
    Error(Box<dyn Error>),
    /// The command line asks for something impossible.
    Usage(String),
    /// An error that standard error has already; its kind, if there is a hint about it.
    Reported(Option<Trouble>),
    /// The command succeeded, and found a condition that the user wants to be alerted of.
    Alert(String),
    /// A signal ended the command before it was done; standard error says where.
    Stopped(Signal),
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Error(Box::new(error))
    }
}

/// An error with a message of the program's own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Told(pub(crate) String);

/// Reports the error, and returns the exit status of the program.
///
/// A closed pipe is no error: its reader needs no more.
pub(crate) fn exit(done: Result<(), Failure>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Error(error)) if is_closed_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(Failure::Error(error)) => {
            report(&line(error.as_ref()));
            ExitCode::FAILURE
        }
        Err(Failure::Usage(told)) => {
            report(&told);
            ExitCode::from(WRONG_USAGE)
        }
        Err(Failure::Alert(told)) => {
            report(&told);
            ExitCode::from(ALERT)
        }
        Err(Failure::Reported(_)) => ExitCode::FAILURE,
        Err(Failure::Stopped(signal)) => ExitCode::from(signal.status()),
    }
}

/// Writes an error line to standard error.
pub(crate) fn report(line: &str) {
    // A line may quote text of the service or the input.
    progress_bar::tell(&format!("error: {}", output::visible(line)));
}

fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Returns an error and its causes in one line. A cause whose text is already in the line is left out.
pub(crate) fn line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !line.contains(&words) {
            line = format!("{line}: {words}");
        }
        cause = error.source();
    }
    line.replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("inner\nwords")]
    struct Inner(#[source] io::Error);

    #[test]
    fn causes_follow_in_one_line() {
        let error = Outer(Inner(io::Error::other("deep")));
        assert_eq!(line(&error), "outer: inner words: deep");
    }

    #[test]
    fn only_a_pipe_that_the_program_writes_to_ends_it_quietly() {
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_closed_pipe(&closed()));
        assert!(!is_closed_pipe(&Outer(Inner(closed()))));
    }
}
