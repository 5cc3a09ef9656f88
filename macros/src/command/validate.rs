//! What the compiler would not find, or not say well.

use quote::ToTokens;
use syn::Member;

use super::model::CommandStruct;
use crate::shared::Mistakes;

pub(super) fn validate(command: CommandStruct) -> syn::Result<CommandStruct> {
    let mut mistakes = Mistakes::default();
    command.name.fault("command name", "_.-").into_iter().for_each(|m| mistakes.add(m));
    check_is_targeted_wholly(&command, &mut mistakes);
    if let Some(target) = &command.target {
        check_has_field(&command, target, &mut mistakes);
    }
    mistakes.or(command)
}

fn check_is_targeted_wholly(command: &CommandStruct, mistakes: &mut Mistakes) {
    match (&command.aggregate, &command.target) {
        (Some(aggregate), None) => {
            let message = "say also which field names the stream: `target = …`";
            mistakes.on(aggregate, message);
        }
        (None, Some(target)) => {
            mistakes.on(target, "say also whose stream it names: `aggregate = …`");
        }
        _ => {}
    }
}

fn check_has_field(command: &CommandStruct, target: &Member, mistakes: &mut Mistakes) {
    let fields: Vec<Member> = command.fields.members().collect();
    if fields.contains(target) {
        return;
    }
    let shown = |member: &Member| format!("`{}`", member.to_token_stream());
    let known = match fields.iter().map(shown).collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "it has none".to_owned(),
        some => format!("it has {some}"),
    };
    let message = format!("`{}` has no field {}; {known}", command.ident, shown(target));
    mistakes.on(target, message);
}
