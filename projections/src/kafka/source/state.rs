//! How the connection of a view to Kafka fares.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use ::metrics::Counter;
use highwater_core::{Code, Error, Position, domain::ViewName, port::Clock};
use jiff::Timestamp;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as E};
use tokio::sync::watch;

use super::lane::Lack;
use crate::{
    kafka::trouble::{failed, is_about_credentials},
    metrics::source_state,
};

/// How the connection of a view to Kafka fares.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum KafkaState {
    /// Nothing has been heard from a broker yet.
    Connecting,
    /// Records arrive, or would if there were any.
    Consuming,
    /// The topic lacks events although its records follow each other, so it was never given them or has
    /// lost them; they are read from the store instead.
    Filling {
        /// Up to where the view has everything.
        from: Position,
        /// Up to where something is missing.
        to: Position,
    },
    /// The topic has forgotten records that the view has not had, by its retention or by somebody's
    /// hand; their events are read from the store instead.
    Truncated {
        /// Up to where the view has everything.
        from: Position,
        /// Up to where something is missing.
        to: Position,
    },
    /// The topic is another one than the view was fed from before; what it lacks is read from the store
    /// instead. It is told by the record that was read last: another stands in its place, or none.
    MadeAnew {
        /// Up to where the view has everything.
        from: Position,
        /// Up to where something is missing.
        to: Position,
    },
    /// No broker can be reached. The client goes on trying.
    BrokerGone {
        /// Since when.
        since: Timestamp,
    },
    /// The topic isn't there. The relay makes it.
    TopicMissing,
    /// A record is not one of a relay of this log, and the view has stopped before it.
    ForeignRecord {
        /// Which one, and why.
        error: Error,
    },
    /// Another member of the group has this one's [instance name](super::KafkaSource::instance).
    InstanceTaken {
        /// What Kafka says.
        error: Error,
    },
    /// Kafka does not let this client in, or not at this topic.
    WrongCredentials {
        /// What it says.
        error: Error,
    },
}

impl KafkaState {
    /// Its name, as metrics and readiness have it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Consuming => "consuming",
            Self::Filling { .. } => "filling",
            Self::Truncated { .. } => "truncated",
            Self::MadeAnew { .. } => "made_anew",
            Self::BrokerGone { .. } => "broker_gone",
            Self::TopicMissing => "topic_missing",
            Self::ForeignRecord { .. } => "foreign_record",
            Self::InstanceTaken { .. } => "instance_taken",
            Self::WrongCredentials { .. } => "wrong_credentials",
        }
    }

    /// What an operator does about it; `None` if there is nothing to do.
    #[must_use]
    pub fn what_to_do(&self) -> Option<&'static str> {
        Some(match self {
            Self::Connecting | Self::Consuming => return None,
            Self::Filling { .. } => "nothing is lost; if it recurs, see who writes to the topic",
            Self::Truncated { .. } => {
                "nothing is lost; lengthen the topic's retention beyond the time that workers may be away"
            }
            Self::MadeAnew { .. } => "nothing is lost; see who has deleted the topic",
            Self::BrokerGone { .. } => {
                "see that the brokers are up, and that their address and security.protocol are right"
            }
            Self::TopicMissing => "start the relay, which makes the topic, or check its name",
            Self::ForeignRecord { .. } => {
                "see who writes to the topic; let foreign records be ignored, or publish to a new topic"
            }
            Self::InstanceTaken { .. } => {
                "give each process an instance name of its own, and start this one again"
            }
            Self::WrongCredentials { .. } => {
                "check security.protocol, the ssl and sasl settings, and the ACLs of the user"
            }
        })
    }

    fn is_cut_off(&self) -> bool {
        matches!(self, Self::BrokerGone { .. } | Self::TopicMissing)
    }

    /// What of a topic that lacks events for this reason is to be said.
    fn lacking(why: Lack, from: Position, to: Position) -> Self {
        match why {
            Lack::Lost => Self::Filling { from, to },
            Lack::Forgotten => Self::Truncated { from, to },
            Lack::MadeAnew => Self::MadeAnew { from, to },
        }
    }
}

/// The states of the views of a source.
#[derive(Clone, Default)]
pub(super) struct States(Arc<Mutex<HashMap<ViewName, watch::Sender<KafkaState>>>>);

impl States {
    #[cfg(feature = "service")]
    pub(super) fn known(&self, view: &ViewName) -> Option<KafkaState> {
        let states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        states.get(view).map(|state| state.borrow().clone())
    }

