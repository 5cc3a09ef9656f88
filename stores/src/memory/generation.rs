//! Generations of views (R5).

use std::collections::BTreeSet;

use highwater_core::{Result, domain::ViewName, port::Generation};
use jiff::Timestamp;

use super::view::{MemoryView, MemoryViews};
use crate::fencing::{may_promote, view_missing};

impl MemoryView {
    fn as_generation(&self, name: &ViewName, removed_through: u32) -> Generation {
        Generation {
            number: self.generation.number,
            view: name.clone(),
            hash: self.definition_hash(),
            definition: self.definition.as_ref().map(|stored| stored.definition.clone()),
            is_live: self.is_live,
            complete_at: self.generation.complete_at,
            position: self.state().least().position,
            created_at: self.created_at,
            was_promoted: self.was_promoted,
            former: self.former.clone(),
            removed_through,
        }
    }
}

impl MemoryViews {
    pub(super) fn names(&self) -> Vec<ViewName> {
        let names: BTreeSet<_> = self.all().map(|view| view.generation_of.clone()).collect();
        names.into_iter().collect()
    }

    pub(super) fn generations(&self, view: &ViewName) -> Vec<Generation> {
        let removed = self.removed_through(view);
        let listed = |(name, one): (&ViewName, &MemoryView)| one.as_generation(name, removed);
        let mut found: Vec<_> = self.of_view(view).map(listed).collect();
        found.sort_unstable_by_key(|generation| generation.number);
        found
    }

    pub(super) fn promote(&mut self, view: &ViewName, generation: u32) -> Result<bool> {
        let name = view.of_generation(generation);
        let new = self.of_number(view, generation)?;
        if new.is_live {
            return Ok(true);
        }
        let live = self.of_view(view).find(|(_, other)| other.is_live);
        let live = live.map(|(_, live)| live.held()).unwrap_or_default();
        if !may_promote(new.generation.complete_at, &new.held(), &live) {
            return Ok(false);
        }
        for (other, generation) in self.of_view_mut(view) {
            generation.is_live = *other == name;
            generation.was_promoted |= generation.is_live;
        }
        Ok(true)
    }

    pub(super) fn remove_generation(
        &mut self,
        view: &ViewName,
        generation: u32,
        now: Timestamp,
    ) -> Result<bool> {
        let found = self.of_number(view, generation)?;
        if found.is_live || found.has_workers(now) {
            return Ok(false);
        }
        self.remove(view, generation);
        Ok(true)
    }

    fn of_number(&self, view: &ViewName, generation: u32) -> Result<&MemoryView> {
        let name = view.of_generation(generation);
        let found = self.get(&name)?;
        if found.generation_of == *view { Ok(found) } else { Err(view_missing(&name)) }
    }
}
