//! The business: what a bank may and may not do. Nothing here knows of databases, brokers or HTTP.
//!
//! | File | What is in it |
//! |---|---|
//! | `account` | the events of an account, its invariants, and the commands on it |
//! | `amount` | how much money a command may move |
//! | `id` | which account |
//! | `views` | what is read: balances and statements |

mod account;
mod amount;
mod id;
#[cfg(test)]
mod tests;
mod views;

pub use account::{Account, AccountEvent, Deposit, Open, Receive, Send, Withdraw};
pub use amount::{Amount, NotAnAmount};
pub use id::{AccountId, NoAccountId};
pub use views::{Balance, Entry, Statement};
