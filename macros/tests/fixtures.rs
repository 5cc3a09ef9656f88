//! Payloads as earlier releases have stored them. A file is never changed and never removed: what
//! is in a log stays readable.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

mod common;

use std::{fs, path::Path};

use common::decoded;
use highwater_core::Upcast;
use highwater_macros::Event;
use serde::Deserialize;

#[derive(Debug, PartialEq, Event)]
#[event(prefix = "account", retired("account.frozen"))]
enum AccountEvent {
    #[event(version = 3, upcast(OpenedV1, OpenedV2), formerly("account.created"))]
    Opened {
        first: String,
        last: String,
    },
    #[event(version = 2, upcast(DepositedV1))]
    Deposited {
        cents: u64,
    },
    Closed,
    LimitSet(u64),
}

#[derive(Deserialize)]
struct OpenedV1 {
    name: String,
}

#[derive(Deserialize)]
struct OpenedV2 {
    owner: String,
}

#[derive(Deserialize)]
struct DepositedV1 {
    euros: u64,
}

impl Upcast for OpenedV1 {
    type Next = OpenedV2;

    fn upcast(self) -> Vec<OpenedV2> {
        vec![OpenedV2 { owner: self.name }]
    }
}

impl Upcast for OpenedV2 {
    type Next = AccountEvent;

    fn upcast(self) -> Vec<AccountEvent> {
        let (first, last) = self.owner.split_once(' ').unwrap_or(("", &self.owner));
        vec![AccountEvent::Opened { first: first.into(), last: last.into() }]
    }
}

impl Upcast for DepositedV1 {
    type Next = AccountEvent;

    fn upcast(self) -> Vec<AccountEvent> {
        vec![AccountEvent::Deposited { cents: self.euros * 100 }]
    }
}

/// `account.opened.v2.json` holds a payload of type `account.opened` in schema version 2.
fn fixtures() -> Vec<(String, u32, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/payloads");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut fixtures: Vec<_> = files.map(|file| fixture(&file)).collect();
    fixtures.sort();
    fixtures
}

fn fixture(file: &Path) -> (String, u32, String) {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap();
    let (name, version) = stem.rsplit_once(".v").unwrap();
    (name.into(), version.parse().unwrap(), fs::read_to_string(file).unwrap())
}

#[test]
fn every_stored_payload_means_what_it_meant() {
    let opened = || vec![AccountEvent::Opened { first: "Ann".into(), last: "Lee".into() }];
    let meaning = |name: &str| match name {
        "account.opened" | "account.created" => opened(),
        "account.deposited" => vec![AccountEvent::Deposited { cents: 500 }],
        "account.closed" => vec![AccountEvent::Closed],
        "account.limit_set" => vec![AccountEvent::LimitSet(1000)],
        _ => Vec::new(),
    };
    for (name, version, payload) in fixtures() {
        let events = decoded::<AccountEvent>(&name, version, &payload)
            .unwrap_or_else(|error| panic!("{name} v{version}: {error}"));
        assert_eq!(events, meaning(&name), "{name} v{version}");
    }
}

#[test]
fn every_version_of_every_name_has_a_fixture() {
    let found: Vec<_> = fixtures().into_iter().map(|(name, version, _)| (name, version)).collect();
    let expected = [
        ("account.closed", 1),
        ("account.created", 1),
        ("account.created", 2),
        ("account.deposited", 1),
        ("account.deposited", 2),
        ("account.frozen", 1),
        ("account.limit_set", 1),
        ("account.opened", 1),
        ("account.opened", 2),
        ("account.opened", 3),
    ];
    assert_eq!(found, expected.map(|(name, version)| (name.to_owned(), version)));
}
