//! The cursor of a feed: the records to resume from in the partitions of its topics.

use std::collections::BTreeMap;

use bytes::Bytes;
use highwater_core::Position;

use crate::kafka::cursor::{CursorReader, CursorWriter};

/// The number of the cursor format. Format 1 had offsets alone.
const FORMAT: u8 = 2;

/// A record that has been read, and the position up to which it completes its partition. It is read again
/// at first: if another record is there now, the topic is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ResumePoint {
    pub(super) offset: i64,
    pub(super) position: Position,
}

/// The records to resume from, by topic and partition. Other partitions are read from the beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ResumePoints(BTreeMap<String, BTreeMap<i32, ResumePoint>>);

impl ResumePoints {
    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<ResumePoint> {
        self.0.get(topic)?.get(&partition).copied()
    }

    pub(super) fn insert(&mut self, topic: &str, partition: i32, point: ResumePoint) {
        match self.0.get_mut(topic) {
            Some(points) => drop(points.insert(partition, point)),
            None => drop(self.0.insert(topic.to_owned(), [(partition, point)].into())),
        }
    }

    /// Returns the offset after each record that has been read.
    pub(super) fn offsets(&self) -> impl Iterator<Item = (&str, i32, i64)> {
        self.0.iter().flat_map(|(topic, points)| {
            points.iter().map(|(partition, point)| (topic.as_str(), *partition, point.offset + 1))
        })
    }

    pub(super) fn to_cursor(&self) -> Bytes {
        let mut cursor = CursorWriter::new(FORMAT);
        for (topic, points) in &self.0 {
            cursor.text(topic);
            cursor.number(points.len() as u64);
            for (partition, ResumePoint { offset, position }) in points {
                cursor.number(u64::from(partition.unsigned_abs()));
                cursor.number(offset.unsigned_abs());
                cursor.number(position.get());
            }
        }
        cursor.finish()
    }

    /// Decodes a cursor. One of another feed, or of another version, counts as none: the partitions are
    /// read from the beginning, and events that have been delivered are recognised.
    pub(super) fn from_cursor(cursor: &[u8]) -> Self {
        Self::decode(cursor).unwrap_or_default()
    }

    fn decode(cursor: &[u8]) -> Option<Self> {
        let mut cursor = CursorReader::new(FORMAT, cursor)?;
        let mut topics = BTreeMap::new();
        while !cursor.is_at_the_end() {
            let topic = cursor.text()?.to_owned();
            let mut points = BTreeMap::new();
            for _ in 0..cursor.number()? {
                let partition = i32::try_from(cursor.number()?).ok()?;
                let offset = i64::try_from(cursor.number()?).ok()?;
                let position = Position::new(cursor.number()?);
                points.insert(partition, ResumePoint { offset, position });
            }
            topics.insert(topic, points);
        }
        Some(Self(topics))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resume_points_survive_the_round_trip() {
        let point = |offset, position| ResumePoint { offset, position: Position::new(position) };
        let mut points = ResumePoints::default();
        points.insert("a", 0, point(7, 300));
        points.insert("a", 11, point(1 << 40, 1 << 50));
        points.insert("b", 3, point(0, 1));
        let read = ResumePoints::from_cursor(&points.to_cursor());
        assert_eq!(read, points);
        assert_eq!(read.get("a", 11), Some(point(1 << 40, 1 << 50)));
        let others = (read.get("b", 3), read.get("b", 4), read.get("c", 0));
        assert_eq!(others, (Some(point(0, 1)), None, None));
        assert_eq!(read.offsets().last(), Some(("b", 3, 1)));
    }

    #[test]
    fn a_cursor_of_format_1_is_read_as_none() {
        let mut before = CursorWriter::new(1);
        for (topic, offset) in [("a", 7), ("b", 9)] {
            before.text(topic);
            for number in [1, 0, offset] {
                before.number(number);
            }
        }
        assert_eq!(ResumePoints::from_cursor(&before.finish()), ResumePoints::default());
    }

    #[test]
    fn a_cursor_of_another_feed_means_the_beginning() {
        for other in [&b""[..], b"\x02\x01a", b"\x01\x01", b"\x01\x01a\x02\x00\x05"] {
            assert_eq!(ResumePoints::from_cursor(other), ResumePoints::default(), "{other:?}");
        }
    }
}
