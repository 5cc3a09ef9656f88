//! One command from its first attempt to its receipt: the loop that every command on aggregates
//! goes through.

use tracing::Instrument as _;

use super::{
    attempt::{Bases, Outcome, Typed, distinct_streams},
    engine::Engine,
    member::{Member, Occasion},
    policy::ConflictPolicy,
    receipt::Receipt,
    slot::{Committed, Pending, SharedSlot, is_committed},
};
use crate::{
    Error, Result,
    domain::{Envelope, Fingerprint, RequestOptions},
    error::Conflict,
    port::{Append, Appended, ReadFrom, Snapshot},
    value::{Expected, Position, StreamId, Version},
};

/// How many concurrent events are read at a time for a resolver.
const PAGE: usize = 1000;

pub(super) struct Execution<'a> {
    pub(super) engine: &'a Engine,
    pub(super) members: &'a [Box<dyn Member>],
    pub(super) cause: RequestOptions,
    pub(super) occasion: Occasion,
    pub(super) fingerprint: Fingerprint,
    /// The first member on each distinct stream, in the order of the stream ids: locks are always
    /// taken in this order.
    pub(super) leaders: Vec<usize>,
    /// An earlier attempt whose outcome isn't known. From then on the command counts as one that
    /// may have been stored, and "unavailable" would be a lie.
    unknown: Option<Error>,
    /// The states have been read from the store during this execution.
    reloaded: bool,
    /// The version that the caller expected no longer matters: a resolver has said so.
    pub(super) excused: bool,
}

/// What follows an attempt.
enum Next {
    Done(Receipt),
    /// The states were not what the store has, through no fault of this command.
    Anew,
    /// Somebody else was faster, or the outcome isn't known.
    Lost(Error, Typed),
}

