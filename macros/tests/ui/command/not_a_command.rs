use highwater_core::Command;

struct Withdraw {
    cents: u64,
}

fn execute<C: Command>(_: C) {}

fn main() {
    execute(Withdraw { cents: 5 });
}
