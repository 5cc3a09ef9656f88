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

impl Kafka {
    /// Creates a connection to these servers: `host:port`, several separated by commas.
    pub fn at(bootstrap: impl Into<String>) -> Self {
        Self { bootstrap: bootstrap.into(), settings: BTreeMap::new() }
    }

    /// Sets any property of librdkafka, for example `security.protocol`, `sasl.password` or
    /// `compression.type`. Values are never logged.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    /// Returns the value that the application has set under this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    /// Checks that no reserved setting is set.
    pub(super) fn validate(&self) -> Result<()> {
        match self.settings.keys().find(|name| RESERVED_SETTINGS.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let message = format!("{name} can't be set: the order of events depends on it");
                Err(Invalid::configuration(message).into())
            }
        }
    }

    /// Creates the configuration of a client: the defaults of its kind, the settings of the application,
    /// and the settings that are fixed, each overriding those before.
    pub(super) fn client(&self, defaults: &[(&str, &str)], fixed: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        // The context of the client filters what is logged; it needs this level to see why a connection
        // has failed.
        config.set_log_level(RDKafkaLogLevel::Info);
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
}
