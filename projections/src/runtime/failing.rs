//! Events that can't be applied: found, tried again, decided on by policy (R4).

use futures_util::{FutureExt as _, future::BoxFuture};
use highwater_core::{Code, Envelope, Error, Result, error::Corrupt, port::Progress};

use super::shard::ShardWork;

impl ShardWork {
    /// Gives events their effect. If they have none, halves them until the one is found that is at
    /// fault: the others keep their order, and have theirs.
    pub(super) fn step<'a>(
        &'a mut self,
        events: &'a [Envelope],
        to: Progress,
    ) -> BoxFuture<'a, Result<()>> {
        async move {
            match self.attempt(events, to.clone()).await {
                Err(error) if is_of_an_event(&error) => match events {
                    [] => Err(error),
                    [event] => self.face(event, to, error).await,
                    _ => {
                        let (first, rest) = events.split_at(events.len() / 2);
                        let between = self.between(first, &to);
                        self.step(first, between).await?;
                        self.step(rest, to).await
                    }
                },
                outcome => outcome,
            }
        }
        .boxed()
    }

    /// The progress after some of the events of a page. The feed goes on from where it was: what it
    /// repeats is known by its position.
    fn between(&self, events: &[Envelope], to: &Progress) -> Progress {
        let Some(last) = events.last() else { return to.clone() };
        let cursor = self.claim.progress.cursor.clone();
        Progress { position: last.position, as_of: last.recorded_at, cursor }
    }

    /// One event that can't be applied: tries again, then does as the policy says, until the event is
    /// dealt with for every key.
    async fn face(&mut self, event: &Envelope, to: Progress, error: Error) -> Result<()> {
        let mut error = self.try_again(event, &to, error).await?;
        while let Some(reason) = error {
            self.decide(event, &reason)?;
            error = match self.attempt(std::slice::from_ref(event), to.clone()).await {
                Ok(()) => None,
                Err(next) if is_of_an_event(&next) && !is_same(&next, &reason) => Some(next),
                Err(next) => return Err(next),
            };
        }
        Ok(())
    }

    /// The error that is left after the tries that the policy grants; `None` if one has succeeded.
    async fn try_again(
        &mut self,
        event: &Envelope,
        to: &Progress,
        mut error: Error,
    ) -> Result<Option<Error>> {
        let backoff = self.context.options.backoff;
        let tries = if self.apply.is_pure() { 0 } else { backoff.tries as usize };
        for wait in backoff.waits().take(tries) {
            self.context.reporter.retrying(&error);
            self.context.clock.sleep(wait).await;
            match self.attempt(std::slice::from_ref(event), to.clone()).await {
                Ok(()) => return Ok(None),
                Err(again) if is_of_an_event(&again) => error = again,
                Err(other) => return Err(other),
            }
        }
        Ok(Some(error))
    }

    /// Parks or gives up the key that the error is about, or every key of the event.
    fn decide(&mut self, event: &Envelope, error: &Error) -> Result<()> {
        self.parking.unstage();
        if let Some(key) = key_of(error) {
            return self.parking.decide(key, event.position, error);
        }
        let keys = self.apply.keys(event);
        if keys.is_empty() {
            return self.parking.decide_unkeyed(event.position, error);
        }
        keys.iter().try_for_each(|key| self.parking.decide(key, event.position, error))
    }
}

/// Whether an event or the row that it changes may be at fault, as opposed to the store or to the policy:
/// those end the work whatever the policy, or every event would be parked or skipped for them.
pub(super) fn is_of_an_event(error: &Error) -> bool {
    match error {
        Error::Rejected(_) => true,
        Error::Invalid(invalid) => {
            matches!(invalid.code(), Code::BAD_REQUEST | Code::TOO_LARGE | Code::MALFORMED)
        }
        Error::Corrupt(corrupt) => matches!(
            **corrupt,
            Corrupt::NotApplied { .. }
                | Corrupt::Payload { .. }
                | Corrupt::Row { .. }
                | Corrupt::UnknownEvent { .. }
                | Corrupt::NewerEvent { .. }
        ),
        _ => false,
    }
}

/// The key that the error is about, if it is about one alone.
fn key_of(error: &Error) -> Option<&str> {
    match error {
        Error::Corrupt(corrupt) => match &**corrupt {
            Corrupt::NotApplied { key, .. } | Corrupt::Row { key, .. } => Some(key),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the policy has dealt with just this already, so that it would go on for ever.
fn is_same(error: &Error, other: &Error) -> bool {
    error.code() == other.code() && key_of(error) == key_of(other)
}
