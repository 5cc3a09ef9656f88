//! Invariants: named conditions that every state must meet (W5).

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use crate::error::Rejection;

/// A named condition on the state of `S`.
///
/// `#[invariant(never_overdrawn, "never debit more than the available balance")]` on an aggregate
/// declares one; the function of that name is its check.
pub struct Invariant<S: 'static> {
    /// The name, which rejections carry.
    pub name: &'static str,
    /// The condition in words, for people.
    pub statement: &'static str,
    /// The function that checks a state.
    pub check: fn(&S) -> Check,
}

impl<S> Clone for Invariant<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Invariant<S> {}

impl<S> std::fmt::Debug for Invariant<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invariant")
            .field("name", &self.name)
            .field("statement", &self.statement)
            .finish_non_exhaustive()
    }
}

impl<S> Invariant<S> {
    /// Checks a state.
    ///
    /// # Errors
    /// The rejection, with the invariant's name, its statement and the offending values.
    pub fn check(&self, state: &S) -> Result<(), Rejection> {
        match (self.check)(state).violation {
            None => Ok(()),
            Some(values) => Err(Rejection::new(self.name, self.statement).with_values(values)),
        }
    }
}

type Values = Vec<(Cow<'static, str>, Value)>;

/// The result of checking an invariant, with the values that violate it.
///
/// ```
/// use highwater_core::Check;
///
/// let balance = -5;
/// let check = Check::that(balance >= 0).with("balance", balance);
/// assert!(!check.holds());
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Check {
    violation: Option<Values>,
}

impl Check {
    /// Creates a check that holds if `condition` is true.
    pub const fn that(condition: bool) -> Self {
        Self { violation: if condition { None } else { Some(Vec::new()) } }
    }

    /// Adds a value that the rejection shows; it is not serialised while the invariant holds.
    pub fn with(mut self, name: &'static str, value: impl Serialize) -> Self {
        if let Some(values) = &mut self.violation {
            let value = serde_json::to_value(value)
                .unwrap_or_else(|error| Value::String(format!("<{error}>")));
            values.push((name.into(), value));
        }
        self
    }

    /// Returns true if the invariant holds.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.violation.is_none()
    }
}

/// The types that an invariant's function may return: a [`Check`], or a plain `bool`.
#[diagnostic::on_unimplemented(
    message = "an invariant's function returns `bool` or `Check`, not `{Self}`",
    label = "the function named in `#[invariant(…)]` returns this"
)]
pub trait IntoCheck {
    /// Converts the result into a check.
    fn into_check(self) -> Check;
}

impl IntoCheck for Check {
    fn into_check(self) -> Check {
        self
    }
}

impl IntoCheck for bool {
    fn into_check(self) -> Check {
        Check::that(self)
    }
}
