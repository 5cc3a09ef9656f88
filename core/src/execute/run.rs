//! The loop of every command: load, decide, check, append, receipt, and again if the policy allows.

use std::{ops::DerefMut, time::Instant};

use tracing::{Instrument as _, Span, field};

use super::{
    decided_on::DecidedOn,
    decision::encode_metadata,
    engine::Engine,
    loaded::Loaded,
    moment::Moment,
    participant::{CommandContext, Expectation, Participant, one_per_stream},
    policy::ConflictPolicy,
    receipt::Receipt,
    snapshot,
    state_cache::{AnyState, CachedState, PendingAppend, SharedState, share},
    unknown_outcome,
};
use crate::{
    Error, Result,
    domain::{Fingerprint, Fingerprinter, RequestOptions},
    error::{Actual, Conflict, Invalid},
    port::{Append, Appended, NewEvent},
    trace,
    value::{Expected, Position},
};

/// Executes one command of one or several participants, all or nothing.
pub(super) async fn run(
    engine: &Engine,
    participants: &mut [Box<dyn Participant>],
    options: RequestOptions,
    policy: ConflictPolicy,
) -> Result<Receipt> {
    let began = engine.states.moments.now();
    let name = match participants {
        [participant] => participant.name(),
        _ => "atomically",
    };
    let fingerprint = participants
        .iter()
        .try_fold(Fingerprinter::default(), |so_far, next| next.fingerprint(so_far))?
        .finish();
    let one_per_stream = one_per_stream(participants)?;
    let (context, span) = begin(engine, name, &options);
    let run = Run {
        engine,
        participants,
        one_per_stream,
        options,
        context,
        fingerprint,
        began,
        unknown_outcome: None,
        is_overridden: false,
    };
    let started = Instant::now();
    let answer = run.with_retries(policy).instrument(span).await;
    let has_events = answer.as_ref().map(|receipt| !receipt.is_empty());
    engine.meter.answered(name, started.elapsed(), has_events);
    answer
}

/// Creates the context of a command and its span. If a propagator knows the span's trace, that
/// trace goes into the metadata, so that the span is the cause of the effects of the command.
fn begin(engine: &Engine, name: &'static str, options: &RequestOptions) -> (CommandContext, Span) {
    let mut context = CommandContext {
        command: options.id.unwrap_or_else(|| engine.ids.command_id()),
        now: engine.clock.now(),
        metadata: options.metadata.clone(),
    };
    let span = tracing::info_span!("command", name, id = %context.command, trace_id = field::Empty);
    if let Some(trace) = &options.metadata.trace {
        trace::adopt(&span, trace);
    }
    if let Some(trace) = trace::context_of(&span) {
        context.metadata.trace = Some(trace);
    }
    (context, span)
}

/// One command on its way to a receipt.
struct Run<'a> {
    engine: &'a Engine,
    participants: &'a mut [Box<dyn Participant>],
    /// The first participant of each distinct stream, in the order of the stream ids.
    one_per_stream: Vec<usize>,
    options: RequestOptions,
    context: CommandContext,
    fingerprint: Fingerprint,
    began: Moment,
    /// The error of an earlier attempt whose outcome isn't known. From then on the command may have
    /// been stored, so an error that says that nothing was would be wrong.
    unknown_outcome: Option<Error>,
    /// True once a resolver has overridden the version that the caller expected.
    is_overridden: bool,
}

/// The result of an attempt.
enum Attempt {
    Done(Receipt),
    /// The states were not those of the store. The command did not cause that.
    Reload,
    /// There was a conflict with another writer, or the outcome isn't known.
    Conflict(Error),
}

/// The result of a decision.
enum DecisionOutcome {
    /// The append was sent. These are the states that it leads to.
    Sent(PendingAppend, Vec<Loaded<AnyState>>),
    NoEvents,
    Refused(Error),
}

