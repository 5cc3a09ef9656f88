//! Reports the errors that the compiler would miss or explain badly.

use quote::ToTokens;
use syn::Member;

use super::model::CommandStruct;
use crate::shared::Diagnostics;

pub(super) fn validate(command: CommandStruct) -> syn::Result<CommandStruct> {
    let mut diagnostics = Diagnostics::default();
    command.name.fault("command name", "_.-").into_iter().for_each(|m| diagnostics.push(m));
    check_target_is_complete(&command, &mut diagnostics);
    if let Some(target) = &command.target {
        check_has_field(&command, target, &mut diagnostics);
    }
    diagnostics.or(command)
}

fn check_target_is_complete(command: &CommandStruct, diagnostics: &mut Diagnostics) {
    match (&command.aggregate, &command.target) {
        (Some(aggregate), None) => {
            let message = "also say which field holds the key of the stream: `target = …`";
            diagnostics.on(aggregate, message);
        }
        (None, Some(target)) => {
            diagnostics
                .on(target, "also say which aggregate the stream belongs to: `aggregate = …`");
        }
        _ => {}
    }
}

fn check_has_field(command: &CommandStruct, target: &Member, diagnostics: &mut Diagnostics) {
    let fields: Vec<Member> = command.fields.members().collect();
    if fields.contains(target) {
        return;
    }
    let shown = |member: &Member| format!("`{}`", member.to_token_stream());
    let known = match fields.iter().map(shown).collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "it has no fields".to_owned(),
        some => format!("it has {some}"),
    };
    let message = format!("`{}` has no field {}; {known}", command.ident, shown(target));
    diagnostics.on(target, message);
}
