//! The generation of a view that a program works on: that of its own definition (R5).

use std::{cmp::Reverse, time::Duration};

use highwater_core::{
    Code, Error, Result,
    domain::{GenerationSpec, ViewDefinition, ViewName, ViewSpec},
    error::Corrupt,
    port::{Generation, ViewStore},
};

use super::{context::WorkerContext, definition::DefinitionCheck};
use crate::{options::OnChange, projection::Job};

/// The time between two looks at a generation that is being built.
pub(super) const COMPLETION_INTERVAL: Duration = Duration::from_millis(250);

/// The longest wait before another try to promote a generation: each may keep those who read the live one waiting.
const MAX_PROMOTION_DELAY: Duration = Duration::from_secs(30);

/// The waits between tries to promote a generation.
pub(super) fn promotion_delays() -> impl Iterator<Item = Duration> {
    let double = |delay: &Duration| Some((*delay * 2).min(MAX_PROMOTION_DELAY));
    std::iter::successors(Some(COMPLETION_INTERVAL), double)
}

/// Chooses the generation of a view that a program opens.
pub(super) struct GenerationChoice<'a> {
    pub(super) spec: &'a ViewSpec,
    pub(super) job: &'a dyn Job,
    pub(super) on_change: OnChange,
    pub(super) context: &'a WorkerContext,
}

impl GenerationChoice<'_> {
    /// Returns the spec with the generation of the program's definition, or one that it can adopt. Otherwise that is a new
    /// one, if the program builds it. Nothing is made, renamed or given columns here.
    ///
    /// # Errors
    /// [`Corrupt::OtherDefinition`] if the rows of every generation are other ones and the program builds none, or a newer
    /// version of Highwater has written a definition; those of the stores.
    pub(super) async fn choose(&self) -> Result<ViewSpec> {
        let Some(own) = &self.spec.definition else { return Ok(self.spec.clone()) };
        let mut found = self.find().await?;
        let is_own = |one: &Generation| one.hash == Some(own.hash());
        found.sort_by_key(|one| Reverse((is_own(one), one.is_live, one.number)));
        let mut refused = None;
        for generation in &found {
            match self.check(own, generation).await {
                Ok(()) => return Ok(self.spec_of(own, generation)),
                // It was removed meanwhile.
                Err(error) if error.code() == Code::VIEW_MISSING => {}
                Err(error) if error.code() == Code::OTHER_DEFINITION => {
                    refused.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        let is_out_of_date = found.iter().any(is_of_newer_version);
        match (refused, self.on_change) {
            (None, _) => Ok(self.spec.clone()),
            (Some(error), OnChange::Stop) => Err(error),
            (Some(error), OnChange::Rebuild) if is_out_of_date => Err(error),
            (Some(change), OnChange::Rebuild) => self.begin(&found, &change).await,
        }
    }

    /// Returns the generations of the view, perhaps under a former name.
    async fn find(&self) -> Result<Vec<Generation>> {
        let names = [&self.spec.name].into_iter().chain(&self.spec.formerly);
        for name in names {
            let found = self.context.views.generations(name).await?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    async fn check(&self, own: &ViewDefinition, generation: &Generation) -> Result<()> {
        let view = &generation.view;
        if is_of_newer_version(generation) {
            let change = "a newer version of Highwater has written more into it".to_owned();
            return Err(Corrupt::OtherDefinition { view: view.to_string(), change }.into());
        }
        let query = self.job.query()?;
        let check = DefinitionCheck { view, own, query, is_starting: true, context: self.context };
        check.ensure().await.map(drop)
    }

    /// The definition may lack the form of the row, which the stored one has.
    fn spec_of(&self, own: &ViewDefinition, generation: &Generation) -> ViewSpec {
        let Generation { number, complete_at, .. } = *generation;
        let definition = match &generation.definition {
            Some(stored) => own.completed_by(stored),
            None => own.clone(),
        };
        let generation = GenerationSpec { number, complete_at };
        ViewSpec { generation, definition: Some(definition), ..self.spec.clone() }
    }

    async fn begin(&self, found: &[Generation], change: &Error) -> Result<ViewSpec> {
        let last = found.iter().map(|one| one.number.max(one.removed_through)).max();
        let number = last.unwrap_or(1) + 1;
        let complete_at = self.context.log.head().await?;
        let view = &self.spec.name;
        tracing::info!(%view, generation = number, %change, "building a new generation");
        let generation = GenerationSpec { number, complete_at };
        Ok(ViewSpec { generation, ..self.spec.clone() })
    }
}

/// Returns true if this version of Highwater can't decode the definition of a generation.
fn is_of_newer_version(generation: &Generation) -> bool {
    generation.hash.is_some() && generation.definition.is_none()
}

/// A generation of this program that is not live.
pub(super) struct BuiltGeneration<'a> {
    pub(super) views: &'a dyn ViewStore,
    pub(super) view: &'a ViewName,
    pub(super) number: u32,
}

/// The state of a generation that is not live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Built {
    /// It lacks events of the time before it was made.
    Partly,
    /// It is complete, and to be promoted.
    Complete,
    /// Nothing is left to do: it is live, or was; a later one is live; or its definition is one that another program has
    /// replaced, so this program is the older one.
    Done,
}

impl BuiltGeneration<'_> {
    pub(super) async fn look(&self) -> Result<Built> {
        if self.number == 1 {
            return Ok(Built::Done);
        }
        let all = self.views.generations(self.view).await?;
        let Some(own) = all.iter().find(|one| one.number == self.number) else {
            return Ok(Built::Done);
        };
        let is_former = |one: &Generation| own.hash.is_some_and(|own| one.former.contains(&own));
        let is_followed =
            |one: &Generation| one.number > self.number && one.is_live || is_former(one);
        let is_done = own.is_live || own.was_promoted || all.iter().any(is_followed);
        Ok(match (is_done, own.is_complete()) {
            (_, false) => Built::Partly,
            (false, true) => Built::Complete,
            (true, true) => Built::Done,
        })
    }

    /// Makes the generation the live one, as soon as it shows nothing older. Returns true when it is.
    pub(super) async fn promote(&self) -> Result<bool> {
        let is_promoted = self.views.promote(self.view, self.number).await?;
        if is_promoted {
            tracing::info!(view = %self.view, generation = self.number, "the generation is live");
        }
        Ok(is_promoted)
    }
}
