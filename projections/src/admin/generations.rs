//! The generations of a view, for operators: list, promote, remove (R5).

use highwater_core::{Highwater, Result, domain::ViewName, port::Generation};

/// The generations of a view: the rows of each definition that its programs have or had.
///
/// ```
/// # use highwater_core::{Highwater, Result};
/// # use highwater_projections::admin::Generations;
/// # async fn example(bank: &Highwater) -> Result<()> {
/// let balances = Generations::of(bank, "balances")?;
/// for generation in balances.list().await? {
///     println!("{} at {}, live: {}", generation.number, generation.position, generation.is_live);
/// }
/// // Plain SQL sees the rows of the former program again.
/// balances.promote(1).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Generations {
    highwater: Highwater,
    view: ViewName,
}

impl Generations {
    /// The generations of the view of this name.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the name is malformed.
    pub fn of(highwater: &Highwater, view: &str) -> Result<Self> {
        Ok(Self { highwater: highwater.clone(), view: ViewName::new(view)? })
    }

    /// Returns the generations, in the order of their numbers.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable).
    pub async fn list(&self) -> Result<Vec<Generation>> {
        self.highwater.views().generations(&self.view).await
    }

    /// Makes a generation the live one: plain SQL sees its rows under the name of the view. Returns false, and changes
    /// nothing, if it is not complete, or the generation that is live has events that it lacks. Programs go on with the
    /// generation of their own definition.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable), with code
    /// [`VIEW_MISSING`](highwater_core::Code::VIEW_MISSING) if there is no such generation.
    pub async fn promote(&self, generation: u32) -> Result<bool> {
        self.highwater.views().promote(&self.view, generation).await
    }

    /// Removes a generation with its rows and its progress. A program of its definition builds it anew. Returns false,
    /// and changes nothing, if the generation is live or a worker of it is alive.
    ///
    /// # Errors
    /// As [`promote`](Self::promote).
    pub async fn remove(&self, generation: u32) -> Result<bool> {
        self.highwater.views().remove_generation(&self.view, generation).await
    }
}
