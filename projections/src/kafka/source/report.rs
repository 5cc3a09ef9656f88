//! Reports the states of views, to subscribers, metrics and the log.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use ::metrics::Counter;
use highwater_core::{
    Code, Error, Position,
    domain::ViewName,
    error::{Source, Unavailable},
    port::Clock,
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as E};
use tokio::sync::watch;

use super::{lane::GapCause, state::KafkaState};
use crate::{
    kafka::error::{client_error, is_credentials_error, permanent_error},
    metrics::source_state,
};

/// The states of the views of a source.
#[derive(Clone, Default)]
pub(super) struct SourceStates(Arc<Mutex<HashMap<ViewName, watch::Sender<KafkaState>>>>);

impl SourceStates {
    /// Returns the state of a view, if the source feeds it.
    #[cfg(feature = "service")]
    pub(super) fn known(&self, view: &ViewName) -> Option<KafkaState> {
        let states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        states.get(view).map(|state| state.borrow().clone())
    }

    /// Returns the state of a view, which is created if it is not known.
    pub(super) fn of(&self, view: &ViewName) -> watch::Sender<KafkaState> {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.entry(view.clone());
        state.or_insert_with(|| watch::Sender::new(KafkaState::Connecting)).clone()
    }

    /// Reports a missing topic to the views that have not joined yet.
    pub(super) fn report_missing_topic(&self, error: &Error) {
        if error.code() != Code::TOPIC_MISSING {
            return;
        }
        for (view, state) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            state.send_if_modified(|state| {
                let has_not_joined = matches!(state, KafkaState::Connecting);
                if has_not_joined {
                    source_state(view, state.name(), KafkaState::TopicMissing.name());
                    *state = KafkaState::TopicMissing;
                }
                has_not_joined
            });
        }
    }
}

/// Reports the state of a view.
#[derive(Clone)]
pub(super) struct SourceReporter {
    pub(super) view: ViewName,
    /// The names of the topics that feed the view.
    pub(super) topics: Arc<str>,
    pub(super) state: watch::Sender<KafkaState>,
    /// The reason why the membership must end: its clients get no more records.
    pub(super) expired: watch::Sender<Option<Error>>,
    /// True if the application has given the instance name: otherwise no other worker has it.
    pub(super) is_instance_named: bool,
    /// The error if partitions were added to the topic since the worker has joined.
    pub(super) partitions_added: Arc<OnceLock<Error>>,
    /// The number of reads of the log for events that topics lacked.
    pub(super) filled: Arc<AtomicU64>,
    pub(super) clock: Arc<dyn Clock>,
    /// Events that were read again.
    pub(super) repeats: Counter,
}

pub(super) const CONSUMING: &str = "consuming";

impl SourceReporter {
    /// Reports that records arrive.
    pub(super) fn consuming(&self) {
        self.report_once(match self.partitions_added.get() {
            Some(error) => KafkaState::PartitionsAdded { error: error.clone() },
            None => KafkaState::Consuming,
        });
    }

    /// Reports that partitions were added to a topic. The view goes on with those that it knows.
    pub(super) fn partitions_added(&self, error: Error) {
        if self.partitions_added.set(error.clone()).is_ok() {
            tracing::error!(view = %self.view, %error, code = %error.code(), "partitions were added");
        }
        self.report_once(KafkaState::PartitionsAdded { error });
    }

    /// Ends the membership with this error. The worker joins again, with new clients: one that has known
    /// a topic may get nothing from another topic of the same name, because it takes the younger leaders
    /// for outdated.
    pub(super) fn expire(&self, error: Error) {
        self.expired.send_replace(Some(error));
    }

    pub(super) fn is_expired(&self) -> bool {
        self.expired.borrow().is_some()
    }

    /// Waits until the membership must end, and returns the reason.
    pub(super) async fn expired(&self) -> Error {
        let mut expired = self.expired.subscribe();
        let error = expired.wait_for(Option::is_some).await;
        match error.ok().and_then(|error| error.clone()) {
            Some(error) => error,
            // This reporter keeps the sender.
            None => std::future::pending().await,
        }
    }