impl<'a> Execution<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        members: &'a [Box<dyn Member>],
        cause: RequestOptions,
        occasion: Occasion,
        fingerprint: Fingerprint,
    ) -> Result<Self> {
        let leaders = distinct_streams(members)?;
        let (unknown, reloaded, excused) = (None, false, false);
        Ok(Self {
            engine,
            members,
            cause,
            occasion,
            fingerprint,
            leaders,
            unknown,
            reloaded,
            excused,
        })
    }

    pub(super) async fn run(mut self, policy: ConflictPolicy) -> Result<Receipt> {
        let mut waits = policy.waits();
        loop {
            let (error, decided) = match self.attempt().await {
                Ok(Next::Done(receipt)) => return Ok(receipt),
                Ok(Next::Anew) => continue,
                Ok(Next::Lost(error, decided)) => (error, decided),
                Err(error) if error.is_unavailable() => return Err(self.unknown.unwrap_or(error)),
                Err(error) => return Err(error),
            };
            tracing::debug!(command = %self.occasion.command, %error, "lost; deciding again if policy allows");
            if error.is_unknown_outcome() {
                self.unknown = Some(error.clone());
            }
            let insists = self.cause.expected.is_some() && !self.excused && error.is_conflict();
            match if insists { None } else { waits.next() } {
                Some(wait) if wait.is_zero() => {}
                Some(wait) => self.engine.clock.sleep(wait).await,
                None if self.others_are_compatible(&error, &decided).await? => self.excused = true,
                None => return Err(error),
            }
            self.engine.meter.retried(&error);
        }
    }

    async fn attempt(&mut self) -> Result<Next> {
        let slots = self.slots().await?;
        match self.decide(&slots)? {
            Outcome::Stale => self.anew(&slots),
            Outcome::Settled { outcome, decided, bases } => {
                if !are_committed(bases).await || self.is_behind(&slots).await? {
                    return self.anew(&slots);
                }
                self.settle(outcome, decided).await
            }
            Outcome::Sent { pending, decided, bases, committed } => {
                match appended(&pending).await {
                    Ok(appended) => {
                        self.confirm(&slots, committed, &appended, &pending).await;
                        let log = self.engine.log.log_id();
                        Ok(Next::Done(Receipt::new(log, self.occasion.command, appended)))
                    }
                    Err(error) => {
                        self.discard(&slots);
                        if error.is_conflict() && !are_committed(bases).await {
                            return Ok(Next::Anew);
                        }
                        let lost = error.is_conflict() || error.is_unknown_outcome();
                        if lost { Ok(Next::Lost(error, decided)) } else { Err(error) }
                    }
                }
            }
        }
    }

    /// The slot of each distinct stream.
    async fn slots(&self) -> Result<Vec<SharedSlot>> {
        let mut slots = Vec::with_capacity(self.leaders.len());
        for &leader in &self.leaders {
            let member = &self.members[leader];
            let mut is_hit = true;
            let load = |base| {
                is_hit = false;
                member.load(self.engine, base)
            };
            slots.push(self.engine.slots.get_or_load(member.key(), load).await?);
            if is_hit { self.engine.meter.hit() } else { self.engine.meter.missed() }
        }
        Ok(slots)
    }

    fn discard(&self, slots: &[SharedSlot]) {
        for (&leader, slot) in self.leaders.iter().zip(slots) {
            self.engine.slots.discard(self.members[leader].key(), slot);
        }
    }

    fn anew(&mut self, slots: &[SharedSlot]) -> Result<Next> {
        self.discard(slots);
        self.reloaded = true;
        Ok(Next::Anew)
    }

    /// Ends an attempt that sent no events. A command that may have been stored before gets the
    /// answer of that time, whatever would be decided now (W4).
    async fn settle(&self, outcome: Result<Position>, decided: Typed) -> Result<Next> {
        let command = self.occasion.command;
        let may_be_stored = self.cause.id.is_some() || self.unknown.is_some();
        match outcome {
            Ok(position) if !may_be_stored && self.cause.hook.is_none() => {
                Ok(Next::Done(Receipt::nothing(self.engine.log.log_id(), command, position)))
            }
            Ok(_) => {
                let mut append = Append::new(command, self.fingerprint);
                append.hook.clone_from(&self.cause.hook);
                let appended = self.engine.log.append(append).await?;
                Ok(Next::Done(Receipt::new(self.engine.log.log_id(), command, appended)))
            }
            Err(error) => {
                if may_be_stored
                    && let Some(receipt) =
                        self.engine.recorded(&self.occasion, self.fingerprint).await?
                {
                    return Ok(Next::Done(receipt));
                }
                if error.is_conflict() { Ok(Next::Lost(error, decided)) } else { Err(error) }
            }
        }
    }

    /// Whether a cached state is behind the store. An append would find out by its expectation; an
    /// answer that appends nothing has to look.
    async fn is_behind(&self, slots: &[SharedSlot]) -> Result<bool> {
        if self.reloaded {
            return Ok(false);
        }
        for (&leader, slot) in self.leaders.iter().zip(slots) {
            let version = slot.lock().version;
            let stream = &self.members[leader].key().stream;
            let page = self.engine.log.read_stream(stream, ReadFrom::After(version), 1).await?;
            if !page.events.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// After a commit: what the states rest on is certain, and snapshots may be due.
    async fn confirm(
        &self,
        slots: &[SharedSlot],
        committed: Vec<Committed>,
        appended: &Appended,
        pending: &Pending,
    ) {
        if appended.repeated {
            return self.discard(slots);
        }
        for ((slot, committed), &leader) in slots.iter().zip(&committed).zip(&self.leaders) {
            let member = &self.members[leader];
            let due = slot.lock().confirm(member.as_ref(), committed, appended.position, pending);
            match due {
                Ok(Some(snapshot)) => self.save(snapshot).await,
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "snapshot can't be encoded"),
            }
        }
    }

    /// A snapshot only saves time: the command stands without it.
    async fn save(&self, snapshot: Snapshot) {
        let (stream, version) = (snapshot.stream.clone(), snapshot.version);
        if let Err(error) = self.engine.snapshots.save_snapshot(snapshot).await {
            tracing::warn!(%stream, %version, %error, "snapshot not saved");
        }
    }

    /// Asks the resolver of a command on one aggregate about what came in between.
    async fn others_are_compatible(&self, error: &Error, decided: &Typed) -> Result<bool> {
        let ([member], [decided]) = (self.members, decided.as_slice()) else { return Ok(false) };
        let Some(Conflict::Stream { stream, expected, .. }) = error.conflict() else {
            return Ok(false);
        };
        if !member.has_resolver() {
            return Ok(false);
        }
        let after = match expected {
            Expected::Version(version) | Expected::Head(version, _) => *version,
            Expected::Any | Expected::NoStream | Expected::StreamExists => Version::NONE,
        };
        let concurrent = self.events_after(stream, after).await?;
        member.are_compatible(decided.as_ref(), &concurrent)
    }

    async fn events_after(&self, stream: &StreamId, after: Version) -> Result<Vec<Envelope>> {
        let mut events = Vec::new();
        let mut next = Some(ReadFrom::After(after));
        while let Some(span) = next {
            let page = self.engine.log.read_stream(stream, span, PAGE).await?;
            events.extend(page.events);
            next = page.next;
        }
        Ok(events)
    }
}

async fn appended(pending: &Pending) -> Result<Appended> {
    pending.clone().instrument(tracing::info_span!("append")).await
}

async fn are_committed(bases: Bases) -> bool {
    for base in bases {
        if !is_committed(base).await {
            return false;
        }
    }
    true
}
