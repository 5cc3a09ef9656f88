//! The state of a view's connection to Kafka, as operators see it.

use std::fmt;

use highwater_core::{Error, Position};
use jiff::Timestamp;

/// The state of a view's connection to Kafka.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum KafkaState {
    /// No broker has answered yet.
    Connecting,
    /// Records arrive, or would if there were any.
    Consuming,
    /// The topic lacks events although its records follow each other: it never had them, or has lost
    /// them. They are read from the store instead.
    Filling {
        /// The position up to which the view has everything.
        from: Position,
        /// The position up to which events are missing.
        to: Position,
    },
    /// The topic has dropped records that the view has not had, by its retention or because they were
    /// deleted. Their events are read from the store instead.
    Truncated {
        /// The position up to which the view has everything.
        from: Position,
        /// The position up to which events are missing.
        to: Position,
    },
    /// The topic is another one than the view was fed from before: in the place of the record that was
    /// read last there is another one, or none. What it lacks is read from the store instead.
    TopicRecreated {
        /// The position up to which the view has everything.
        from: Position,
        /// The position up to which events are missing.
        to: Position,
    },
    /// No broker can be reached. The client retries.
    BrokerGone {
        /// The time of the first failure.
        since: Timestamp,
    },
    /// The topic doesn't exist. The relay creates it.
    TopicMissing,
    /// Partitions were added to the topic. Relay and view go on with those that they know; when they are
    /// started again, they refuse the topic, because the partition of a stream depends on the number.
    PartitionsAdded {
        /// The error, which names the topic.
        error: Error,
    },
    /// A record was not published by a relay of this log, and the view has stopped before it.
    ForeignRecord {
        /// The error, which names the record and what is wrong with it.
        error: Error,
    },
    /// Another member of the group has the same [instance name](super::KafkaSource::instance).
    InstanceTaken {
        /// The error of the client.
        error: Error,
    },
    /// Kafka refuses this client, or refuses it this topic.
    WrongCredentials {
        /// The error of the client.
        error: Error,
    },
}

impl KafkaState {
    /// The name of the state in metrics and readiness.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Consuming => "consuming",
            Self::Filling { .. } => "filling",
            Self::Truncated { .. } => "truncated",
            Self::TopicRecreated { .. } => "topic_recreated",
            Self::BrokerGone { .. } => "broker_gone",
            Self::TopicMissing => "topic_missing",
            Self::PartitionsAdded { .. } => "partitions_added",
            Self::ForeignRecord { .. } => "foreign_record",
            Self::InstanceTaken { .. } => "instance_taken",
            Self::WrongCredentials { .. } => "wrong_credentials",
        }
    }

    /// The advice for operators; `None` if there is nothing to do.
    #[must_use]
    pub fn what_to_do(&self) -> Option<&'static str> {
        Some(match self {
            Self::Connecting | Self::Consuming => return None,
            Self::Filling { .. } => "nothing is lost; if it recurs, see who writes to the topic",
            Self::Truncated { .. } => {
                "nothing is lost; lengthen the topic's retention beyond the time that workers may be away"
            }
            Self::TopicRecreated { .. } => "nothing is lost; see who has deleted the topic",
            Self::BrokerGone { .. } => {
                "see that the brokers are up, and that their address and security.protocol are right"
            }
            Self::TopicMissing => "start the relay, which creates the topic, or check its name",
            Self::PartitionsAdded { .. } => {
                "publish to a new topic under a new relay name, and let the views be resharded"
            }
            Self::ForeignRecord { .. } => {
                "see who writes to the topic; let foreign records be ignored, or publish to a new topic"
            }
            Self::InstanceTaken { .. } => {
                "give each process its own instance name, and start this one again"
            }
            Self::WrongCredentials { .. } => {
                "check security.protocol, the ssl and sasl settings, and the ACLs of the user"
            }
        })
    }

    /// Returns true if the state ends as soon as a broker answers.
    pub(super) fn is_cut_off(&self) -> bool {
        matches!(self, Self::BrokerGone { .. } | Self::TopicMissing)
    }
}

impl fmt::Display for KafkaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => write!(f, "no broker has answered yet"),
            Self::Consuming => write!(f, "the view is fed from the topic"),
            Self::Filling { from, to } => write!(
                f,
                "the topic lacks events after position {from} up to {to}, which are read from the log"
            ),
            Self::Truncated { from, to } => write!(
                f,
                "the topic has dropped events after position {from} up to {to}, which are read from \
                 the log"
            ),
            Self::TopicRecreated { from, to } => write!(
                f,
                "the topic was recreated and lacks events after position {from} up to {to}, which are \
                 read from the log"
            ),
            Self::BrokerGone { since } => write!(f, "no broker has been reachable since {since}"),
            Self::TopicMissing => write!(f, "the topic does not exist"),
            Self::PartitionsAdded { error } => {
                write!(f, "partitions were added to the topic: {error}")
            }
            Self::ForeignRecord { error } => {
                write!(f, "the view has stopped before a foreign record: {error}")
            }
            Self::InstanceTaken { error } => {
                write!(f, "another member of the group has the same instance name: {error}")
            }
            Self::WrongCredentials { error } => write!(f, "Kafka refuses this client: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use highwater_core::error::Invalid;

    use super::*;

    #[test]
    fn a_state_is_displayed_as_a_sentence() {
        let error: Error = Invalid::configuration("no such user").into();
        let (from, to) = (Position::new(3), Position::new(7));
        let since = "2026-01-02T03:04:05Z".parse().unwrap();
        let shown = |state: KafkaState| state.to_string();
        assert_eq!(shown(KafkaState::Connecting), "no broker has answered yet");
        assert_eq!(shown(KafkaState::Consuming), "the view is fed from the topic");
        assert_eq!(shown(KafkaState::TopicMissing), "the topic does not exist");
        for (state, verb) in [
            (KafkaState::Filling { from, to }, "lacks"),
            (KafkaState::Truncated { from, to }, "has dropped"),
            (KafkaState::TopicRecreated { from, to }, "was recreated and lacks"),
        ] {
            let expected = format!(
                "the topic {verb} events after position 3 up to 7, which are read from the log"
            );
            assert_eq!(shown(state), expected);
        }
        let expected = "no broker has been reachable since 2026-01-02T03:04:05Z";
        assert_eq!(shown(KafkaState::BrokerGone { since }), expected);
        for (state, sentence) in [
            (
                KafkaState::PartitionsAdded { error: error.clone() },
                "partitions were added to the topic",
            ),
            (
                KafkaState::ForeignRecord { error: error.clone() },
                "the view has stopped before a foreign record",
            ),
            (
                KafkaState::InstanceTaken { error: error.clone() },
                "another member of the group has the same instance name",
            ),
            (KafkaState::WrongCredentials { error: error.clone() }, "Kafka refuses this client"),
        ] {
            assert_eq!(shown(state), format!("{sentence}: {error}"));
        }
    }
}
