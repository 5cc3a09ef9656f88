//! Tests of a domain in its own words: given these events, when a command arrives, then these events follow. Nothing is
//! stored; the code under test is the code of production.
//!
//! `cargo test --example 09_given_when_then`, or `cargo run --example 09_given_when_then`

use std::time::Duration;

use highwater::{prelude::*, testing::given};

const LOAN: Duration = Duration::from_secs(14 * 24 * 60 * 60);

#[derive(Event, Debug, Clone, PartialEq)]
#[event(prefix = "reader")]
enum ReaderEvent {
    Borrowed { book: String, due: Timestamp },
    Returned { book: String, cents_due: u64 },
}

/// The fee for a day of delay.
struct Fees {
    cents_a_day: u64,
}

#[derive(Aggregate, Default, Clone)]
#[aggregate(event = ReaderEvent, services = Fees)]
#[invariant(at_most_two, "a reader has at most two books at a time")]
struct Reader {
    books: Vec<(String, Timestamp)>,
}

impl Reader {
    fn apply(&mut self, event: &ReaderEvent) {
        match event {
            ReaderEvent::Borrowed { book, due } => self.books.push((book.clone(), *due)),
            ReaderEvent::Returned { book, .. } => self.books.retain(|(title, _)| title != book),
        }
    }

    fn at_most_two(&self) -> Check {
        Check::that(self.books.len() <= 2).with("books", self.books.len())
    }

    fn due(&self, book: &str) -> Option<Timestamp> {
        self.books.iter().find(|(title, _)| title == book).map(|(_, due)| *due)
    }
}

#[derive(Command)]
struct Borrow {
    book: String,
}

impl Decide<Borrow> for Reader {
    fn decide(&self, borrow: &Borrow, context: &Context<Fees>) -> Decision<ReaderEvent> {
        let (book, due) = (borrow.book.clone(), context.now + LOAN);
        Ok(vec![ReaderEvent::Borrowed { book, due }])
    }
}

#[derive(Command)]
struct Return {
    book: String,
}

impl Decide<Return> for Reader {
    fn decide(&self, command: &Return, context: &Context<Fees>) -> Decision<ReaderEvent> {
        let Some(due) = self.due(&command.book) else { return Ok(vec![]) };
        let days_late = context.now.duration_since(due).as_hours().max(0).unsigned_abs() / 24;
        let (book, cents_due) = (command.book.clone(), days_late * context.cents_a_day);
        Ok(vec![ReaderEvent::Returned { book, cents_due }])
    }
}

fn main() {
    let due = Timestamp::UNIX_EPOCH + LOAN;
    let borrowed = ["Dune", "Emma"].map(|b| ReaderEvent::Borrowed { book: b.to_owned(), due });
    let rejection = given::<Reader>(borrowed)
        .with_services(Fees { cents_a_day: 20 })
        .when(Borrow { book: "Ulysses".to_owned() })
        .then_rejected_by("at_most_two");
    println!("given two books, when a third is borrowed, then {rejection}");
    println!("the tests of this domain: cargo test --example 09_given_when_then");
    println!("next: cargo run --example 10_follow");
}

#[cfg(test)]
mod tests {
    use highwater::testing::Given;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// A day on which a book was borrowed.
    fn day() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn borrowed(book: &str) -> ReaderEvent {
        ReaderEvent::Borrowed { book: book.to_owned(), due: day() + LOAN }
    }

    fn returned(book: &str, cents_due: u64) -> ReaderEvent {
        ReaderEvent::Returned { book: book.to_owned(), cents_due }
    }

    fn reader(events: impl IntoIterator<Item = ReaderEvent>) -> Given<Reader> {
        given(events).with_services(Fees { cents_a_day: 20 })
    }

    #[test]
    fn a_book_is_lent_for_two_weeks() {
        reader([]).at(day()).when(Borrow { book: "Dune".to_owned() }).then([borrowed("Dune")]);
    }

    #[test]
    fn a_reader_has_at_most_two_books() {
        let rejection = reader([borrowed("Dune"), borrowed("Emma")])
            .when(Borrow { book: "Ulysses".to_owned() })
            .then_rejected_by("at_most_two");
        assert_eq!(rejection.value("books"), Some(&3.into()));
    }

    #[test]
    fn a_book_that_is_back_makes_room_for_another() {
        reader([borrowed("Dune"), borrowed("Emma"), returned("Dune", 0)])
            .at(day())
            .when(Borrow { book: "Ulysses".to_owned() })
            .then([borrowed("Ulysses")])
            .then_state(|reader| assert_eq!(reader.books.len(), 2));
    }

    #[test]
    fn a_book_in_time_costs_nothing_and_three_days_late_sixty_cents() {
        for (late, cents) in [(Duration::ZERO, 0), (3 * DAY, 60)] {
            reader([borrowed("Dune")])
                .at(day() + LOAN + late)
                .when(Return { book: "Dune".to_owned() })
                .then([returned("Dune", cents)]);
        }
    }

    #[test]
    fn a_book_that_was_not_borrowed_changes_nothing() {
        reader([]).when(Return { book: "Dune".to_owned() }).then_nothing();
    }
}
