//! Reports the errors that the compiler would miss or explain badly.

use syn::Ident;

use super::model::{SnapshotKeys, StateType};
use crate::shared::{AttributeKeys, Diagnostics, serde::refuse_skipped};

const SKIPPED: &str =
    "a state that begins with a snapshot would lack this field: remove this, or take no snapshots";

pub(super) fn validate(state: &StateType, keys: &AttributeKeys, diagnostics: &mut Diagnostics) {
    if state.event.is_none() {
        let attribute = keys.attribute;
        let message = format!("say which events change the state: `#[{attribute}(event = …)]`");
        diagnostics.at(state.ident.span(), message);
    }
    state.category.fault("category", "_.").into_iter().for_each(|m| diagnostics.push(m));
    if let Some(snapshot) = &state.snapshot {
        check_snapshot(state, snapshot, diagnostics);
    }
    check_invariants(state, diagnostics);
}

fn check_snapshot(state: &StateType, snapshot: &SnapshotKeys, diagnostics: &mut Diagnostics) {
    if snapshot.every == 0 && snapshot.bytes == 0 {
        let message = "say when to take a snapshot: `snapshot(every = 100)` events, or `snapshot(bytes = 65536)`";
        diagnostics.at(snapshot.place, message);
    }
    match &state.fields {
        Some(fields) => refuse_skipped(fields, SKIPPED, diagnostics),
        None => {
            let message = "snapshots are taken of a struct: put the enum into a field of one";
            diagnostics.at(snapshot.place, message);
        }
    }
}

fn check_invariants(state: &StateType, diagnostics: &mut Diagnostics) {
    let mut seen: Vec<&Ident> = Vec::new();
    for invariant in &state.invariants {
        if invariant.statement.value().trim().is_empty() {
            diagnostics.at(invariant.statement.span(), "say in words what must hold");
        }
        if seen.contains(&&invariant.name) {
            let message = format!("the invariant `{}` is declared twice", invariant.name);
            diagnostics.at(invariant.name.span(), message);
        }
        seen.push(&invariant.name);
    }
}