    /// Reports that events that a topic lacks are read from the store.
    pub(super) fn filling(&self, cause: GapCause, from: Position, to: Position) {
        self.filled.fetch_add(1, Ordering::Relaxed);
        let state = match cause {
            GapCause::RecordsMissing => KafkaState::Filling { from, to },
            GapCause::Truncated => KafkaState::Truncated { from, to },
            GapCause::TopicRecreated => KafkaState::TopicRecreated { from, to },
        };
        if self.is_in(&state) { self.enter(state) } else { self.report(state) }
    }

    /// Reports the record before which the view has stopped.
    pub(super) fn refused_record(&self, error: &Error) {
        match error.code() {
            Code::BAD_TOPIC => self.partitions_added(error.clone()),
            _ => self.report_once(KafkaState::ForeignRecord { error: error.clone() }),
        }
    }

    /// Reports an error that occurred before there was a client.
    pub(super) fn cannot_join(&self, error: &Error) {
        self.report_once(match error.code() {
            Code::TOPIC_MISSING => KafkaState::TopicMissing,
            Code::BROKER_UNREACHABLE => KafkaState::BrokerGone { since: self.clock.now() },
            Code::BAD_CREDENTIALS => KafkaState::WrongCredentials { error: error.clone() },
            _ => return,
        });
    }

    /// Forgets an outage that is over, or whose end would not be noticed.
    pub(super) fn forget_outage(&self) {
        if self.state.borrow().is_cut_off() {
            self.enter(KafkaState::Connecting);
        }
    }

    /// Waits for an outage.
    pub(super) async fn cut_off(&self) {
        let mut state = self.state.subscribe();
        // This reporter keeps the sender.
        let _ = state.wait_for(KafkaState::is_cut_off).await;
    }

    /// Reports an error of the client that belongs to no record.
    ///
    /// # Errors
    /// The error itself if it is permanent: an operator has to act. If the topic is gone, the membership
    /// ends as well.
    pub(super) fn client_error(&self, error: KafkaError) -> Result<(), Error> {
        match error.rdkafka_error_code() {
            _ if is_credentials_error(&error) => {
                let error = client_error(CONSUMING, error);
                self.report(KafkaState::WrongCredentials { error: error.clone() });
                return Err(error);
            }
            // A client of this worker that was given up was still a member. The worker joins again.
            Some(E::FencedInstanceId) if !self.is_instance_named => {
                let source = Source::new(error);
                let error = Error::from(Unavailable::Broker { doing: CONSUMING, source });
                self.expire(error.clone());
                return Err(error);
            }
            Some(E::FencedInstanceId) => {
                let error = client_error(CONSUMING, error);
                self.report(KafkaState::InstanceTaken { error: error.clone() });
                return Err(error);
            }
            Some(E::AllBrokersDown)
                if !matches!(*self.state.borrow(), KafkaState::BrokerGone { .. }) =>
            {
                self.report(KafkaState::BrokerGone { since: self.clock.now() });
            }
            Some(E::UnknownTopicOrPartition | E::UnknownTopic | E::UnknownPartition) => {
                self.report_once(KafkaState::TopicMissing);
                let error =
                    Error::from(Unavailable::TopicMissing { topic: self.topics.to_string() });
                self.expire(error.clone());
                return Err(error);
            }
            _ => {
                tracing::debug!(view = %self.view, %error, "Kafka client error");
                return permanent_error(CONSUMING, &error).map_or(Ok(()), Err);
            }
        }
        Ok(())
    }

    fn is_in(&self, state: &KafkaState) -> bool {
        self.state.borrow().name() == state.name()
    }

    /// Reports a state unless the view is in it already.
    fn report_once(&self, state: KafkaState) {
        if !self.is_in(&state) {
            self.report(state);
        }
    }

    /// Logs a state, and enters it.
    fn report(&self, state: KafkaState) {
        match state.what_to_do() {
            None => tracing::info!(view = %self.view, "consuming"),
            Some(what_to_do) => {
                tracing::warn!(view = %self.view, %state, what_to_do, "the feed is disturbed");
            }
        }
        self.enter(state);
    }

    fn enter(&self, state: KafkaState) {
        source_state(&self.view, self.state.borrow().name(), state.name());
        self.state.send_replace(state);
    }
}
