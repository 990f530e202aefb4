use std::io::Write as _;

use clap::{Args, CommandFactory as _};

use crate::{cli::Cli, failure::Failure, output};

#[derive(Args, Debug)]
pub(crate) struct Man {
    /// The command; the page of the whole program unless given.
    command: Option<String>,
}

impl Man {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut root = Cli::command();
        // This passes common options and full names on to the commands.
        root.build();
        let command = match &self.command {
            None => root,
            Some(name) => {
                let found = root.find_subcommand(name).cloned();
                found.ok_or_else(|| Failure::Usage(format!("there is no command `{name}`")))?
            }
        };
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        let mut out = output::stdout();
        out.write_all(&page)?;
        Ok(out.flush()?)
    }
}
