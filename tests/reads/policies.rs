//! M6, M14, O4: named operations, whose policies change at run time for all keys or for some, and
//! are rolled back.

use std::time::Duration;

use futures_util::future::join_all;
use highwater::{
    Code, CommandId, Highwater, Request, StreamId, Views as _,
    consistency::{AppliedOutcome, Basis, Fallback, Level, Operation, Tier},
    error::NextStep,
    policy::{Override, PolicyChange, PolicyRollback, Rule, Variant},
    stores::testing::build,
};
use highwater_test_support::bank::{Balance, banks};
use uuid::Uuid;

use crate::views::{deposit, work_until};

const SHOW: Operation = Operation::standard("account.show");
const OFFER: Operation = Operation::critical("transfer.offer");

fn strong() -> Rule {
    Rule::of_all(Override::default().reading(Level::Strong).or(Fallback::Fail))
}

fn change(rule: Rule) -> PolicyChange {
    PolicyChange::by("ann", "a test").set(&SHOW, rule)
}

fn rollback() -> PolicyRollback {
    PolicyRollback::by("bob", "a test")
}

/// Creates a view that lacks the last deposit of alice, and of bob.
async fn behind(bank: &Highwater) {
    deposit(bank, "alice", 1).await;
    let receipt = deposit(bank, "bob", 1).await;
    work_until::<Balance>(bank, &receipt).await;
    deposit(bank, "alice", 10).await;
    deposit(bank, "bob", 10).await;
}

