//! The domain: the rules of a bank. Nothing here depends on databases, brokers or HTTP.
//!
//! | File | What is in it |
//! |---|---|
//! | `account` | the events of an account, its invariants, and the commands on it |
//! | `amount` | the amount of money in a command |
//! | `id` | the id of an account |
//! | `views` | the views: balances and statements |

mod account;
mod amount;
mod id;
#[cfg(test)]
mod tests;
mod views;

pub use account::{Account, AccountEvent, Deposit, Open, Receive, Send, Withdraw};
pub use amount::{Amount, NotAnAmount};
pub use id::{AccountId, InvalidAccountId};
pub use views::{Balance, Entry, Statement};
