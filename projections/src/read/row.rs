//! The answer with one row.

use std::future::IntoFuture;

use futures_util::future::BoxFuture;
use highwater_core::{
    Code, Receipt, Result,
    consistency::{Basis, Level, Reading},
    domain::View,
    error::Invalid,
    value::Freshness,
};

use super::{overlay::Overlay, plan::ReadPlan, request::ReadRequest};

impl<V: View> ReadRequest<V> {
    /// Folds the events of one of the caller's own commands over the row, if the view has not seen them yet: an
    /// *optimistic* answer without a wait. Events of other commands in between are missing in it, so it is
    /// marked as [`Basis::Optimistic`], and can't be strong.
    ///
    /// An answer with less than was asked for is marked as that: if the view is served although it is behind,
    /// the basis is [`Basis::Stale`], with the caller's own events in the row. Nothing is folded over the row of
    /// a parked key, because that would skip the events that wait there: the row is returned as it is, stale if
    /// it lacks the caller's events.
    pub fn with_own(mut self, receipt: &Receipt) -> Self {
        self.own.push(receipt.clone());
        self
    }

    /// Reads the row, or `None` if the view has none of this key; with its freshness.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable), with code [`STALE_READ`](Code::STALE_READ) if the view
    /// was not as far as asked for within the budget, and the fallback is to fail; with code
    /// [`VIEW_MISSING`](Code::VIEW_MISSING) if no worker has created it yet.
    /// [`Invalid`](highwater_core::Error::Invalid), with code [`FOREIGN_TOKEN`](Code::FOREIGN_TOKEN), if
    /// the token is not of this log.
    /// [`Corrupt`](highwater_core::Error::Corrupt), with code [`PARKED`](Code::PARKED) if the key is parked
    /// and more is asked for than its row has; otherwise if the row or an event can't be decoded or folded.
    /// [`Panicked`](highwater_core::Error::Panicked) if the view's code panics while it folds an event.
    pub async fn find(self) -> Result<Reading<Option<V>>> {
        let plan = self.plan()?;
        if !self.own.is_empty() && self.policy.level == Level::Strong {
            let message = "a strong read has the caller's own events already: leave `with_own` out";
            return Err(Invalid::request(message).into());
        }
        let page = plan.execute::<V>().await?;
        let reading = page.map(|mut page| page.rows.rows.pop().map(|(_, row)| row));
        self.with_own_events(&plan, reading).await
    }

    /// Folds the caller's own events over the row, as far as it lacks them.
    async fn with_own_events(
        &self,
        plan: &ReadPlan,
        reading: Reading<Option<V>>,
    ) -> Result<Reading<Option<V>>> {
        let basis = reading.basis();
        let freshness = reading.freshness();
        let Freshness { position, parked_since, .. } = freshness;
        if let Some(since) = parked_since {
            let lacks_own = self.own.iter().any(|own| own.position() >= since);
            return Ok(reading.with_basis(if lacks_own { Basis::Stale } else { basis }));
        }
        let unseen: Vec<_> = self.own.iter().filter(|own| own.position() > position).collect();
        if unseen.is_empty() || basis == Basis::Folded {
            return Ok(reading);
        }
        let key = self.scope.first_key();
        let mut overlay = Overlay::new(&plan.source);
        overlay.insert(key, reading.into_value(), position);
        for receipt in unseen {
            overlay.fold_own(receipt).await?;
        }
        let (row, is_folded) = overlay.remove(key)?;
        let is_optimistic = is_folded && basis == Basis::View;
        let basis = if is_optimistic { Basis::Optimistic } else { basis };
        Ok(Reading::new(row, freshness).with_basis(basis).with_level(self.policy.level))
    }
}

impl<V: View> IntoFuture for ReadRequest<V> {
    type Output = Result<Reading<V>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Reads the row; a key without a row is an error with code [`NOT_FOUND`](Code::NOT_FOUND).
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let key = self.scope.first_key().to_owned();
            let reading = self.find().await?;
            if reading.is_some() {
                // The row is there: the default is never used.
                return Ok(reading.map(Option::unwrap_or_default));
            }
            let freshness = reading.freshness();
            let message = format!("view {} has no row {key:?} as of {freshness}", V::NAME);
            Err(Invalid::new(Code::NOT_FOUND, message).into())
        })
    }
}
