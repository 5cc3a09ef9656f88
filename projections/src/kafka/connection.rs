//! The bootstrap servers of Kafka, and settings of its client.

use std::{collections::BTreeMap, fmt};

use highwater_core::{Result, error::Invalid};
use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

/// A connection to Kafka: the bootstrap servers and any setting of librdkafka.
///
/// ```
/// use highwater_projections::kafka::Kafka;
///
/// let kafka = Kafka::at("kafka-1:9092,kafka-2:9092").setting("client.id", "bank");
/// ```
#[derive(Clone)]
pub struct Kafka {
    bootstrap: String,
    settings: BTreeMap<String, String>,
}

/// The settings that relay and source rely on: an application can't set them.
const RESERVED_SETTINGS: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "request.required.acks",
    "transactional.id",
];

/// The longest wait of a client before it tries to reach a broker again.
const RECONNECT_WAIT_MS: &str = "500";

/// The session of a member of a consumer group in milliseconds.
pub(super) const SESSION_TIMEOUT_MS: u64 = 10_000;

/// The interval of the heartbeats of a member in milliseconds, as the client has it.
const HEARTBEAT_INTERVAL_MS: u64 = 3_000;

impl Kafka {
    /// Creates a connection to these servers: `host:port`, several separated by commas.
    pub fn at(bootstrap: impl Into<String>) -> Self {
        Self { bootstrap: bootstrap.into(), settings: BTreeMap::new() }
    }

    /// Sets any property of librdkafka, for example `security.protocol`, `sasl.password` or
    /// `compression.type`. Values are never logged. Unless they are set, `reconnect.backoff.max.ms` is 500,
    /// so that a broker that is back is reached soon, `session.timeout.ms` is 10000, and
    /// `socket.keepalive.enable` is true.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    /// Returns the value that the application has set under this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    /// Checks that no reserved setting is set, and that a member of a group has heartbeats within its
    /// session.
    pub(super) fn validate(&self) -> Result<()> {
        if let Some(name) =
            self.settings.keys().find(|name| RESERVED_SETTINGS.contains(&name.as_str()))
        {
            let message = format!("{name} can't be set: the order of events depends on it");
            return Err(Invalid::configuration(message).into());
        }
        let session = self.milliseconds("session.timeout.ms", SESSION_TIMEOUT_MS);
        let heartbeat = self.milliseconds("heartbeat.interval.ms", HEARTBEAT_INTERVAL_MS);
        match session.zip(heartbeat) {
            Some((session, heartbeat)) if session <= heartbeat => {
                let message = format!(
                    "session.timeout.ms is not longer than heartbeat.interval.ms ({HEARTBEAT_INTERVAL_MS} \
                     unless it is set): members would be taken for dead between two heartbeats; set \
                     heartbeat.interval.ms to a third of session.timeout.ms"
                );
                Err(Invalid::configuration(message).into())
            }
            _ => Ok(()),
        }
    }

    /// Returns the time that a setting says; `None` if it is no number, which the client refuses.
    fn milliseconds(&self, name: &str, default: u64) -> Option<u64> {
        self.get(name).map_or(Some(default), |value| value.trim().parse().ok())
    }

    /// Creates the configuration of a client: the defaults of its kind, the settings of the application,
    /// and the settings that are fixed, each overriding those before.
    pub(super) fn client(&self, defaults: &[(&str, &str)], fixed: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        // The context of the client filters what is logged; it needs this level to see why a connection
        // has failed.
        config.set_log_level(RDKafkaLogLevel::Info);
        // A gateway may have dropped an idle connection without a word.
        config.set("socket.keepalive.enable", "true");
        // The client refuses a first wait that is longer than the longest.
        if self.get("reconnect.backoff.ms").is_none() {
            config.set("reconnect.backoff.max.ms", RECONNECT_WAIT_MS);
        }
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        for (name, value) in &self.settings {
            config.set(name, value);
        }
        for (name, value) in fixed {
            config.set(*name, *value);
        }
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.settings.keys().collect();
        f.debug_struct("Kafka")
            .field("bootstrap", &self.bootstrap)
            .field("settings", &names)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let kafka = Kafka::at("broker:9092").setting("sasl.password", "hunter2");
        let shown = format!("{kafka:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn what_the_order_depends_on_cannot_be_set() {
        assert!(Kafka::at("b").setting("linger.ms", "5").validate().is_ok());
        for name in RESERVED_SETTINGS {
            assert!(Kafka::at("b").setting(*name, "1").validate().unwrap_err().is_invalid());
        }
    }

    #[test]
    fn a_session_without_a_heartbeat_in_it_is_refused() {
        let session = |time: &str| Kafka::at("b").setting("session.timeout.ms", time);
        for refused in [
            session("3000"),
            session("2000"),
            session("2000").setting("heartbeat.interval.ms", "2000"),
            Kafka::at("b").setting("heartbeat.interval.ms", "10000"),
        ] {
            let error = refused.validate().unwrap_err();
            assert!(error.is_invalid() && error.to_string().contains("heartbeat"), "{error}");
        }
        assert!(session("6000").validate().is_ok());
        assert!(session("2000").setting("heartbeat.interval.ms", "600").validate().is_ok());
    }

    #[test]
    fn idle_connections_have_keepalives_unless_the_application_says_otherwise() {
        let keepalive =
            |kafka: Kafka| kafka.client(&[], &[]).get("socket.keepalive.enable").map(str::to_owned);
        assert_eq!(keepalive(Kafka::at("b")).as_deref(), Some("true"));
        let without = Kafka::at("b").setting("socket.keepalive.enable", "false");
        assert_eq!(keepalive(without).as_deref(), Some("false"));
    }

    #[test]
    fn a_broker_that_is_back_is_reached_soon_unless_the_application_says_otherwise() {
        let wait = |kafka: Kafka| {
            let config = kafka.client(&[], &[]);
            config.get("reconnect.backoff.max.ms").map(str::to_owned)
        };
        assert_eq!(wait(Kafka::at("b")).as_deref(), Some("500"));
        let longer = Kafka::at("b").setting("reconnect.backoff.max.ms", "9000");
        assert_eq!(wait(longer).as_deref(), Some("9000"));
        // The client's own default is not below the wait that is set.
        assert_eq!(wait(Kafka::at("b").setting("reconnect.backoff.ms", "2000")), None);
    }
}
