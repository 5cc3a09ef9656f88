//! Reads the type and its attributes.

use syn::{
    Attribute, Data, DeriveInput, Fields, Ident, LitStr, Token,
    meta::ParseNestedMeta,
    parse::{Parse, ParseStream},
    spanned::Spanned,
};

use super::model::{Invariant, Snapshot, State};
use crate::shared::{Keys, Mistakes, Name, keys, refuse_generics, refuse_misplaced};

pub(super) const ON_AGGREGATE: Keys = Keys {
    attribute: "aggregate",
    place: "on a struct",
    allowed: &["event", "category", "services", "snapshot"],
    repeatable: &[],
};
pub(super) const ON_DECIDER: Keys = Keys {
    attribute: "decider",
    place: "on a struct",
    allowed: &["event", "services"],
    repeatable: &[],
};
const IN_SNAPSHOT: [&str; 3] = ["every", "bytes", "version"];

pub(super) fn parse(input: DeriveInput, keys: &Keys, mistakes: &mut Mistakes) -> State {
    refuse_generics(&input, "state that is folded from events", mistakes);
    let category = Name::from_ident(&input.ident);
    let fields = fields(input.data, &input.ident, keys, mistakes);
    let mut state = State {
        ident: input.ident,
        event: None,
        services: None,
        invariants: invariants(&input.attrs, mistakes),
        category,
        snapshot: None,
        fields,
        attrs: Vec::new(),
    };
    keys.read(&input.attrs, mistakes, |key, meta| read_key(&mut state, key, meta));
    state.attrs = input.attrs;
    state
}

fn fields(data: Data, ident: &Ident, keys: &Keys, mistakes: &mut Mistakes) -> Option<Fields> {
    let ours = [keys.attribute, "invariant"];
    match data {
        Data::Struct(data) => {
            refuse_misplaced(&data.fields, &ours, mistakes);
            Some(data.fields)
        }
        Data::Enum(data) => {
            data.variants.iter().for_each(|v| refuse_misplaced(&v.fields, &ours, mistakes));
            None
        }
        Data::Union(_) => {
            mistakes.at(ident.span(), "the state is a struct or an enum, not a union");
            None
        }
    }
}

fn read_key(state: &mut State, key: &str, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    match key {
        "event" => state.event = Some(keys::value(meta)?),
        "services" => state.services = Some(keys::value(meta)?),
        "category" => state.category = Name::written(&keys::text(meta)?),
        _ => state.snapshot = Some(snapshot(meta)?),
    }
    Ok(())
}

fn snapshot(meta: &ParseNestedMeta<'_>) -> syn::Result<Snapshot> {
    let mut snapshot = Snapshot { every: 0, bytes: 0, version: 1, place: meta.path.span() };
    let mut seen = Vec::new();
    meta.parse_nested_meta(|meta| {
        match keys::one_of("`snapshot(…)`", &IN_SNAPSHOT, &meta.path, &mut seen)? {
            "every" => snapshot.every = positive(&meta)?,
            "bytes" => snapshot.bytes = positive(&meta)?,
            _ => snapshot.version = positive(&meta)?,
        }
        Ok(())
    })?;
    Ok(snapshot)
}

/// Zero would silently mean *never*, or a version that doesn't exist.
fn positive<N>(meta: &ParseNestedMeta<'_>) -> syn::Result<N>
where
    N: std::str::FromStr + From<u8> + PartialEq,
    N::Err: std::fmt::Display,
{
    let (number, literal) = keys::number::<N>(meta)?;
    if number == N::from(0) {
        return Err(syn::Error::new(literal.span(), "this must be at least 1"));
    }
    Ok(number)
}

fn invariants(attrs: &[Attribute], mistakes: &mut Mistakes) -> Vec<Invariant> {
    let ours = attrs.iter().filter(|attr| attr.path().is_ident("invariant"));
    ours.filter_map(|attr| {
        let invariant = attr.parse_args().map_err(|_| {
            let right =
                "write `#[invariant(name, \"what must hold\")]`; the function `name` checks it";
            syn::Error::new_spanned(attr, right)
        });
        mistakes.take(invariant)
    })
    .collect()
}

impl Parse for Invariant {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name: Ident = input.parse()?;
        input.parse::<Token![,]>()?;
        let statement: LitStr = input.parse()?;
        input.parse::<Option<Token![,]>>()?;
        Ok(Self { name, statement })
    }
}
