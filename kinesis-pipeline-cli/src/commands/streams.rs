use clap::Args;
use kinesis_pipeline::service::{Kinesis, ListStreams};
use serde::Serialize;

use crate::{
    calls::repeated,
    cli::Global,
    failure::{Failure, Told},
    output::{self, Layout, Row},
};

/// The most pages that a listing reads: a million streams at the service's page size.
const PAGES_MAX: usize = 10_000;

#[derive(Args, Debug)]
pub(crate) struct Streams {
    /// The form in which the streams are printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Layout,
}

impl Streams {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let names = list(&global.connect().await?).await?;
        let rows: Vec<_> = names.into_iter().map(|name| StreamRow { name }).collect();
        Ok(output::rows(self.output, &rows)?)
    }
}

/// Lists the names of all streams.
pub(crate) async fn list(service: &dyn Kinesis) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = Vec::new();
    for _ in 0..PAGES_MAX {
        let mut call = ListStreams::new();
        call.after_name = names.last().cloned();
        let page = repeated(|| service.list_streams(call.clone())).await?;
        let has_more = page.has_more && !page.names.is_empty();
        names.extend(page.names);
        if !has_more {
            return Ok(names);
        }
    }
    let told = format!("the list of streams has more than {PAGES_MAX} pages");
    Err(Told(told).into())
}

#[derive(Serialize)]
struct StreamRow {
    name: String,
}

impl Row for StreamRow {
    const TITLES: &'static [&'static str] = &[];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone()]
    }
}
