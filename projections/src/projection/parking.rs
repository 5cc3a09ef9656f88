//! The parked keys of one shard, as its worker knows them (R4).

use std::collections::{BTreeMap, HashSet};

use highwater_core::{
    Envelope, Error, Position, Result,
    domain::ViewName,
    error::{Corrupt, Source},
    port::ParkChange,
};

use super::ShardContext;
use crate::{metrics::ProjectionMetrics, options::OnFailure};

/// The maximum number of parked keys in one read.
const READ_PAGE_SIZE: usize = 1_000;

/// The parked keys of a shard, and their changes in the next commit.
pub(crate) struct ShardParking {
    view: ViewName,
    policy: OnFailure,
    metrics: ProjectionMetrics,
    /// The parked keys, each with the number of attempts.
    keys: BTreeMap<String, u32>,
    staged: Vec<ParkChange>,
    /// Effects that are skipped.
    skipped: HashSet<(Position, String)>,
    /// Events that are skipped altogether, because their keys are unknown.
    skipped_events: HashSet<Position>,
}

impl ShardParking {
    /// Reads the parked keys of the shard.
    pub(crate) async fn load(context: &ShardContext) -> Result<Self> {
        let mut keys = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = context.views.parked_keys(&context.view, after.as_deref(), READ_PAGE_SIZE);
            let page = page.await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            let own = page.into_iter().filter(|parked| context.scope.owns_key(&parked.key));
            keys.extend(own.map(|parked| (parked.key, parked.attempts)));
        }
        Ok(Self {
            view: context.view.clone(),
            policy: context.options.on_failure,
            metrics: context.metrics.clone(),
            keys,
            staged: Vec::new(),
            skipped: HashSet::new(),
            skipped_events: HashSet::new(),
        })
    }

    /// Returns the number of parked keys.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns true if the effect of an event on a key has to wait or is skipped. If it has to wait, the
    /// event is queued.
    pub(crate) fn holds(&mut self, key: &str, position: Position) -> bool {
        if self.keys.contains_key(key) {
            self.staged.push(ParkChange::Queue { key: key.to_owned(), position });
            return true;
        }
        !self.skipped.is_empty() && self.skipped.contains(&(position, key.to_owned()))
    }

    /// Applies the policy to an effect that failed: afterwards [`holds`](Self::holds) returns true for it.
    pub(crate) fn decide(&mut self, key: &str, position: Position, error: &Error) -> Result<()> {
        match self.policy {
            OnFailure::Stop => Err(error.clone()),
            // The event is not at fault: without its effect the row would be as wrong as before, and lack it.
            OnFailure::Skip if is_about_row(error) => Err(error.clone()),
            OnFailure::Skip => {
                tracing::warn!(view = %self.view, key, %position, %error, "skipped");
                self.metrics.skipped.increment(1);
                self.skipped.insert((position, key.to_owned()));
                Ok(())
            }
            OnFailure::Park { at_most } if self.keys.len() < at_most => {
                tracing::warn!(view = %self.view, key, %position, %error, "parked");
                self.keys.insert(key.to_owned(), 1);
                self.stage_park(key, position, error, 1);
                Ok(())
            }
            OnFailure::Park { .. } => {
                let view = self.view.to_string();
                let parked = self.keys.len();
                Err(Corrupt::TooManyParked { view, parked, source: Source::new(error.clone()) }
                    .into())
            }
        }
    }

    /// Applies the policy to an event that failed and whose keys are unknown.
    pub(crate) fn decide_without_key(&mut self, position: Position, error: &Error) -> Result<()> {
        if let OnFailure::Park { .. } = self.policy {
            tracing::warn!(view = %self.view, %position, %error, "can't be parked: its keys are unknown");
        }
        if self.policy != OnFailure::Skip {
            return Err(error.clone());
        }
        tracing::warn!(view = %self.view, %position, %error, "skipped");
        self.metrics.skipped.increment(1);
        self.skipped_events.insert(position);
        Ok(())
    }

    /// Returns true if all of these events are skipped altogether.
    pub(crate) fn skips_all(&self, events: &[Envelope]) -> bool {
        !self.skipped_events.is_empty()
            && events.iter().all(|event| self.skipped_events.contains(&event.position))
    }

    /// Parks a parked key again, whose retry failed.
    pub(crate) fn park_again(&mut self, key: &str, position: Position, error: &Error) {
        let attempts = self.keys.entry(key.to_owned()).or_default();
        *attempts += 1;
        let attempts = *attempts;
        tracing::warn!(view = %self.view, key, %position, %error, attempts, "failed again");
        self.stage_park(key, position, error, attempts);
    }

    fn stage_park(&mut self, key: &str, since: Position, error: &Error, attempts: u32) {
        self.metrics.parked.increment(1);
        let key = key.to_owned();
        let error = format!("{}: {error}", error.code());
        self.staged.push(ParkChange::Park { key, since, error, attempts });
    }

    /// Stages that the key's queued events through `through` are applied.
    pub(crate) fn stage_drain(&mut self, key: &str, through: Position) {
        self.staged.push(ParkChange::Drain { key: key.to_owned(), through });
    }

    /// Forgets a key that has no queued events left.
    pub(crate) fn release(&mut self, key: &str) {
        tracing::info!(view = %self.view, key, "not parked any more");
        self.keys.remove(key);
    }

    /// Returns the changes of parked keys for the next commit.
    pub(crate) fn staged(&self) -> Vec<ParkChange> {
        self.staged.clone()
    }

    /// Forgets what was staged, because it is committed, and the skipped events through `through`.
    pub(crate) fn on_committed(&mut self, through: Position) {
        self.staged.clear();
        self.skipped.retain(|(position, _)| *position > through);
        self.skipped_events.retain(|position| *position > through);
    }

    /// Drops the queued events that are staged, before the same events are applied again and queue them
    /// again. Keys stay parked.
    pub(crate) fn unstage(&mut self) {
        self.staged.retain(|change| matches!(change, ParkChange::Park { .. }));
    }
}

/// Returns true if the row is at fault, and no event.
fn is_about_row(error: &Error) -> bool {
    matches!(error, Error::Corrupt(corrupt) if matches!(**corrupt, Corrupt::Row { .. }))
}
