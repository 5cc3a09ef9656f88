//! Hooks of the application in the transaction of its append.

use std::{any::Any, fmt};

/// Work of the application in the transaction of its append: an outbox row, an inline projection.
/// Each SQL adapter has a type for it and refuses that of another.
pub trait TransactionHook: Any + fmt::Debug + Send + Sync {}
