//! Members of a group with an instance name (static membership).

use highwater_core::{Code, Position, domain::ViewName, value::Sharding};
use highwater_projections::kafka::KafkaState;

use super::{
    fixture::{TopicFixture, in_time},
    member::settle,
};

const LAYOUT: Sharding = Sharding::by_stream(4);

#[tokio::test]
async fn a_member_that_returns_under_its_name_gets_its_partitions_without_a_rebalance() {
    let test = "a_member_that_returns_under_its_name_gets_its_partitions_without_a_rebalance";
    let Some(fixture) = TopicFixture::new(test) else { return };
    fixture.append(40).await;
    fixture.publish().await;
    let join = async |name| {
        fixture.join(&fixture.source().instance(name), &fixture.subscription("named", LAYOUT)).await
    };
    let mut members = vec![join("one").await, join("two").await];
    settle(&mut members, &[2, 2]).await;
    let mut other = members.remove(1);
    let before: Vec<_> = members[0].shards.keys().copied().collect();
    // The member ends without leaving the group, which is the purpose of an instance name.
    let first = members.remove(0);
    drop(first.shards);
    in_time(first.membership.leave()).await.unwrap();

    let mut back = join("one").await;
    tokio::select! {
        () = back.until(2) => {}
        change = other.membership.next_assignment() => panic!("the other member was disturbed: {change:?}"),
    }
    assert_eq!(back.shards.keys().copied().collect::<Vec<_>>(), before);
    for shard in before {
        let events = back.deliver(shard, Position::new(40)).await;
        assert_eq!(events, fixture.of_shard(LAYOUT, shard).await);
    }
}

#[tokio::test]
async fn the_first_of_two_members_with_one_name_stops_with_an_error() {
    let test = "the_first_of_two_members_with_one_name_stops_with_an_error";
    let Some(fixture) = TopicFixture::new(test) else { return };
    fixture.append(10).await;
    fixture.publish().await;
    let source = fixture.source().instance("one");
    let state = source.state(&ViewName::new("twice").unwrap());
    let mut first = fixture.join(&source, &fixture.subscription("twice", LAYOUT)).await;
    first.until(4).await;
    let another = fixture.source().instance("one");
    let mut second = fixture.join(&another, &fixture.subscription("twice", LAYOUT)).await;
    let refused = async {
        loop {
            if let Err(error) = first.membership.next_assignment().await {
                return error;
            }
        }
    };
    let (error, ()) = in_time(async { tokio::join!(refused, second.until(4)) }).await;
    assert_eq!(error.code(), Code::BAD_CONFIGURATION, "{error}");
    assert!(error.is_invalid() && error.to_string().contains("instance name"), "{error}");
    assert!(matches!(*state.borrow(), KafkaState::InstanceTaken { .. }), "{state:?}");
}
