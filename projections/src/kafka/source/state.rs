//! How the connection of a view to Kafka fares.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use ::metrics::Counter;
use highwater_core::{
    Error, Position,
    port::{Clock, ViewName},
};
use jiff::Timestamp;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as E};
use tokio::sync::watch;

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
    /// The topic lacks events, which are read from the store instead: it has forgotten them, or was
    /// made anew.
    Filling {
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
            Self::BrokerGone { .. } => "broker_gone",
            Self::TopicMissing => "topic_missing",
            Self::WrongCredentials { .. } => "wrong_credentials",
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
}

/// Says how a view fares.
#[derive(Clone)]
pub(super) struct Reporter {
    pub(super) view: ViewName,
    pub(super) state: watch::Sender<KafkaState>,
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

    pub(super) fn filling(&self, from: Position, to: Position) {
        if !matches!(*self.state.borrow(), KafkaState::Filling { .. }) {
            tracing::info!(view = %self.view, %from, %to, "the topic lacks events; reading from the store");
        }
        self.enter(KafkaState::Filling { from, to });
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
        match &state {
            KafkaState::Consuming => tracing::info!(view = %self.view, "consuming"),
            state => tracing::warn!(view = %self.view, ?state, "consuming is disturbed"),
        }
        self.enter(state);
    }

    fn enter(&self, state: KafkaState) {
        source_state(&self.view, self.state.borrow().name(), state.name());
        self.state.send_replace(state);
    }
}
