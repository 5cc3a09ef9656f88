//! Reads the struct and its attributes.

use syn::{
    Data, DeriveInput, Field, Fields, Ident, LitStr, Token, meta::ParseNestedMeta, spanned::Spanned,
};

use super::{
    json_field::JsonField,
    model::{ByStream, ColumnField, IndexFields, ViewStruct},
};
use crate::shared::{AttributeKeys, Diagnostics, Name, keys, refuse_generics};

const ON_STRUCT: AttributeKeys = AttributeKeys {
    attribute: "view",
    place: "on a struct",
    allowed: &["event", "name", "formerly", "version", "by_stream", "index"],
    repeatable: &["index"],
};
const ON_FIELD: AttributeKeys =
    AttributeKeys { attribute: "view", place: "on a field", allowed: &["column"], repeatable: &[] };

/// The values of `column = "…"`, and the variant of `ColumnKind` for each.
const KINDS: [(&str, &str); 4] =
    [("text", "Text"), ("integer", "Integer"), ("real", "Real"), ("boolean", "Boolean")];

pub(super) fn parse(input: DeriveInput, diagnostics: &mut Diagnostics) -> ViewStruct {
    refuse_generics(&input, "a view", diagnostics);
    let fields = fields(input.data, &input.ident, diagnostics);
    let mut view = ViewStruct {
        name: Name::from_ident(&input.ident),
        ident: input.ident,
        event: None,
        formerly: Vec::new(),
        version: None,
        by_stream: None,
        columns: columns(&fields, diagnostics),
        indexes: Vec::new(),
        fields,
        attrs: Vec::new(),
    };
    ON_STRUCT.read(&input.attrs, diagnostics, |key, meta| read_key(&mut view, key, meta));
    view.attrs = input.attrs;
    view
}

fn fields(data: Data, ident: &Ident, diagnostics: &mut Diagnostics) -> Fields {
    let Data::Struct(data) = data else {
        let message = "`#[derive(View)]` is for a struct: its fields are what a row holds";
        diagnostics.at(ident.span(), message);
        return Fields::Unit;
    };
    data.fields
}

fn read_key(view: &mut ViewStruct, key: &str, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    match key {
        "event" => view.event = Some(keys::value(meta)?),
        "name" => view.name = Name::written(&keys::text(meta)?),
        "formerly" => {
            view.formerly = keys::list::<LitStr>(meta)?.iter().map(Name::written).collect();
        }
        "version" => view.version = Some(version(meta)?),
        "by_stream" => view.by_stream = Some(by_stream(meta)?),
        _ => view.indexes.push(IndexFields { fields: keys::list(meta)?, place: meta.path.span() }),
    }
    Ok(())
}

fn version(meta: &ParseNestedMeta<'_>) -> syn::Result<u32> {
    let (number, literal) = keys::number(meta)?;
    match number {
        0 => Err(syn::Error::new(literal.span(), "versions of a view begin at 1")),
        number => Ok(number),
    }
}

fn by_stream(meta: &ParseNestedMeta<'_>) -> syn::Result<ByStream> {
    let value = meta.value()?;
    Ok(match value.peek(LitStr) {
        true => ByStream::Category(Name::written(&value.parse()?)),
        false => ByStream::Aggregate(value.parse()?),
    })
}

fn columns(fields: &Fields, diagnostics: &mut Diagnostics) -> Vec<ColumnField> {
    let mut columns = Vec::new();
    for field in fields {
        ON_FIELD.read(&field.attrs, diagnostics, |_, meta| {
            columns.push(column(field, meta)?);
            Ok(())
        });
    }
    columns
}

fn column(field: &Field, meta: &ParseNestedMeta<'_>) -> syn::Result<ColumnField> {
    let place = meta.path.span();
    let ty = field.ty.clone();
    let kind = meta.input.peek(Token![=]).then(|| kind(&keys::text(meta)?)).transpose()?;
    let Some(ident) = field.ident.clone() else {
        let message = "a column is named after its field, and this field has no name";
        return Err(syn::Error::new(place, message));
    };
    let json = JsonField::of(&ident, &field.attrs);
    Ok(ColumnField { field: ident, ty, kind, json })
}

fn kind(literal: &LitStr) -> syn::Result<Ident> {
    let written = literal.value();
    let Some((_, kind)) = KINDS.iter().find(|(name, _)| *name == written) else {
        let kinds = KINDS.map(|(name, _)| format!("\"{name}\"")).join(", ");
        let message = format!("unknown kind of column {written:?}: use one of {kinds}");
        return Err(syn::Error::new(literal.span(), message));
    };
    Ok(Ident::new(kind, literal.span()))
}
