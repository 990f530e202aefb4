use crate::service::aws::ConnectError;

const BEFORE_NAME: &str = "deliverystream/";

/// The name of a Firehose stream, and the region if it was given as an ARN. `PutRecordBatch` accepts only names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FirehoseName {
    pub(super) name: String,
    pub(super) region: Option<String>,
}

impl FirehoseName {
    /// Reads a name or an ARN: `arn:partition:firehose:region:account:deliverystream/name`.
    pub(super) fn parse(text: String) -> Result<Self, ConnectError> {
        if !text.starts_with("arn:") {
            let region = None;
            return Ok(Self { name: text, region });
        }
        let parts: Vec<_> = text.splitn(6, ':').collect();
        match parts[..] {
            [_, _, "firehose", region, _, resource] if !region.is_empty() => {
                let name = resource.strip_prefix(BEFORE_NAME);
                name.filter(|name| !name.is_empty()).map(|name| Self {
                    name: name.to_owned(),
                    region: Some(region.to_owned()),
                })
            }
            _ => None,
        }
        .ok_or(ConnectError::InvalidFirehoseArn { arn: text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_has_the_name_and_the_region_and_a_name_is_taken_as_it_is() {
        let parse = |text: &str| FirehoseName::parse(text.to_owned());
        let named = |name: &str, region: Option<&str>| FirehoseName {
            name: name.to_owned(),
            region: region.map(str::to_owned),
        };
        assert_eq!(parse("clicks").unwrap(), named("clicks", None));
        let arn = "arn:aws-cn:firehose:cn-north-1:000000000000:deliverystream/clicks";
        assert_eq!(parse(arn).unwrap(), named("clicks", Some("cn-north-1")));
        for wrong in [
            "arn:aws:firehose",
            "arn:aws:firehose::000000000000:deliverystream/clicks",
            "arn:aws:firehose:eu-west-1:000000000000:deliverystream/",
            "arn:aws:firehose:eu-west-1:000000000000:clicks",
            "arn:aws:kinesis:eu-west-1:000000000000:stream/clicks",
        ] {
            let error = parse(wrong).unwrap_err();
            assert!(error.to_string().contains(wrong), "{error}");
        }
    }
}
