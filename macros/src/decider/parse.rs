//! Reads the type and its attributes.

use syn::{
    Attribute, Data, DeriveInput, Fields, Ident, LitStr, Token,
    meta::ParseNestedMeta,
    parse::{Parse, ParseStream},
    spanned::Spanned,
};

use super::model::{InvariantAttribute, SnapshotKeys, StateType};
use crate::shared::{AttributeKeys, Diagnostics, Name, keys, refuse_generics, refuse_misplaced};

pub(super) const ON_AGGREGATE: AttributeKeys = AttributeKeys {
    attribute: "aggregate",
    place: "on a struct",
    allowed: &["event", "category", "services", "snapshot"],
    repeatable: &[],
};
pub(super) const ON_DECIDER: AttributeKeys = AttributeKeys {
    attribute: "decider",
    place: "on a struct",
    allowed: &["event", "services"],
    repeatable: &[],
};
const IN_SNAPSHOT: [&str; 3] = ["every", "bytes", "version"];

pub(super) fn parse(
    input: DeriveInput,
    keys: &AttributeKeys,
    diagnostics: &mut Diagnostics,
) -> StateType {
    refuse_generics(&input, "state that is folded from events", diagnostics);
    let category = Name::from_ident(&input.ident);
    let fields = fields(input.data, &input.ident, keys, diagnostics);
    let mut state = StateType {
        ident: input.ident,
        event: None,
        services: None,
        invariants: invariants(&input.attrs, diagnostics),
        category,
        snapshot: None,
        fields,
        attrs: Vec::new(),
    };
    keys.read(&input.attrs, diagnostics, |key, meta| read_key(&mut state, key, meta));
    state.attrs = input.attrs;
    state
}

fn fields(
    data: Data,
    ident: &Ident,
    keys: &AttributeKeys,
    diagnostics: &mut Diagnostics,
) -> Option<Fields> {
    let own_attributes = [keys.attribute, "invariant"];
    match data {
        Data::Struct(data) => {
            refuse_misplaced(&data.fields, &own_attributes, diagnostics);
            Some(data.fields)
        }
        Data::Enum(data) => {
            data.variants
                .iter()
                .for_each(|v| refuse_misplaced(&v.fields, &own_attributes, diagnostics));
            None
        }
        Data::Union(_) => {
            diagnostics.at(ident.span(), "the state is a struct or an enum, not a union");
            None
        }
    }
}

fn read_key(state: &mut StateType, key: &str, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    match key {
        "event" => state.event = Some(keys::value(meta)?),
        "services" => state.services = Some(keys::value(meta)?),
        "category" => state.category = Name::written(&keys::text(meta)?),
        _ => state.snapshot = Some(snapshot(meta)?),
    }
    Ok(())
}

fn snapshot(meta: &ParseNestedMeta<'_>) -> syn::Result<SnapshotKeys> {
    let mut snapshot = SnapshotKeys { every: 0, bytes: 0, version: 1, place: meta.path.span() };
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

/// Reads a number from 1 up. Zero would silently mean *never*, or a version that doesn't exist.
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

fn invariants(attrs: &[Attribute], diagnostics: &mut Diagnostics) -> Vec<InvariantAttribute> {
    let ours = attrs.iter().filter(|attr| attr.path().is_ident("invariant"));
    ours.filter_map(|attr| {
        let invariant = attr.parse_args().map_err(|_| {
            let right =
                "write `#[invariant(name, \"what must hold\")]`; the function `name` checks it";
            syn::Error::new_spanned(attr, right)
        });
        diagnostics.ok(invariant)
    })
    .collect()
}

impl Parse for InvariantAttribute {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name: Ident = input.parse()?;
        input.parse::<Token![,]>()?;
        let statement: LitStr = input.parse()?;
        input.parse::<Option<Token![,]>>()?;
        Ok(Self { name, statement })
    }
}
