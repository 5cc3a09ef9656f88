//! Writes the implementation of `Decider`.

use proc_macro2::TokenStream;
use syn::{Type, ext::IdentExt};

use super::model::{Invariant, State};
use crate::shared::{Root, hygienic, hygienic_at};

/// The implementation, with `others` beside it.
pub(super) fn expand(
    root: &Root,
    state: &State,
    event: &Type,
    others: &TokenStream,
) -> TokenStream {
    let (ident, services, own) = (&state.ident, services(state), own(root, state));
    hygienic! {
        #[allow(dead_code, deprecated, non_camel_case_types, reason = "generated")]
        const _: () = {
            #own

            impl #root::Own for __own::Own {
                type State = #ident;
                type Event = #event;
            }

            #[automatically_derived]
            impl #root::Decider for #ident {
                type Event = #event;
                type Services = #services;
                const INVARIANTS: &'static [#root::Invariant<Self>] = __own::INVARIANTS;

                fn apply(&mut self, event: &#event) {
                    __own::APPLY(self, event)
                }
            }

            #others
        };
    }
}

/// A module in which no trait is in scope but one that stands in for a missing `apply`. So
/// `State::apply` can only be the user's own function, and never `Decider::apply` calling itself.
fn own(root: &Root, state: &State) -> TokenStream {
    let apply = hygienic_at!(state.ident.span()=> State::apply);
    let invariants = state.invariants.iter().map(|one| invariant(root, one));
    hygienic! {
        mod __own {
            use #root::MissingApply as _;

            pub(super) struct Own;
            type State = <Own as #root::Own>::State;
            type Event = <Own as #root::Own>::Event;

            pub(super) const APPLY: fn(&mut State, &Event) = #apply;
            pub(super) const INVARIANTS: &[#root::Invariant<State>] = &[#(#invariants),*];
        }
    }
}

fn invariant(root: &Root, Invariant { name, statement }: &Invariant) -> TokenStream {
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

fn services(state: &State) -> TokenStream {
    let services = state.services.as_ref();
    services.map_or_else(|| hygienic!(()), |services| hygienic!(#services))
}

/// What stands in for the implementation after a mistake, so that the mistake is all that is said.
pub(super) fn stub(root: &Root, state: &State, event: &Type) -> TokenStream {
    let (ident, services) = (&state.ident, services(state));
    hygienic! {
        impl #root::Decider for #ident {
            type Event = #event;
            type Services = #services;
            const INVARIANTS: &'static [#root::Invariant<Self>] = &[];
            fn apply(&mut self, _: &#event) { loop {} }
        }
    }
}
