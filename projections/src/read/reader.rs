//! The reader of one view.

use std::{
    fmt::{self, Display},
    future::IntoFuture,
    marker::PhantomData,
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use highwater_core::{
    Error, Highwater, Position, Result, Token,
    consistency::{AppliedOutcome, Basis, Operation},
    domain::{View, ViewName},
    error::Unavailable,
    port::ShardStop,
    value::{Freshness, Pending, Target},
};

use super::{
    key_range::IntoKeyRange,
    request::ReadRequest,
    rows::{RowPage, RowSet},
    scope::RowScope,
    shared::ReadSide,
};

/// Reads rows of a view. Cheap to clone.
#[derive(Clone)]
pub struct ViewReader<V> {
    highwater: Highwater,
    view: PhantomData<fn() -> V>,
}

impl<V: View> ViewReader<V> {
    pub(super) fn new(highwater: &Highwater) -> Self {
        Self { highwater: highwater.clone(), view: PhantomData }
    }

    /// Reads the row of a key. Awaited as it is, the read returns the row that the view has now; its methods ask
    /// for a fresher one.
    ///
    /// ```
    /// # use highwater_core::{Highwater, Receipt, Result, domain::View};
    /// # use highwater_projections::read::Views as _;
    /// # async fn example<Balances: View>(bank: &Highwater, receipt: &Receipt) -> Result<()> {
    /// let balances = bank.view::<Balances>();
    /// let now = balances.get("alice").await?;
    /// let mine = balances.get(4711).after(receipt).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn get(&self, key: impl Display) -> ReadRequest<V> {
        ReadRequest::new(&self.highwater, RowScope::Keys([key.to_string()].into()))
    }

    /// Reads the rows of several keys, all of one moment and with one freshness. A key that is repeated is read
    /// once.
    ///
    /// ```
    /// # use highwater_core::{Highwater, Result, domain::View};
    /// # use highwater_projections::read::Views as _;
    /// # async fn example<Balances: View>(bank: &Highwater) -> Result<()> {
    /// let both = bank.view::<Balances>().get_many(["alice", "bob"]).await?;
    /// let alice = both.get("alice");
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_many(
        &self,
        keys: impl IntoIterator<Item = impl Display>,
    ) -> ReadRequest<V, RowSet<V>> {
        ReadRequest::new(&self.highwater, RowScope::distinct_keys(keys))
    }

    /// Reads the first rows of a range of keys, at most `limit`, with one freshness.
    ///
    /// ```
    /// # use highwater_core::{Highwater, Result, domain::View};
    /// # use highwater_projections::read::Views as _;
    /// # async fn example<Balances: View>(bank: &Highwater) -> Result<()> {
    /// let balances = bank.view::<Balances>();
    /// let first = balances.range(.., 100).await?;
    /// if let Some(last) = &first.next {
    ///     let second = balances.range(.., 100).following(last).await?;
    /// }
    /// let from_a_to_m = balances.range("a".."n", 100).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn range(&self, keys: impl IntoKeyRange, limit: usize) -> ReadRequest<V, RowPage<V>> {
        ReadRequest::new(&self.highwater, RowScope::Range(keys.into_key_range(), limit))
    }

    /// Waits until the row of a key has the effect of a command, for at most a budget.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use highwater_core::{Highwater, Receipt, Result, consistency::AppliedOutcome, domain::View};
    /// # use highwater_projections::read::Views as _;
    /// # async fn example<Balances: View>(bank: &Highwater, receipt: &Receipt) -> Result<()> {
    /// let applied = bank.view::<Balances>().applied("alice", receipt);
    /// match applied.within(Duration::from_millis(100)).await? {
    ///     AppliedOutcome::Applied(freshness) => println!("the view is at {freshness}"),
    ///     AppliedOutcome::Pending(pending) => println!("{pending}"),
    ///     _ => {}
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn applied(&self, key: impl Display, token: impl AsRef<Token>) -> AppliedRequest<V> {
        AppliedRequest { request: self.get(key).after(&token), token: token.as_ref().clone() }
    }

    /// Returns the freshness of the whole view. If the view is in another store than the log, the log is asked
    /// for its head, which may fail.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable), and
    /// [`Corrupt`](highwater_core::Error::Corrupt), *other definition*, if the rows are those of another program.
    pub async fn freshness(&self) -> Result<Freshness> {
        let source = ReadSide::of(&self.highwater).source::<V>(&self.highwater)?;
        let snapshot = source.read_with_head(&RowScope::AllShards).await?;
        Ok(source.freshness(&snapshot, &RowScope::AllShards))
    }

    /// Returns the shards of the view that have stopped at an error, each with the error, for operators.
    ///
    /// # Errors
    /// As [`freshness`](Self::freshness).
    pub async fn stops(&self) -> Result<Vec<ShardStop>> {
        let source = ReadSide::of(&self.highwater).source::<V>(&self.highwater)?;
        let snapshot = source.read(&RowScope::AllShards).await?;
        Ok(Arc::unwrap_or_clone(snapshot.state).stops)
    }

    /// Declares that the rows of the live generation are right for this definition of the view, although they were folded by another
    /// one: for example if the type of a field has only got another name. Nothing is folded again, and a form of the row
    /// that isn't known doesn't replace one that is. The workers of other programs are fenced, and stop when they compare
    /// their definition.
    ///
    /// ```
    /// # use highwater_core::{Highwater, Result, domain::View};
    /// # use highwater_projections::read::Views as _;
    /// # async fn example<Balances: View>(bank: &Highwater) -> Result<()> {
    /// bank.view::<Balances>().adopt_definition().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable), with code
    /// [`VIEW_MISSING`](highwater_core::Code::VIEW_MISSING) if the view has never been opened.
    pub async fn adopt_definition(&self) -> Result<()> {
        let view = ViewName::new(V::NAME)?;
        let views = self.highwater.views();
        let own = V::definition()?;
        let generations = views.generations(&view).await?;
        let live = generations.into_iter().find(|generation| generation.is_live);
        let view = live.map_or(view, |live| live.view);
        loop {
            let stored = views.view_definition(&view).await?;
            let from = stored.as_ref().map(|stored| stored.hash);
            let own = stored.map_or(own.clone(), |stored| own.completed_by(&stored.definition));
            let is_adopted = from == Some(own.hash())
                || views.replace_definition(&view, from, &own, Position::END).await?;
            if is_adopted {
                return Ok(());
            }
        }
    }
}

