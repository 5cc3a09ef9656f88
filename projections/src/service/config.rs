//! The configuration of a service.

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
use crate::{
    config,
    options::{OnChange, OnDrift, OnFailure, ProjectionOptions},
};

/// The configuration of a service, from a file (TOML) and the environment, which takes precedence.
///
/// A variable of the environment is the prefix, an underscore, and the key in capitals, its parts
/// joined by two underscores: with the prefix `BANK`, `http.listen` is `BANK_HTTP__LISTEN`. An
/// unknown key or a malformed value is an error that names the key and its place.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The URL of the store.
    pub store: Secret,
    /// The URL of the store of the views, if the views have another store.
    #[serde(default)]
    pub views: Option<Secret>,
    /// The file of policies, if there is one: the program has to [load](crate::policy::Policies::load) it.
    #[serde(default)]
    pub policies: Option<PathBuf>,
    /// The limit on the shutdown: *20 s* unless set. An orchestrator should wait a little longer before it kills the
    /// process.
    #[serde(default = "Config::default_drain", deserialize_with = "duration")]
    pub drain: Duration,
    /// The address of liveness, readiness and metrics.
    #[serde(default)]
    pub http: HttpConfig,
    /// The log.
    #[serde(default)]
    pub log: LogConfig,
    /// The options of projections, by name.
    #[serde(default)]
    pub projections: BTreeMap<String, ProjectionConfig>,
    /// The Kafka cluster and its topics.
    #[cfg(feature = "kafka")]
    #[serde(default)]
    pub kafka: Option<KafkaConfig>,
    /// The options of a relay.
    #[cfg(feature = "kafka")]
    #[serde(default)]
    pub relay: RelayConfig,
    /// The export of traces.
    #[cfg(feature = "otlp")]
    #[serde(default)]
    pub otlp: Option<OtlpConfig>,
}

/// The address of liveness, readiness and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address and port; *127.0.0.1:9464* unless set, and any free port if the port is 0. Anyone who
    /// can reach it can read names of projections, keys that can't be applied and errors: keep it internal.
    pub listen: SocketAddr,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 9464).into() }
    }
}

/// The log, which is written to the standard error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Lines of text, or one JSON object on each line.
    pub format: LogFormat,
    /// The lowest level that is logged, *info* unless set: `error`, `warn`, `info`, `debug`, `trace`, or one for
    /// each part of the program, as in `info,sqlx=warn`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::default(), level: "info".into() }
    }
}

/// The format of a line of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// The options of a projection. An option that isn't set has the default of [`ProjectionOptions`], but for
/// `on_change`: a service builds what has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectionConfig {
    /// The number of shards.
    pub shards: Option<u32>,
    /// The largest number of events in one transaction.
    pub batch: Option<usize>,
    /// The number of rows of a shard that are cached in memory.
    pub cached_rows: Option<usize>,
    /// The reaction to an event that can't be applied: `"stop"`, `"skip"`, or `{ park = 100 }` with the largest number of
    /// parked keys of a shard.
    #[serde(deserialize_with = "on_failure")]
    pub on_failure: Option<OnFailure>,
    /// The reaction to a changed definition of a view: `"rebuild"` or `"stop"`.
    #[serde(deserialize_with = "on_change")]
    pub on_change: Option<OnChange>,
    /// The time within which every row is compared once with its events: a duration like `"24h"`, or `"off"`.
    #[serde(deserialize_with = "audit")]
    pub audit: Option<AuditWindow>,
    /// The reaction to a row that is not the fold of its events: `"warn"` or `"repair"`.
    #[serde(deserialize_with = "on_drift")]
    pub on_drift: Option<OnDrift>,
}

/// The time within which every row of a view is compared once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditWindow {
    /// No row is compared.
    Off,
    /// Every row is compared once within this time.
    Within(Duration),
}

/// The Kafka cluster and its topics.
#[cfg(feature = "kafka")]
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// The bootstrap servers: `host:port`, several separated by commas.
    pub servers: String,
    /// The topic that holds all the events.
    #[serde(default)]
    pub topic: Option<String>,
    /// Or the prefix of the names of the topics, one for each category.
    #[serde(default)]
    pub topic_prefix: Option<String>,
    /// Settings of librdkafka; in the environment with underscores for dots.
    #[serde(default)]
    pub settings: BTreeMap<String, Secret>,
}

/// The options of a relay. An option that isn't set has the default of [`Relay`].
#[cfg(feature = "kafka")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelayConfig {
    /// The relay's name.
    pub name: Option<String>,
    /// The number of partitions of a topic that the relay creates.
    pub partitions: Option<u32>,
    /// The number of replicas of a topic that the relay creates.
    pub replication: Option<u16>,
    /// The retention of a topic that the relay creates.
    #[serde(deserialize_with = "some_duration")]
    pub retention: Option<Duration>,
}

