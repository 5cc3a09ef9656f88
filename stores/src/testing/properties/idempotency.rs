//! W4: a command id is stored once, and every caller gets the same response.

use highwater_core::{
    Code, CommandId, Position, Query,
    domain::Fingerprint,
    port::{Append, Appended},
    value::Expected,
};

use crate::testing::{
    Fixture,
    build::{
        FINGERPRINT, OTHER_FINGERPRINT, append_one, append_to, at, command, empty, event, events,
        stream,
    },
    race::{append_back_to_back, race_appends},
    read,
};

/// Returns the response to a repeated command.
fn again(appended: &Appended) -> Appended {
    Appended { repeated: true, ..appended.clone() }
}

fn under(command: CommandId, fingerprint: Fingerprint, append: Append) -> Append {
    Append { command, fingerprint, ..append }
}

pub(super) async fn w4_one_command_id_raced_by_16_tasks_appends_once(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("once");
    let append = append_to(&stream, Expected::NoStream, events(3));
    let outcomes = race_appends(&store, vec![append; 16]).await;
    let answers: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| !answer.repeated).count(), 1);
    assert!(answers.iter().all(|answer| again(answer) == again(&answers[0])));
    assert_eq!(read::log(&*store, &Query::all()).await.len(), 3);
}

pub(super) async fn w4_one_command_id_called_twice_at_once_appends_once(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("once");
    let append = append_to(&stream, Expected::NoStream, events(1));
    let outcomes = append_back_to_back(&store, vec![append; 2]).await;
    let [first, second] = [&outcomes[0], &outcomes[1]].map(|outcome| outcome.as_ref().unwrap());
    assert!(!first.repeated);
    assert_eq!(*second, again(first));
}

pub(super) async fn w4_a_repeat_gets_the_first_answer(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("repeated");
    let append = append_to(&stream, Expected::Any, events(2));
    let first = store.append(append.clone()).await.unwrap();
    assert!(!first.repeated);
    store.append(append_to(&stream, at(2), events(5))).await.unwrap();
    assert_eq!(store.append(append).await.unwrap(), again(&first));
    assert_eq!(read::log(&*store, &Query::all()).await.len(), 7);
}

pub(super) async fn w4_a_repeat_through_another_handle_gets_the_first_answer(fixture: Fixture) {
    let (store, [a, b]) = (fixture.store(), [stream("a"), stream("b")]);
    let append = append_to(&a, Expected::NoStream, events(2)).stream(b, Expected::Any, events(1));
    let first = store.append(append.clone()).await.unwrap();
    let other = fixture.reopen().await;
    assert_eq!(other.append(append).await.unwrap(), again(&first));
    assert_eq!(other.head().await.unwrap(), Position::new(3));
}

pub(super) async fn w4_a_repeat_takes_precedence_over_a_conflict(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("repeated");
    let append = append_to(&stream, Expected::NoStream, events(1))
        .only_if(crate::testing::build::nothing_like(Query::all(), Position::START));
    let first = store.append(append.clone()).await.unwrap();
    store.append(append_one(&stream, event())).await.unwrap();
    assert_eq!(store.append(append).await.unwrap(), again(&first));
}

pub(super) async fn w4_a_used_id_is_refused_for_another_command(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("reused");
    let append = append_one(&stream, event());
    store.append(append.clone()).await.unwrap();
    let different = under(append.command, OTHER_FINGERPRINT, append_one(&stream, event()));
    let error = store.append(different).await.unwrap_err();
    assert_eq!(error.code(), Code::COMMAND_ID_REUSED);
    assert_eq!(read::log(&*store, &Query::all()).await.len(), 1);
}

pub(super) async fn w4_a_used_id_is_refused_before_a_conflict_is_looked_for(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("reused");
    let append = append_one(&stream, event());
    store.append(append.clone()).await.unwrap();
    let stale = append_to(&stream, Expected::NoStream, events(1));
    let different = under(append.command, OTHER_FINGERPRINT, stale);
    assert_eq!(store.append(different).await.unwrap_err().code(), Code::COMMAND_ID_REUSED);
}

