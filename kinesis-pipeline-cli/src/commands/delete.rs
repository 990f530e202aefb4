use std::io::{self, BufRead, IsTerminal as _, Write as _};

use clap::Args;
use kinesis_pipeline::service::DeleteStream;
use serde::Serialize;

use crate::{
    calls::{repeated, until_gone},
    cli::{Global, StreamArgument},
    failure::{Failure, Told},
    output::{self, Layout, Row},
};

#[derive(Args, Debug)]
pub(crate) struct Delete {
    #[command(flatten)]
    stream: StreamArgument,
    /// Delete the stream even if consumers are registered.
    #[arg(long)]
    even_with_consumers: bool,
    /// Do not ask for confirmation. It is asked for only at a terminal.
    #[arg(short, long)]
    yes: bool,
    /// The form in which the deleted stream is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Layout,
}

impl Delete {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let connected = global.connect_to(&self.stream.stream).await?;
        let stream = connected.id();
        if !self.yes && io::stdin().is_terminal() {
            let answer = ask(stream.name(), &mut io::stdin().lock())?;
            if !answer {
                return Err(Told(format!("stream `{stream}` is not deleted")).into());
            }
        }
        let mut call = DeleteStream::new(stream.clone());
        call.even_with_consumers = self.even_with_consumers;
        repeated(|| connected.service.delete_stream(call.clone())).await?;
        until_gone(&*connected.service, &stream).await?;
        let deleted = stream.name().to_owned();
        Ok(output::rows(self.output, &[Deleted { deleted }])?)
    }
}

/// Asks for the stream's name, and returns whether the user wrote it.
fn ask(name: &str, answers: &mut impl BufRead) -> io::Result<bool> {
    let mut terminal = io::stderr();
    write!(
        terminal,
        "this deletes {name} with all its records; to go on, write its name: "
    )?;
    terminal.flush()?;
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    Ok(answer.trim() == name)
}

#[derive(Serialize)]
struct Deleted {
    deleted: String,
}

impl Row for Deleted {
    const TITLES: &'static [&'static str] = &[];

    fn cells(&self) -> Vec<String> {
        vec![format!("{} is deleted", self.deleted)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_the_stream_deletes_it() {
        let answer = |text: &str| ask("readings", &mut text.as_bytes()).unwrap();
        assert!(answer("readings\n"));
        assert!(answer(" readings"));
        for other in ["", "\n", "y\n", "yes\n", "reading\n"] {
            assert!(!answer(other), "{other:?}");
        }
    }
}
