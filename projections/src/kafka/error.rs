//! The classification of client errors: which are permanent, and what to do about them.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use highwater_core::{
    Code, Error,
    error::{Invalid, Source, Unavailable},
};
use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode as E},
};

/// Converts an error of the client; `doing` names what failed.
pub(super) fn client_error(doing: &'static str, error: KafkaError) -> Error {
    client_error_with(doing, error, "")
}

/// Converts an error of the client, and adds what the client reported beside it, or what it is about.
pub(super) fn client_error_with(doing: &'static str, error: KafkaError, detail: &str) -> Error {
    if let Some(refused) = refused_setting(&error) {
        return refused.into();
    }
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    match error.rdkafka_error_code().and_then(classify) {
        Some((code, advice)) => {
            let message = format!("Kafka refused while {doing}: {error}{detail}; {advice}");
            Invalid::new(code, message).caused_by(Source::new(error)).into()
        }
        None => {
            let source = Source::new(DetailedError { error, detail });
            Unavailable::Broker { doing, source }.into()
        }
    }
}

/// Returns the error of a client that can't be created with its settings, however often it is tried.
fn refused_setting(error: &KafkaError) -> Option<Invalid> {
    let message = match error {
        // A refused setting may be a secret, and the client's error would show it.
        KafkaError::ClientConfig(_, reason, name, _) => {
            format!("Kafka's client refuses {name}: {reason}")
        }
        KafkaError::ClientCreation(reason) => {
            format!("Kafka's client refuses its settings: {reason}")
        }
        KafkaError::Nul(_) => "a setting of Kafka's client, or a name, contains NUL".to_owned(),
        _ => return None,
    };
    Some(Invalid::configuration(message))
}

/// An error of a request, with what the client reported beside it.
#[derive(Debug)]
struct DetailedError {
    error: KafkaError,
    detail: String,
}

impl fmt::Display for DetailedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.error, self.detail)
    }
}

impl std::error::Error for DetailedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// The code of a permanent error, and what to do about it; `None` if a retry may succeed.
fn classify(code: E) -> Option<(Code, &'static str)> {
    Some(match code {
        E::Authentication | E::SaslAuthenticationFailed | E::UnsupportedSASLMechanism => {
            (Code::BAD_CREDENTIALS, "check security.protocol and the sasl settings")
        }
        E::SSL => (
            Code::BAD_CREDENTIALS,
            "check ssl.ca.location, ssl.certificate.location, and the certificate of the server",
        ),
        E::TopicAuthorizationFailed
        | E::GroupAuthorizationFailed
        | E::ClusterAuthorizationFailed => {
            (Code::BAD_CREDENTIALS, "allow this user to do that by an ACL")
        }
        E::InvalidTopic | E::InvalidPartitions | E::InvalidReplicationFactor | E::InvalidConfig => {
            (Code::BAD_TOPIC, "check name, partitions, replication and retention of the topic")
        }
        E::FencedInstanceId => (
            Code::BAD_CONFIGURATION,
            "another process is a member of this group under the same instance name: give each its own",
        ),
        E::InvalidSessionTimeout => (
            Code::BAD_CONFIGURATION,
            "set session.timeout.ms between group.min.session.timeout.ms and \
             group.max.session.timeout.ms of the brokers",
        ),
        E::InconsistentGroupProtocol => (
            Code::BAD_CONFIGURATION,
            "other software has members in this group: set another KafkaSource::group_prefix",
        ),
        E::InvalidGroupId => (Code::BAD_CONFIGURATION, "set another KafkaSource::group_prefix"),
        E::UnsupportedVersion | E::UnsupportedForMessageFormat => {
            (Code::BAD_CONFIGURATION, "upgrade the brokers, which are too old for this client")
        }
        E::UnsupportedCompressionType => {
            (Code::BAD_CONFIGURATION, "set a compression.type that the brokers know")
        }
        E::InvalidTimestamp => (
            Code::BAD_TOPIC,
            "raise message.timestamp.before.max.ms and message.timestamp.after.max.ms of the topic, and \
             check the clocks of relay and broker",
        ),
        E::InvalidRecord => {
            (Code::BAD_TOPIC, "set cleanup.policy of the topic to delete: marks have no key")
        }
        E::PolicyViolation => (Code::BAD_TOPIC, "the cluster's policy does not allow such a topic"),
        E::MessageSizeTooLarge => {
            (Code::TOO_LARGE, "raise max.message.bytes of the topic and start the relay again")
        }
        _ => return None,
    })
}

/// Returns the error that the client's error is if no retry can cure it; `None` if it may pass.
pub(super) fn permanent_error(doing: &'static str, error: &KafkaError) -> Option<Error> {
    // Of a connected client see `is_credentials_error`.
    let code = error.rdkafka_error_code().filter(|code| *code != E::SSL);
    code.and_then(classify).map(|_| client_error(doing, error.clone()))
}

/// Returns true if the error is about the identity of the client, which no retry changes.
///
/// A TLS error of a connected client is not: a connection ends with one, too, if its server stops at
/// the wrong moment. [`ErrorContext::explain`] reports it to a client that connects.
pub(super) fn is_credentials_error(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code().filter(|code| *code != E::SSL);
    code.and_then(classify).is_some_and(|(code, _)| code == Code::BAD_CREDENTIALS)
}

/// The advice if no server answers. A server that speaks another protocol only closes the connection, so
/// it can't be distinguished from one that is down.
const UNREACHABLE_ADVICE: &str =
    "see that the servers are up, that this is their address, and that security.protocol is theirs";

/// Forwards the log of a client, and keeps the last error that belongs to no single request.
#[derive(Default)]
pub(super) struct ErrorContext {
    last_error: Mutex<Option<(KafkaError, String)>>,
    /// Why the last connection failed. The client doesn't report that as an error while it retries.
    last_failure: Mutex<Option<String>>,
}

impl ErrorContext {
    /// Converts the error of a request that found no server, and adds what the client reported beside
    /// it. Its last report counts, because a server that stops gives other errors before.
    pub(super) fn explain(&self, doing: &'static str, error: KafkaError) -> Error {
        let last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).take();
        let failure = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        match last {
            Some((last, reason)) if last.rdkafka_error_code().and_then(classify).is_some() => {
                client_error_with(doing, last, &reason)
            }
            last => {
                let reason = failure.or(last.map(|(_, reason)| reason));
                let reason = reason.map_or_else(String::new, |reason| format!("{reason}; "));
                client_error_with(doing, error, &format!("{reason}{UNREACHABLE_ADVICE}"))
            }
        }
    }
}

impl ClientContext for ErrorContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        forward_log(level, facility, message);
        if facility == "FAIL" {
            let reason = message.split_once("]: ").map_or(message, |(_thread, reason)| reason);
            let reason = Some(reason.to_owned());
            *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = reason;
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka client error");
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        // That no server is left says less than why the last one was lost.
        if last.is_none() || error.rdkafka_error_code() != Some(E::AllBrokersDown) {
            *last = Some((error, reason.to_owned()));
        }
    }
}

impl ConsumerContext for ErrorContext {}

/// Forwards a log line of the client to `tracing`. The client retries after most errors by itself;
/// those that it can't recover from are returned by a request.
pub(super) fn forward_log(level: RDKafkaLogLevel, facility: &str, message: &str) {
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
