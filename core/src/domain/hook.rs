//! Work of an application's own in the transaction of its append.

use std::{any::Any, fmt};

/// Work that an application wants done in the transaction of its append: an outbox row, an inline
/// projection of its own. Each SQL adapter has a type for it and refuses that of another.
pub trait TransactionHook: Any + fmt::Debug + Send + Sync {}
