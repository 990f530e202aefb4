use std::io::Write as _;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::{cli::Cli, failure::Failure, output};

#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut command = Cli::command();
        let name = command.get_name().to_owned();
        // The generator cannot report a closed pipe, so it writes to memory.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        let mut out = output::stdout();
        out.write_all(&script)?;
        Ok(out.flush()?)
    }
}
