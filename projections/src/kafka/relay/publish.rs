//! Reads the log and sends it: events in order, and marks.

use std::{sync::Arc, time::Instant};

use futures_util::future::{Either, select};
use highwater_core::{
    Envelope, Position, ReadFrom, Result,
    follow::read_ahead,
    port::{LogPage, Progress},
};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tracing::{Instrument as _, field};

use super::{
    chains::PartitionChains,
    checkpoint::SentBatch,
    marks::MarkSchedule,
    producer::{OutgoingRecord, PendingAcks, Producer},
    settings::RelaySettings,
    topics::RelayTopics,
};
use crate::{
    kafka::record::{MarkRecord, RecordEncoder},
    metrics::RelayMeter,
    trace::Traces,
};

/// The number of records that are sent before other tasks get their turn.
const YIELD_INTERVAL: usize = 128;

/// The part of a leader that reads and sends.
pub(super) struct LogPublisher<'a> {
    settings: &'a RelaySettings,
    meter: &'a RelayMeter,
    producer: &'a Producer,
    chains: PartitionChains,
    marks: MarkSchedule,
    encoder: RecordEncoder,
    through: Position,
    as_of: Timestamp,
    /// The latest time that a record may have: brokers refuse times that lie ahead.
    latest: Timestamp,
    batches: mpsc::Sender<SentBatch>,
}

/// A page of the log, and the time before it was read.
struct TimedPage {
    log: LogPage,
    read_at: Timestamp,
}

impl<'a> LogPublisher<'a> {
    pub(super) fn new(
        settings: &'a RelaySettings,
        meter: &'a RelayMeter,
        producer: &'a Producer,
        chains: PartitionChains,
        from: &Progress,
        batches: mpsc::Sender<SentBatch>,
    ) -> Self {
        let source =
            settings.source.clone().unwrap_or_else(|| format!("/highwater/{}", settings.name));
        Self {
            settings,
            meter,
            producer,
            chains,
            marks: MarkSchedule::new(settings.mark_interval, settings.idle_interval),
            encoder: RecordEncoder::new(source),
            through: from.position,
            as_of: from.as_of,
            latest: settings.clock.now(),
            batches,
        }
    }

    /// Publishes until an error.
    pub(super) async fn run(mut self) -> Result<()> {
        let settings = self.settings;
        let mut page = read(settings, self.through).await?;
        loop {
            page = if page.log.more {
                let reading = read(settings, page.log.through);
                let (next, sent) = read_ahead(reading, self.publish(&page)).await;
                sent?;
                next?
            } else {
                self.publish(&page).await?;
                self.wait().await?;
                read(settings, self.through).await?
            };
        }
    }

    /// Sends a page, and marks if they are due. The checkpoint may follow once all is acknowledged.
    async fn publish(&mut self, page: &TimedPage) -> Result<()> {
        let relay = &self.settings.name;
        let events = page.log.events.len();
        let span = tracing::info_span!("publish_page", relay, events, through = %page.log.through);
        self.publish_page(page).instrument(span).await
    }

    async fn publish_page(&mut self, page: &TimedPage) -> Result<()> {
        let traces = self.traces(&page.log.events);
        let acks = PendingAcks::new();
        let now = Instant::now();
        self.latest = self.settings.clock.now();
        for (index, event) in page.log.events.iter().enumerate() {
            self.send(event, &acks, now).await?;
            if index % YIELD_INTERVAL == YIELD_INTERVAL - 1 {
                tokio::task::yield_now().await;
            }
        }
        let has_moved = page.log.through > self.through;
        self.through = page.log.through;
        if let Some(last) = page.log.events.last() {
            self.as_of = last.recorded_at;
        }
        if !page.log.more {
            self.as_of = self.as_of.max(page.read_at);
        }
        let has_marked = self.send_marks(&acks).await?;
        acks.complete();
        if has_moved || has_marked {
            let cursor = self.chains.to_cursor();
            let progress = Progress { position: self.through, as_of: self.as_of, cursor };
            // The receiver is gone only if the checkpoint has failed, which ends this task as well.
            let _ = self.batches.send(SentBatch { progress, acks, traces }).await;
        }
        Ok(())
    }

    /// Opens a span in the trace of each event, which ends when the event is acknowledged.
    fn traces(&self, events: &[Envelope]) -> Traces {
        let relay = &self.settings.name;
        Traces::of(events, |event| {
            let (position, trace_id) = (event.position, field::Empty);
            tracing::info_span!(parent: None, "publish", relay, %position, trace_id)
        })
    }

    async fn send(
        &mut self,
        event: &Envelope,
        acks: &Arc<PendingAcks>,
        now: Instant,
    ) -> Result<()> {
        let topic = self.settings.topics.of(&event.stream);
        if self.chains.partitions(&topic).is_none() {
            // The first event of a category: its topic is created now.
            self.chains.start(&topic, RelayTopics(self.settings).ensure(&topic).await?);
        }
        let Some(end) = self.chains.add(&topic, &event.stream, event.position) else {
            return Ok(());
        };
        self.marks.recorded(&topic, end.partition, event.position, now);
        let record = OutgoingRecord {
            topic: &topic,
            partition: end.partition,
            key: Some(event.stream.as_str()),
            payload: &event.payload,
            headers: self.encoder.event(event, end.previous)?,
            timestamp: self.record_time(event.recorded_at),
        };
        self.meter.events.increment(1);
        let sent = self.producer.send(record, acks).await;
        sent.map_err(|error| self.producer.explain(error, event))
    }

    /// Returns the time that a record has for Kafka, which keeps it for so long. The time of an event from
    /// the future is in its headers; the topic would take it only when that time has come.
    fn record_time(&self, time: Timestamp) -> i64 {
        time.min(self.latest).as_millisecond()
    }

    /// Sends marks to the partitions that are due, and returns true if there were any.
    async fn send_marks(&mut self, acks: &Arc<PendingAcks>) -> Result<bool> {
        let now = Instant::now();
        let position = self.through;
        let as_of = self.as_of;
        let due = self.marks.due(&self.chains, position, now);
        for (topic, end) in &due {
            let mark = MarkRecord { position, previous: end.previous, as_of };
            let record = OutgoingRecord {
                topic,
                partition: end.partition,
                key: None,
                payload: &[],
                headers: self.encoder.mark(mark, end.partition),
                timestamp: self.record_time(as_of),
            };
            self.meter.marks.increment(1);
            self.producer.send(record, acks).await?;
            self.marks.recorded(topic, end.partition, position, now);
        }
        Ok(!due.is_empty())
    }

    /// Waits for events, or until marks are due. The log is read afterwards in either case: a mark says
    /// what was found in the log, not that no notification came.
    async fn wait(&self) -> Result<()> {
        let RelaySettings { log, clock, .. } = self.settings;
        let until_marks = self.marks.until_due(&self.chains, self.through, Instant::now());
        match select(log.wait_for_append(self.through), clock.sleep(until_marks)).await {
            Either::Left((appended, _)) => appended,
            Either::Right(_) => Ok(()),
        }
    }
}

async fn read(settings: &RelaySettings, after: Position) -> Result<TimedPage> {
    let RelaySettings { log, clock, query, page_size, .. } = settings;
    let read_at = clock.now();
    let log = log.read_log(query, ReadFrom::After(after), *page_size).await?;
    Ok(TimedPage { log, read_at })
}
