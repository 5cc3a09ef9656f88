use highwater_core::read::At;
use highwater_macros::{Event, View};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent, by_stream = "account")]
struct GivesAFlag;

impl GivesAFlag {
    fn fold(&mut self, _: &AccountEvent, _: &At) -> bool {
        true
    }
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent, by_stream = "account")]
struct TakesTheEventAlone;

impl TakesTheEventAlone {
    fn fold(&mut self, _: &AccountEvent) {}
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent, by_stream = "account")]
struct TakesTheRowItself;

impl TakesTheRowItself {
    fn fold(self, _: &AccountEvent, _: &At) -> Result<(), String> {
        Ok(())
    }
}

fn main() {}
