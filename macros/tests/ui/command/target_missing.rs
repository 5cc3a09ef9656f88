use highwater_macros::Command;

struct Account;

#[derive(Command)]
#[command(aggregate = Account, target = acount)]
struct Withdraw {
    account: String,
    cents: u64,
}

#[derive(Command)]
#[command(aggregate = Account, target = account)]
struct Audit;

#[derive(Command)]
#[command(aggregate = Account)]
struct Open {
    account: String,
}

#[derive(Command)]
#[command(target = account)]
struct Close {
    account: String,
}

fn main() {}
