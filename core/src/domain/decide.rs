//! The decision on one command, the same in production and in the given/when/then kit.

use super::{Command, Context, Decide, Decider, Decision};
use crate::error::Rejection;

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

/// Decides on `command`, applies the events to a copy of `state`, and checks every invariant on the
/// result (W5). Returns the events and the state after them.
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

/// Checks the invariants in the order of their declaration, and returns the first violation.
fn check_invariants<D: Decider>(state: &D) -> Result<(), Rejection> {
    D::INVARIANTS.iter().try_for_each(|invariant| invariant.check(state))
}
