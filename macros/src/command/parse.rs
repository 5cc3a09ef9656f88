//! Reads the struct and its attributes.

use syn::{Attribute, Data, DeriveInput, Fields};

use super::model::CommandStruct;
use crate::shared::{Keys, Mistakes, Name, keys, refuse_generics, refuse_misplaced};

const ON_STRUCT: Keys = Keys {
    attribute: "command",
    place: "on a struct",
    allowed: &["name", "aggregate", "target"],
    repeatable: &[],
};

pub(super) fn parse(input: DeriveInput) -> syn::Result<CommandStruct> {
    let mut mistakes = Mistakes::default();
    refuse_generics(&input, "a command", &mut mistakes);
    let fields = fields(input.data, &input.ident, &mut mistakes);
    let name = Name::from_ident(&input.ident);
    let mut command = CommandStruct {
        ident: input.ident,
        name,
        aggregate: None,
        target: None,
        fields,
        attrs: Vec::new(),
    };
    read_keys(&input.attrs, &mut command, &mut mistakes);
    command.attrs = input.attrs;
    mistakes.or(command)
}

fn fields(data: Data, ident: &syn::Ident, mistakes: &mut Mistakes) -> Fields {
    let Data::Struct(data) = data else {
        let message = "`#[derive(Command)]` is for a struct: write one struct for each command";
        mistakes.at(ident.span(), message);
        return Fields::Unit;
    };
    refuse_misplaced(&data.fields, &["command"], mistakes);
    data.fields
}

fn read_keys(attrs: &[Attribute], command: &mut CommandStruct, mistakes: &mut Mistakes) {
    ON_STRUCT.read(attrs, mistakes, |key, meta| {
        match key {
            "name" => command.name = Name::written(&keys::text(meta)?),
            "aggregate" => command.aggregate = Some(keys::value(meta)?),
            _ => command.target = Some(keys::value(meta)?),
        }
        Ok(())
    });
}