    pub(super) fn of(&self, view: &ViewName) -> watch::Sender<KafkaState> {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.entry(view.clone());
        state.or_insert_with(|| watch::Sender::new(KafkaState::Connecting)).clone()
    }

    /// What all wait for that have not been able to join so far.
    pub(super) fn waiting_for(&self, error: &Error) {
        if error.code() == Code::TOPIC_MISSING {
            for (view, state) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
                state.send_if_modified(|state| {
                    let waits = matches!(state, KafkaState::Connecting);
                    if waits {
                        source_state(view, state.name(), KafkaState::TopicMissing.name());
                        *state = KafkaState::TopicMissing;
                    }
                    waits
                });
            }
        }
    }
}

/// Says how a view fares.
#[derive(Clone)]
pub(super) struct Reporter {
    pub(super) view: ViewName,
    pub(super) state: watch::Sender<KafkaState>,
    /// How many times the log has been read for what topics lacked.
    pub(super) filled: Arc<AtomicU64>,
    pub(super) clock: Arc<dyn Clock>,
    /// Events that came again.
    pub(super) repeats: Counter,
}

pub(super) const CONSUMING: &str = "consuming";

impl Reporter {
    /// Records arrive.
    pub(super) fn consuming(&self) {
        if !matches!(*self.state.borrow(), KafkaState::Consuming) {
            self.say(KafkaState::Consuming);
        }
    }

    /// What a topic lacks is read from the store.
    pub(super) fn filling(&self, why: Lack, from: Position, to: Position) {
        self.filled.fetch_add(1, Ordering::Relaxed);
        let state = KafkaState::lacking(why, from, to);
        let is_known = self.state.borrow().name() == state.name();
        if is_known { self.enter(state) } else { self.say(state) }
    }

    /// A record is not one of ours.
    pub(super) fn foreign(&self, error: &Error) {
        if !matches!(*self.state.borrow(), KafkaState::ForeignRecord { .. }) {
            self.say(KafkaState::ForeignRecord { error: error.clone() });
        }
    }

    /// Taking part has failed before there was a client.
    pub(super) fn cannot_join(&self, error: &Error) {
        let state = match error.code() {
            Code::TOPIC_MISSING => KafkaState::TopicMissing,
            Code::BROKER_UNREACHABLE => KafkaState::BrokerGone { since: self.clock.now() },
            Code::BAD_CREDENTIALS => KafkaState::WrongCredentials { error: error.clone() },
            _ => return,
        };
        if self.state.borrow().name() != state.name() {
            self.say(state);
        }
    }

    /// What was in the way of reading is so no longer, or nobody is there any more whom it would be in the way of.
    pub(super) fn forget_trouble(&self) {
        if self.is_cut_off() {
            self.enter(KafkaState::Connecting);
        }
    }

    /// Waits until something is in the way of reading anything at all.
    pub(super) async fn cut_off(&self) {
        let mut state = self.state.subscribe();
        // The sender is this reporter's.
        let _ = state.wait_for(KafkaState::is_cut_off).await;
    }

    fn is_cut_off(&self) -> bool {
        self.state.borrow().is_cut_off()
    }

    /// What the client says that is of no single record. Gives an error if nothing but a person can
    /// mend it.
    pub(super) fn hear(&self, error: KafkaError) -> Result<(), Error> {
        match error.rdkafka_error_code() {
            _ if is_about_credentials(&error) => {
                let error = failed(CONSUMING, error);
                self.say(KafkaState::WrongCredentials { error: error.clone() });
                return Err(error);
            }
            Some(E::FencedInstanceId) => {
                let error = failed(CONSUMING, error);
                self.say(KafkaState::InstanceTaken { error: error.clone() });
                return Err(error);
            }
            Some(E::AllBrokersDown)
                if !matches!(*self.state.borrow(), KafkaState::BrokerGone { .. }) =>
            {
                self.say(KafkaState::BrokerGone { since: self.clock.now() });
            }
            Some(E::UnknownTopicOrPartition | E::UnknownTopic | E::UnknownPartition) => {
                self.say(KafkaState::TopicMissing);
            }
            _ => tracing::debug!(view = %self.view, %error, "Kafka's client"),
        }
        Ok(())
    }

    fn say(&self, state: KafkaState) {
        match state.what_to_do() {
            None => tracing::info!(view = %self.view, "consuming"),
            Some(what_to_do) => {
                tracing::warn!(view = %self.view, ?state, what_to_do, "consuming is disturbed");
            }
        }
        self.enter(state);
    }

    fn enter(&self, state: KafkaState) {
        source_state(&self.view, self.state.borrow().name(), state.name());
        self.state.send_replace(state);
    }
}
