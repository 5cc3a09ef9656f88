//! The parked keys of one shard, as its worker knows them (R4).

use std::collections::{BTreeMap, HashSet};

use highwater_core::{
    Envelope, Error, Position, Result,
    domain::ViewName,
    error::{Corrupt, Source},
    port::ParkChange,
};

use super::{ShardContext, policy::OnFailure};
use crate::metrics::Meter;

/// How many parked keys are read at once.
const PAGE: usize = 1_000;

/// Which keys are parked, and what changes about that in the next commit.
pub(crate) struct Parking {
    view: ViewName,
    policy: OnFailure,
    meter: Meter,
    /// The parked keys, with how often each has been tried.
    keys: BTreeMap<String, u32>,
    staged: Vec<ParkChange>,
    /// Effects that the policy has given up.
    skipped: HashSet<(Position, String)>,
    /// Events that the policy has given up, because nobody knows whom they are for.
    passed: HashSet<Position>,
}

impl Parking {
    /// Reads which keys of the share are parked.
    pub(crate) async fn load(context: &ShardContext) -> Result<Self> {
        let (view, policy) = (context.view.clone(), context.options.on_failure);
        let mut keys = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = context.views.parked_keys(&view, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            let own = page.into_iter().filter(|parked| context.share.owns_key(&parked.key));
            keys.extend(own.map(|parked| (parked.key, parked.attempts)));
        }
        let (staged, skipped, passed) = (Vec::new(), HashSet::new(), HashSet::new());
        let meter = context.meter.clone();
        Ok(Self { view, policy, meter, keys, staged, skipped, passed })
    }

    /// How many keys are parked.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether the effect of an event on a key has to wait or is given up; if it waits, it is put into
    /// the queue.
    pub(crate) fn holds(&mut self, key: &str, position: Position) -> bool {
        if self.keys.contains_key(key) {
            self.staged.push(ParkChange::Queue { key: key.to_owned(), position });
            return true;
        }
        !self.skipped.is_empty() && self.skipped.contains(&(position, key.to_owned()))
    }

    /// What the policy does with an effect that failed: afterwards [`Parking::holds`] holds it.
    pub(crate) fn decide(&mut self, key: &str, position: Position, error: &Error) -> Result<()> {
        match self.policy {
            OnFailure::Stop => Err(error.clone()),
            // The event is in order: without its effect the row would be as wrong as before, and lack it.
            OnFailure::Skip if is_of_a_row(error) => Err(error.clone()),
            OnFailure::Skip => {
                tracing::warn!(view = %self.view, key, %position, %error, "skipped");
                self.meter.skipped.increment(1);
                self.skipped.insert((position, key.to_owned()));
                Ok(())
            }
            OnFailure::Park { at_most } if self.keys.len() < at_most => {
                tracing::warn!(view = %self.view, key, %position, %error, "parked");
                self.keys.insert(key.to_owned(), 1);
                self.park(key, position, error, 1);
                Ok(())
            }
            OnFailure::Park { .. } => {
                let (view, parked) = (self.view.to_string(), self.keys.len());
                Err(Corrupt::TooManyParked { view, parked, source: Source::new(error.clone()) }
                    .into())
            }
        }
    }

    /// What the policy does with an event that failed, and whose key can't be known.
    pub(crate) fn decide_unkeyed(&mut self, position: Position, error: &Error) -> Result<()> {
        if self.policy != OnFailure::Skip {
            return Err(error.clone());
        }
        tracing::warn!(view = %self.view, %position, %error, "skipped");
        self.meter.skipped.increment(1);
        self.passed.insert(position);
        Ok(())
    }

    /// Whether the policy has given up these events altogether.
    pub(crate) fn passes_all(&self, events: &[Envelope]) -> bool {
        !self.passed.is_empty() && events.iter().all(|event| self.passed.contains(&event.position))
    }

    /// A parked key has failed again.
    pub(crate) fn failed_again(&mut self, key: &str, position: Position, error: &Error) {
        let attempts = self.keys.entry(key.to_owned()).or_default();
        *attempts += 1;
        let attempts = *attempts;
        tracing::warn!(view = %self.view, key, %position, %error, attempts, "failed again");
        self.park(key, position, error, attempts);
    }

    fn park(&mut self, key: &str, since: Position, error: &Error, attempts: u32) {
        self.meter.parked.increment(1);
        let (key, error) = (key.to_owned(), format!("{}: {error}", error.code()));
        self.staged.push(ParkChange::Park { key, since, error, attempts });
    }

    /// A parked key's events up to here have been applied.
    pub(crate) fn drained(&mut self, key: &str, through: Position) {
        self.staged.push(ParkChange::Drain { key: key.to_owned(), through });
    }

    /// Nothing waits behind the key any more.
    pub(crate) fn release(&mut self, key: &str) {
        tracing::info!(view = %self.view, key, "parked no longer");
        self.keys.remove(key);
    }

    /// What the next commit has to say of parked keys.
    pub(crate) fn staged(&self) -> Vec<ParkChange> {
        self.staged.clone()
    }

    /// What was staged has been committed, and everything up to here has had its effect.
    pub(crate) fn committed(&mut self, through: Position) {
        self.staged.clear();
        self.skipped.retain(|(position, _)| *position > through);
        self.passed.retain(|position| *position > through);
    }

    /// The same events come again, and what was put into queues for them with them. That a key is
    /// parked stays said.
    pub(crate) fn unstage(&mut self) {
        self.staged.retain(|change| matches!(change, ParkChange::Park { .. }));
    }
}

/// Whether it is the row that is at fault, which no event has made so.
fn is_of_a_row(error: &Error) -> bool {
    matches!(error, Error::Corrupt(corrupt) if matches!(**corrupt, Corrupt::Row { .. }))
}
