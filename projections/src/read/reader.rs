//! One view: what can be asked of it.

use std::{
    future::{Future, IntoFuture},
    marker::PhantomData,
    ops::RangeBounds,
    pin::Pin,
    time::Duration,
};

use highwater_core::{
    Error, Highwater, Result, Token,
    consistency::{AppliedOutcome, Basis, Operation},
    domain::View,
    error::Unavailable,
    value::{Freshness, Pending, Target},
};

use super::{
    demand::Over, desk::Desk, lookup::ReadRequest, many::ManyRows, one::SingleRow, within::RowRange,
};

/// Reads rows of a view.
#[derive(Debug, Clone)]
pub struct ViewReader<V> {
    highwater: Highwater,
    view: PhantomData<fn() -> V>,
}

impl<V: View> ViewReader<V> {
    pub(super) fn new(highwater: &Highwater) -> Self {
        Self { highwater: highwater.clone(), view: PhantomData }
    }

    /// The row of this key. Await it for whatever the view has now, or say first how fresh it must be:
    /// `.get("alice").after(&receipt).await`.
    pub fn get(&self, key: impl Into<String>) -> ReadRequest<V> {
        ReadRequest::new(&self.highwater, SingleRow { key: key.into(), own: Vec::new() })
    }

    /// The rows of these keys, all of one moment and with one freshness.
    pub fn get_many(
        &self,
        keys: impl IntoIterator<Item = impl Into<String>>,
    ) -> ReadRequest<V, ManyRows> {
        ReadRequest::new(&self.highwater, ManyRows::of(keys))
    }

    /// The first rows of a range of keys, at most `limit`, with one freshness: `.range("a".., 100)`.
    pub fn range<K: AsRef<str>>(
        &self,
        keys: impl RangeBounds<K>,
        limit: usize,
    ) -> ReadRequest<V, RowRange> {
        ReadRequest::new(&self.highwater, RowRange::of(&keys, limit))
    }

    /// Whether the row of this key has what a command did: awaited, for up to a budget.
    pub fn applied(&self, key: impl Into<String>, token: impl AsRef<Token>) -> AppliedRequest<V> {
        AppliedRequest { lookup: self.get(key).after(&token), token: token.as_ref().clone() }
    }

    /// How far the view is. If it is kept elsewhere, the log is asked where its head is, which may fail.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable).
    pub async fn freshness(&self) -> Result<Freshness> {
        let (desk, over) = (Desk::of::<V>(&self.highwater)?, Over::nothing());
        let seen = desk.look_with_head(&over).await?;
        Ok(desk.freshness(&seen, &over))
    }
}

/// The question whether a view has what a command did.
#[derive(Debug, Clone)]
#[must_use = "nothing is asked until it is awaited"]
pub struct AppliedRequest<V> {
    lookup: ReadRequest<V>,
    token: Token,
}

impl<V: View> AppliedRequest<V> {
    /// How long the view may take to get as far; 5 seconds unless set.
    pub fn within(mut self, budget: Duration) -> Self {
        self.lookup = self.lookup.within(budget);
        self
    }

    /// As long as the policy that holds for a named operation now allows. Nothing else of it counts: what is
    /// asked is whether the view has it.
    pub fn by(self, operation: &Operation) -> Self {
        let budget = self.lookup.ruled(operation).policy.budget;
        self.within(budget)
    }
}

impl<V: View> IntoFuture for AppliedRequest<V> {
    type Output = Result<AppliedOutcome>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// That the view isn't that far in time is an outcome, no error.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let reading = match self.lookup.find().await {
                Ok(reading) => reading,
                Err(Error::Unavailable(unavailable)) => match *unavailable {
                    Unavailable::StaleRead(pending) => return Ok(AppliedOutcome::Pending(pending)),
                    other => return Err(other.into()),
                },
                Err(error) => return Err(error),
            };
            let freshness = reading.freshness();
            Ok(match reading.basis() {
                // The key is parked before it.
                Basis::Stale => AppliedOutcome::Pending(Pending::new(
                    V::NAME,
                    Target::Token(self.token),
                    freshness,
                )),
                _ => AppliedOutcome::Applied(freshness),
            })
        })
    }
}
