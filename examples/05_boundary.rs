//! A rule across streams: user names are unique. The decision is over a query, here a tag, and holds even if two
//! handles decide at the same time (W6).
//!
//! `cargo run --example 05_boundary`

mod place;

use highwater::prelude::*;

#[derive(Event)]
#[event(prefix = "user")]
enum UserEvent {
    Registered {
        #[event(tag = "username")]
        name: String,
    },
    Left {
        #[event(tag = "username")]
        name: String,
    },
}

/// The decision whether a user may have a name, made from the events that have the name as their tag, in any stream.
#[derive(Decider, Clone)]
#[decider(event = UserEvent)]
#[invariant(unique_name, "a user name is unique")]
struct Registration {
    email: String,
    name: String,
    holders: u32,
}

impl Registration {
    fn of(email: &str, name: &str) -> Self {
        Self { email: email.to_owned(), name: name.to_owned(), holders: 0 }
    }

    fn apply(&mut self, event: &UserEvent) {
        match event {
            UserEvent::Registered { .. } => self.holders += 1,
            UserEvent::Left { .. } => self.holders -= 1,
        }
    }

    fn unique_name(&self) -> Check {
        Check::that(self.holders <= 1).with("name", &self.name)
    }
}

impl Boundary for Registration {
    fn query(&self) -> Query {
        Query::tags([Tag::new("username", &self.name)])
    }

    fn stream(&self) -> highwater::Result<StreamId> {
        Ok(StreamId::new(User::CATEGORY, &self.email)?)
    }
}

#[derive(Command)]
struct Register;

impl Decide<Register> for Registration {
    fn decide(&self, _: &Register, _: &Context) -> Decision<UserEvent> {
        Ok(vec![UserEvent::Registered { name: self.name.clone() }])
    }
}

/// An aggregate for the rules of a single user, over the same events.
#[derive(Aggregate, Default, Clone)]
#[aggregate(event = UserEvent)]
struct User {
    name: Option<String>,
}

impl User {
    fn apply(&mut self, event: &UserEvent) {
        self.name = match event {
            UserEvent::Registered { name } => Some(name.clone()),
            UserEvent::Left { .. } => None,
        };
    }
}

#[derive(Command)]
struct Leave;

impl Decide<Leave> for User {
    fn decide(&self, _: &Leave, _: &Context) -> Decision<UserEvent> {
        Ok(self.name.iter().map(|name| UserEvent::Left { name: name.clone() }).collect())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = place::sqlite("highwater-boundary.db");
    let (here, there) = (Highwater::open(&url).await?, Highwater::open(&url).await?);
    let emails = ["ada@one.example", "ada@two.example"];
    for email in emails {
        here.aggregate::<User>(email).execute(Leave).await?;
    }

    let one = here.boundary(Registration::of(emails[0], "ada"));
    let two = there.boundary(Registration::of(emails[1], "ada"));
    let (first, second) = tokio::join!(one.execute(Register), two.execute(Register));
    for (email, outcome) in emails.iter().zip([&first, &second]) {
        match outcome {
            Ok(_) => println!("{email} is ada now"),
            Err(error) => println!("{email} is not ({}): {error}", error.code()),
        }
    }
    assert!(first.is_ok() != second.is_ok(), "of two racers exactly one has the name");
    let refused = first.err().or(second.err()).ok_or("one must be refused")?;
    assert_eq!(refused.rejection().map(Rejection::name), Some("unique_name"));

    // A user who leaves releases the name; the boundary sees that, too.
    let question = here.boundary(Registration::of("eve@three.example", "ada"));
    assert_eq!(question.load().await?.holders, 1);
    for email in emails {
        there.aggregate::<User>(email).execute(Leave).await?;
    }
    println!("ada has left; holders of the name: {}", question.load().await?.holders);
    assert_eq!(question.load().await?.holders, 0);

    println!("next: cargo run --example 06_schema_evolution");
    Ok(())
}
