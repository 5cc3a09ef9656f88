//! Poison events: events that can't be applied are found, retried, and decided on by the policy (R4).

use futures_util::{FutureExt as _, future::BoxFuture};
use highwater_core::{Envelope, Result, port::Progress};

use super::{failure::is_about_event, owned_shard::OwnedShard};
use crate::projection::{ApplyError, name_event};

/// Applies events on a shard, and deals with those that can't be applied.
pub(super) struct EventApplier<'a>(pub(super) &'a mut OwnedShard);

impl EventApplier<'_> {
    /// Applies events. If that fails, halves them until the event at fault is found: the others are
    /// applied in their order.
    pub(super) fn apply_bisecting<'a>(
        &'a mut self,
        events: &'a [Envelope],
        to: Progress,
    ) -> BoxFuture<'a, Result<()>> {
        async move {
            match self.0.apply_once(events, to.clone()).await {
                Ok(()) => Ok(()),
                Err(failed) if is_about_event(&failed.error) => match events {
                    [] => Err(failed.error),
                    [event] => self.handle_poison(event, to, failed).await,
                    _ => {
                        let (first, rest) = events.split_at(events.len() / 2);
                        let between = self.progress_after(first, &to);
                        self.apply_bisecting(first, between).await?;
                        self.apply_bisecting(rest, to).await
                    }
                },
                Err(failed) => Err(failed.error),
            }
        }
        .boxed()
    }

    /// Returns the progress after some events of a page. It has the cursor before the page: a feed that
    /// continues there repeats events, which are recognised by their positions.
    fn progress_after(&self, events: &[Envelope], to: &Progress) -> Progress {
        let Some(last) = events.last() else { return to.clone() };
        let committed = &self.0.claim.progress;
        // A time beyond that of the whole page is of a clock that was ahead, and says nothing.
        let as_of = match last.recorded_at <= to.as_of {
            true => last.recorded_at,
            false => committed.as_of,
        };
        Progress { position: last.position, as_of, cursor: committed.cursor.clone() }
    }

    /// Retries one event that can't be applied, then follows the policy until the event is dealt with for
    /// every key.
    async fn handle_poison(
        &mut self,
        event: &Envelope,
        to: Progress,
        failed: ApplyError,
    ) -> Result<()> {
        let mut remaining = self.retry(event, &to, failed).await?;
        while let Some(failed) = remaining {
            self.decide(event, &failed)?;
            remaining = match self.0.apply_once(std::slice::from_ref(event), to.clone()).await {
                Ok(()) => None,
                Err(next) if is_about_event(&next.error) && !is_same(&next, &failed) => Some(next),
                Err(next) => return Err(next.error),
            };
        }
        Ok(())
    }

    /// Returns the error that is left after the configured retries; `None` if one has succeeded.
    async fn retry(
        &mut self,
        event: &Envelope,
        to: &Progress,
        mut failed: ApplyError,
    ) -> Result<Option<ApplyError>> {
        let backoff = self.0.context.options.backoff;
        for wait in backoff.waits().take(backoff.max_retries as usize) {
            // Pure code fails again, and a panic is a bug.
            if self.0.apply.is_pure() || failed.error.is_panicked() {
                break;
            }
            self.0.context.reporter.retrying(&failed.error);
            self.0.context.sleep(wait).await;
            match self.0.apply_once(std::slice::from_ref(event), to.clone()).await {
                Ok(()) => return Ok(None),
                Err(next) if is_about_event(&next.error) => failed = next,
                Err(next) => return Err(next.error),
            }
        }
        Ok(Some(failed))
    }

    /// Parks or skips the keys that the errors are about, or every key of the event.
    fn decide(&mut self, event: &Envelope, failed: &ApplyError) -> Result<()> {
        let ApplyError { error, key, others } = failed;
        let OwnedShard { apply, parking, context, .. } = &mut *self.0;
        parking.unstage();
        if let Some(key) = key {
            let error = name_event(&context.view, key, event, error);
            parking.decide(key, event.position, &error)?;
            return others.iter().try_for_each(|(key, error)| {
                let error = name_event(&context.view, key, event, error);
                parking.decide(key, event.position, &error)
            });
        }
        let keys = apply.keys(event);
        if keys.is_empty() {
            return parking.decide_without_key(event.position, error);
        }
        keys.iter().try_for_each(|key| {
            let error = name_event(&context.view, key, event, error);
            parking.decide(key, event.position, &error)
        })
    }
}

/// Returns true if the policy has already dealt with this error, so that deciding again would never end.
fn is_same(failed: &ApplyError, other: &ApplyError) -> bool {
    failed.error.code() == other.error.code() && failed.key == other.key
}