async fn show(bank: &Highwater, key: &str) -> (i64, Level, Basis) {
    let reading = bank.view::<Balance>().get(key).by(&SHOW).await.unwrap();
    (reading.cents, reading.level(), reading.basis())
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}: not after 30 s"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn m6_an_operation_is_read_by_the_defaults_of_its_tier() {
    for bank in banks() {
        let bank = bank.open().await;
        behind(&bank).await;
        assert_eq!(show(&bank, "alice").await, (1, Level::ReadYourWrites, Basis::View));
        let offered = bank.view::<Balance>().get("alice").by(&OFFER).await.unwrap();
        assert_eq!((offered.cents, offered.basis()), (11, Basis::Folded));
        assert_eq!(bank.policies().ruled(&OFFER, "alice").tier, Tier::Critical);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn o4_a_change_takes_effect_at_once_and_a_rollback_reverts_it() {
    for bank in banks() {
        let bank = bank.open().await;
        behind(&bank).await;
        let policies = bank.policies();
        policies.change(change(strong())).await.unwrap();
        assert_eq!(show(&bank, "alice").await, (11, Level::Strong, Basis::Folded));
        policies.roll_back(rollback()).await.unwrap();
        assert_eq!(show(&bank, "alice").await, (1, Level::ReadYourWrites, Basis::View));
        let none = policies.roll_back(rollback()).await.unwrap_err();
        assert_eq!(none.rejection().unwrap().name(), "policies_changed_before");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn m14_a_rollout_selects_the_same_keys_in_every_process() {
    for bank in banks() {
        let (one, other) = (bank.open().await, bank.open().await);
        let half = Rule::default().rolled_out(50.0, Override::default().reading(Level::Strong));
        one.policies().change(change(half)).await.unwrap();
        let _following = other.policies().follow().await.unwrap();
        let keys: Vec<String> = (0..200).map(|key| format!("account {key}")).collect();
        let arms = |bank: &Highwater| -> Vec<Variant> {
            keys.iter().map(|key| bank.policies().ruled(&SHOW, key).variant).collect()
        };
        assert_eq!(arms(&one), arms(&other));
        let rolled_out = arms(&one).into_iter().filter(|arm| *arm == Variant::Rollout).count();
        assert!((60..140).contains(&rolled_out), "{rolled_out} of 200");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn o4_other_processes_apply_changes_and_rollbacks() {
    for bank in banks() {
        let (one, other) = (bank.open().await, bank.open().await);
        let following = other.policies().follow().await.unwrap();
        let level = |bank: &Highwater| bank.policies().ruled(&SHOW, "alice").policy.level;
        one.policies().change(change(strong())).await.unwrap();
        until("a change elsewhere", || level(&other) == Level::Strong).await;
        one.policies().roll_back(rollback()).await.unwrap();
        until("a rollback elsewhere", || level(&other) == Level::ReadYourWrites).await;
        drop(following);
        // A process that starts later applies the recorded policies.
        one.policies().change(change(strong())).await.unwrap();
        let late = bank.open().await;
        let _following = late.policies().follow().await.unwrap();
        assert_eq!(level(&late), Level::Strong);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn o4_each_change_is_recorded_with_its_author_time_content_and_reason() {
    for bank in banks() {
        let bank = bank.open().await;
        let policies = bank.policies();
        let before = bank.clock().now();
        policies.change(change(strong())).await.unwrap();
        policies.change(change(strong())).await.unwrap();
        policies.roll_back(PolicyRollback::by("bob", "too slow")).await.unwrap();
        let history = policies.history(10).await.unwrap();
        let [last, first] = history.as_slice() else { panic!("{history:?}") };
        assert_eq!((first.by.as_str(), first.why.as_str()), ("ann", "a test"));
        let rules = first.rules.as_ref().unwrap();
        assert_eq!(rules.get("account.show"), Some(&Some(strong())));
        assert_eq!((last.by.as_str(), last.why.as_str(), &last.rules), ("bob", "too slow", &None));
        assert!(first.at <= last.at && first.at.duration_since(before).as_secs().abs() < 60);
        assert_eq!(policies.history(1).await.unwrap(), std::slice::from_ref(last));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn o4_the_policies_before_an_unreadable_change_remain_in_force() {
    for bank in banks() {
        let (writer, reader) = (bank.open().await, bank.open().await);
        behind(&writer).await;
        writer.policies().change(change(strong())).await.unwrap();
        let stream = StreamId::new("highwater.policies", "reads").unwrap();
        let newer = build::typed("highwater.policies_frozen");
        writer.log().append(build::append_one(&stream, newer)).await.unwrap();

        let error = reader.policies().follow().await.unwrap_err();
        assert_eq!((error.code(), error.next_step()), (Code::UNKNOWN_EVENT, NextStep::AskOperator));
        // A process that had read the change before keeps it, and refuses further changes.
        for bank in [&reader, &writer] {
            let refused = bank.policies().change(change(Rule::default())).await.unwrap_err();
            assert_eq!(refused.code(), Code::UNKNOWN_EVENT);
            assert_eq!(show(bank, "alice").await, (11, Level::Strong, Basis::Folded));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn o4_concurrent_changes_are_all_kept_and_each_can_be_rolled_back() {
    for bank in banks() {
        let processes = join_all((0..4).map(|_| bank.open())).await;
        let changes = processes.iter().enumerate().flat_map(|(process, bank)| {
            (0..5).map(move |n| {
                let budget = Duration::from_millis(100 * process as u64 + n + 1);
                let rule = Rule::of_all(Override::default().within(budget));
                let bank = bank.clone();
                async move { bank.policies().change(change(rule)).await.unwrap() }
            })
        });
        join_all(changes).await;
        let policies = processes[0].policies();
        assert_eq!(policies.history(100).await.unwrap().len(), 20);
        for _ in 0..20 {
            policies.roll_back(rollback()).await.unwrap();
        }
        assert!(policies.roll_back(rollback()).await.unwrap_err().is_rejected());
        assert_eq!(policies.ruled(&SHOW, "alice").policy, SHOW.policy());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w4_a_repeated_change_is_made_once() {
    for bank in banks() {
        let bank = bank.open().await;
        let policies = bank.policies();
        let id = CommandId::from_uuid(Uuid::from_u128(7));
        let request = || Request::new(change(strong())).id(id);
        let first = policies.change(request()).await.unwrap();
        policies.roll_back(rollback()).await.unwrap();
        let again = policies.change(request()).await.unwrap();
        assert_eq!(first.position(), again.position());
        assert_eq!(policies.ruled(&SHOW, "alice").policy, SHOW.policy(), "it stays rolled back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn m6_a_policy_that_a_critical_operation_forbids_changes_nothing() {
    for bank in banks() {
        let bank = bank.open().await;
        let policies = bank.policies();
        let eventual = Rule::of_all(Override::default().reading(Level::Eventual));
        let both = change(strong()).set(&OFFER, eventual);
        let error = policies.change(both).await.unwrap_err();
        assert_eq!(error.code(), Code::BAD_CONFIGURATION);
        assert!(error.to_string().contains("transfer.offer"), "{error}");
        assert!(policies.history(1).await.unwrap().is_empty());
        assert_eq!(policies.ruled(&SHOW, "alice").policy, SHOW.policy());
        for unsigned in [PolicyChange::by(" ", "x").set(&SHOW, strong()), PolicyChange::by("", "x")]
        {
            assert!(policies.change(unsigned).await.unwrap_err().is_invalid());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn m6_a_rule_recorded_by_another_release_does_not_weaken_a_critical_operation() {
    for bank in banks() {
        let (older, newer) = (bank.open().await, bank.open().await);
        let lax = Operation::standard("transfer.offer");
        let eventual = Rule::of_all(Override::default().reading(Level::Eventual));
        let lowered = PolicyChange::by("ann", "a test").set(&lax, eventual);
        older.policies().change(lowered).await.unwrap();
        let _following = newer.policies().follow().await.unwrap();
        assert_eq!(older.policies().ruled(&lax, "alice").policy.level, Level::Eventual);
        assert_eq!(newer.policies().ruled(&OFFER, "alice").policy, OFFER.policy());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_policy_decides_whether_a_read_waits_for_its_token_in_any_order_of_calls() {
    for bank in banks() {
        let bank = bank.open().await;
        behind(&bank).await;
        let receipt = deposit(&bank, "alice", 100).await;
        let eventual = Override::default().reading(Level::Eventual);
        bank.policies().change(change(Rule::of_all(eventual))).await.unwrap();
        let view = bank.view::<Balance>();
        let by_then_after = view.get("alice").by(&SHOW).after(&receipt).await.unwrap();
        let after_then_by = view.get("alice").after(&receipt).by(&SHOW).await.unwrap();
        for reading in [by_then_after, after_then_by] {
            assert_eq!((reading.cents, reading.basis()), (1, Basis::Stale));
        }
        let fail = Override::default().within(Duration::from_millis(20)).or(Fallback::Fail);
        bank.policies().change(change(Rule::of_all(fail))).await.unwrap();
        let pending = view.get("alice").by(&SHOW).after(&receipt).await.unwrap_err();
        assert_eq!(pending.code(), Code::STALE_READ);
        let outcome = view.applied("alice", &receipt).by(&SHOW).await.unwrap();
        let AppliedOutcome::Pending(pending) = outcome else { panic!("no worker feeds the view") };
        assert!(pending.waited < Duration::from_secs(4), "the budget is that of the policy");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn m14_reads_of_several_rows_use_the_variant_of_the_first_key() {
    for bank in banks() {
        let bank = bank.open().await;
        behind(&bank).await;
        let half = Rule::default().rolled_out(50.0, Override::default().reading(Level::Strong));
        bank.policies().change(change(half)).await.unwrap();
        let view = bank.view::<Balance>();
        for keys in [["alice", "bob"], ["bob", "alice"]] {
            let ruled = bank.policies().ruled(&SHOW, keys[0]);
            let many = view.get_many(keys).by(&SHOW).await.unwrap();
            assert_eq!(many.level(), ruled.policy.level);
            let range = view.range(keys[0].., 1).by(&SHOW).await.unwrap();
            assert_eq!(range.level(), ruled.policy.level);
        }
    }
}

#[test]
fn m14_names_of_operations_are_checked() {
    let bank = highwater::stores::on(highwater::stores::MemoryStore::default()).build();
    let policies = bank.policies();
    policies.register(&[SHOW, OFFER, SHOW]).unwrap();
    for name in ["", "Account.Show", "account show", "account/show"] {
        let error = policies.register(&[Operation::standard(name)]).unwrap_err();
        assert_eq!(error.code(), Code::MALFORMED, "{name:?}");
    }
    let twice = Operation::auxiliary("account.show");
    assert_eq!(policies.register(&[twice]).unwrap_err().code(), Code::BAD_CONFIGURATION);
    // The first operation has the name, and a critical operation does not use a policy that was
    // approved for it.
    assert_eq!(policies.operation("account.show").unwrap(), SHOW);
    assert_eq!(policies.ruled(&twice, "alice").policy, twice.policy());
    assert_eq!(policies.operation("transfer.offer").unwrap(), OFFER);
    assert_eq!(policies.operation("nothing").unwrap_err().code(), Code::NOT_FOUND);
}