pub(super) async fn w4_of_two_commands_racing_under_one_id_one_is_stored(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("reused");
    let id = command();
    let appends = (0..16).map(|task| {
        let fingerprint = [FINGERPRINT, OTHER_FINGERPRINT][task % 2];
        under(id, fingerprint, append_one(&stream, event()))
    });
    let outcomes = race_appends(&store, appends).await;
    let (stored, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((stored.len(), refused.len()), (8, 8), "half of them sent the stored command");
    assert_eq!(stored.iter().flatten().filter(|answer| !answer.repeated).count(), 1);
    let codes = refused.into_iter().map(|outcome| outcome.unwrap_err().code());
    assert!(codes.into_iter().all(|code| code == Code::COMMAND_ID_REUSED));
    assert_eq!(read::log(&*store, &Query::all()).await.len(), 1);
}

pub(super) async fn w4_an_append_without_events_is_recorded(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("checked");
    store.append(append_to(&stream, Expected::NoStream, events(2))).await.unwrap();
    let append = append_to(&stream, at(2), Vec::new());
    let first = store.append(append.clone()).await.unwrap();
    let head = Appended { position: Position::new(2), streams: Vec::new(), repeated: false };
    assert_eq!(first, head, "the response has the head of the log");
    store.append(append_one(&stream, event())).await.unwrap();
    assert_eq!(store.append(append.clone()).await.unwrap(), again(&first));
    let different = under(append.command, OTHER_FINGERPRINT, empty());
    assert_eq!(store.append(different).await.unwrap_err().code(), Code::COMMAND_ID_REUSED);
}

pub(super) async fn w4_an_append_that_failed_leaves_its_id_free(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("failed");
    let id = command();
    let stale = under(id, FINGERPRINT, append_to(&stream, at(3), events(1)));
    assert!(store.append(stale).await.unwrap_err().is_conflict());
    assert_eq!(store.find_command(id).await.unwrap(), None);
    let decided_again = under(id, OTHER_FINGERPRINT, append_to(&stream, at(0), events(1)));
    assert!(!store.append(decided_again).await.unwrap().repeated);
}

pub(super) async fn w4_an_id_counts_over_all_streams(fixture: Fixture) {
    let (store, [a, b]) = (fixture.store(), [stream("a"), stream("b")]);
    let append = append_one(&a, event());
    let first = store.append(append.clone()).await.unwrap();
    let elsewhere = under(append.command, FINGERPRINT, append_one(&b, event()));
    assert_eq!(store.append(elsewhere).await.unwrap(), again(&first));
    let different = under(append.command, OTHER_FINGERPRINT, append_one(&b, event()));
    assert_eq!(store.append(different).await.unwrap_err().code(), Code::COMMAND_ID_REUSED);
    assert!(read::stream(&*store, &b).await.is_empty());
}

pub(super) async fn w4_a_stored_command_can_be_looked_up(fixture: Fixture) {
    let (store, [a, b]) = (fixture.store(), [stream("a"), stream("b")]);
    assert_eq!(store.find_command(command()).await.unwrap(), None);
    let append = append_one(&a, event()).stream(b, Expected::Any, events(2));
    let first = store.append(append.clone()).await.unwrap();
    let known = fixture.reopen().await.find_command(append.command).await.unwrap().unwrap();
    assert_eq!(known.fingerprint, append.fingerprint);
    assert_eq!(known.appended, again(&first));
}

pub(super) async fn w4_every_bit_of_a_fingerprint_counts(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("bits");
    for bits in [0, 1, u64::MAX, 1 << 63] {
        let append = under(command(), Fingerprint::from_bits(bits), append_one(&stream, event()));
        store.append(append.clone()).await.unwrap();
        assert!(store.append(append.clone()).await.unwrap().repeated);
        let other = under(append.command, Fingerprint::from_bits(bits ^ (1 << 63)), append);
        assert_eq!(store.append(other).await.unwrap_err().code(), Code::COMMAND_ID_REUSED);
    }
}
