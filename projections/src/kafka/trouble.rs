//! What a client's error means here: whose move it is, and what to do.

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
    error::{KafkaError, RDKafkaErrorCode as E},
};

/// What it means that a client failed while `doing` this.
pub(super) fn failed(doing: &'static str, error: KafkaError) -> Error {
    failed_saying(doing, error, "")
}

/// The same, with what the client has said beside it.
fn failed_saying(doing: &'static str, error: KafkaError, said: &str) -> Error {
    if let Some(refused) = refused_before_it_began(&error) {
        return refused.into();
    }
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let code = error.rdkafka_error_code();
    match code.and_then(whose_move) {
        Some((code, what)) => {
            let message = format!("Kafka refused while {doing}: {error}{said}; {what}");
            Invalid::new(code, message).caused_by(Source::new(error)).into()
        }
        None => {
            let source = Source::new(Saying { said, error });
            Unavailable::Broker { doing, source }.into()
        }
    }
}

/// There is no client with such settings, however often it is tried.
fn refused_before_it_began(error: &KafkaError) -> Option<Invalid> {
    let message = match error {
        // A refused setting may be a secret, and the client's error would show it.
        KafkaError::ClientConfig(_, reason, name, _) => {
            format!("Kafka's client refuses {name}: {reason}")
        }
        KafkaError::ClientCreation(reason) => {
            format!("Kafka's client refuses its settings: {reason}")
        }
        KafkaError::Nul(_) => "a setting of Kafka's client, or a name, holds NUL".to_owned(),
        _ => return None,
    };
    Some(Invalid::configuration(message))
}

/// An error of a request, with what the client has said beside it.
#[derive(Debug)]
struct Saying {
    error: KafkaError,
    said: String,
}

impl fmt::Display for Saying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.error, self.said)
    }
}

impl std::error::Error for Saying {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// The code of what won't pass by itself, and what to do about it.
fn whose_move(code: E) -> Option<(Code, &'static str)> {
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
///
/// That TLS has failed is not, while one is connected: so ends a connection, too, whose server goes away
/// at the wrong moment. Who connects is told by [`Listening::explain`].
pub(super) fn is_about_credentials(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code().filter(|code| *code != E::SSL);
    code.and_then(whose_move).is_some_and(|(code, _)| code == Code::BAD_CREDENTIALS)
}

/// A server that speaks another protocol only hangs up, so nobody can tell it from one that is down.
const WHERE_TO_LOOK: &str =
    "see that the servers are up, that this is their address, and that security.protocol is theirs";

/// Passes the client's log on, and keeps the last error that is of no single request.
#[derive(Default)]
pub(super) struct Listening {
    last: Mutex<Option<(KafkaError, String)>>,
    /// How the last connection failed, which is no error of the client as long as it goes on trying.
    failure: Mutex<Option<String>>,
}

impl Listening {
    /// What it means that a request found no server: why, the client has said beside it. What it said
    /// last counts, because a server that goes away gives other errors before.
    pub(super) fn explain(&self, doing: &'static str, error: KafkaError) -> Error {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        match last {
            Some((last, said)) if last.rdkafka_error_code().and_then(whose_move).is_some() => {
                failed_saying(doing, last, &said)
            }
            last => {
                let said = failure.or(last.map(|(_, said)| said));
                let said = said.map_or_else(String::new, |said| format!("{said}; "));
                failed_saying(doing, error, &format!("{said}{WHERE_TO_LOOK}"))
            }
        }
    }
}

impl ClientContext for Listening {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
        if facility == "FAIL" {
            let said = message.split_once("]: ").map_or(message, |(_thread, said)| said);
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(said.to_owned());
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka's client");
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // That there is no server left says less than why the last one was lost.
        if last.is_none() || error.rdkafka_error_code() != Some(E::AllBrokersDown) {
            *last = Some((error, reason.to_owned()));
        }
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
