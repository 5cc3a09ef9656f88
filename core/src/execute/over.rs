//! Decisions over a query (W6).

use std::{fmt, sync::Arc};

use tracing::Instrument as _;

use super::{
    engine::Engine,
    member::{Occasion, encode, encode_metadata, fingerprint_of},
    policy::ConflictPolicy,
    receipt::Receipt,
};
use crate::{
    Error, Result,
    domain::{
        Boundary, DecidedBy, Fingerprint, Fingerprinter, Query, Request, RequestOptions,
        decide_and_check,
    },
    error::Invalid,
    follow::apply,
    port::{Append, Condition, NewEvent, ReadFrom},
    value::{Expected, Position},
};

/// How many events are read at a time.
const PAGE: usize = 4096;

/// A [`Boundary`] about to decide.
pub struct BoundaryHandle<B: Boundary> {
    engine: Arc<Engine>,
    boundary: B,
    services: Arc<B::Services>,
    policy: ConflictPolicy,
}

/// A boundary folded from every matching event up to a position.
struct Folded<B> {
    state: B,
    query: Query,
    through: Position,
}

impl<B: Boundary> BoundaryHandle<B> {
    pub(super) fn new(engine: &Arc<Engine>, boundary: B, services: Arc<B::Services>) -> Self {
        let (engine, policy) = (Arc::clone(engine), engine.policy);
        Self { engine, boundary, services, policy }
    }

    /// What to do after a conflict, instead of the default.
    #[must_use]
    pub fn on_conflict(mut self, policy: ConflictPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Folds the boundary from exactly the events that match its query, decides, checks, and
    /// appends if no further matching event has come in between.
    ///
    /// # Errors
    /// As [`AggregateHandle::execute`](super::AggregateHandle::execute).
    pub async fn execute<C>(&self, request: impl Into<Request<C>>) -> Result<Receipt>
    where
        C: DecidedBy<B>,
    {
        let Request { command, options: cause } = request.into();
        if cause.expected.is_some() {
            let message = "a decision over a query expects no version: its condition is the query";
            return Err(Invalid::request(message).into());
        }
        let stream = self.boundary.stream()?;
        let fingerprint =
            fingerprint_of(&command, Fingerprinter::default().with(stream.as_str()))?.finish();
        let (occasion, span) = self.engine.begin(C::NAME, &cause);
        let run = self.decide(&command, &cause, &occasion, fingerprint);
        self.engine.watched(C::NAME, span, run).await
    }

    async fn decide<C>(
        &self,
        command: &C,
        cause: &RequestOptions,
        occasion: &Occasion,
        fingerprint: Fingerprint,
    ) -> Result<Receipt>
    where
        C: DecidedBy<B>,
    {
        let mut folded = Folded::of(self.boundary.clone());
        let mut waits = self.policy.waits();
        let mut unknown = None;
        loop {
            let may_be_stored = unknown.is_some();
            let outcome =
                self.attempt(command, &mut folded, cause, occasion, fingerprint, may_be_stored);
            let error = match outcome.await {
                Ok(receipt) => return Ok(receipt),
                Err(error) if error.is_unavailable() => return Err(unknown.unwrap_or(error)),
                Err(error) if error.is_conflict() || error.is_unknown_outcome() => error,
                Err(error) => return Err(error),
            };
            let Some(wait) = waits.next() else { return Err(error) };
            self.engine.meter.retried(&error);
            if error.is_unknown_outcome() {
                unknown = Some(error);
            }
            if !wait.is_zero() {
                self.engine.clock.sleep(wait).await;
            }
        }
    }

    /// The boundary as the log has it now.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable), or [`Corrupt`](crate::Error::Corrupt) if an
    /// event can't be decoded.
    pub async fn load(&self) -> Result<B> {
        let mut folded = Folded::of(self.boundary.clone());
        folded.read_on(&self.engine).await?;
        Ok(folded.state)
    }

    async fn attempt<C>(
        &self,
        command: &C,
        folded: &mut Folded<B>,
        cause: &RequestOptions,
        occasion: &Occasion,
        fingerprint: Fingerprint,
        may_be_stored: bool,
    ) -> Result<Receipt>
    where
        C: DecidedBy<B>,
    {
        folded.read_on(&self.engine).await?;
        let repeatable = cause.id.is_some() || may_be_stored;
        let events =
            match decide_and_check(&folded.state, command, &occasion.context(&self.services)) {
                Ok((events, _)) => encode(&events, &*self.engine.ids)?,
                Err(rejection) => {
                    let recorded = match repeatable {
                        true => self.engine.recorded(occasion, fingerprint).await?,
                        false => None,
                    };
                    return recorded.ok_or_else(|| Error::from(rejection));
                }
            };
        if events.is_empty() && !repeatable && cause.hook.is_none() {
            return Ok(Receipt::nothing(
                self.engine.log.log_id(),
                occasion.command,
                folded.through,
            ));
        }
        let mut append = self.append(folded, occasion, fingerprint, events)?;
        append.hook.clone_from(&cause.hook);
        let appending = self.engine.log.append(append);
        let appended = appending.instrument(tracing::info_span!("append")).await?;
        Ok(Receipt::new(self.engine.log.log_id(), occasion.command, appended))
    }

    fn append(
        &self,
        folded: &Folded<B>,
        occasion: &Occasion,
        fingerprint: Fingerprint,
        events: Vec<NewEvent>,
    ) -> Result<Append> {
        let condition = Condition { query: folded.query.clone(), after: folded.through };
        let mut append = Append::new(occasion.command, fingerprint)
            .stream(self.boundary.stream()?, Expected::Any, events)
            .only_if(condition);
        append.metadata = encode_metadata(&occasion.metadata)?;
        Ok(append)
    }
}

impl<B: Boundary> Folded<B> {
    fn of(boundary: B) -> Self {
        let query = boundary.query().narrowed_to::<B::Event>();
        Self { state: boundary, query, through: Position::START }
    }

    /// Folds what has come since. The query asks for known types only, so an unknown type here is
    /// a type that the query names and the event enum doesn't know.
    async fn read_on(&mut self, engine: &Engine) -> Result<()> {
        loop {
            let page =
                engine.log.read_log(&self.query, ReadFrom::After(self.through), PAGE).await?;
            for event in &page.events {
                apply(&mut self.state, event, engine.unknown)?;
            }
            self.through = page.through;
            if !page.more {
                return Ok(());
            }
        }
    }
}

impl<B: Boundary> fmt::Debug for BoundaryHandle<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Over").finish_non_exhaustive()
    }
}
