//! Reads the log and sends it: events in order, and marks.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

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
    Relay,
    chains::Chains,
    checkpoint::Batch,
    marks::Marks,
    producer::{Acknowledged, Outgoing, Producer},
};
use crate::{
    kafka::record::{Encoder, Mark},
    trace::Traces,
};

/// After so many records other tasks get their turn.
const TURN: usize = 128;

/// The part of a leader that reads and sends.
pub(super) struct Publisher<'a> {
    relay: &'a Relay,
    producer: &'a Producer,
    chains: Chains,
    marks: Marks,
    encoder: Encoder,
    through: Position,
    as_of: Timestamp,
    batches: mpsc::Sender<Batch>,
}

/// A page, and what was the time before it was asked for.
struct Page {
    log: LogPage,
    asked: Timestamp,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(
        relay: &'a Relay,
        producer: &'a Producer,
        chains: Chains,
        from: &Progress,
        batches: mpsc::Sender<Batch>,
    ) -> Self {
        let source = relay.source.clone().unwrap_or_else(|| format!("/highwater/{}", relay.name));
        let (through, as_of) = (from.position, from.as_of);
        let marks = Marks::new(relay.mark_interval, relay.idle_interval);
        let encoder = Encoder::new(source);
        Self { relay, producer, chains, marks, encoder, through, as_of, batches }
    }

    /// Publishes until an error.
    pub(super) async fn run(mut self) -> Result<()> {
        let relay = self.relay;
        let mut page = relay.read(self.through).await?;
        loop {
            page = if page.log.more {
                let reading = relay.read(page.log.through);
                let (next, sent) = read_ahead(reading, self.publish(&page)).await;
                sent?;
                next?
            } else {
                self.publish(&page).await?;
                self.wait().await?;
                relay.read(self.through).await?
            };
        }
    }

    /// Sends a page, and marks if they are due. The checkpoint may follow once all is acknowledged.
    async fn publish(&mut self, page: &Page) -> Result<()> {
        let (relay, events) = (&self.relay.name, page.log.events.len());
        let span = tracing::info_span!("publish_page", relay, events, through = %page.log.through);
        self.publish_within(page).instrument(span).await
    }

    async fn publish_within(&mut self, page: &Page) -> Result<()> {
        let traces = self.traces(&page.log.events);
        let (batch, now) = (Acknowledged::new(), Instant::now());
        for (index, event) in page.log.events.iter().enumerate() {
            self.send(event, &batch, now).await?;
            if index % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        let mut has_news = page.log.through > self.through;
        self.through = page.log.through;
        if let Some(last) = page.log.events.last() {
            self.as_of = last.recorded_at;
        }
        if !page.log.more {
            self.as_of = self.as_of.max(page.asked);
        }
        has_news |= self.mark(&batch).await?;
        batch.complete();
        if has_news {
            let (position, as_of) = (self.through, self.as_of);
            let to = Progress { position, as_of, cursor: self.chains.to_cursor() };
            // Nobody takes it only if the checkpoint has failed, and that ends this as well.
            let _ = self.batches.send(Batch { to, acknowledged: batch, traces }).await;
        }
        Ok(())
    }

    /// Lets it be seen in the events' traces that they are published, until that is acknowledged.
    fn traces(&self, events: &[Envelope]) -> Traces {
        let relay = &self.relay.name;
        Traces::of(events, |event| {
            let (position, trace_id) = (event.position, field::Empty);
            tracing::info_span!(parent: None, "publish", relay, %position, trace_id)
        })
    }

    async fn send(
        &mut self,
        event: &Envelope,
        batch: &Arc<Acknowledged>,
        now: Instant,
    ) -> Result<()> {
        let topic = self.relay.topics.of(&event.stream);
        if self.chains.partitions(&topic).is_none() {
            // The first event of a category: its topic is made now.
            self.chains.begin(&topic, self.relay.ensure_one(&topic).await?);
        }
        let Some(link) = self.chains.add(&topic, &event.stream, event.position) else {
            return Ok(());
        };
        self.marks.told(&topic, link.partition, event.position, now);
        let record = Outgoing {
            topic: &topic,
            partition: link.partition,
            key: Some(event.stream.as_str()),
            payload: &event.payload,
            headers: self.encoder.event(event, link.previous)?,
            timestamp: event.recorded_at.as_millisecond(),
        };
        self.relay.meter().events.increment(1);
        let sent = self.producer.send(record, batch).await;
        sent.map_err(|error| self.producer.explain(error, event))
    }

    /// Writes marks into the partitions that are due, and tells whether there were any.
    async fn mark(&mut self, batch: &Arc<Acknowledged>) -> Result<bool> {
        let now = Instant::now();
        let due = self.marks.due(&self.chains, self.through, now);
        for (topic, link) in &due {
            let (position, previous, as_of) = (self.through, link.previous, self.as_of);
            let mark = Mark { position, previous, as_of };
            let record = Outgoing {
                topic,
                partition: link.partition,
                key: None,
                payload: &[],
                headers: self.encoder.mark(mark, link.partition),
                timestamp: as_of.as_millisecond(),
            };
            self.relay.meter().marks.increment(1);
            self.producer.send(record, batch).await?;
            self.marks.told(topic, link.partition, position, now);
        }
        Ok(!due.is_empty())
    }

    fn until_marks(&self) -> Duration {
        self.marks.until_due(&self.chains, self.through, Instant::now())
    }

    /// Waits for events, or until marks are due. The log is read then in any case: marks say what was
    /// found, not what was not heard.
    async fn wait(&self) -> Result<()> {
        let appended = self.relay.log.wait_for_append(self.through);
        match select(appended, self.relay.clock.sleep(self.until_marks())).await {
            Either::Left((appended, _)) => appended,
            Either::Right(_) => Ok(()),
        }
    }
}

impl Relay {
    async fn read(&self, after: Position) -> Result<Page> {
        let asked = self.clock.now();
        let log = self.log.read_log(&self.query, ReadFrom::After(after), self.page).await?;
        Ok(Page { log, asked })
    }
}
