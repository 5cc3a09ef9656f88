//! What the compiler would not find, or not say well.

use syn::Ident;

use super::model::{ByStream, Column, Index, ViewStruct};
use crate::shared::{
    Mistakes,
    serde::{SerdeKey, serde_keys},
};

pub(super) fn validate(view: &ViewStruct, mistakes: &mut Mistakes) {
    if view.event.is_none() {
        let message = "say which events it is folded from: `#[view(event = …)]`";
        mistakes.at(view.ident.span(), message);
    }
    check_names(view, mistakes);
    if let Some(ByStream::Category(category)) = &view.by_stream {
        category.fault("category", "_.").into_iter().for_each(|m| mistakes.add(m));
    }
    serde_keys(&view.attrs).iter().for_each(|key| check_container(view, key, mistakes));
    for (place, column) in view.columns.iter().enumerate() {
        check_column(column, &view.columns[..place], mistakes);
    }
    for (place, index) in view.indexes.iter().enumerate() {
        check_index(view, index, &view.indexes[..place], mistakes);
    }
}

fn check_names(view: &ViewStruct, mistakes: &mut Mistakes) {
    let mut names = vec![&view.name];
    for former in &view.formerly {
        if names.iter().any(|name| name.text == former.text) {
            let message = format!("the view name `{}` is given twice", former.text);
            mistakes.at(former.place, message);
        }
        names.push(former);
    }
    for mistake in names.iter().filter_map(|name| name.identifier_fault("view name")) {
        mistakes.add(mistake);
    }
}

fn check_container(view: &ViewStruct, key: &SerdeKey, mistakes: &mut Mistakes) {
    match key.name.as_str() {
        "default" => {
            let message = "leave this out: a field that a stored row lacks has its default value";
            mistakes.at(key.place, message);
        }
        "rename_all" => {
            let unnamed = view.columns.iter().filter(|column| !column.member.renamed);
            for column in unnamed {
                let message = format!(
                    "a column is named as it is in the row's JSON: give `{}` a \
                     `#[serde(rename = \"…\")]`, which comes before this",
                    column.field
                );
                mistakes.at(key.place, message);
            }
        }
        _ => {}
    }
}

fn check_column(column: &Column, before: &[Column], mistakes: &mut Mistakes) {
    let name = &column.member.name;
    name.identifier_fault("column name").into_iter().for_each(|mistake| mistakes.add(mistake));
    if matches!(name.text.as_str(), "key" | "value") {
        let message = format!(
            "a column can't be called `{}`: every row has one of that name already",
            name.text
        );
        mistakes.at(name.place, message);
    }
    if before.iter().any(|other| other.member.name.text == name.text) {
        mistakes.at(name.place, format!("the column `{}` is there already", name.text));
    }
    if let Some(place) = column.member.absent {
        mistakes.at(place, "with this the row has no such member, and the column would be empty");
    }
    if let (Some(place), None) = (column.member.converted, &column.kind) {
        let message = "with this the field's type doesn't tell the kind of its column: write \
                       `#[view(column = \"…\")]`";
        mistakes.at(place, message);
    }
}

fn check_index(view: &ViewStruct, index: &Index, before: &[Index], mistakes: &mut Mistakes) {
    if index.fields.is_empty() {
        mistakes.at(index.place, "say which columns it has: `index(…)`");
    }
    if before.iter().any(|other| other.fields == index.fields) {
        mistakes.at(index.place, "this index is there already");
    }
    for (place, field) in index.fields.iter().enumerate() {
        if index.fields[..place].contains(field) {
            mistakes.at(field.span(), format!("the column `{field}` is in this index already"));
        } else if view.column(field).is_none() {
            mistakes.at(field.span(), no_column(view, field));
        }
    }
}

fn no_column(view: &ViewStruct, field: &Ident) -> String {
    if view.fields.iter().any(|other| other.ident.as_ref() == Some(field)) {
        return format!("`{field}` is no column: write `#[view(column)]` at the field");
    }
    let columns: Vec<_> = view.columns.iter().map(|c| format!("`{}`", c.field)).collect();
    let known = match columns.join(", ") {
        none if none.is_empty() => "it has none".to_owned(),
        some => format!("it has {some}"),
    };
    format!("`{}` has no column `{field}`; {known}", view.ident)
}
