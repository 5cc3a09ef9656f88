//! The decision on one command, the same in production and in the given/when/then kit.

use super::{Command, Context, Decide, Decider, Decision, Event, StorableEvent};
use crate::{
    Error,
    error::{Invalid, Rejection},
};

/// The relation `D: Decide<C>` as a trait of the command. It is implemented wherever that is.
///
/// Functions that take a command ask for `C: DecidedBy<D>`. With the bound the other way round, the
/// compiler would guess the command of a `D` that decides on only one, and report another command
/// as being of the wrong type instead of saying that it isn't decided on.
pub trait DecidedBy<D: Decider>: Command {
    /// Calls [`Decide::decide`].
    ///
    /// # Errors
    /// A [`Rejection`] if the domain refuses the command.
    fn decided_by(&self, state: &D, context: &Context<D::Services>) -> Decision<D::Event>;
}

impl<C: Command, D: Decide<C>> DecidedBy<D> for C {
    fn decided_by(&self, state: &D, context: &Context<D::Services>) -> Decision<D::Event> {
        state.decide(self, context)
    }
}

/// The events of a decision, and the state after them.
pub(crate) struct StoredDecision<D: Decider> {
    /// The events as they are stored.
    pub(crate) encoded: Vec<StorableEvent>,
    /// The events as they will be read.
    pub(crate) events: Vec<D::Event>,
    /// The state after them.
    pub(crate) next: D,
}

/// Decides on `command`, applies the events to a copy of `state`, and checks every invariant on the
/// result (W5).
///
/// Applied is what will be read, not what was decided. So a state that is replayed is the same, and an event
/// that can't be read is never stored.
///
/// A command that leads to no events leaves the state as it was, so it is not checked: a rule that
/// was added later must not turn a retry that changes nothing into a rejection.
///
/// # Errors
/// [`Error::Rejected`], or [`Error::Invalid`] if an event would not be read back.
pub(crate) fn decide_and_check<D, C>(
    state: &D,
    command: &C,
    context: &Context<D::Services>,
) -> Result<StoredDecision<D>, Error>
where
    D: Decider,
    C: DecidedBy<D>,
{
    let decided = command.decided_by(state, context)?;
    let mut events = Vec::with_capacity(decided.len());
    let encoded = match encode_all(&decided, &mut events) {
        Ok(encoded) => encoded,
        Err(unstorable) => {
            // An invariant says more about such an event than its encoding does.
            apply_and_check(state, &decided)?;
            return Err(unstorable.into());
        }
    };
    let next = apply_and_check(state, &events)?;
    Ok(StoredDecision { encoded, events, next })
}

fn encode_all<E: Event>(decided: &[E], read: &mut Vec<E>) -> Result<Vec<StorableEvent>, Invalid> {
    decided.iter().map(|event| StorableEvent::new(event, &mut |event| read.push(event))).collect()
}

/// Applies events to a copy of a state, and checks the invariants in the order of their declaration. The first
/// violation is the error.
fn apply_and_check<D: Decider>(state: &D, events: &[D::Event]) -> Result<D, Rejection> {
    let mut next = state.clone();
    if !events.is_empty() {
        events.iter().for_each(|event| next.apply(event));
        D::INVARIANTS.iter().try_for_each(|invariant| invariant.check(&next))?;
    }
    Ok(next)
}
