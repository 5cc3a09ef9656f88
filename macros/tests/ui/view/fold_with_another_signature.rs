use highwater_core::domain::EventContext;
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
    fn fold(&mut self, _: &AccountEvent, _: &EventContext) -> bool {
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
    fn fold(self, _: &AccountEvent, _: &EventContext) -> Result<(), String> {
        Ok(())
    }
}

fn main() {}
