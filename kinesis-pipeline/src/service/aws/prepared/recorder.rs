use std::{
    fmt, iter,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use aws_smithy_runtime_api::{
    client::{
        runtime_components::{RuntimeComponents, RuntimeComponentsBuilder},
        stalled_stream_protection::StalledStreamProtectionConfig,
    },
    http::Request,
};
use aws_smithy_schema::protocol::SharedClientProtocol;
use aws_smithy_types::{
    body::SdkBody, config_bag::ConfigBag, retry::RetryConfig, timeout::TimeoutConfig,
};

/// Records a request of the SDK as it is sent.
#[derive(Clone, Debug, Default)]
pub(in crate::service::aws) struct Recorder(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    protocol: Option<SharedClientProtocol>,
    recorded: Option<Recorded>,
}

/// A request of the SDK, with what sends it.
pub(super) struct Recorded {
    /// The request, without its body.
    pub(super) request: Request,
    /// The time on the SDK's clock when it was sent.
    pub(super) at: SystemTime,
    pub(super) protocol: SharedClientProtocol,
    pub(super) components: RuntimeComponents,
    pub(super) timeouts: TimeoutConfig,
    pub(super) retries: RetryConfig,
    /// The longest pause within an answer.
    pub(super) pause_max: Option<Duration>,
}

impl Recorder {
    /// Notes the SDK's own protocol.
    pub(in crate::service::aws) fn note_protocol(&self, protocol: &SharedClientProtocol) {
        self.lock().protocol = Some(protocol.clone());
    }

    /// Records a request.
    pub(in crate::service::aws) fn record(
        &self,
        request: &Request,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) {
        let mut state = self.lock();
        let (
            Some(mut request),
            Some(protocol),
            Some(components),
            Some(clock),
            Some(timeouts),
            Some(retries),
        ) = (
            request.try_clone(),
            state.protocol.clone(),
            without_interceptors(components),
            components.time_source(),
            config.load::<TimeoutConfig>().cloned(),
            config.load::<RetryConfig>().cloned(),
        )
        else {
            return;
        };
        *request.body_mut() = SdkBody::empty();
        let protection = config.load::<StalledStreamProtectionConfig>();
        let protection = protection.filter(|protection| protection.download_enabled());
        state.recorded = Some(Recorded {
            request,
            at: clock.now(),
            protocol,
            components,
            timeouts,
            retries,
            pause_max: protection.map(StalledStreamProtectionConfig::grace_period),
        });
    }

    /// Takes the last request.
    pub(super) fn take(&self) -> Option<Recorded> {
        self.lock().recorded.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Formats nothing of the request, which has a signature and perhaps a session token.
impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded").finish_non_exhaustive()
    }
}

/// Returns the components without interceptors. One of them holds the recorder itself, and the body of its call.
fn without_interceptors(components: &RuntimeComponents) -> Option<RuntimeComponents> {
    let builder = RuntimeComponentsBuilder::from_runtime_components(components.clone(), "prepared");
    builder.with_interceptors(iter::empty()).build().ok()
}
