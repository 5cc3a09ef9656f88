//! Commands that name their aggregate.

use super::{Aggregate, Command, Decide};

/// A command that names its aggregate: `#[command(aggregate = Account, target = account)]`.
pub trait Targeted: Command + Sized {
    /// The aggregate that decides.
    type Aggregate: Aggregate + Decide<Self>;

    /// Returns the key of the stream.
    fn target(&self) -> String;
}
