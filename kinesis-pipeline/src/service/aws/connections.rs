use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_kinesis::Client;

/// The number of subscriptions that share an HTTP/2 connection. Servers allow 100 or more requests at a time on a
/// connection, and hold back the next one until an earlier one has ended: minutes, if that is a subscription.
const SUBSCRIPTIONS_MAX: usize = 50;

/// The connections of subscriptions. They are apart from those of all other calls: a subscription that is not read
/// holds back the other requests of its connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    /// The clients, each with one connection. A token is held once here and once by each subscription of the client.
    clients: Arc<Mutex<Vec<(Client, Token)>>>,
}

/// A place on a connection, held by a subscription for its life.
pub(super) type Token = Arc<()>;

impl Connections {
    /// Returns a client for one more subscription, with the token that the subscription holds. New clients are made like
    /// `model`.
    ///
    /// The count of a token may fall while it is read, when a subscription ends on another thread. Then a connection looks
    /// fuller than it is, and one more is opened: never too few.
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
