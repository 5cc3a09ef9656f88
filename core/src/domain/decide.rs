//! One decision, as it is made in production and in the given/when/then kit alike.

use super::{Command, Context, Decide, Decider, Decision};
use crate::error::Rejection;

/// What `D: Decide<C>` says, seen from the command: it is implemented wherever that is.
///
/// Functions that take a command ask for `C: DecidedBy<D>`. With the bound the other way round, the
/// compiler would guess the command of a `D` that decides on only one, and report another command
/// as being of the wrong type instead of saying that it isn't decided on.
pub trait DecidedBy<D: Decider>: Command {
    /// [`Decide::decide`].
    ///
    /// # Errors
    /// A [`Rejection`] if the domain says no.
    fn decided_by(&self, state: &D, context: &Context<D::Services>) -> Decision<D::Event>;
}

impl<C: Command, D: Decide<C>> DecidedBy<D> for C {
    fn decided_by(&self, state: &D, context: &Context<D::Services>) -> Decision<D::Event> {
        state.decide(self, context)
    }
}

/// Decides on `command`, applies the events to a copy of `state`, and checks every invariant on the
/// result (W5). Gives the events and the state after them.
///
/// A command that leads to no events leaves the state as it was, so it is not checked: a rule that
/// was added later must not turn a retry that changes nothing into a rejection.
pub(crate) fn decide_and_check<D, C>(
    state: &D,
    command: &C,
    context: &Context<D::Services>,
) -> Result<(Vec<D::Event>, D), Rejection>
where
    D: Decider,
    C: DecidedBy<D>,
{
    let events = command.decided_by(state, context)?;
    let mut next = state.clone();
    if !events.is_empty() {
        events.iter().for_each(|event| next.apply(event));
        check_invariants(&next)?;
    }
    Ok((events, next))
}

/// The first invariant, in the order of their declaration, that does not hold of `state`.
fn check_invariants<D: Decider>(state: &D) -> Result<(), Rejection> {
    D::INVARIANTS.iter().try_for_each(|invariant| invariant.check(state))
}
