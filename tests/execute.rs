//! Commands from request to receipt, on every store.

use futures_util::future::join_all;
use highwater::{
    Code, Query, StreamId, Tag, Version,
    domain::Invariant,
    execute::ConflictPolicy,
    port::{ReadFrom, Snapshot},
    prelude::*,
    stores::MemoryStore,
};
use highwater_test_support::bank::{Account, AccountEvent, Deposit, Withdraw, banks};

#[tokio::test(flavor = "multi_thread")]
async fn w5_a_rejection_names_the_invariant_with_its_values_and_appends_nothing() {
    for bank in banks() {
        let bank = bank.open().await;
        let alice = bank.aggregate::<Account>("alice");
        alice.execute(Deposit { cents: 5 }).await.unwrap();
        let error = alice.execute(Withdraw { cents: 8 }).await.unwrap_err();
        let rejection = error.rejection().unwrap();
        assert_eq!(rejection.name(), "never_overdrawn");
        assert_eq!(rejection.value("balance"), Some(&serde_json::json!(-3)));
        assert_eq!(bank.log().head().await.unwrap().get(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_a_rejection_is_never_decided_on_a_state_that_the_store_has_left() {
    for bank in banks() {
        let (here, there) = (bank.open().await, bank.open().await);
        here.aggregate::<Account>("alice").execute(Deposit { cents: 5 }).await.unwrap();
        there.aggregate::<Account>("alice").execute(Deposit { cents: 5 }).await.unwrap();
        here.aggregate::<Account>("alice").execute(Withdraw { cents: 9 }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w1_sixteen_writers_of_one_aggregate_have_no_conflict_within_a_process() {
    for bank in banks() {
        let bank = bank.open_rejecting_conflicts().await;
        let writers = (0..16).map(|_| {
            let bank = bank.clone();
            tokio::spawn(async move {
                for _ in 0..25 {
                    bank.aggregate::<Account>("hot").execute(Deposit { cents: 1 }).await.unwrap();
                }
            })
        });
        join_all(writers).await.into_iter().for_each(|outcome| outcome.unwrap());
        let hot = bank.aggregate::<Account>("hot").load(AsOf::Now).await.unwrap();
        assert_eq!((hot.balance, hot.version), (400, Version::new(400)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w1_w5_writers_of_several_processes_never_overdraw() {
    for bank in banks() {
        let handles = [bank.open().await, bank.open().await, bank.open().await];
        handles[0].aggregate::<Account>("shared").execute(Deposit { cents: 100 }).await.unwrap();
        let writers = (0..12).map(|writer| {
            let bank = handles[writer % 3].clone();
            tokio::spawn(async move {
                let mut taken = 0;
                for _ in 0..20 {
                    match bank.aggregate::<Account>("shared").execute(Withdraw { cents: 1 }).await {
                        Ok(_) => taken += 1,
                        Err(error) => {
                            assert!(error.is_rejected() || error.is_conflict(), "{error}");
                        }
                    }
                }
                taken
            })
        });
        let taken: i64 = join_all(writers).await.into_iter().map(|taken| taken.unwrap()).sum();
        let shared = handles[1].aggregate::<Account>("shared").load(AsOf::Now).await.unwrap();
        assert!(shared.balance >= 0);
        assert_eq!(shared.balance, 100 - taken);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w4_a_repeated_command_gets_its_first_receipt_even_if_it_would_now_be_rejected() {
    for bank in banks() {
        let (here, there) = (bank.open().await, bank.open().await);
        here.aggregate::<Account>("alice").execute(Deposit { cents: 5 }).await.unwrap();
        let request = || Request::new(Withdraw { cents: 4 }).id(CommandId::derive(["request"]));
        let first = here.aggregate::<Account>("alice").execute(request()).await.unwrap();
        for bank in [&here, &there] {
            let again = bank.aggregate::<Account>("alice").execute(request()).await.unwrap();
            assert_eq!(again, first);
        }
        let other = Request::new(Withdraw { cents: 1 }).id(CommandId::derive(["request"]));
        let error = here.aggregate::<Account>("alice").execute(other).await.unwrap_err();
        assert_eq!(error.code(), Code::COMMAND_ID_REUSED);
        assert_eq!(here.log().head().await.unwrap().get(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w4_a_command_that_changes_nothing_is_remembered_under_its_id() {
    for bank in banks() {
        let bank = bank.open().await;
        let request = || Request::new(Deposit { cents: 0 }).id(CommandId::derive(["nothing"]));
        let first = bank.aggregate::<Account>("alice").execute(request()).await.unwrap();
        bank.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await.unwrap();
        let again = bank.aggregate::<Account>("alice").execute(request()).await.unwrap();
        assert!(first.is_empty());
        assert_eq!(first, again);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w1_a_stale_expectation_is_a_conflict_with_the_actual_version() {
    for bank in banks() {
        let bank = bank.open().await;
        let alice = bank.aggregate::<Account>("alice");
        alice.execute(Deposit { cents: 1 }).await.unwrap();
        alice.execute(Deposit { cents: 1 }).await.unwrap();
        let stale = Request::new(Deposit { cents: 1 }).expecting(Version::new(1));
        let error = alice.execute(stale).await.unwrap_err();
        assert_eq!(error.conflict().unwrap().actual_version(), Some(Version::new(2)));
        let fresh = Request::new(Deposit { cents: 1 }).expecting(Version::new(2));
        alice.execute(fresh).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w1_a_resolver_may_declare_concurrent_events_compatible() {
    for bank in banks() {
        let bank = bank.open().await;
        let only_deposits = |intended: &[AccountEvent], concurrent: &[AccountEvent]| {
            assert_eq!(intended.len(), 1);
            concurrent.iter().all(|event| matches!(event, AccountEvent::Deposited { .. }))
        };
        let alice = bank.aggregate::<Account>("alice").resolving(only_deposits);
        alice.execute(Deposit { cents: 5 }).await.unwrap();
        alice.execute(Deposit { cents: 5 }).await.unwrap();
        let stale = || Request::new(Withdraw { cents: 1 }).expecting(Version::new(1));
        alice.execute(stale()).await.unwrap();
        assert!(alice.execute(stale()).await.unwrap_err().is_conflict());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w1_a_resolver_decides_where_another_process_was_faster_and_conflicts_are_rejected() {
    for bank in banks() {
        let (here, there) = (bank.open_rejecting_conflicts().await, bank.open().await);
        let only_deposits = |_: &[AccountEvent], concurrent: &[AccountEvent]| {
            concurrent.iter().all(|event| matches!(event, AccountEvent::Deposited { .. }))
        };
        let ours = here.aggregate::<Account>("alice");
        let resolving = here.aggregate::<Account>("alice").resolving(only_deposits);
        let theirs = there.aggregate::<Account>("alice");
        ours.execute(Deposit { cents: 5 }).await.unwrap();

        theirs.execute(Deposit { cents: 5 }).await.unwrap();
        let error = ours.execute(Withdraw { cents: 1 }).await.unwrap_err();
        assert_eq!(error.conflict().unwrap().actual_version(), Some(Version::new(2)));

        ours.execute(Withdraw { cents: 1 }).await.unwrap();
        theirs.execute(Deposit { cents: 5 }).await.unwrap();
        resolving.execute(Withdraw { cents: 1 }).await.unwrap();
        theirs.execute(Withdraw { cents: 1 }).await.unwrap();
        assert!(resolving.execute(Withdraw { cents: 1 }).await.unwrap_err().is_conflict());
        let alice = ours.load(AsOf::Now).await.unwrap();
        assert_eq!((alice.balance, alice.version), (12, Version::new(6)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w2_an_atomic_command_over_several_aggregates_is_committed_whole_or_not_at_all() {
    for bank in banks() {
        let bank = bank.open().await;
        bank.aggregate::<Account>("alice").execute(Deposit { cents: 10 }).await.unwrap();
        let transfer = |cents| {
            bank.atomically()
                .on::<Account, _>("bob", Deposit { cents })
                .on::<Account, _>("alice", Withdraw { cents })
                .execute()
        };
        let receipt = transfer(7).await.unwrap();
        assert_eq!(receipt.versions().count(), 2);
        assert!(transfer(7).await.unwrap_err().is_rejected());
        let bob = bank.aggregate::<Account>("bob").load(AsOf::Now).await.unwrap();
        assert_eq!((bob.balance, bob.version), (7, Version::new(1)));
    }
}

/// The accounts, as another bounded context sees them.
#[derive(Aggregate, Default, Clone)]
#[aggregate(event = AccountEvent, category = "account")]
struct Ledger;

impl Ledger {
    fn apply(&mut self, _: &AccountEvent) {}
}

impl Decide<Deposit> for Ledger {
    fn decide(&self, deposit: &Deposit, _: &Context) -> Decision<AccountEvent> {
        Ok(vec![AccountEvent::Deposited { cents: deposit.cents }])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w2_two_types_of_aggregates_on_one_stream_are_refused() {
    for bank in banks() {
        let bank = bank.open().await;
        let command = bank
            .atomically()
            .on::<Account, _>("alice", Deposit { cents: 1 })
            .on::<Ledger, _>("alice", Deposit { cents: 1 })
            .on::<Account, _>("alice", Deposit { cents: 1 });
        let refused = command.execute().await.unwrap_err();
        assert_eq!(refused.code(), highwater::Code::BAD_REQUEST);
        assert_eq!(bank.log().head().await.unwrap(), highwater::Position::START);
    }
}

/// Uses the most events that an append may have: a cost that grows with the square of the streams would show here.
#[tokio::test(flavor = "multi_thread")]
async fn w2_an_atomic_command_may_span_thousands_of_aggregates() {
    for bank in banks() {
        let bank = bank.open().await;
        let deposits = (0..5_000).fold(bank.atomically(), |command, account| {
            command.on::<Account, _>(account, Deposit { cents: account })
        });
        let both = (0..5_000).fold(deposits, |command, account| {
            command.on::<Account, _>(account, Withdraw { cents: account })
        });
        let receipt = both.execute().await.unwrap();
        assert_eq!(receipt.versions().count(), 5_000);
        let last = bank.aggregate::<Account>(4_999).load(AsOf::Now).await.unwrap();
        assert_eq!((last.balance, last.version), (0, Version::new(2)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w2_concurrent_transfers_conserve_the_sum() {
    for bank in banks() {
        let handles = [bank.open().await, bank.open().await];
        for name in ["a", "b", "c"] {
            handles[0].aggregate::<Account>(name).execute(Deposit { cents: 100 }).await.unwrap();
        }
        let transfers = (0..8).map(|task: usize| {
            let bank = handles[task % 2].clone();
            tokio::spawn(async move {
                for step in 0..10 {
                    let (from, to) =
                        (["a", "b", "c"][(task + step) % 3], ["b", "c", "a"][task % 3]);
                    let transfer = bank
                        .atomically()
                        .on::<Account, _>(from, Withdraw { cents: 9 })
                        .on::<Account, _>(to, Deposit { cents: 9 });
                    if let Err(error) = transfer.execute().await {
                        assert!(error.is_rejected() || error.is_conflict(), "{error}");
                    }
                }
            })
        });
        join_all(transfers).await.into_iter().for_each(|outcome| outcome.unwrap());
        let mut sum = 0;
        for name in ["a", "b", "c"] {
            let account = handles[1].aggregate::<Account>(name).load(AsOf::Now).await.unwrap();
            assert!(account.balance >= 0);
            sum += account.balance;
        }
        assert_eq!(sum, 300);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_can_be_loaded_as_of_a_version_a_position_and_a_time() {
    for bank in banks() {
        let bank = bank.open().await;
        let alice = bank.aggregate::<Account>("alice");
        for cents in 1..=15 {
            let receipt = alice.execute(Deposit { cents }).await.unwrap();
            let then = alice.load(AsOf::Position(receipt.position())).await.unwrap();
            assert_eq!(then.balance, (1..=cents).sum::<i64>());
        }
        let stream = StreamId::new("account", "alice").unwrap();
        let page =
            bank.log().read_stream(&stream, ReadFrom::After(Version::NONE), 100).await.unwrap();
        let third = &page.events[2];
        for as_of in [AsOf::Version(third.version), AsOf::Position(third.position)] {
            assert_eq!(alice.load(as_of).await.unwrap().balance, 6, "{as_of:?}");
        }
        let then = alice.load(AsOf::Time(third.recorded_at)).await.unwrap();
        let recorded_by_then = page.events.iter().filter(|e| e.recorded_at <= third.recorded_at);
        assert_eq!(then.version.get(), recorded_by_then.count() as u64);
        assert_eq!(alice.load(AsOf::Now).await.unwrap().balance, 120);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_saved_and_one_that_cannot_be_decoded_is_ignored() {
    for bank in banks() {
        let (here, there) = (bank.open().await, bank.open().await);
        for _ in 0..12 {
            here.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await.unwrap();
        }
        let stream = StreamId::new("account", "alice").unwrap();
        let taken = here.snapshots().load_snapshot(&stream).await.unwrap().unwrap();
        assert_eq!(taken.version, Version::new(10));
        for broken in [
            Snapshot {
                state: taken.state.slice(..taken.state.len() - 1),
                version: Version::new(11),
                ..taken.clone()
            },
            Snapshot {
                head: highwater::value::EventId::from_uuid(*CommandId::derive(["x"]).as_uuid()),
                version: Version::new(12),
                ..taken.clone()
            },
        ] {
            here.snapshots().save_snapshot(broken).await.unwrap();
            let alice = there.aggregate::<Account>("alice").load(AsOf::Now).await.unwrap();
            assert_eq!((alice.balance, alice.version), (12, Version::new(12)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_finds_the_streams_that_break_an_invariant_and_the_first_such_version() {
    const ROUND: Invariant<Account> = Invariant {
        name: "round",
        statement: "balances are even",
        check: |account| Check::that(account.balance % 2 == 0).with("balance", account.balance),
    };
    for bank in banks() {
        let bank = bank.open().await;
        for (name, cents) in [("even", 2), ("odd", 2), ("odd", 1), ("odd", 1), ("even", 2)] {
            bank.aggregate::<Account>(name).execute(Deposit { cents }).await.unwrap();
        }
        let found = bank.audit(&[ROUND]).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].stream.key(), found[0].version), ("odd", Version::new(2)));
        assert_eq!(found[0].rejection.value("balance"), Some(&serde_json::json!(3)));
        assert_eq!(bank.audit::<Account>(Account::INVARIANTS).await.unwrap(), []);
    }
}

/// Checks that an owner has at most two accounts.
#[derive(Decider, Clone)]
#[decider(event = AccountEvent)]
#[invariant(at_most_two, "an owner has at most two accounts")]
struct AccountsOf {
    owner: String,
    number: u32,
}

impl AccountsOf {
    fn apply(&mut self, event: &AccountEvent) {
        if let AccountEvent::Opened { .. } = event {
            self.number += 1;
        }
    }

    fn at_most_two(&self) -> bool {
        self.number <= 2
    }
}

impl highwater::Boundary for AccountsOf {
    fn query(&self) -> Query {
        Query::tags([Tag::new("owner", &self.owner)])
    }

    fn stream(&self) -> highwater::Result<StreamId> {
        Ok(StreamId::new("owner", &self.owner)?)
    }
}

#[derive(Command)]
struct OpenOneMore;

impl Decide<OpenOneMore> for AccountsOf {
    fn decide(&self, _: &OpenOneMore, _: &Context) -> Decision<AccountEvent> {
        Ok(vec![AccountEvent::Opened { owner: self.owner.clone() }])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w6_racing_decisions_over_a_query_never_break_its_invariant() {
    for bank in banks() {
        let handles = [bank.open().await, bank.open().await];
        let racers = (0..16).map(|racer: usize| {
            let bank = handles[racer % 2].clone();
            tokio::spawn(async move {
                let owner = AccountsOf { owner: "bob".into(), number: 0 };
                bank.boundary(owner).execute(OpenOneMore).await
            })
        });
        let outcomes = join_all(racers).await.into_iter().map(|outcome| outcome.unwrap());
        let (opened, refused): (Vec<_>, Vec<_>) = outcomes.partition(Result::is_ok);
        assert_eq!((opened.len(), refused.len()), (2, 14));
        let names = refused.iter().map(|r| r.as_ref().unwrap_err().rejection().unwrap().name());
        assert!(names.into_iter().all(|name| name == "at_most_two"));
    }
}

#[cfg(feature = "testing")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w4_a_retry_resolves_an_unknown_outcome_and_each_deposit_counts_once() {
    use highwater::stores::testing::{Faults, Faulty, seed};

    let faults = Faults::seeded(seed()).lost(0.2).unsent(0.2);
    let store = Faulty::new(MemoryStore::default(), faults);
    let retry = highwater::execute::Retry { max_retries: 100, ..Default::default() };
    let bank =
        highwater::stores::on(store.clone()).on_conflict(ConflictPolicy::Retry(retry)).build();
    let writers = (0..8).map(|_| {
        let bank = bank.clone();
        tokio::spawn(async move {
            for _ in 0..25 {
                bank.aggregate::<Account>("hot").execute(Deposit { cents: 1 }).await.unwrap();
            }
        })
    });
    join_all(writers).await.into_iter().for_each(|outcome| outcome.unwrap());
    assert!(store.struck() > 0);
    let hot = bank.aggregate::<Account>("hot").load(AsOf::Now).await.unwrap();
    assert_eq!((hot.balance, hot.version), (200, Version::new(200)));
}

/// An account whose code has bugs: a withdrawal of 13 cents panics, and a deposit of 666 can't be applied.
#[derive(Aggregate, Default, Clone, Debug, PartialEq)]
#[aggregate(event = AccountEvent, category = "account")]
struct BuggyAccount {
    balance: i64,
}

impl BuggyAccount {
    fn apply(&mut self, event: &AccountEvent) {
        if let AccountEvent::Deposited { cents } = event {
            assert_ne!(*cents, 666, "no number for this");
            self.balance += cents;
        }
    }
}

impl Decide<Deposit> for BuggyAccount {
    fn decide(&self, deposit: &Deposit, _: &Context) -> Decision<AccountEvent> {
        Ok(vec![AccountEvent::Deposited { cents: deposit.cents }])
    }
}

impl Decide<Withdraw> for BuggyAccount {
    fn decide(&self, withdraw: &Withdraw, _: &Context) -> Decision<AccountEvent> {
        assert_ne!(withdraw.cents, 13, "bad luck");
        Ok(vec![AccountEvent::Withdrawn { cents: withdraw.cents }])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_a_panic_in_a_decision_is_an_error_and_leaves_the_aggregate_as_it_was() {
    for bank in banks() {
        let bank = bank.open().await;
        let alice = bank.aggregate::<BuggyAccount>("alice");
        alice.execute(Deposit { cents: 5 }).await.unwrap();
        let error = alice.execute(Withdraw { cents: 13 }).await.unwrap_err();
        assert_eq!(error.code(), Code::PANICKED);
        let text = error.to_string();
        assert!(text.starts_with("decision of command withdraw on account-alice"), "{text}");
        assert!(text.contains("bad luck") && !error.is_retryable(), "{text}");
        let error = alice.execute(Deposit { cents: 666 }).await.unwrap_err();
        assert!(error.is_panicked(), "apply panics on the new event: {error}");
        let receipt = alice.execute(Deposit { cents: 2 }).await.unwrap();
        assert_eq!(receipt.position().get(), 2);
        assert_eq!(alice.load(AsOf::Now).await.unwrap().balance, 7);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_apply_while_loading_is_an_error_that_names_the_event() {
    for bank in banks() {
        let bank = bank.open().await;
        for cents in [1, 666, 2] {
            bank.aggregate::<Account>("alice").execute(Deposit { cents }).await.unwrap();
        }
        let alice = bank.aggregate::<BuggyAccount>("alice");
        let expected = "apply of event account.deposited at 2 of stream account-alice panicked: ";
        let loaded = alice.load(AsOf::Now).await.unwrap_err();
        let executed = alice.execute(Deposit { cents: 1 }).await.unwrap_err();
        let audited = bank.audit::<BuggyAccount>(&[]).await.unwrap_err();
        for error in [loaded, executed, audited] {
            assert_eq!(error.code(), Code::PANICKED);
            assert!(error.to_string().starts_with(expected), "{error}");
        }
        assert_eq!(alice.load(AsOf::Version(Version::new(1))).await.unwrap().balance, 1);
        bank.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await.unwrap();
        bank.aggregate::<BuggyAccount>("bob").execute(Deposit { cents: 1 }).await.unwrap();
    }
}
