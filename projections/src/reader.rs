//! Reads that wait for a token and say how fresh they are.

use std::{
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    time::Duration,
};

use futures_util::future::{Either, select};
use highwater_core::{
    Code, Highwater, PartitionId, Position, Result, Token,
    error::{Invalid, Unavailable},
    port::{Progress, StoredView, ViewName},
    read::{Freshness, Reading, View},
};

use crate::{job::decode, runtime::progress_of};

/// How long a read waits for a token unless it says otherwise.
const WAIT: Duration = Duration::from_secs(5);

/// Reads rows of a view.
#[derive(Debug, Clone)]
pub struct ViewReader<V> {
    highwater: Highwater,
    view: PhantomData<fn() -> V>,
}

impl<V: View> ViewReader<V> {
    pub(crate) fn new(highwater: &Highwater) -> Self {
        Self { highwater: highwater.clone(), view: PhantomData }
    }

    /// The row of this key. Await it for whatever the view has now, or say first what it must have
    /// seen: `.get("alice").after(&receipt).await`.
    pub fn get(&self, key: impl Into<String>) -> Lookup<V> {
        let (highwater, key) = (self.highwater.clone(), key.into());
        Lookup { highwater, key, after: Token::default(), within: WAIT, view: PhantomData }
    }

    /// How far the view is.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable).
    pub async fn freshness(&self) -> Result<Freshness> {
        let (stored, head) = read(&self.highwater, &ViewName::new(V::NAME)?, &[]).await?;
        Ok(freshness(&stored.state.least(), None, head))
    }
}

/// A read that has not been made yet.
#[derive(Debug, Clone)]
#[must_use = "nothing is read until it is awaited"]
pub struct Lookup<V> {
    highwater: Highwater,
    key: String,
    after: Token,
    within: Duration,
    view: PhantomData<fn() -> V>,
}

impl<V: View> Lookup<V> {
    /// Waits until the view has seen what a receipt or a token stands for (R3).
    pub fn after(mut self, token: impl AsRef<Token>) -> Self {
        self.after = self.after.merge(token.as_ref());
        self
    }

    /// How long to wait for that; 5 seconds unless set.
    pub fn within(mut self, wait: Duration) -> Self {
        self.within = wait;
        self
    }

    /// The row, or `None` if the view has none of this key; with how fresh that is.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable), with code
    /// [`BEHIND`](Code::BEHIND) if the view has not reached the token in time;
    /// [`Corrupt`](highwater_core::Error::Corrupt) if the row can't be decoded.
    pub async fn find(self) -> Result<Reading<Option<V>>> {
        let view = ViewName::new(V::NAME)?;
        let wanted = self.after.position(PartitionId::LOG);
        let keys = [self.key];
        let clock = self.highwater.clock();
        let began = clock.now();
        loop {
            let (stored, head) = read(&self.highwater, &view, &keys).await?;
            let progress = progress_of(&stored.state, V::KEYED, &keys[0]);
            if progress.position >= wanted {
                let row = stored.rows.into_iter().next().unwrap_or_default();
                let freshness = freshness(&progress, row.parked_since, head);
                let row = row.value.map(|row| decode(&view, &keys[0], &row)).transpose()?;
                return Ok(Reading::new(row, freshness));
            }
            let waited = Duration::try_from(clock.now().duration_since(began)).unwrap_or_default();
            if waited >= self.within {
                let (view, wanted, reached) = (view.to_string(), self.after, progress.position);
                return Err(Unavailable::Behind { view, reached, wanted, waited }.into());
            }
            let changed = self.highwater.views().view_changed(&view, &stored.state);
            match select(changed, clock.sleep(self.within - waited)).await {
                Either::Left((changed, _)) => changed?,
                Either::Right(_) => {}
            }
        }
    }
}

impl<V: View> IntoFuture for Lookup<V> {
    type Output = Result<Reading<V>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// The row; a key that the view doesn't have is an error with code
    /// [`NOT_FOUND`](Code::NOT_FOUND).
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let key = self.key.clone();
            let reading = self.find().await?;
            let freshness = reading.freshness();
            reading.into_value().map(|row| Reading::new(row, freshness)).ok_or_else(|| {
                let message = format!("view {} has no row {key:?} as of {freshness}", V::NAME);
                Invalid::new(Code::NOT_FOUND, message).into()
            })
        })
    }
}

/// Rows, checkpoint and the head. The head is asked for first, so that an answer that has reached it
/// knew every event that there was when it was asked for.
async fn read(
    highwater: &Highwater,
    view: &ViewName,
    keys: &[String],
) -> Result<(StoredView, Position)> {
    let head = highwater.log().head().await?;
    Ok((highwater.views().read_view(view, keys).await?, head))
}

fn freshness(progress: &Progress, parked_since: Option<Position>, head: Position) -> Freshness {
    let (position, as_of) = (progress.position, progress.as_of);
    Freshness { position, as_of, head: head.max(position), parked_since }
}
