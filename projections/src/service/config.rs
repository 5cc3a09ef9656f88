//! What a service is told.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use highwater_core::Result;
#[cfg(feature = "kafka")]
use highwater_core::{Highwater, error::Invalid};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::Secret;
#[cfg(feature = "kafka")]
use crate::kafka::{Kafka, Relay, Topics};
use crate::{OnFailure, ProjectionOptions, config};

/// What a service is told, from a file (TOML) and the environment, which wins.
///
/// A variable of the environment is the prefix, an underscore, and the key in capitals, its parts
/// joined by two underscores: with the prefix `BANK`, `http.listen` is `BANK_HTTP__LISTEN`. A key that
/// isn't known, or whose value can't be understood, is an error that names it and where it stands.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The URL of the store.
    pub store: Secret,
    /// The URL of the store of the views, if it is another.
    #[serde(default)]
    pub views: Option<Secret>,
    /// The file of policies, if there is one: for the program to [load](crate::policy::Policies::load).
    #[serde(default)]
    pub policies: Option<PathBuf>,
    /// How long the end may take, once it has been asked for: *20 s* unless set. An orchestrator should
    /// wait a little longer before it kills.
    #[serde(default = "Config::default_drain", deserialize_with = "duration")]
    pub drain: Duration,
    /// Where liveness, readiness and metrics are asked for.
    #[serde(default)]
    pub http: HttpConfig,
    /// What is logged.
    #[serde(default)]
    pub log: LogConfig,
    /// How projections are run, by name.
    #[serde(default)]
    pub projections: BTreeMap<String, ProjectionConfig>,
    /// Where Kafka is.
    #[cfg(feature = "kafka")]
    #[serde(default)]
    pub kafka: Option<KafkaConfig>,
    /// How a relay is set up.
    #[cfg(feature = "kafka")]
    #[serde(default)]
    pub relay: RelayConfig,
    /// Where traces are sent.
    #[cfg(feature = "otlp")]
    #[serde(default)]
    pub otlp: Option<OtlpConfig>,
}

/// Where liveness, readiness and metrics are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address and port; *127.0.0.1:9464* unless set, and any free port if the port is 0. Whoever can
    /// reach it can read names of projections, keys that can't be applied and errors: keep it inside.
    pub listen: SocketAddr,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 9464).into() }
    }
}

/// What is logged, to the standard error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// As lines of text, or a JSON object on each line.
    pub format: LogFormat,
    /// From which level on, *info* unless set: `error`, `warn`, `info`, `debug`, `trace`, or one for
    /// each part of the program, as in `info,sqlx=warn`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::default(), level: "info".into() }
    }
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// How a projection is run. What isn't set is as [`ProjectionOptions`] have it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectionConfig {
    /// Into how many shards the work is divided.
    pub shards: Option<u32>,
    /// How many events go in one transaction at the most.
    pub batch: Option<usize>,
    /// How many rows of a shard are kept in memory.
    pub cached_rows: Option<usize>,
    /// What happens with an event that can't be applied: `"stop"`, `"skip"`, or `{ park = 100 }` with
    /// how many keys of a shard may be parked.
    #[serde(deserialize_with = "on_failure")]
    pub on_failure: Option<OnFailure>,
}

/// Where Kafka is.
#[cfg(feature = "kafka")]
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// The bootstrap servers: `host:port`, several separated by commas.
    pub servers: String,
    /// The topic that holds all the events.
    #[serde(default)]
    pub topic: Option<String>,
    /// Or what the names of the topics begin with, one for each category.
    #[serde(default)]
    pub topic_prefix: Option<String>,
    /// Any setting of librdkafka; in the environment with underscores for dots.
    #[serde(default)]
    pub settings: BTreeMap<String, Secret>,
}

/// How a relay is set up. What isn't set is as [`Relay`] has it.
#[cfg(feature = "kafka")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelayConfig {
    /// Its name.
    pub name: Option<String>,
    /// How many partitions a topic gets when it is made.
    pub partitions: Option<u32>,
    /// How many replicas a topic gets when it is made.
    pub replication: Option<u16>,
    /// How long a topic that is made keeps its records.
    #[serde(deserialize_with = "some_duration")]
    pub retention: Option<Duration>,
}

/// Where traces are sent.
#[cfg(feature = "otlp")]
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtlpConfig {
    /// The collector, as `http://127.0.0.1:4318`; spans go to `/v1/traces` there, as protobuf.
    pub endpoint: String,
    /// The name of the service in traces.
    pub service: String,
    /// From which level on spans are sent, *info* unless set: as [`LogConfig::level`], and apart from it.
    #[serde(default = "OtlpConfig::default_level")]
    pub level: String,
    /// Which part of the traces that begin here is sent, from 0 to 1; all unless set. Of a trace that
    /// began elsewhere its beginning decides.
    #[serde(default = "OtlpConfig::everything")]
    pub sample: f64,
}

