//! Generations of views: rows of one definition beside those of another one (R5).

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    Result,
    domain::{DefinitionHash, ViewDefinition, ViewName},
    value::Position,
};

/// A generation of a view: rows of one definition, in a table of their own, with progress, leases and parked keys of
/// their own. All other ports know it by the name under which it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its number; the first is 1.
    pub number: u32,
    /// The name under which it is stored.
    pub view: ViewName,
    /// The hash of the definition by which its rows were folded; `None` if that isn't known.
    pub hash: Option<DefinitionHash>,
    /// That definition; `None` if it isn't known, or a newer version of Highwater wrote more into it.
    pub definition: Option<ViewDefinition>,
    /// True if it is the one that plain SQL sees under the name of the view.
    pub is_live: bool,
    /// The position from which on it is complete.
    pub complete_at: Position,
    /// The position up to which it has every event.
    pub position: Position,
    /// The time at which it was made, by the clock of the store; the Unix epoch if that isn't known.
    pub created_at: Timestamp,
    /// True if it was promoted at some time.
    pub was_promoted: bool,
    /// The definitions that it had before other programs adopted it.
    pub former: Vec<DefinitionHash>,
    /// The greatest number of a generation of this view that was removed; 0 if none was. Numbers are not used again.
    pub removed_through: u32,
}

impl Generation {
    /// Returns true if it has every event of the time at which it was made.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.position >= self.complete_at
    }
}

/// The generations of views. A first one is made by [`open_view`](super::ViewStore::open_view), and so is a later one,
/// by a spec with its number.
#[async_trait]
pub trait GenerationStore: Send + Sync + 'static {
    /// Returns the names of all views that were opened, each once, in order. Projections without rows are among them,
    /// and the checkpoints of relays, which are named `relay_` and the name of the relay.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn views(&self) -> Result<Vec<ViewName>>;

    /// Returns the generations of a view, in the order of their numbers; none if the view has never been opened.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn generations(&self, view: &ViewName) -> Result<Vec<Generation>>;

    /// Makes a generation the live one, in one transaction. Returns false, and changes nothing, if it is not complete,
    /// or the generation that is live has events that it lacks: it would show an older state.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable), with code [`VIEW_MISSING`](crate::Code::VIEW_MISSING) if there is
    /// no such generation.
    async fn promote(&self, view: &ViewName, generation: u32) -> Result<bool>;

    /// Removes a generation with all that belongs to it. Its number is not used again. Returns false, and changes nothing, if it is live or a worker
    /// of it is alive.
    ///
    /// # Errors
    /// As [`promote`](Self::promote).
    async fn remove_generation(&self, view: &ViewName, generation: u32) -> Result<bool>;
}
