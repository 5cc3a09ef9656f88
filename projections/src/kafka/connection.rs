//! Where Kafka is, and how it is spoken to.

use std::{collections::BTreeMap, fmt};

use highwater_core::{Result, error::Invalid};
use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

/// Where Kafka is, and how it is spoken to: the bootstrap servers and any setting of librdkafka.
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

/// What relay and source rely on, so that nobody sets it otherwise by mistake.
const OWN: &[&str] = &[
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
    /// Kafka at these servers: `host:port`, several separated by commas.
    pub fn at(bootstrap: impl Into<String>) -> Self {
        Self { bootstrap: bootstrap.into(), settings: BTreeMap::new() }
    }

    /// Sets anything that librdkafka can be told, for example `security.protocol`, `sasl.password` or
    /// `compression.type`. Values are never logged.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    /// What was set under this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    /// Checks that nothing is set that must be as it is.
    pub(super) fn validate(&self) -> Result<()> {
        match self.settings.keys().find(|name| OWN.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let message = format!("{name} can't be set: the order of events depends on it");
                Err(Invalid::configuration(message).into())
            }
        }
    }

    /// The configuration of a client: the defaults of its kind, what the user has set, and what must
    /// be as it is.
    pub(super) fn client(&self, defaults: &[(&str, &str)], fixed: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        // Who listens decides what of it is logged; why a connection has failed is said at this level.
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
        for name in OWN {
            assert!(Kafka::at("b").setting(*name, "1").validate().unwrap_err().is_invalid());
        }
    }
}