/// The export of traces.
#[cfg(feature = "otlp")]
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtlpConfig {
    /// The collector, as `http://127.0.0.1:4318`; spans go to `/v1/traces` there, as protobuf.
    pub endpoint: String,
    /// The name of the service in traces.
    pub service: String,
    /// The lowest level of spans that are sent, *info* unless set: in the form of [`LogConfig::level`], and independent of it.
    #[serde(default = "OtlpConfig::default_level")]
    pub level: String,
    /// The fraction of the traces started here that is sent, from 0 to 1; all unless set. A trace that was started
    /// elsewhere keeps the decision made there.
    #[serde(default = "OtlpConfig::default_sample")]
    pub sample: f64,
}

#[cfg(feature = "otlp")]
impl OtlpConfig {
    fn default_level() -> String {
        "info".into()
    }

    fn default_sample() -> f64 {
        1.0
    }
}

impl Config {
    /// Reads a file, and the variables of the environment that begin with a prefix and an underscore.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the file can't be read, or for the first key that is malformed,
    /// unknown or missing. The error names the key and its place, and never shows a value.
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

    /// Creates the configuration of a service on the store of this URL, with all defaults.
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

    /// Returns the options of the projection of this name.
    #[must_use]
    pub fn options(&self, projection: &str) -> ProjectionOptions {
        let default = ProjectionOptions::default().on_change(OnChange::Rebuild);
        let Some(config) = self.projections.get(projection) else { return default };
        ProjectionOptions {
            shards: config.shards.unwrap_or(default.shards).max(1),
            batch: config.batch.unwrap_or(default.batch).max(1),
            cached_rows: config.cached_rows.unwrap_or(default.cached_rows),
            on_failure: config.on_failure.unwrap_or(default.on_failure),
            on_change: config.on_change.unwrap_or(default.on_change),
            audit_window: match config.audit {
                None => default.audit_window,
                Some(AuditWindow::Off) => None,
                Some(AuditWindow::Within(window)) => Some(window),
            },
            on_drift: config.on_drift.unwrap_or(default.on_drift),
            ..default
        }
    }

    /// Returns the Kafka cluster, and the topics that hold the events.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the section is missing, or names both
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

    /// Creates the configured relay from the log of this store.
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

/// Reads a duration in readable form: `500ms`, `20s`, `2h 30m`.
fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    parse_duration(&text).ok_or_else(|| D::Error::custom("a duration like 500ms, 20s or 2m"))
}

fn parse_duration(text: &str) -> Option<Duration> {
    text.parse::<jiff::SignedDuration>().ok().and_then(|time| time.try_into().ok())
}

/// Reads the window of an auditor. One of no time would compare without a pause.
fn audit<'de, D: Deserializer<'de>>(from: D) -> Result<Option<AuditWindow>, D::Error> {
    let text = String::deserialize(from)?;
    if text == "off" {
        return Ok(Some(AuditWindow::Off));
    }
    let window = parse_duration(&text).filter(|window| !window.is_zero());
    let window = window.ok_or_else(|| D::Error::custom("\"off\", or a duration like 12h or 7d"));
    window.map(|window| Some(AuditWindow::Within(window)))
}

fn on_drift<'de, D: Deserializer<'de>>(from: D) -> Result<Option<OnDrift>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum ConfiguredDrift {
        Warn,
        Repair,
    }
    Ok(Some(match ConfiguredDrift::deserialize(from)? {
        ConfiguredDrift::Warn => OnDrift::Warn,
        ConfiguredDrift::Repair => OnDrift::Repair,
    }))
}

#[cfg(feature = "kafka")]
fn some_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    duration(from).map(Some)
}

fn on_change<'de, D: Deserializer<'de>>(from: D) -> Result<Option<OnChange>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum ConfiguredChange {
        Stop,
        Rebuild,
    }
    Ok(Some(match ConfiguredChange::deserialize(from)? {
        ConfiguredChange::Stop => OnChange::Stop,
        ConfiguredChange::Rebuild => OnChange::Rebuild,
    }))
}

fn on_failure<'de, D: Deserializer<'de>>(from: D) -> Result<Option<OnFailure>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum ConfiguredFailure {
        Stop,
        Skip,
        Park(usize),
    }
    Ok(Some(match ConfiguredFailure::deserialize(from)? {
        ConfiguredFailure::Stop => OnFailure::Stop,
        ConfiguredFailure::Skip => OnFailure::Skip,
        ConfiguredFailure::Park(at_most) => OnFailure::Park { at_most },
    }))
}
