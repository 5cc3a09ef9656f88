use highwater_core::{Envelope, domain::EventContext};
use highwater_macros::{Event, View};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent)]
struct GivesANumber {
    cents: i64,
}

impl GivesANumber {
    fn key(_: &AccountEvent, _: &Envelope) -> u64 {
        7
    }

    fn fold(&mut self, _: &AccountEvent, _: &EventContext) {}
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent)]
struct TakesTheEventAlone;

impl TakesTheEventAlone {
    fn key(_: &AccountEvent) -> String {
        String::new()
    }

    fn fold(&mut self, _: &AccountEvent, _: &EventContext) {}
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent)]
struct TakesThemTheOtherWayRound;

impl TakesThemTheOtherWayRound {
    fn key(_: &Envelope, _: &AccountEvent) -> String {
        String::new()
    }

    fn fold(&mut self, _: &AccountEvent, _: &EventContext) {}
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent, by_stream = "account")]
struct IsOfTheRow;

impl IsOfTheRow {
    fn key(&self) -> String {
        String::new()
    }

    fn fold(&mut self, _: &AccountEvent, _: &EventContext) {}
}

fn main() {}
