//! Boundaries over a tag that events were stored without, because the program gave it to them later (W6).
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Mutex;

use futures_util::future::join_all;
use highwater::{
    Code, StreamId, Tag,
    domain::{DecodeError, EventType, RawEvent},
    error::NextStep,
    execute::Retagged,
    port::ReadFrom,
    prelude::*,
    value::{Position, SchemaVersion, Tags},
};
use highwater_test_support::{bank::banks, postgres::PostgresCluster};
use serde::{Deserialize, Serialize, Serializer};
use tokio::{runtime::Handle, task::block_in_place};

/// The program as it was before it gave the tag.
mod older {
    use highwater::prelude::*;

    #[derive(Event)]
    #[event(prefix = "user")]
    pub(super) enum UserEvent {
        Registered { email: String },
        Renamed { name: String },
        Banned {},
    }

    #[derive(Aggregate, Default, Clone)]
    #[aggregate(event = UserEvent)]
    pub(super) struct User;

    impl User {
        #[allow(clippy::unused_self, reason = "the derive calls it")]
        fn apply(&mut self, _: &UserEvent) {}
    }

    #[derive(Command)]
    pub(super) struct Register {
        emails: Vec<String>,
    }

    impl Decide<Register> for User {
        fn decide(&self, register: &Register, _: &Context) -> Decision<UserEvent> {
            let registered = |email: &String| UserEvent::Registered { email: email.clone() };
            Ok(register.emails.iter().map(registered).collect())
        }
    }

    #[derive(Command)]
    pub(super) struct Rename;

    impl Decide<Rename> for User {
        fn decide(&self, _: &Rename, _: &Context) -> Decision<UserEvent> {
            Ok(vec![UserEvent::Renamed { name: "eve".to_owned() }, UserEvent::Banned {}])
        }
    }

    /// Appends one event for each address, as this program does.
    pub(super) async fn register(bank: &Highwater, key: &str, emails: &[&str]) {
        let emails = emails.iter().map(|email| (*email).to_owned()).collect();
        bank.aggregate::<User>(key).execute(Register { emails }).await.unwrap();
    }
}

#[derive(Event)]
#[event(prefix = "user", retired("user.banned"))]
enum UserEvent {
    Registered {
        #[event(tag)]
        email: String,
    },
    Renamed {
        name: String,
    },
}

/// The decision whether a user may have an address.
#[derive(Decider, Clone)]
#[decider(event = UserEvent)]
#[invariant(unique_email, "no two users have one address")]
struct Registration {
    email: String,
    holders: u32,
}

impl Registration {
    fn of(email: &str) -> Self {
        Self { email: email.to_owned(), holders: 0 }
    }

    fn apply(&mut self, event: &UserEvent) {
        match event {
            UserEvent::Registered { email } => self.holders += u32::from(*email == self.email),
            UserEvent::Renamed { name: _ } => {}
        }
    }

    fn unique_email(&self) -> Check {
        Check::that(self.holders <= 1).with("email", &self.email)
    }
}

impl Boundary for Registration {
    fn query(&self) -> Query {
        Query::tags([Tag::new("email", &self.email)])
    }

    fn stream(&self) -> highwater::Result<StreamId> {
        Ok(StreamId::new("user", format!("new-{}", self.email))?)
    }
}

#[derive(Command)]
struct Register;

impl Decide<Register> for Registration {
    fn decide(&self, _: &Register, _: &Context) -> Decision<UserEvent> {
        Ok(vec![UserEvent::Registered { email: self.email.clone() }])
    }
}

/// Registers in a process of the older program first, between the read of a decision and its append.
#[derive(Command)]
struct RegisterLate {
    older: OlderProcess,
}

struct OlderProcess(Mutex<Option<Highwater>>);

impl Serialize for OlderProcess {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_unit()
    }
}

impl Decide<RegisterLate> for Registration {
    #[allow(clippy::disallowed_methods, reason = "a decision can wait for another process only so")]
    fn decide(&self, command: &RegisterLate, context: &Context) -> Decision<UserEvent> {
        if let Some(older) = command.older.0.lock().unwrap().take() {
            let emails = [&*self.email];
            let registered = older::register(&older, "late", &emails);
            block_in_place(|| Handle::current().block_on(registered));
        }
        Decide::<Register>::decide(self, &Register, context)
    }
}

