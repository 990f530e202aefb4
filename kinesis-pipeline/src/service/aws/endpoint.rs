use std::sync::{Arc, OnceLock};

use aws_sdk_kinesis::{
    Client,
    config::{
        Config, ConfigBag, Intercept, Region, SharedInterceptor,
        endpoint::{DefaultResolver, Params, ResolveEndpoint},
        interceptors::BeforeSerializationInterceptorContextRef,
        retry::RetryConfig,
        timeout::TimeoutConfig,
    },
    error::BoxError,
};
use aws_types::endpoint_config::{EndpointUrl, UseDualStack, UseFips};
use futures_util::FutureExt;

/// Returns the endpoint of a client with this configuration, for error messages: the URL that its user set, or
/// the service's endpoint in its region. A resolver written by the user is not asked.
///
/// The SDK shows the URL to interceptors only. So this begins a call, and an interceptor ends it before anything is
/// sent.
pub(super) fn of(config: &Config) -> String {
    let finder = Finder::new(in_region);
    let found = finder.found();
    let mut probe = config
        .to_builder()
        .timeout_config(TimeoutConfig::disabled())
        .retry_config(RetryConfig::disabled());
    // The user's interceptors must not see this call.
    probe.set_interceptors([SharedInterceptor::new(finder)]);
    let client = Client::from_conf(probe.build());
    let _ended = client.list_streams().send().now_or_never();
    match found.get() {
        Some(endpoint) => endpoint.clone(),
        None => in_region(config.region(), false, false),
    }
}

/// An interceptor that notes the endpoint of a call and ends it before anything is sent.
#[derive(Debug)]
pub(crate) struct Finder {
    found: Arc<OnceLock<String>>,
    /// Returns the endpoint in a region, with FIPS and with dual stack or without.
    in_region: fn(Option<&Region>, bool, bool) -> String,
}

impl Finder {
    pub(crate) fn new(in_region: fn(Option<&Region>, bool, bool) -> String) -> Self {
        Self {
            found: Arc::default(),
            in_region,
        }
    }

    /// Returns the endpoint, once a call has been begun.
    pub(crate) fn found(&self) -> Arc<OnceLock<String>> {
        Arc::clone(&self.found)
    }
}

impl Intercept for Finder {
    fn name(&self) -> &'static str {
        "EndpointFinder"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.found.get_or_init(|| match bag.load::<EndpointUrl>() {
            Some(url) => url.0.clone(),
            None => (self.in_region)(
                bag.load::<Region>(),
                bag.load::<UseFips>().is_some_and(|fips| fips.0),
                bag.load::<UseDualStack>().is_some_and(|dual| dual.0),
            ),
        });
        Err("the endpoint is known".into())
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
    use aws_sdk_kinesis::config::BehaviorVersion;

    use super::*;

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

    #[test]
    fn the_endpoint_of_a_client_is_known_before_its_first_call_and_without_a_runtime() {
        let region = Region::from_static("us-east-1");
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(region);
        let plain = of(&config.clone().build());
        assert_eq!(plain, "https://kinesis.us-east-1.amazonaws.com");
        let fips = of(&config.clone().use_fips(true).build());
        assert_eq!(fips, "https://kinesis-fips.us-east-1.amazonaws.com");
        let mine = of(&config.endpoint_url("http://127.0.0.1:1").build());
        assert_eq!(mine, "http://127.0.0.1:1");
    }
}
