//! The question before the stream is scaled, which costs money.

use std::io::{self, BufRead, IsTerminal as _, Write as _};

use super::Load;
use crate::failure::Failure;

impl Load {
    /// Asks on the terminal whether the stream may be scaled. Without a terminal, or if rows come from standard input,
    /// only `--yes` permits it.
    pub(super) fn may_scale(&self) -> Result<(), Failure> {
        let Some(shards) = self.scale_to.filter(|_| !self.yes) else {
            return Ok(());
        };
        let stdin = io::stdin();
        let is_asked = !self.reads_stdin() && stdin.is_terminal();
        if is_asked && ask(shards, &mut stdin.lock())? {
            return Ok(());
        }
        let told = "the stream is not scaled without a yes: answer y, or add --yes";
        Err(Failure::Usage(told.to_owned()))
    }
}

fn ask(shards: u32, answers: &mut impl BufRead) -> io::Result<bool> {
    let mut terminal = io::stderr();
    write!(
        terminal,
        "this scales the stream to {shards} shard(s) for the load, which costs money; go on? [y/N] "
    )?;
    terminal.flush()?;
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_scales() {
        let answer = |text: &str| ask(8, &mut text.as_bytes()).unwrap();
        assert!(answer("y\n") && answer(" yes \n"));
        for other in ["", "\n", "n\n", "no\n", "yess\n"] {
            assert!(!answer(other), "{other:?}");
        }
    }
}
