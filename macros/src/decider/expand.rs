//! Writes the implementation of `Decider`.

use proc_macro2::TokenStream;
use syn::{Type, ext::IdentExt};

use super::model::{InvariantAttribute, StateType};
use crate::shared::{Root, hygienic, hygienic_at};

/// Writes the implementation, with `others` beside it.
pub(super) fn expand(
    root: &Root,
    state: &StateType,
    event: &Type,
    others: &TokenStream,
) -> TokenStream {
    let ident = &state.ident;
    let services = services(state);
    let user_code = user_code(root, state);
    hygienic! {
        #[allow(dead_code, deprecated, non_camel_case_types, reason = "generated")]
        const _: () = {
            #user_code

            impl #root::Own for __user::Types {
                type State = #ident;
                type Event = #event;
            }

            #[automatically_derived]
            impl #root::Decider for #ident {
                type Event = #event;
                type Services = #services;
                const INVARIANTS: &'static [#root::Invariant<Self>] = __user::INVARIANTS;

                fn apply(&mut self, event: &#event) {
                    __user::APPLY(self, event)
                }
            }

            #others
        };
    }
}

/// Writes a module with only one trait in scope, the stub for a missing `apply`. So `State::apply` can only be
/// the user's function, and never a recursive `Decider::apply`.
fn user_code(root: &Root, state: &StateType) -> TokenStream {
    let apply = hygienic_at!(state.ident.span()=> State::apply);
    let invariants = state.invariants.iter().map(|one| invariant(root, one));
    hygienic! {
        mod __user {
            use #root::MissingApply as _;

            pub(super) struct Types;
            type State = <Types as #root::Own>::State;
            type Event = <Types as #root::Own>::Event;

            pub(super) const APPLY: fn(&mut State, &Event) = #apply;
            pub(super) const INVARIANTS: &[#root::Invariant<State>] = &[#(#invariants),*];
        }
    }
}

fn invariant(
    root: &Root,
    InvariantAttribute { name, statement }: &InvariantAttribute,
) -> TokenStream {
    let text = name.unraw().to_string();
    let holds = hygienic_at!(name.span()=> State::#name(state));
    hygienic! {
        #root::Invariant {
            name: #text,
            statement: #statement,
            check: |state| #root::IntoCheck::into_check(#holds),
        }
    }
}

fn services(state: &StateType) -> TokenStream {
    let services = state.services.as_ref();
    services.map_or_else(|| hygienic!(()), |services| hygienic!(#services))
}

/// Writes a placeholder implementation after an error, so that the compiler reports only that error.
pub(super) fn stub(root: &Root, state: &StateType, event: &Type) -> TokenStream {
    let ident = &state.ident;
    let services = services(state);
    hygienic! {
        impl #root::Decider for #ident {
            type Event = #event;
            type Services = #services;
            const INVARIANTS: &'static [#root::Invariant<Self>] = &[];
            fn apply(&mut self, _: &#event) { loop {} }
        }
    }
}
