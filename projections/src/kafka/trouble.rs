//! What a client's error means here: whose move it is, and what to do.

use std::sync::{Mutex, PoisonError};

use highwater_core::{
    Code, Error,
    error::{Invalid, Source, Unavailable},
};
use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode as E},
};

/// What it means that a client failed while `doing` this.
pub(super) fn failed(doing: &'static str, error: KafkaError) -> Error {
    // A refused setting may be a secret, and the client's error would show it.
    if let KafkaError::ClientConfig(_, reason, name, _) = &error {
        return Invalid::configuration(format!("Kafka's client refuses {name}: {reason}")).into();
    }
    let code = error.rdkafka_error_code();
    match code.and_then(whose_move) {
        Some((code, what)) => {
            let message = format!("Kafka refused while {doing}: {error}; {what}");
            Invalid::new(code, message).caused_by(Source::new(error)).into()
        }
        None => Unavailable::Broker { doing, source: Source::new(error) }.into(),
    }
}

/// The code of what won't pass by itself, and what to do about it.
fn whose_move(code: E) -> Option<(Code, &'static str)> {
    Some(match code {
        E::Authentication | E::SaslAuthenticationFailed | E::UnsupportedSASLMechanism => {
            (Code::BAD_CREDENTIALS, "check security.protocol and the sasl settings")
        }
        E::TopicAuthorizationFailed
        | E::GroupAuthorizationFailed
        | E::ClusterAuthorizationFailed => {
            (Code::BAD_CREDENTIALS, "allow this user to do that by an ACL")
        }
        E::UnknownTopic | E::UnknownTopicOrPartition | E::UnknownPartition => {
            (Code::BAD_TOPIC, "start the relay, which makes the topic, or check its name")
        }
        E::InvalidTopic | E::InvalidPartitions | E::InvalidReplicationFactor | E::InvalidConfig => {
            (Code::BAD_TOPIC, "check name, partitions, replication and retention of the topic")
        }
        E::FencedInstanceId => (
            Code::BAD_CONFIGURATION,
            "another process is a member of this group under the same instance name: give each its own",
        ),
        E::PolicyViolation => (Code::BAD_TOPIC, "the cluster's policy does not allow such a topic"),
        E::MessageSizeTooLarge => {
            (Code::TOO_LARGE, "raise max.message.bytes of the topic and start the relay again")
        }
        _ => return None,
    })
}

/// Whether it is about who we are, which no retry of the client changes.
pub(super) fn is_about_credentials(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code().and_then(whose_move);
    code.is_some_and(|(code, _)| code == Code::BAD_CREDENTIALS)
}

/// Passes the client's log on, and keeps the last error that is of no single request.
#[derive(Default)]
pub(super) struct Listening {
    last: Mutex<Option<KafkaError>>,
}

impl Listening {
    /// The last error, once.
    pub(super) fn take(&self) -> Option<KafkaError> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Listening {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka's client");
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

impl rdkafka::consumer::ConsumerContext for Listening {}

/// What the client has to say. Its own errors are no errors of ours: it tries again by itself, and
/// what it can't mend comes as an error of a request.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", facility, message);
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            tracing::warn!(target: "librdkafka", facility, message);
        }
        _ => tracing::debug!(target: "librdkafka", facility, message),
    }
}
