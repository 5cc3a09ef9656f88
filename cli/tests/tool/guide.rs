//! The page of the guide: its outputs are those of the tool.

use std::{env, fs, path::Path};

use clap::CommandFactory as _;
use highwater::{domain::ViewSpec, prelude::*};
use highwater_cli::{Tool, ToolOutcome};
use highwater_test_support::bank::{Balance, Bank};

use crate::{
    deposit, run,
    views::{at, name, park, queue, spec},
};

/// Writes the page anew instead of comparing it.
const WRITE: &str = "HIGHWATER_WRITE_GUIDE";

/// The store of the page: a view that is being rebuilt, one with a parked key, one that has stopped, and a relay.
async fn example(app: &Highwater) {
    for cents in [8_000, 1_500, -2_500, 4_000] {
        deposit(app, "alice", cents).await;
        deposit(app, "bob", cents / 10).await;
    }
    let worker = Worker::new(app).view::<Balance>().start().await.unwrap();
    follow_to(app, "balances", 8).await;
    worker.stop().await.unwrap();
    at(app, &spec("balances", 2, 8), 5).await;
    let mut persons = at(app, &spec("persons", 1, 0), 2).await;
    let error = "HW506: view persons can't apply event 3 of type account.deposited: no such person";
    persons.move_to(8, vec![park("alice", 3, error), queue("alice", 5), queue("alice", 7)]).await;
    at(app, &ViewSpec::without_rows(name("relay_log")), 8).await;
    let totals = at(app, &spec("totals", 1, 0), 6).await;
    totals.stop("HW506: view totals can't apply event 7 of type account.deposited: overflow").await;
}

/// Waits until a view has every event up to a position.
pub(crate) async fn follow_to(app: &Highwater, view: &str, position: u64) {
    let view = name(view);
    loop {
        let state = app.views().read_view(&view, &[]).await.unwrap().state;
        if state.least().position.get() >= position {
            return;
        }
        app.views().wait_for_view_change(&view, &state).await.unwrap();
    }
}

/// Returns the page with the output of each command as it is today.
async fn with_outputs(app: &Highwater, page: &str) -> String {
    let mut written = String::new();
    let mut is_output = false;
    for line in page.lines() {
        let command = line.strip_prefix("$ highwater ");
        is_output = is_output && command.is_none() && line != "```";
        if is_output {
            continue;
        }
        written.push_str(line);
        written.push('\n');
        if let Some(command) = command {
            is_output = true;
            written.push_str(&output_of(app, command).await);
        }
    }
    written
}

async fn output_of(app: &Highwater, command: &str) -> String {
    let arguments: Vec<_> = command.split_whitespace().collect();
    let (ended, mut output) = run(app, &arguments).await;
    match ended {
        Ok(ToolOutcome::Done | ToolOutcome::Findings(_)) => {}
        Ok(ToolOutcome::NotDone(reason)) => output.push_str(&format!("{reason}\n")),
        Err(failure) => panic!("{command}: {failure}"),
    }
    output
}

/// Replaces what differs from run to run: times of the store, and ids.
fn masked(page: &str) -> String {
    let is_time = |token: &str| token.parse::<Timestamp>().is_ok();
    let is_id = |token: &str| token.len() == 36 && token.matches('-').count() == 4;
    let mask = |token| {
        if is_time(token) {
            "TIME"
        } else if is_id(token) {
            "ID"
        } else {
            token
        }
    };
    page.split([' ', '"']).map(|token| mask(token.trim_end())).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn cli_the_outputs_of_the_guide_are_those_of_the_tool() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/tool.md");
    let page = fs::read_to_string(&file).unwrap();
    let bank = Bank::Sqlite(tempfile::tempdir().unwrap().into());
    let app = bank.open().await;
    example(&app).await;
    let written = with_outputs(&app, &page).await;
    if env::var_os(WRITE).is_some() {
        return fs::write(&file, &written).unwrap();
    }
    for (is, should) in page.lines().zip(written.lines()) {
        assert_eq!(masked(is), masked(should), "{WRITE}=1 writes the page anew");
    }
    assert_eq!(page.lines().count(), written.lines().count(), "{WRITE}=1 writes the page anew");
    assert!(page.matches("$ highwater ").count() > 9);
}

/// The verbs of the tool, with those of `parked`.
#[test]
fn cli_the_guide_has_every_verb_and_every_option() {
    let page = include_str!("../../../docs/guide/tool.md");
    let tool = Tool::command();
    let below = tool.get_subcommands().flat_map(clap::Command::get_subcommands);
    for verb in tool.get_subcommands().chain(below) {
        assert!(page.contains(verb.get_name()), "{}", verb.get_name());
        for option in verb.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(page.contains(&format!("--{option}")), "{option} of {}", verb.get_name());
        }
    }
}

#[test]
fn cli_the_help_of_every_verb_fits_80_columns() {
    let mut tool = Tool::command();
    tool.build();
    let below = tool.get_subcommands().flat_map(clap::Command::get_subcommands);
    for command in [&tool].into_iter().chain(tool.get_subcommands()).chain(below) {
        let help = command.clone().render_help().to_string();
        let wide = help.lines().find(|line| line.chars().count() > 80);
        assert_eq!(wide, None, "{}", command.get_name());
    }
}