async fn register(bank: &Highwater, email: &str) -> highwater::Result<Receipt> {
    bank.boundary(Registration::of(email)).execute(Register).await
}

fn is_taken(outcome: &highwater::Result<Receipt>) -> bool {
    let rejection = outcome.as_ref().err().and_then(|error| error.rejection());
    rejection.is_some_and(|rejection| rejection.name() == "unique_email")
}

fn is_untagged<T>(outcome: &highwater::Result<T>) -> bool {
    outcome.as_ref().err().is_some_and(|error| error.code() == Code::UNTAGGED)
}

async fn head(bank: &Highwater) -> Position {
    bank.log().head().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn w6_a_boundary_is_refused_until_older_events_have_its_tag_and_right_from_then_on() {
    for bank in banks() {
        let (here, there) = (bank.open().await, bank.open().await);
        older::register(&here, "one", &["ada@example.org", "bob@example.org"]).await;
        let error = register(&here, "ada@example.org").await.unwrap_err();
        assert_eq!((error.code(), error.next_step()), (Code::UNTAGGED, NextStep::AskOperator));
        let message = error.to_string();
        for part in ["event 1 ", "user-one", "user.registered", "email", "retag", "UserEvent>"] {
            assert!(message.contains(part), "{part} is in {message}");
        }
        assert!(
            is_untagged(&register(&there, "eve@example.org").await),
            "no address is decided on"
        );
        assert!(is_untagged(&here.boundary(Registration::of("eve@example.org")).load().await));
        assert_eq!(head(&here).await, Position::new(2));

        let done = there.retag::<UserEvent>().await.unwrap();
        assert_eq!(done, Retagged { read: 2, changed: 2, through: Position::new(2) });
        for handle in [&here, &there, &bank.open().await] {
            assert!(is_taken(&register(handle, "ada@example.org").await));
            assert!(is_taken(&register(handle, "bob@example.org").await));
        }
        register(&here, "eve@example.org").await.unwrap();
        assert!(is_taken(&register(&there, "eve@example.org").await));
        let again = here.retag::<UserEvent>().await.unwrap();
        assert_eq!(again, Retagged { read: 3, changed: 0, through: Position::new(3) });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w6_what_an_older_program_appends_beside_a_newer_one_is_noticed() {
    for bank in banks() {
        let (newer, older) = (bank.open().await, bank.open().await);
        register(&newer, "bob@example.org").await.unwrap();
        for round in 0..3_u32 {
            let email = format!("ada-{round}@example.org");
            older::register(&older, &format!("user-{round}"), &[&email]).await;
            for _ in 0..2 {
                assert!(is_untagged(&register(&newer, &email).await));
            }
            assert_eq!(newer.retag::<UserEvent>().await.unwrap().changed, 1);
            assert!(is_taken(&register(&newer, &email).await));
            register(&newer, &format!("eve-{round}@example.org")).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w6_what_an_older_program_appends_between_read_and_append_is_not_passed_over() {
    for bank in banks() {
        let (newer, older) = (bank.open().await, bank.open().await);
        register(&newer, "bob@example.org").await.unwrap();
        let email = "ada@example.org";
        let command = RegisterLate { older: OlderProcess(Mutex::new(Some(older))) };
        let late = newer.boundary(Registration::of(email)).execute(command).await;
        assert!(is_untagged(&late), "{late:?}");
        assert_eq!(
            head(&newer).await,
            Position::new(2),
            "only the older program has registered it"
        );
        assert_eq!(newer.retag::<UserEvent>().await.unwrap().changed, 1);
        assert!(is_taken(&register(&newer, email).await));
    }
}

/// Registers an address, again if the connections of the process were cut.
async fn register_after_restart(bank: &Highwater, email: &str) -> highwater::Result<Receipt> {
    loop {
        match register(bank, email).await {
            Err(error) if error.is_retryable() => {}
            answered => return answered,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w6_a_process_that_outlives_the_loss_of_events_looks_for_tags_again_on_postgres() {
    let test = "w6_a_process_that_outlives_the_loss_of_events_looks_for_tags_again_on_postgres";
    let Some(server) = PostgresCluster::start(test) else { return };
    let newer = Highwater::open(&server.url()).await.unwrap();
    register(&newer, "bob@example.org").await.unwrap();
    server.back_up();
    for lost in ["eve@example.org", "joe@example.org", "sue@example.org", "kim@example.org"] {
        register_after_restart(&newer, lost).await.unwrap();
    }
    assert!(is_taken(&register(&newer, "kim@example.org").await));

    server.restore();
    let older = Highwater::open(&server.url()).await.unwrap();
    older::register(&older, "one", &["ada@example.org"]).await;
    // The event has the position of one that the newer process has looked at.
    assert!(is_untagged(&register_after_restart(&newer, "ada@example.org").await));
    assert_eq!(newer.retag::<UserEvent>().await.unwrap().changed, 1);
    assert!(is_taken(&register(&newer, "ada@example.org").await));
    register(&newer, "eve@example.org").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn w6_events_that_never_have_the_tag_are_no_obstacle() {
    for bank in banks() {
        let bank = bank.open().await;
        bank.aggregate::<older::User>("one").execute(older::Rename).await.unwrap();
        register(&bank, "ada@example.org").await.unwrap();
        assert!(is_taken(&register(&bank, "ada@example.org").await));
        assert_eq!(bank.retag::<UserEvent>().await.unwrap().changed, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w6_no_boundary_decides_without_an_event_while_tags_are_added() {
    for bank in banks() {
        let bank = bank.open().await;
        let emails: Vec<_> = (0..2500).map(|user| format!("{user}@example.org")).collect();
        let borrowed: Vec<_> = emails.iter().map(String::as_str).collect();
        older::register(&bank, "all", &borrowed).await;
        let racers = (0..8).map(|racer| {
            let (bank, emails) = (bank.clone(), emails.clone());
            tokio::spawn(async move {
                for email in emails.iter().skip(racer * 300).step_by(40) {
                    let outcome = register(&bank, email).await;
                    assert!(is_taken(&outcome) || is_untagged(&outcome), "{email}: {outcome:?}");
                }
            })
        });
        let racers = join_all(racers);
        let (racers, retagged) = tokio::join!(racers, bank.retag::<UserEvent>().into_future());
        racers.into_iter().for_each(|racer| racer.unwrap());
        assert_eq!(retagged.unwrap().changed, 2500);
        assert!(is_taken(&register(&bank, &emails[2499]).await));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w6_a_run_can_be_continued_after_a_position() {
    for bank in banks() {
        let bank = bank.open().await;
        older::register(&bank, "one", &["a@example.org", "b@example.org", "c@example.org"]).await;
        let done = bank.retag::<UserEvent>().after(Position::new(1)).await.unwrap();
        assert_eq!(done, Retagged { read: 2, changed: 2, through: Position::new(3) });
        let error = register(&bank, "x@example.org").await.unwrap_err().to_string();
        assert!(error.contains("event 1 "), "{error}");
        assert_eq!(bank.retag::<UserEvent>().await.unwrap().changed, 1);
        assert!(is_taken(&register(&bank, "a@example.org").await));
    }
}

/// The program with another schema: an event of version 1 was of several users.
#[derive(Event)]
#[event(prefix = "user")]
enum Upcasted {
    #[event(version = 2, upcast(RegisteredV1))]
    Registered { name: Option<String> },
    #[event(name = "user.joined")]
    Joined {
        #[event(tag)]
        email: String,
    },
}

#[derive(Deserialize)]
struct RegisteredV1 {
    email: String,
}

impl highwater::Upcast for RegisteredV1 {
    type Next = Upcasted;

    fn upcast(self) -> Vec<Upcasted> {
        let joined = |part: &str| Upcasted::Joined { email: part.to_owned() };
        self.email.split('+').map(joined).collect()
    }
}

#[derive(Decider, Clone)]
#[decider(event = Upcasted)]
struct Joins {
    email: String,
    joined: Vec<String>,
}

impl Joins {
    fn of(email: &str) -> Self {
        Self { email: email.to_owned(), joined: Vec::new() }
    }

    fn apply(&mut self, event: &Upcasted) {
        match event {
            Upcasted::Joined { email } => self.joined.push(email.clone()),
            Upcasted::Registered { name } => self.joined.extend(name.clone()),
        }
    }
}

impl Boundary for Joins {
    fn query(&self) -> Query {
        Query::tags([Tag::new("email", &self.email)])
    }

    fn stream(&self) -> highwater::Result<StreamId> {
        Ok(StreamId::new("joins", &self.email)?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w6_events_get_the_tags_of_what_they_are_upcast_to() {
    for bank in banks() {
        let bank = bank.open().await;
        older::register(&bank, "two", &["ada+bob", ""]).await;
        assert!(is_untagged(&bank.boundary(Joins::of("bob")).load().await));
        assert_eq!(bank.retag::<Upcasted>().await.unwrap().changed, 2);
        let bob = bank.boundary(Joins::of("bob")).load().await.unwrap();
        assert_eq!(bob.joined, ["ada", "bob"]);
        let page = bank.log().read_log(&Query::all(), ReadFrom::After(Position::START), 9).await;
        let tags: Vec<_> = page.unwrap().events.into_iter().map(|event| event.tags).collect();
        let tag = |email| Tag::new("email", email);
        assert_eq!(tags, [[tag("ada"), tag("bob")].into(), Tags::from([tag("")])]);
    }
}

/// An event without the derive, which has a tag only if there is something to tag.
struct Noted(String);

impl Event for Noted {
    const NAMES: &'static [&'static str] = &["user.registered"];

    fn event_type(&self) -> EventType {
        EventType { name: "user.registered", version: SchemaVersion::FIRST }
    }

    fn tags(&self) -> Tags {
        match self.0.as_str() {
            "" => Tags::none(),
            text => [Tag::new("email", text)].into(),
        }
    }

    fn encode(&self, _: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        Ok(())
    }

    fn decode(raw: RawEvent<'_>, emit: &mut dyn FnMut(Self)) -> Result<(), DecodeError> {
        let RegisteredV1 { email } = serde_json::from_slice(raw.payload)?;
        emit(Self(email));
        Ok(())
    }
}

#[derive(Clone)]
struct Notes(u32);

impl Decider for Notes {
    type Event = Noted;
    type Services = ();
    const INVARIANTS: &'static [highwater::domain::Invariant<Self>] = &[];

    fn apply(&mut self, _: &Noted) {
        self.0 += 1;
    }
}

impl Boundary for Notes {
    fn query(&self) -> Query {
        Query::tags([Tag::new("email", "ada")])
    }

    fn stream(&self) -> highwater::Result<StreamId> {
        Ok(StreamId::new("notes", "ada")?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w6_an_event_that_has_no_tag_today_does_not_lack_it() {
    for bank in banks() {
        let bank = bank.open().await;
        older::register(&bank, "none", &["", ""]).await;
        assert_eq!(bank.boundary(Notes(0)).load().await.unwrap().0, 0);
        older::register(&bank, "some", &["ada"]).await;
        assert!(is_untagged(&bank.boundary(Notes(0)).load().await));
        assert_eq!(bank.retag::<Noted>().await.unwrap().changed, 1);
        assert_eq!(bank.boundary(Notes(0)).load().await.unwrap().0, 1);
    }
}

#[cfg(feature = "testing")]
#[tokio::test]
async fn w6_a_run_that_failed_can_be_made_again() {
    use highwater::stores::{
        MemoryStore,
        testing::{Faults, Faulty, seed},
    };

    let memory = MemoryStore::default();
    let emails: Vec<_> = (0..5000).map(|user| format!("{user}@example.org")).collect();
    let borrowed: Vec<_> = emails.iter().map(String::as_str).collect();
    let bank = highwater::stores::on(memory.clone()).build();
    older::register(&bank, "all", &borrowed).await;
    let faults = Faults::seeded(seed()).unavailable(0.2).unsent(0.1).lost(0.1);
    let faulty = highwater::stores::on(Faulty::new(memory, faults)).build();
    let mut runs = 1;
    while faulty.retag::<UserEvent>().await.is_err() {
        runs += 1;
        assert!(runs < 1000, "it ends");
    }
    assert_eq!(bank.retag::<UserEvent>().await.unwrap().changed, 0);
    assert!(is_taken(&register(&bank, &emails[4321]).await));
}
