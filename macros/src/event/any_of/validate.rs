//! What the compiler would not find, or not say well.

use super::model::{Member, Union};
use crate::shared::Mistakes;

pub(super) fn validate(union: &Union, mistakes: &mut Mistakes) {
    if union.members.is_empty() && mistakes.are_none() {
        mistakes.at(union.ident.span(), "an event needs at least one variant");
    }
    union.members.iter().for_each(|member| check_wraps_one(member, mistakes));
}

fn check_wraps_one(member: &Member, mistakes: &mut Mistakes) {
    if member.event.is_none() {
        let name = &member.ident;
        let message = format!("`{name}` must wrap one event: write `{name}(…)` with its type");
        mistakes.at(name.span(), message);
    }
}