#[cfg(feature = "otlp")]
impl OtlpConfig {
    fn default_level() -> String {
        "info".into()
    }

    fn everything() -> f64 {
        1.0
    }
}

impl Config {
    /// Reads a file, and the variables of the environment that begin with a prefix and an underscore.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the file can't be read, or names the first key
    /// that is wrong, unknown or missing, and where it stands. Values are not shown.
    pub fn load(file: impl AsRef<Path>, prefix: &str) -> Result<Self> {
        config::load(Some(file.as_ref()), prefix)
    }

    /// Reads the variables of the environment that begin with a prefix and an underscore.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_environment(prefix: &str) -> Result<Self> {
        config::load(None, prefix)
    }

    /// A service on the store of this URL, with everything else as it is by default.
    #[must_use]
    pub fn of(store: impl Into<String>) -> Self {
        Self {
            store: Secret::new(store),
            views: None,
            policies: None,
            drain: Self::default_drain(),
            http: HttpConfig::default(),
            log: LogConfig::default(),
            projections: BTreeMap::new(),
            #[cfg(feature = "kafka")]
            kafka: None,
            #[cfg(feature = "kafka")]
            relay: RelayConfig::default(),
            #[cfg(feature = "otlp")]
            otlp: None,
        }
    }

    fn default_drain() -> Duration {
        Duration::from_secs(20)
    }

    /// How the projection of this name is run.
    #[must_use]
    pub fn options(&self, projection: &str) -> ProjectionOptions {
        let default = ProjectionOptions::default();
        let Some(config) = self.projections.get(projection) else { return default };
        ProjectionOptions {
            shards: config.shards.unwrap_or(default.shards).max(1),
            batch: config.batch.unwrap_or(default.batch).max(1),
            cached_rows: config.cached_rows.unwrap_or(default.cached_rows),
            on_failure: config.on_failure.unwrap_or(default.on_failure),
            ..default
        }
    }

    /// Where Kafka is, and which topics hold the events.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the configuration doesn't say, or names both
    /// `kafka.topic` and `kafka.topic_prefix`, or neither.
    #[cfg(feature = "kafka")]
    pub fn kafka(&self) -> Result<(Kafka, Topics)> {
        let missing = || Invalid::configuration("the key kafka.servers is missing");
        let config = self.kafka.as_ref().ok_or_else(missing)?;
        let topics = match (&config.topic, &config.topic_prefix) {
            (Some(topic), None) => Topics::one(topic),
            (None, Some(prefix)) => Topics::per_category(prefix),
            _ => {
                let message = "one of the keys kafka.topic and kafka.topic_prefix is needed";
                return Err(Invalid::configuration(message).into());
            }
        };
        let settings = config.settings.iter();
        let kafka = settings.fold(Kafka::at(&config.servers), |kafka, (name, value)| {
            kafka.setting(name.replace('_', "."), value.expose())
        });
        Ok((kafka, topics))
    }

    /// A relay from the log of this store, set up as the configuration says.
    ///
    /// # Errors
    /// As [`Config::kafka`].
    #[cfg(feature = "kafka")]
    pub fn relay(&self, highwater: &Highwater) -> Result<Relay> {
        let (kafka, topics) = self.kafka()?;
        let mut relay = Relay::new(highwater, kafka, topics);
        if let Some(name) = &self.relay.name {
            relay = relay.named(name);
        }
        if let Some(partitions) = self.relay.partitions {
            relay = relay.partitions(partitions);
        }
        if let Some(replicas) = self.relay.replication {
            relay = relay.replication(replicas);
        }
        if let Some(retention) = self.relay.retention {
            relay = relay.retention(retention);
        }
        Ok(relay)
    }
}

/// A duration as people write it: `500ms`, `20s`, `2h 30m`.
fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let right = "a duration like 500ms, 20s or 2m";
    let text = String::deserialize(from)?;
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|time| time.try_into().ok());
    parsed.ok_or_else(|| D::Error::custom(right))
}

#[cfg(feature = "kafka")]
fn some_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    duration(from).map(Some)
}

fn on_failure<'de, D: Deserializer<'de>>(from: D) -> Result<Option<OnFailure>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Policy {
        Stop,
        Skip,
        Park(usize),
    }
    Ok(Some(match Policy::deserialize(from)? {
        Policy::Stop => OnFailure::Stop,
        Policy::Skip => OnFailure::Skip,
        Policy::Park(at_most) => OnFailure::Park { at_most },
    }))
}
