//! Given/when/then for decisions, a manual clock and predictable ids (feature `testing`).
//!
//! A decision is tested in the words of the business: *given* these events, *when* a command comes,
//! *then* these events follow, or it is rejected by that rule. Nothing is stored and nothing is
//! awaited, but the steps in between are those of production: given events are encoded and decoded
//! on their way to the state, the decision is made, and every invariant is checked on the state
//! that it would lead to.
//!
//! ```
//! # use highwater_core::{*, domain::{DecodeError, EventType, RawEvent}};
//! # #[derive(Debug, PartialEq)]
//! # enum AccountEvent { Deposited { cents: i64 }, Withdrawn { cents: i64 } }
//! # use AccountEvent::{Deposited, Withdrawn};
//! # impl Event for AccountEvent {
//! #     const NAMES: &'static [&'static str] = &["account.deposited", "account.withdrawn"];
//! #     fn event_type(&self) -> EventType {
//! #         let name = Self::NAMES[usize::from(matches!(self, Withdrawn { .. }))];
//! #         EventType { name, version: SchemaVersion::FIRST }
//! #     }
//! #     fn encode(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
//! #         let (Deposited { cents } | Withdrawn { cents }) = self;
//! #         serde_json::to_writer(out, cents)
//! #     }
//! #     fn decode(raw: RawEvent<'_>, emit: &mut dyn FnMut(Self)) -> Result<(), DecodeError> {
//! #         let cents = serde_json::from_slice(raw.payload)?;
//! #         emit(if raw.name == Self::NAMES[0] { Deposited { cents } } else { Withdrawn { cents } });
//! #         Ok(())
//! #     }
//! # }
//! # #[derive(Clone, Default)]
//! # struct Account { balance: i64 }
//! # impl Decider for Account {
//! #     type Event = AccountEvent;
//! #     type Services = ();
//! #     const INVARIANTS: &'static [Invariant<Self>] = &[Invariant {
//! #         name: "never_overdrawn",
//! #         statement: "never debit more than the available balance",
//! #         check: |account| Check::that(account.balance >= 0).with("balance", account.balance),
//! #     }];
//! #     fn apply(&mut self, event: &AccountEvent) {
//! #         self.balance += match event { Deposited { cents } => *cents, Withdrawn { cents } => -cents };
//! #     }
//! # }
//! # impl Aggregate for Account { const CATEGORY: &'static str = "account"; }
//! # struct Withdraw { cents: i64 }
//! # impl Command for Withdraw {
//! #     const NAME: &'static str = "withdraw";
//! #     fn encode(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> { Ok(()) }
//! # }
//! # impl Decide<Withdraw> for Account {
//! #     fn decide(&self, command: &Withdraw, _: &Context) -> Decision<AccountEvent> {
//! #         Ok(vec![Withdrawn { cents: command.cents }])
//! #     }
//! # }
//! use highwater_core::testing::given;
//!
//! given::<Account>([Deposited { cents: 100 }])
//!     .when(Withdraw { cents: 30 })
//!     .then([Withdrawn { cents: 30 }])
//!     .then_state(|account| assert_eq!(account.balance, 70));
//!
//! let rejection = given::<Account>([Deposited { cents: 100 }])
//!     .when(Withdraw { cents: 150 })
//!     .then_rejected_by("never_overdrawn");
//! assert_eq!(rejection.value("balance"), Some(&(-50).into()));
//! ```

mod clock;
mod given;
mod ids;
mod then;

#[cfg(test)]
mod tests;

pub use clock::ManualClock;
pub use given::{Given, given, given_boundary, given_nothing};
pub use ids::SequentialIds;
pub use then::Then;
