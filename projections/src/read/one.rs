//! One row.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
};

use highwater_core::{
    Code, Receipt, Result,
    consistency::{Basis, Level, Reading},
    domain::View,
    error::Invalid,
};

use super::{
    ask::{Answer, Ask},
    demand::Over,
    fold::Lacking,
    lookup::{ReadRequest, ReadScope},
};

/// The row of one key.
#[derive(Debug, Clone)]
pub struct SingleRow {
    pub(super) key: String,
    pub(super) own: Vec<Receipt>,
}

impl ReadScope for SingleRow {
    fn key(&self) -> &str {
        &self.key
    }
}

impl<V: View> ReadRequest<V, SingleRow> {
    /// Folds in what one of the caller's own commands did, if the view has not seen it yet: an *optimistic*
    /// answer, for whoever can't wait. What others did in between is missing in it, so it is marked as
    /// [`Basis::Optimistic`], and can't be strong.
    ///
    /// What is less than was asked for is marked as that: if the view is served although it is behind, the
    /// answer is [`Basis::Stale`] with the caller's own in it. Nothing is folded over a key that is parked,
    /// because it would pass over what waits there: its row comes as it is, stale if it lacks what is asked for.
    pub fn with_own(mut self, receipt: &Receipt) -> Self {
        self.what.own.push(receipt.clone());
        self
    }

    /// The row, or `None` if the view has none of this key; with how fresh that is.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable), with code [`STALE_READ`](Code::STALE_READ) if the view
    /// was not as far as asked for within the budget, and the fallback is to fail; with code
    /// [`VIEW_MISSING`](Code::VIEW_MISSING) if no worker has made it yet.
    /// [`Invalid`](highwater_core::Error::Invalid), with code [`FOREIGN_TOKEN`](Code::FOREIGN_TOKEN), if
    /// the token is not of this log.
    /// [`Corrupt`](highwater_core::Error::Corrupt), with code [`PARKED`](Code::PARKED) if the key is parked
    /// and more is asked for than its row has; otherwise if the row or an event can't be decoded or folded.
    pub async fn find(self) -> Result<Reading<Option<V>>> {
        let ask = self.ask(Over::Keys([self.what.key.clone()].into()))?;
        if !self.what.own.is_empty() && self.policy.level == Level::Strong {
            let message = "a strong read has the caller's own events anyway: leave `with_own` out";
            return Err(Invalid::request(message).into());
        }
        let mut answer = ask.answer::<V>().await?;
        let row = answer.rows.pop().and_then(|(_, row)| row);
        let (row, basis) = self.overlaid(&ask, &answer, row).await?;
        Ok(Reading::new(row, answer.freshness).with_basis(basis).with_level(self.policy.level))
    }

    /// The row with what is the caller's own.
    async fn overlaid(
        &self,
        ask: &Ask,
        answer: &Answer<V>,
        row: Option<V>,
    ) -> Result<(Option<V>, Basis)> {
        let (key, after) = (&self.what.key, ask.position_of(&answer.seen, &self.what.key));
        let own = self.what.own.iter();
        if let Some(since) = answer.freshness.parked_since {
            let lacks_own = own.clone().any(|own| own.position() >= since);
            return Ok((row, if lacks_own { Basis::Stale } else { answer.basis }));
        }
        let unseen: Vec<&Receipt> = own.filter(|own| own.position() > after).collect();
        if unseen.is_empty() || answer.basis == Basis::Folded {
            return Ok((row, answer.basis));
        }
        let mut lacking = Lacking::new(&ask.desk);
        lacking.add(key, row, after);
        for receipt in unseen {
            lacking.own(receipt).await?;
        }
        let (row, is_folded) = lacking.take(key);
        let is_optimistic = is_folded && answer.basis == Basis::View;
        Ok((row, if is_optimistic { Basis::Optimistic } else { answer.basis }))
    }
}

impl<V: View> IntoFuture for ReadRequest<V, SingleRow> {
    type Output = Result<Reading<V>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// The row; a key that the view doesn't have is an error with code
    /// [`NOT_FOUND`](Code::NOT_FOUND).
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let key = self.what.key.clone();
            let reading = self.find().await?;
            if reading.is_some() {
                // It is there: the default stands for nothing.
                return Ok(reading.map(Option::unwrap_or_default));
            }
            let freshness = reading.freshness();
            let message = format!("view {} has no row {key:?} as of {freshness}", V::NAME);
            Err(Invalid::new(Code::NOT_FOUND, message).into())
        })
    }
}
