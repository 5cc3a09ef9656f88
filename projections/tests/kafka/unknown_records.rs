//! Records that do not belong to Highwater, or no longer do: each is named in an error, and none
//! hides an event.

use highwater_core::{Code, Envelope, Position, domain::ViewName, port::Progress};
use highwater_projections::kafka::{ForeignRecords, KafkaState};

use super::{
    fixture::{TopicFixture, drain, in_time},
    raw_record::Raw,
    records::ForeignClient,
};

/// Returns the record of an event as a relay writes it.
fn record(event: &Envelope, previous: u64) -> Raw {
    let headers = [
        ("ce_position", event.position.to_string()),
        ("ce_previous", previous.to_string()),
        ("ce_type", event.type_name.to_string()),
        ("ce_time", event.recorded_at.to_string()),
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", event.id.to_string()),
        ("ce_streamversion", event.version.to_string()),
        ("ce_schemaversion", event.schema_version.to_string()),
        ("ce_commandid", event.command.to_string()),
        ("ce_tags", serde_json::to_string(&event.tags).unwrap()),
    ];
    let key = Some(event.stream.as_str().into());
    let raw = Raw { key, value: Some(event.payload.to_vec()), ..Raw::default() };
    headers.iter().fold(raw, |raw, (name, value)| raw.header(name.as_bytes(), value.as_bytes()))
}

/// Returns records of a topic that are no events, each with the words of its error.
fn strange(event: &Envelope) -> Vec<(Raw, &'static str)> {
    let good = record(event, 0);
    vec![
        (good.clone().header(b"\xc3\x28", b"1"), "a header's name is no text"),
        (good.clone().header(b"ce_type", b"\xff"), "ce_type is no text"),
        (good.clone().header(b"ce_position", b"\xff"), "ce_position is no text"),
        (good.clone().header(b"ce_position", b"seven"), "ce_position is malformed"),
        (good.clone().header(b"ce_time", b"yesterday"), "ce_time is malformed"),
        (good.clone().without(b"ce_previous"), "it has no header ce_previous"),
        (good.clone().header(b"ce_id", b"7"), "ce_id is malformed"),
        (Raw { key: Some(b"\xff\xfe".into()), ..good.clone() }, "its key is no text"),
        (Raw { key: Some(b"somebody".into()), ..good.clone() }, "its key"),
        (Raw { key: None, ..good.clone() }, "it has no key"),
        // The tombstone of a compacted key, with the headers of Highwater and without any.
        (Raw { value: None, ..good.clone() }, "it has no value"),
        (Raw { value: None, headers: Vec::new(), ..good.clone() }, "it has no headers"),
    ]
}

#[tokio::test]
async fn every_kind_of_unknown_record_stops_a_view_before_it_and_is_named() {
    let test = "every_kind_of_unknown_record_stops_a_view_before_it_and_is_named";
    let Some(fixture) = TopicFixture::new(test) else { return };
    fixture.append(1).await;
    let event = fixture.log().await.remove(0);
    for (raw, why) in strange(&event) {
        let topic =
            TopicFixture { topic: format!("test-{:016x}", fastrand::u64(..)), ..fixture.clone() };
        ForeignClient::of(&topic).create(1, &[]).await;
        raw.write(&topic, 0).await;
        let source = topic.source();
        let mut feed = topic.whole(&source, &Progress::default()).await;
        let error = in_time(feed.next(10)).await.unwrap_err();
        assert_eq!(error.code(), Code::FOREIGN_RECORD, "{error}");
        let said = error.to_string();
        assert!(said.contains(why) && said.contains("record 0 of"), "{why:?} is not in {said:?}");
        let state = source.state(&ViewName::new("whole").unwrap()).borrow().clone();
        assert!(matches!(state, KafkaState::ForeignRecord { .. }), "{state:?}");
    }
}

#[tokio::test]
async fn skipped_unknown_records_hide_no_event() {
    let test = "skipped_unknown_records_hide_no_event";
    let Some(fixture) = TopicFixture::new(test) else { return };
    ForeignClient::of(&fixture).create(1, &[]).await;
    fixture.append(20).await;
    let log = fixture.log().await;
    let mut strange = strange(&log[0]).into_iter().map(|(raw, _)| raw).cycle();
    let mut written = 0;
    for (previous, event) in (0..).zip(&log) {
        // One event is missing: the record written in its place must not be taken for it.
        if event.position.get() != 11 {
            record(event, previous).write(&fixture, 0).await;
        }
        strange.next().unwrap().write(&fixture, 0).await;
        written += 1;
    }
    let source = fixture.source().foreign(ForeignRecords::Ignore);
    let mut feed = fixture.whole(&source, &Progress::default()).await;
    let events = drain(&mut *feed, Position::new(20), 3).await.events;
    assert_eq!(events, log);
    assert!(source.ignored() >= written - 1, "{} of {written}", source.ignored());
    assert_eq!(source.filled(), 1);
}

/// A record of Highwater may have arbitrary headers of other programs.
#[tokio::test]
async fn unknown_headers_are_ignored() {
    let Some(fixture) = TopicFixture::new("unknown_headers_are_ignored") else { return };
    ForeignClient::of(&fixture).create(1, &[]).await;
    fixture.append(1).await;
    let log = fixture.log().await;
    let record = record(&log[0], 0).header(b"x-agent", b"\xff\x00\xfe").header(b"", b"1");
    record.write(&fixture, 0).await;
    let mut feed = fixture.whole(&fixture.source(), &Progress::default()).await;
    assert_eq!(in_time(feed.next(10)).await.unwrap().events, log);
}
