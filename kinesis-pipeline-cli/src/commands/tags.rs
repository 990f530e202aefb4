use clap::Args;
use kinesis_pipeline::aws_sdk_kinesis::types::Tag;
use serde::Serialize;

use crate::{
    calls::describe,
    cli::{Global, StreamArgument},
    connect::Connected,
    failure::{Failure, Told},
    output::{self, Layout, Row},
};

/// The most pages that a listing reads: a stream has 50 tags at most.
const PAGES_MAX: usize = 100;

#[derive(Args, Debug)]
pub(crate) struct Tags {
    #[command(flatten)]
    stream: StreamArgument,
    /// Set this tag; may be given more than once.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Remove the tag of this key; may be given more than once.
    #[arg(long, value_name = "KEY")]
    remove: Vec<String>,
    /// The form in which the tags are printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Layout,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| format!("`{text}` is not KEY=VALUE, such as team=data"))?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Tags {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let connected = global.connect_to(&self.stream.stream).await?;
        let arn = describe(&*connected.service, &connected.id()).await?.arn;
        if !self.remove.is_empty() {
            let call = connected.client().remove_tags_from_stream();
            let call = call.stream_arn(&arn).set_tag_keys(Some(self.remove));
            let done = call.send().await;
            done.map_err(|error| connected.failed("RemoveTagsFromStream", &error))?;
        }
        if !self.set.is_empty() {
            let call = connected.client().add_tags_to_stream().stream_arn(&arn);
            let tags = self.set.into_iter().collect();
            let done = call.set_tags(Some(tags)).send().await;
            done.map_err(|error| connected.failed("AddTagsToStream", &error))?;
        }
        let tags = list(&connected, &arn).await?.into_iter().map(|tag| TagRow {
            key: tag.key,
            value: tag.value.unwrap_or_default(),
        });
        Ok(output::rows(self.output, &tags.collect::<Vec<_>>())?)
    }
}

async fn list(connected: &Connected, arn: &str) -> Result<Vec<Tag>, Failure> {
    let client = connected.client();
    let mut tags: Vec<Tag> = Vec::new();
    for _ in 0..PAGES_MAX {
        let after = tags.last().map(|tag| tag.key.clone());
        let call = client.list_tags_for_stream().stream_arn(arn);
        let page = call.set_exclusive_start_tag_key(after).send().await;
        let page = page.map_err(|error| connected.failed("ListTagsForStream", &error))?;
        let has_more = page.has_more_tags && !page.tags.is_empty();
        tags.extend(page.tags);
        if !has_more {
            return Ok(tags);
        }
    }
    let told = format!("the list of tags has more than {PAGES_MAX} pages");
    Err(Told(told).into())
}

#[derive(Serialize)]
struct TagRow {
    key: String,
    value: String,
}

impl Row for TagRow {
    const TITLES: &'static [&'static str] = &["KEY", "VALUE"];

    fn cells(&self) -> Vec<String> {
        vec![self.key.clone(), self.value.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_key_and_a_value_that_may_be_empty_or_have_the_sign_too() {
        let tag = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(pair("a=b"), tag("a", "b"));
        assert_eq!(pair("a="), tag("a", ""));
        assert_eq!(pair("a=b=c"), tag("a", "b=c"));
        assert!(pair("a").is_err() && pair("=b").is_err());
    }
}
