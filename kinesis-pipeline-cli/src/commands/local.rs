use std::{io::Write as _, path::PathBuf};

use bytes::Bytes;
use clap::Args;
use kinesis_pipeline::local::{LocalDynamoDb, LocalKinesis};

use crate::{
    cli::Global, failure::Failure, interrupt::Asked, output, progress_bar::tell, values::NewStream,
};

const REGION_DEFAULT: &str = "us-east-1";

#[derive(Args, Debug)]
pub(crate) struct Local {
    /// The address to listen on; port 0 takes a free port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4567")]
    listen: String,
    /// A stream to begin with; may be given more than once. More are created with `create`.
    #[arg(long = "stream", value_name = "NAME=SHARDS")]
    streams: Vec<NewStream>,
    /// Also serve an embedded DynamoDB, at this address.
    #[arg(long, value_name = "ADDRESS")]
    dynamodb: Option<String>,
    /// Throttle as the service does: per shard and second, 1 MiB and 1,000 records in, 5 reads and 2 MiB out.
    #[arg(long)]
    enforce_limits: bool,
    /// A directory that keeps streams and records; without it they end with the program.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Local {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let region = global.region.as_deref().unwrap_or(REGION_DEFAULT);
        let mut builder = LocalKinesis::builder()
            .region(region)
            .enforce_limits(self.enforce_limits);
        if let Some(path) = &self.data_dir {
            builder = builder.data_dir(path);
        }
        let local = builder.start().await?;
        for stream in &self.streams {
            local.stream::<Bytes>(&stream.name, stream.shards).await?;
        }
        let server = local.serve(&self.listen).await?;
        let dynamodb = match &self.dynamodb {
            Some(address) => Some(local.serve_dynamodb(address).await?),
            None => None,
        };
        let dynamodb_url = dynamodb.as_ref().map(LocalDynamoDb::endpoint_url);
        let mut out = output::stdout();
        out.write_all(
            variables(&server.endpoint_url(), dynamodb_url.as_deref(), region).as_bytes(),
        )?;
        out.flush()?;
        if !global.quiet {
            notes(&server.endpoint_url(), self.data_dir.is_some());
        }
        Asked::default().to_end(|_| ()).await;
        server.stop().await;
        if let Some(dynamodb) = dynamodb {
            dynamodb.stop().await;
        }
        Ok(())
    }
}

/// Returns the variables that another shell must set to reach the embedded Kinesis. Any credentials will do, but some
/// must be set.
fn variables(endpoint_url: &str, dynamodb_url: Option<&str>, region: &str) -> String {
    let dynamodb = dynamodb_url.map(|url| ("AWS_ENDPOINT_URL_DYNAMODB", url));
    let variables = [
        ("AWS_ENDPOINT_URL_KINESIS", endpoint_url),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
    ];
    let lines = variables.into_iter().chain(dynamodb);
    let lines = lines.map(|(name, value)| format!("export {name}={value}\n"));
    lines.collect::<Vec<_>>().concat()
}

fn notes(endpoint_url: &str, is_kept: bool) {
    let end = if is_kept { "keeps" } else { "forgets" };
    tell(&format!(
        "serving an embedded Kinesis at {endpoint_url}; Ctrl-C ends it and {end} its records"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_can_be_pasted_into_a_shell() {
        let text = variables("http://127.0.0.1:4567", None, "us-east-1");
        let mut lines = text.lines();
        let first = "export AWS_ENDPOINT_URL_KINESIS=http://127.0.0.1:4567";
        assert_eq!(lines.next(), Some(first));
        assert!(lines.all(|line| line.starts_with("export AWS_")));
    }
}