impl<V: View> fmt::Debug for ViewReader<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewReader").field("view", &V::NAME).finish_non_exhaustive()
    }
}

/// A wait for the effect of a command on a row.
#[derive(Clone)]
#[must_use = "nothing is read until it is awaited"]
pub struct AppliedRequest<V> {
    request: ReadRequest<V>,
    token: Token,
}

impl<V: View> AppliedRequest<V> {
    /// Sets how long to wait for the view; 5 seconds unless set.
    pub fn within(mut self, budget: Duration) -> Self {
        self.request = self.request.within(budget);
        self
    }

    /// Waits for as long as the current policy of a named operation allows. The rest of the policy does not
    /// matter here: the answer says if the view has the effect.
    pub fn by(self, operation: &Operation) -> Self {
        let budget = self.request.effective_policy(operation).policy.budget;
        self.within(budget)
    }
}

impl<V: View> fmt::Debug for AppliedRequest<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AppliedRequest").field(&self.request).finish()
    }
}

impl<V: View> IntoFuture for AppliedRequest<V> {
    type Output = Result<AppliedOutcome>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// A view that is not that far in time is an outcome, no error.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let reading = match self.request.find().await {
                Ok(reading) => reading,
                Err(Error::Unavailable(unavailable)) => match *unavailable {
                    Unavailable::StaleRead(pending) | Unavailable::Rebuilding(pending) => {
                        return Ok(AppliedOutcome::Pending(pending));
                    }
                    other => return Err(other.into()),
                },
                Err(error) => return Err(error),
            };
            let freshness = reading.freshness();
            Ok(match reading.basis() {
                // The key is parked before the effect.
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
