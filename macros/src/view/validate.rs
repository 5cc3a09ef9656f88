//! Reports the errors that the compiler would miss or explain badly.

use syn::Ident;

use super::model::{ByStream, ColumnField, IndexFields, ViewStruct};
use crate::shared::{
    Diagnostics,
    serde::{SerdeKey, refuse_skipped, serde_keys},
};

const SKIPPED: &str =
    "a row is folded on from what is stored, and would lack this field: remove this";

pub(super) fn validate(view: &ViewStruct, diagnostics: &mut Diagnostics) {
    if view.event.is_none() {
        let message = "say which events the rows are folded from: `#[view(event = …)]`";
        diagnostics.at(view.ident.span(), message);
    }
    check_names(view, diagnostics);
    if let Some(ByStream::Category(category)) = &view.by_stream {
        category.fault("category", "_.").into_iter().for_each(|m| diagnostics.push(m));
    }
    serde_keys(&view.attrs).iter().for_each(|key| check_container(view, key, diagnostics));
    refuse_skipped(&view.fields, SKIPPED, diagnostics);
    for (place, column) in view.columns.iter().enumerate() {
        check_column(column, &view.columns[..place], diagnostics);
    }
    for (place, index) in view.indexes.iter().enumerate() {
        check_index(view, index, &view.indexes[..place], diagnostics);
    }
}

fn check_names(view: &ViewStruct, diagnostics: &mut Diagnostics) {
    let mut names = vec![&view.name];
    for former in &view.formerly {
        if names.iter().any(|name| name.text == former.text) {
            let message = format!("the view name `{}` is given twice", former.text);
            diagnostics.at(former.place, message);
        }
        names.push(former);
    }
    for error in names.iter().filter_map(|name| name.identifier_fault("view name")) {
        diagnostics.push(error);
    }
    for name in names.iter().filter(|name| is_of_generation(&name.text)) {
        let message =
            "`__` and digits at the end of a view's name are reserved for its generations";
        diagnostics.at(name.place, message);
    }
}

fn is_of_generation(name: &str) -> bool {
    let end = name.rsplit_once("__").map(|(_, end)| end);
    end.is_some_and(|end| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit()))
}

fn check_container(view: &ViewStruct, key: &SerdeKey, diagnostics: &mut Diagnostics) {
    match key.name.as_str() {
        "default" => {
            let message = "remove this: a field that a stored row lacks has its default value";
            diagnostics.at(key.place, message);
        }
        "rename_all" => {
            let unnamed = view.columns.iter().filter(|column| !column.json.renamed);
            for column in unnamed {
                let message = format!(
                    "a column is named as it is in the row's JSON: give `{}` a \
                     `#[serde(rename = \"…\")]`, which overrides this",
                    column.field
                );
                diagnostics.at(key.place, message);
            }
        }
        _ => {}
    }
}

fn check_column(column: &ColumnField, before: &[ColumnField], diagnostics: &mut Diagnostics) {
    let name = &column.json.name;
    name.identifier_fault("column name").into_iter().for_each(|error| diagnostics.push(error));
    if matches!(name.text.as_str(), "key" | "value") {
        let message = format!(
            "a column can't be named `{}`: every row already has a column of that name",
            name.text
        );
        diagnostics.at(name.place, message);
    }
    if before.iter().any(|other| other.json.name.text == name.text) {
        diagnostics.at(name.place, format!("the column `{}` is declared twice", name.text));
    }
    if let Some(place) = column.json.absent {
        diagnostics
            .at(place, "this leaves the field out of the row's JSON, so the column would be empty");
    }
    if let (Some(place), None) = (column.json.converted, &column.kind) {
        let message = "this changes the JSON of the field, so state the kind of its column: \
                       `#[view(column = \"…\")]`";
        diagnostics.at(place, message);
    }
}

fn check_index(
    view: &ViewStruct,
    index: &IndexFields,
    before: &[IndexFields],
    diagnostics: &mut Diagnostics,
) {
    if index.fields.is_empty() {
        diagnostics.at(index.place, "say which columns the index has: `index(…)`");
    }
    if before.iter().any(|other| other.fields == index.fields) {
        diagnostics.at(index.place, "this index is declared twice");
    }
    for (place, field) in index.fields.iter().enumerate() {
        if index.fields[..place].contains(field) {
            diagnostics.at(field.span(), format!("the column `{field}` is in this index twice"));
        } else if view.column(field).is_none() {
            diagnostics.at(field.span(), no_column(view, field));
        }
    }
}

fn no_column(view: &ViewStruct, field: &Ident) -> String {
    if view.fields.iter().any(|other| other.ident.as_ref() == Some(field)) {
        return format!("`{field}` is not a column: write `#[view(column)]` at the field");
    }
    let columns: Vec<_> = view.columns.iter().map(|c| format!("`{}`", c.field)).collect();
    let known = match columns.join(", ") {
        none if none.is_empty() => "it has no columns".to_owned(),
        some => format!("it has {some}"),
    };
    format!("`{}` has no column `{field}`; {known}", view.ident)
}
