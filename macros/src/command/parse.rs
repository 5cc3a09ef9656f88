//! Reads the struct and its attributes.

use syn::{Attribute, Data, DeriveInput, Fields};

use super::model::CommandStruct;
use crate::shared::{AttributeKeys, Diagnostics, Name, keys, refuse_generics, refuse_misplaced};

const ON_STRUCT: AttributeKeys = AttributeKeys {
    attribute: "command",
    place: "on a struct",
    allowed: &["name", "aggregate", "target"],
    repeatable: &[],
};

pub(super) fn parse(input: DeriveInput) -> syn::Result<CommandStruct> {
    let mut diagnostics = Diagnostics::default();
    refuse_generics(&input, "a command", &mut diagnostics);
    let fields = fields(input.data, &input.ident, &mut diagnostics);
    let name = Name::from_ident(&input.ident);
    let mut command = CommandStruct {
        ident: input.ident,
        name,
        aggregate: None,
        target: None,
        fields,
        attrs: Vec::new(),
    };
    read_keys(&input.attrs, &mut command, &mut diagnostics);
    command.attrs = input.attrs;
    diagnostics.or(command)
}

fn fields(data: Data, ident: &syn::Ident, diagnostics: &mut Diagnostics) -> Fields {
    let Data::Struct(data) = data else {
        let message = "`#[derive(Command)]` is for a struct: write one struct for each command";
        diagnostics.at(ident.span(), message);
        return Fields::Unit;
    };
    refuse_misplaced(&data.fields, &["command"], diagnostics);
    data.fields
}

fn read_keys(attrs: &[Attribute], command: &mut CommandStruct, diagnostics: &mut Diagnostics) {
    ON_STRUCT.read(attrs, diagnostics, |key, meta| {
        match key {
            "name" => command.name = Name::written(&keys::text(meta)?),
            "aggregate" => command.aggregate = Some(keys::value(meta)?),
            _ => command.target = Some(keys::value(meta)?),
        }
        Ok(())
    });
}
