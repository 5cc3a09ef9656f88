//! Reads that wait for a token and say how fresh they are.

use std::{
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    time::Duration,
};

use highwater_core::{
    Code, Highwater, PartitionId, Position, Result, Token,
    error::{Invalid, Unavailable},
    port::{StoredView, ViewName},
    read::{Freshness, Reading, View},
};

use crate::fold::decode;

/// How long a read waits for a token unless it says otherwise.
const WAIT: Duration = Duration::from_secs(5);
/// How often a read that waits looks again at the most. Workers may be in other processes.
const LONGEST_LOOK: Duration = Duration::from_millis(20);

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
        Ok(freshness(&stored, head))
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
        let (mut waited, mut look) = (Duration::ZERO, Duration::from_micros(200));
        loop {
            let (stored, head) = read(&self.highwater, &view, &keys).await?;
            let reached = stored.checkpoint.position;
            if reached >= wanted {
                let freshness = freshness(&stored, head);
                let row = stored.rows.into_iter().flatten().next();
                let row = row.map(|row| decode(&view, &keys[0], &row)).transpose()?;
                return Ok(Reading::new(row, freshness));
            }
            if waited >= self.within {
                let (view, wanted) = (view.to_string(), self.after);
                return Err(Unavailable::Behind { view, reached, wanted, waited }.into());
            }
            self.highwater.clock().sleep(look).await;
            waited += look;
            look = (look * 2).min(LONGEST_LOOK);
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

fn freshness(stored: &StoredView, head: Position) -> Freshness {
    let (position, as_of) = (stored.checkpoint.position, stored.checkpoint.as_of);
    Freshness { position, as_of, head: head.max(position) }
}
