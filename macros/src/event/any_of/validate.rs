//! Reports the errors that the compiler would miss or explain badly.

use super::model::{Union, UnionVariant};
use crate::shared::Diagnostics;

pub(super) fn validate(union: &Union, diagnostics: &mut Diagnostics) {
    if union.variants.is_empty() && diagnostics.is_empty() {
        diagnostics.at(union.ident.span(), "an event needs at least one variant");
    }
    union.variants.iter().for_each(|variant| check_wraps_one(variant, diagnostics));
}

fn check_wraps_one(variant: &UnionVariant, diagnostics: &mut Diagnostics) {
    if variant.event.is_none() {
        let name = &variant.ident;
        let message = format!("`{name}` must wrap one event: write `{name}(…)` with its type");
        diagnostics.at(name.span(), message);
    }
}
