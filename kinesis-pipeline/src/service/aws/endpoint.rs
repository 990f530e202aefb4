use std::sync::{Arc, OnceLock};

use aws_sdk_kinesis::{
    config::{
        Config, ConfigBag, Intercept, Region,
        endpoint::{DefaultResolver, Params, ResolveEndpoint},
        interceptors::BeforeSerializationInterceptorContextRef,
    },
    error::BoxError,
};
use aws_types::endpoint_config::{EndpointUrl, UseDualStack, UseFips};
use futures_util::FutureExt;

/// Where a client sends its calls, for error messages: the URL that its user set, or the service's endpoint
/// in its region. A resolver written by the user is not asked.
///
/// The SDK shows a client's URL to interceptors only: until the first call this is the region's endpoint.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    of_region: String,
    of_calls: Arc<OnceLock<String>>,
}

impl Endpoint {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            of_region: in_region(config.region(), false, false),
            of_calls: Arc::default(),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        self.of_calls.get().unwrap_or(&self.of_region)
    }

    /// The interceptor that finds the URL at the first call.
    pub(super) fn finder(&self) -> impl Intercept + use<> {
        Finder(self.of_calls.clone())
    }
}

#[derive(Debug)]
struct Finder(Arc<OnceLock<String>>);

impl Intercept for Finder {
    fn name(&self) -> &'static str {
        "EndpointFinder"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.get_or_init(|| match bag.load::<EndpointUrl>() {
            Some(url) => url.0.clone(),
            None => in_region(
                bag.load::<Region>(),
                bag.load::<UseFips>().is_some_and(|fips| fips.0),
                bag.load::<UseDualStack>().is_some_and(|dual| dual.0),
            ),
        });
        Ok(())
    }
}

fn in_region(region: Option<&Region>, fips: bool, dual_stack: bool) -> String {
    let params = Params::builder()
        .set_region(region.map(ToString::to_string))
        .use_fips(fips)
        .use_dual_stack(dual_stack)
        .build();
    params
        .ok()
        .and_then(|params| resolved(&params))
        .unwrap_or_else(|| "Kinesis in no region".to_owned())
}

fn resolved(params: &Params) -> Option<String> {
    // The resolver is a table in memory: its future is ready at once.
    let endpoint = DefaultResolver::new()
        .resolve_endpoint(params)
        .now_or_never()?;
    endpoint.ok().map(|endpoint| endpoint.url().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{
        Kinesis, ListStreams,
        aws::{AwsKinesis, stub},
    };

    #[test]
    fn each_region_has_its_endpoint() {
        let table = [
            (
                Some("eu-west-1"),
                false,
                "https://kinesis.eu-west-1.amazonaws.com",
            ),
            (
                Some("cn-north-1"),
                false,
                "https://kinesis.cn-north-1.amazonaws.com.cn",
            ),
            (
                Some("us-east-1"),
                true,
                "https://kinesis-fips.us-east-1.amazonaws.com",
            ),
            (None, false, "Kinesis in no region"),
        ];
        for (region, fips, endpoint) in table {
            let region = region.map(Region::from_static);
            assert_eq!(in_region(region.as_ref(), fips, false), endpoint);
        }
    }

    #[tokio::test]
    async fn the_first_call_finds_the_url_that_the_user_set() {
        let config = stub::config("http://127.0.0.1:1").build();
        let aws = AwsKinesis::new(&aws_sdk_kinesis::Client::from_conf(config));
        assert_eq!(aws.endpoint(), "https://kinesis.us-east-1.amazonaws.com");
        aws.list_streams(ListStreams::new()).await.unwrap_err();
        assert_eq!(aws.endpoint(), "http://127.0.0.1:1");
    }
}
