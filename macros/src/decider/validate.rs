//! What the compiler would not find, or not say well.

use syn::Ident;

use super::model::{Snapshot, State};
use crate::shared::{Keys, Mistakes};

pub(super) fn validate(state: &State, keys: &Keys, mistakes: &mut Mistakes) {
    if state.event.is_none() {
        let attribute = keys.attribute;
        let message = format!("say which events change it: `#[{attribute}(event = …)]`");
        mistakes.at(state.ident.span(), message);
    }
    state.category.fault("category", "_.").into_iter().for_each(|m| mistakes.add(m));
    if let Some(snapshot) = &state.snapshot {
        check_snapshot(state, snapshot, mistakes);
    }
    check_invariants(state, mistakes);
}

fn check_snapshot(state: &State, snapshot: &Snapshot, mistakes: &mut Mistakes) {
    if snapshot.every == 0 && snapshot.bytes == 0 {
        let message = "say when: `snapshot(every = 100)` events, or `snapshot(bytes = 65536)`";
        mistakes.at(snapshot.place, message);
    }
    if state.fields.is_none() {
        let message = "snapshots are taken of a struct: put the enum into a field of one";
        mistakes.at(snapshot.place, message);
    }
}

fn check_invariants(state: &State, mistakes: &mut Mistakes) {
    let mut seen: Vec<&Ident> = Vec::new();
    for invariant in &state.invariants {
        if invariant.statement.value().trim().is_empty() {
            mistakes.at(invariant.statement.span(), "say in words what must hold");
        }
        if seen.contains(&&invariant.name) {
            let message = format!("the invariant `{}` is declared twice", invariant.name);
            mistakes.at(invariant.name.span(), message);
        }
        seen.push(&invariant.name);
    }
}
