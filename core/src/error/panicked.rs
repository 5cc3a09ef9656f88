//! Panics of application code: bugs, each an error of its own.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use futures_util::FutureExt as _;

use crate::error::Code;

/// Application code panicked: a decision, a fold, a sink, a component of a service. The same input panics again,
/// so nothing is retried; a developer has to fix the program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place} panicked: {message}")]
pub struct Panicked {
    place: String,
    message: String,
}

impl Panicked {
    /// Creates the error from the payload of a caught panic, for example that of a joined task.
    /// `place` names the code and its input: "fold of view balances at event 7".
    pub fn new(place: impl Into<String>, payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self { place: place.into(), message: text.unwrap_or("no message").to_owned() }
    }

    /// Runs application code and catches its panic. `place` is only called if there is one.
    ///
    /// # Errors
    /// The panic, with its place.
    pub fn guard<T>(place: impl FnOnce() -> String, code: impl FnOnce() -> T) -> Result<T, Self> {
        catch_unwind(AssertUnwindSafe(code)).map_err(|payload| Self::new(place(), &*payload))
    }

    /// Runs asynchronous application code and catches its panic, as [`guard`](Self::guard) does.
    ///
    /// # Errors
    /// The panic, with its place.
    pub async fn guard_async<T>(
        place: impl FnOnce() -> String,
        code: impl Future<Output = T>,
    ) -> Result<T, Self> {
        let outcome = AssertUnwindSafe(code).catch_unwind().await;
        outcome.map_err(|payload| Self::new(place(), &*payload))
    }

    /// Adds to the place what only the caller of the code knows: "of view balances at event 7".
    #[must_use]
    pub fn in_place(self, more: &str) -> Self {
        Self { place: format!("{} {more}", self.place), ..self }
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> Code {
        Code::PANICKED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_names_its_place_and_its_message() {
        let caught = Panicked::guard(|| "fold of view v".to_owned(), || panic!("no row {}", 7));
        let error = caught.map(|()| "nothing").unwrap_err();
        assert_eq!(error.to_string(), "fold of view v panicked: no row 7");
        let more = error.in_place("at event 7").to_string();
        assert_eq!(more, "fold of view v at event 7 panicked: no row 7");
        assert_eq!(Panicked::guard(String::new, || 3), Ok(3));
    }
}
