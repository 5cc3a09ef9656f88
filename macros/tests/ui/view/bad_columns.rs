use highwater_macros::{Event, View};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent)]
struct Balance {
    #[view(column)]
    key: String,
    #[view(column)]
    #[serde(rename = "firstName")]
    first_name: String,
    #[view(column)]
    owner: String,
    #[view(column)]
    #[serde(rename = "owner")]
    holder: String,
    #[view(column)]
    #[serde(flatten)]
    rest: String,
    #[serde(skip)]
    cache: String,
    #[view(column)]
    #[serde(with = "as_text")]
    cents: i64,
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent)]
struct Kinds {
    #[view(column = "varchar")]
    owner: String,
    #[view(column(text))]
    holder: String,
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent)]
struct Unnamed(#[view(column)] i64);

#[derive(Clone, Default, View)]
#[view(event = AccountEvent)]
#[serde(rename_all = "camelCase", default)]
struct Renamed {
    #[view(column)]
    first_name: String,
    #[view(column)]
    #[serde(rename = "last")]
    last_name: String,
}

fn main() {}
