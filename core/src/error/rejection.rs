//! Rejections by the domain: the name of the rule, a message, and the offending values.

use std::{borrow::Cow, fmt};

use serde::Serialize;
use serde_json::Value;

/// The refusal of a command by the domain (W5): the name of the invariant or of the rule, a
/// sentence for people, and the offending values.
///
/// ```
/// use highwater_core::Rejection;
///
/// let rejection = Rejection::new("account_open", "the account has been closed").with("by", "bank");
/// assert_eq!(rejection.to_string(), "account_open: the account has been closed (by=\"bank\")");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rejection {
    name: Cow<'static, str>,
    message: Cow<'static, str>,
    values: Vec<(Cow<'static, str>, Value)>,
}

impl Rejection {
    /// Creates a rejection by the rule `name`.
    pub fn new(name: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), message: message.into(), values: Vec::new() }
    }

    /// Adds an offending value. A value that can't be written as JSON is replaced by the reason.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Serialize) -> Self {
        let value =
            serde_json::to_value(value).unwrap_or_else(|error| Value::String(format!("<{error}>")));
        self.values.push((name.into(), value));
        self
    }

    pub(crate) fn with_values(mut self, values: Vec<(Cow<'static, str>, Value)>) -> Self {
        self.values.extend(values);
        self
    }

    /// The name of the invariant or rule.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name as a label of metrics. Names that are created at run time become `other`, because
    /// their number is unbounded.
    pub(crate) fn rule(&self) -> &'static str {
        match self.name {
            Cow::Borrowed(name) => name,
            Cow::Owned(_) => "other",
        }
    }

    /// The sentence for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The offending values, in the order in which they were added.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// One offending value.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values().find_map(|(n, value)| (n == name).then_some(value))
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)?;
        for (index, (name, value)) in self.values.iter().enumerate() {
            write!(f, "{}{name}={value}", if index == 0 { " (" } else { ", " })?;
        }
        if self.values.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl std::error::Error for Rejection {}
