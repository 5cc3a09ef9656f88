//! Commands that name their aggregate.

use super::{Aggregate, Command, Decide};

/// A command that knows which aggregate it is for: `#[command(aggregate = Account, target = account)]`.
pub trait Targeted: Command + Sized {
    /// The aggregate that decides.
    type Aggregate: Aggregate + Decide<Self>;

    /// The key of the stream.
    fn target(&self) -> String;
}