impl Run<'_> {
    async fn with_retries(mut self, policy: ConflictPolicy) -> Result<Receipt> {
        let answer = self.repeat(policy).await;
        answer.map_err(|error| match self.unknown_outcome {
            Some(unknown) => unknown_outcome::after(unknown, error),
            None => error,
        })
    }

    /// Makes attempts until one is done, or the policy allows no other.
    async fn repeat(&mut self, policy: ConflictPolicy) -> Result<Receipt> {
        let mut waits = policy.waits();
        loop {
            let error = match self.attempt().await? {
                Attempt::Done(receipt) => return Ok(receipt),
                Attempt::Reload => continue,
                Attempt::Conflict(error) => error,
            };
            tracing::debug!(command = %self.context.command, %error, "not stored; trying again if the policy allows");
            if error.is_unknown_outcome() {
                self.unknown_outcome = Some(error.clone());
            }
            let is_strict =
                self.options.expected.is_some() && !self.is_overridden && error.is_conflict();
            match if is_strict { None } else { waits.next() } {
                Some(wait) if wait.is_zero() => {}
                Some(wait) => self.engine.clock.sleep(wait).await,
                None if self.is_tolerated(&error).await? => self.is_overridden = true,
                None => return Err(error),
            }
            self.engine.meter.retried(&error);
        }
    }

    /// Runs the five steps once.
    async fn attempt(&mut self) -> Result<Attempt> {
        let states = self.load().await?;
        let Some((outcome, decided_on)) = self.decide_and_send(&states)? else {
            return Ok(self.reload(&states));
        };
        let refusal = match outcome {
            DecisionOutcome::Sent(append, decided) => {
                return self.receive(&states, append, &decided, &decided_on).await;
            }
            DecisionOutcome::NoEvents => None,
            DecisionOutcome::Refused(error) => Some(error),
        };
        match (self.current_position(&states, &decided_on).await?, refusal) {
            (None, _) => Ok(self.reload(&states)),
            (Some(_), Some(error)) => self.refuse(error).await,
            (Some(position), None) => self.append_nothing(&states, position).await,
        }
    }

    /// Step 1: loads the state of each distinct stream.
    async fn load(&self) -> Result<Vec<SharedState>> {
        let mut states = Vec::with_capacity(self.one_per_stream.len());
        for participant in self.each_stream() {
            if !participant.is_cached() {
                let load = participant.load(self.engine, None);
                states.push(self.engine.states.load(load).await?);
                continue;
            }
            let mut is_hit = true;
            let load = |base| {
                is_hit = false;
                participant.load(self.engine, base)
            };
            states.push(self.engine.states.get_or_load(participant.key(), load).await?);
            if is_hit { self.engine.meter.hit() } else { self.engine.meter.missed() }
        }
        Ok(states)
    }

    /// Steps 2 to 4: decides, checks, and sends the append, under the locks of the states. All of it is
    /// synchronous, so appends reach the store in the order in which they build on each other.
    ///
    /// Returns `None` if a state was found to be wrong since it was loaded.
    fn decide_and_send(
        &mut self,
        states: &[SharedState],
    ) -> Result<Option<(DecisionOutcome, Vec<DecidedOn>)>> {
        let mut locked: Vec<_> = states.iter().map(SharedState::lock).collect();
        if locked.iter().any(|state| state.is_stale) {
            return Ok(None);
        }
        let decided_on = locked.iter().map(|state| DecidedOn::new(state)).collect();
        let mut draft = Draft::new(&locked);
        let refusal = self.decide(&mut draft).err();
        let outcome = if let Some(error) = self.unexpected_version(&locked[0]).or(refusal) {
            DecisionOutcome::Refused(error)
        } else if draft.events.iter().all(Vec::is_empty) {
            DecisionOutcome::NoEvents
        } else {
            self.send(&mut locked, draft)?
        };
        Ok(Some((outcome, decided_on)))
    }

    /// Steps 2 and 3: each participant decides on the state that those before it on the same stream have
    /// left, and checks the state after its events.
    fn decide(&mut self, draft: &mut Draft) -> Result<()> {
        for index in 0..self.participants.len() {
            let stream = self.stream_of(index);
            let participant = &mut self.participants[index];
            let state = &draft.states[stream];
            let decided = participant.decide(state, &self.context, &*self.engine.ids)?;
            draft.states[stream] = decided.next;
            draft.events[stream].extend(decided.events);
        }
        Ok(())
    }

    /// Step 4: sends the append. From here on other commands decide on the states after it.
    fn send<S>(&self, locked: &mut [S], draft: Draft) -> Result<DecisionOutcome>
    where
        S: DerefMut<Target = CachedState>,
    {
        let mut append = Append::new(self.context.command, self.fingerprint);
        for ((participant, state), events) in self.each_stream().zip(&*locked).zip(draft.events) {
            let expectation = participant.expectation(&state.latest);
            append = append.stream(participant.key().stream.clone(), expectation.stream, events);
            append.condition = append.condition.or(expectation.condition);
        }
        append.metadata = encode_metadata(&self.context.metadata)?;
        append.hook.clone_from(&self.options.hook);
        let sent_after = self.engine.states.moments.tick();
        for ((state, next), part) in locked.iter_mut().zip(draft.states).zip(&append.streams) {
            state.extend(next, &part.events, sent_after);
        }
        let pending = share(self.engine.log.append(append));
        for state in locked.iter_mut() {
            state.pending = Some(pending.clone());
        }
        let decided = locked.iter().map(|state| state.latest.clone()).collect();
        Ok(DecisionOutcome::Sent(pending, decided))
    }

    /// Step 5: waits for the answer to an append that was sent.
    async fn receive(
        &mut self,
        states: &[SharedState],
        append: PendingAppend,
        decided: &[Loaded<AnyState>],
        decided_on: &[DecidedOn],
    ) -> Result<Attempt> {
        match append.clone().instrument(tracing::info_span!("append")).await {
            Ok(appended) => {
                if appended.repeated {
                    self.discard(states);
                } else {
                    self.confirm(states, &append, decided, appended.position).await;
                }
                Ok(Attempt::Done(self.receipt(appended)))
            }
            Err(error) => {
                self.discard(states);
                if error.is_conflict() && !are_committed(decided_on).await {
                    return Ok(Attempt::Reload);
                }
                Attempt::failed(error)
            }
        }
    }

    /// Records a commit in the states, and saves the snapshots that are due.
    async fn confirm(
        &self,
        states: &[SharedState],
        append: &PendingAppend,
        decided: &[Loaded<AnyState>],
        position: Position,
    ) {
        for ((participant, state), decided) in self.each_stream().zip(states).zip(decided) {
            let due = {
                let mut state = state.lock();
                state.confirm(decided, position, append);
                let Loaded { snapshot, bytes_since, .. } = state.latest;
                let due = participant.due_snapshot(decided, snapshot, bytes_since);
                if let Ok(Some(_)) = due {
                    state.set_snapshot(decided.version);
                }
                due
            };
            match due {
                Ok(Some(due)) => snapshot::save(&*self.engine.snapshots, due).await,
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "snapshot can't be encoded"),
            }
        }
    }

    /// Steps 4 and 5 of a decision without events. An append is sent only if there is something to
    /// record (the id of a command that may be sent again) or to run (a hook).
    async fn append_nothing(
        &mut self,
        states: &[SharedState],
        position: Position,
    ) -> Result<Attempt> {
        let command = self.context.command;
        if !self.may_be_stored() && self.options.hook.is_none() {
            let receipt = Receipt::nothing(self.engine.log.log_id(), command, position);
            return Ok(Attempt::Done(receipt));
        }
        let mut append = Append::new(command, self.fingerprint);
        for (participant, state) in self.each_stream().zip(states) {
            let Expectation { stream, condition } = participant.expectation(&state.lock().latest);
            if let Some(condition) = condition {
                let id = participant.key().stream.clone();
                append = append.stream(id, stream, Vec::new()).only_if(condition);
            }
        }
        append.hook.clone_from(&self.options.hook);
        let append = self.engine.log.append(append);
        match append.instrument(tracing::info_span!("append")).await {
            Ok(appended) => Ok(Attempt::Done(self.receipt(appended))),
            Err(error) => Attempt::failed(error),
        }
    }

    /// Step 5 of a refusal. A command that may have been stored before gets the receipt of that
    /// time, regardless of the new decision (W4).
    async fn refuse(&self, error: Error) -> Result<Attempt> {
        let recorded = match self.may_be_stored() {
            true => self.engine.log.find_command(self.context.command).await?,
            false => None,
        };
        match recorded {
            None => Attempt::failed(error),
            Some(recorded) if recorded.fingerprint == self.fingerprint => {
                Ok(Attempt::Done(self.receipt(recorded.appended)))
            }
            Some(_) => Err(Invalid::command_id_reused(self.context.command).into()),
        }
    }

    /// Returns true if an earlier attempt, or an earlier call with the same id, may have been stored.
    fn may_be_stored(&self) -> bool {
        self.options.id.is_some() || self.unknown_outcome.is_some()
    }

    fn receipt(&self, appended: Appended) -> Receipt {
        Receipt::new(self.engine.log.log_id(), self.context.command, appended)
    }

    /// Returns the position of a decision that appends nothing; `None` if it was made on a state that the
    /// store didn't have, or had left before the command began.
    async fn current_position(
        &self,
        states: &[SharedState],
        decided_on: &[DecidedOn],
    ) -> Result<Option<Position>> {
        let log = &*self.engine.log;
        let mut position = Position::START;
        for ((participant, state), decided_on) in self.each_stream().zip(states).zip(decided_on) {
            let Some(committed) = decided_on.committed().await else { return Ok(None) };
            position = position.max(committed);
            let stream = &participant.key().stream;
            if !decided_on.was_current_after(self.began, state, log, stream).await? {
                return Ok(None);
            }
        }
        Ok(Some(position))
    }

    fn reload(&self, states: &[SharedState]) -> Attempt {
        self.discard(states);
        Attempt::Reload
    }

    fn discard(&self, states: &[SharedState]) {
        for (participant, state) in self.each_stream().zip(states) {
            if participant.is_cached() {
                self.engine.states.discard(participant.key(), state);
            }
        }
    }

    /// Returns the conflict with the version that the caller expected, if there is one.
    fn unexpected_version(&self, state: &CachedState) -> Option<Error> {
        let Loaded { version, head, .. } = state.latest;
        let expected = self.options.expected.filter(|expected| *expected != version)?;
        if self.is_overridden {
            return None;
        }
        let conflict = Conflict::Stream {
            stream: self.participants[self.one_per_stream[0]].key().stream.clone(),
            expected: Expected::Version(expected),
            actual: Actual { version, head },
        };
        Some(conflict.into())
    }

    /// Returns true if the only participant tolerates this conflict.
    async fn is_tolerated(&self, error: &Error) -> Result<bool> {
        match (&*self.participants, error.conflict()) {
            ([participant], Some(conflict)) => participant.tolerates(self.engine, conflict).await,
            _ => Ok(false),
        }
    }

    /// The first participant of each distinct stream, in the order of the stream ids.
    fn each_stream(&self) -> impl Iterator<Item = &dyn Participant> {
        self.one_per_stream.iter().map(|index| &*self.participants[*index])
    }

    /// The place of a participant's stream among the distinct ones.
    fn stream_of(&self, index: usize) -> usize {
        let stream = |index: usize| &self.participants[index].key().stream;
        self.one_per_stream.partition_point(|first| stream(*first) < stream(index))
    }
}

impl Attempt {
    /// A conflict or an unknown outcome can be retried; every other error ends the run.
    fn failed(error: Error) -> Result<Self> {
        if error.is_conflict() || error.is_unknown_outcome() {
            return Ok(Self::Conflict(error));
        }
        Err(error)
    }
}

/// Waits for the appends that a decision depends on. Returns true if all were committed as they were
/// decided.
async fn are_committed(decided_on: &[DecidedOn]) -> bool {
    for decided_on in decided_on {
        if decided_on.committed().await.is_none() {
            return false;
        }
    }
    true
}

/// States and events while the participants decide, one place for each stream.
struct Draft {
    states: Vec<AnyState>,
    events: Vec<Vec<NewEvent>>,
}

impl Draft {
    fn new<S: DerefMut<Target = CachedState>>(locked: &[S]) -> Self {
        Self {
            states: locked.iter().map(|state| state.latest.state.clone()).collect(),
            events: locked.iter().map(|_| Vec::new()).collect(),
        }
    }
}
