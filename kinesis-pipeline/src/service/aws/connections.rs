use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_kinesis::Client;

/// The number of subscriptions that share an HTTP/2 connection: servers allow a connection 100 or more requests at a time,
/// and hold the next one back until an earlier one has ended, which for a subscription takes minutes.
const SUBSCRIPTIONS_MAX: usize = 50;

/// The connections of subscriptions, apart from those of all other calls: a subscription that is not read from
/// holds back whatever shares its connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    /// Each client has one connection; its token is held once here and once by each of its subscriptions.
    clients: Arc<Mutex<Vec<(Client, Token)>>>,
}

/// Keeps the place of one subscription.
pub(super) type Token = Arc<()>;

impl Connections {
    /// A client for one more subscription, which keeps the token for its life. New ones are made like `model`.
    pub(super) fn client(&self, model: &Client) -> (Client, Token) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let with_room = clients
            .iter()
            .find(|(_, token)| Arc::strong_count(token) <= SUBSCRIPTIONS_MAX);
        if let Some(found) = with_room {
            return found.clone();
        }
        let client = Client::from_conf(model.config().clone());
        clients.push((client, Token::default()));
        clients[clients.len() - 1].clone()
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::config::{BehaviorVersion, Config};

    use super::*;

    #[test]
    fn a_connection_is_shared_by_so_many_and_freed_by_those_that_end() {
        let config = Config::builder().behavior_version(BehaviorVersion::latest());
        let model = Client::from_conf(config.build());
        let connections = Connections::default();
        let count = || connections.clients.lock().unwrap().len();
        let mut open: Vec<_> = (0..SUBSCRIPTIONS_MAX)
            .map(|_| connections.client(&model))
            .collect();
        assert_eq!(count(), 1);
        open.push(connections.client(&model));
        assert_eq!(count(), 2);
        open.truncate(1);
        open.push(connections.client(&model));
        assert_eq!(count(), 2);
    }
}
