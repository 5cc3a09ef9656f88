use highwater_macros::View;

#[derive(Clone, Default, View)]
struct Balance {
    cents: i64,
}

fn main() {}
