//! *Then* these events follow, or it is rejected by that rule.

#![expect(clippy::panic, reason = "a test says what is wrong by panicking")]

use std::fmt::Debug;

use similar_asserts::SimpleDiff;

use crate::{domain::Decider, error::Rejection};

/// The outcome of a command.
pub struct Then<D: Decider> {
    command: &'static str,
    before: D,
    outcome: Result<(Vec<D::Event>, D), Rejection>,
}

impl<D: Decider> Debug for Then<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rejection = self.outcome.as_ref().err();
        f.debug_struct("Then")
            .field("command", &self.command)
            .field("rejection", &rejection)
            .finish_non_exhaustive()
    }
}

impl<D: Decider> Then<D> {
    pub(super) const fn new(
        command: &'static str,
        before: D,
        outcome: Result<(Vec<D::Event>, D), Rejection>,
    ) -> Self {
        Self { command, before, outcome }
    }

    /// Asserts that exactly these events follow, in this order, as they will be read from the store.
    ///
    /// # Panics
    /// With the difference, if other events follow; with the rejection, if there was one.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = D::Event>) -> Self
    where
        D::Event: PartialEq + Debug,
    {
        let expected: Vec<D::Event> = expected.into_iter().collect();
        let decided = self.events();
        if *decided != expected {
            let expected = format!("{expected:#?}");
            let decided = format!("{decided:#?}");
            let diff = SimpleDiff::from_str(&expected, &decided, "expected", "decided");
            panic!("{} led to other events than expected\n\n{diff}", self.command);
        }
        self
    }

    /// Asserts that nothing follows: the command was accepted, and there was nothing to do.
    ///
    /// # Panics
    /// With the events that follow, if there are any; with the rejection, if there was one.
    #[track_caller]
    pub fn then_nothing(self) -> Self
    where
        D::Event: Debug,
    {
        let decided = self.events();
        if !decided.is_empty() {
            panic!("{} should lead to nothing, but led to {decided:#?}", self.command);
        }
        self
    }

    /// Asserts that the command is rejected by the invariant or the rule of this name. Returns the
    /// rejection, for its message and its values.
    ///
    /// # Panics
    /// If it was accepted, or rejected by another rule.
    #[track_caller]
    pub fn then_rejected_by(self, name: &str) -> Rejection
    where
        D::Event: Debug,
    {
        let command = self.command;
        match self.outcome {
            Err(rejection) if rejection.name() == name => rejection,
            Err(rejection) => {
                panic!("{command} should be rejected by {name}, but was rejected by {rejection}")
            }
            Ok((events, _)) => {
                panic!("{command} should be rejected by {name}, but led to {events:#?}")
            }
        }
    }

    /// Passes the state that the command leaves behind to `look`: the one after its events, or the
    /// one before it if it was rejected.
    #[track_caller]
    pub fn then_state(self, look: impl FnOnce(&D)) -> Self {
        look(self.outcome.as_ref().map_or(&self.before, |(_, after)| after));
        self
    }

    #[track_caller]
    fn events(&self) -> &Vec<D::Event> {
        match &self.outcome {
            Ok((events, _)) => events,
            Err(rejection) => {
                panic!("{} should be accepted, but was rejected by {rejection}", self.command)
            }
        }
    }
}
