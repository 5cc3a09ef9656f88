//! A record encoded byte by byte, to write what no client would write: header names that are no
//! text.

use std::time::Duration;

use highwater_core::port::Clock as _;
use highwater_stores::SystemClock;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::fixture::TopicFixture;

/// The parts of a record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Raw {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Raw {
    /// Returns the record with this header, which replaces one of the same name.
    pub(crate) fn header(mut self, name: &[u8], value: &[u8]) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self.headers.push((name.to_vec(), Some(value.to_vec())));
        self
    }

    /// Returns the record without this header.
    pub(crate) fn without(mut self, name: &[u8]) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self
    }

    /// Writes the record to a partition of the test's topic.
    pub(crate) async fn write(&self, fixture: &TopicFixture, partition: i32) {
        let request = request(&fixture.topic, partition, &self.batch());
        let mut leader = TcpStream::connect(leader(fixture, partition)).await.unwrap();
        leader.write_all(&request).await.unwrap();
        let length = leader.read_u32().await.unwrap();
        let mut answer = vec![0; length as usize];
        leader.read_exact(&mut answer).await.unwrap();
        // After the request number: one topic by name, one partition by number, the error code.
        let place = 4 + 4 + 2 + fixture.topic.len() + 4 + 4;
        assert_eq!(answer[place..place + 2], [0, 0], "the server refuses the record: {answer:?}");
    }

    /// Encodes a batch of this record alone, in format 2.
    fn batch(&self) -> Vec<u8> {
        let mut record = vec![0];
        varint(&mut record, 0);
        varint(&mut record, 0);
        bytes(&mut record, self.key.as_deref());
        bytes(&mut record, self.value.as_deref());
        varint(&mut record, self.headers.len() as i64);
        for (name, value) in &self.headers {
            bytes(&mut record, Some(name));
            bytes(&mut record, value.as_deref());
        }
        let now = SystemClock.now().as_millisecond().to_be_bytes();
        // Attributes, the delta of the last offset, two timestamps, and no producer id, epoch and
        // sequence.
        let mut checked = [&[0, 0][..], &[0; 4], &now, &now, &[0xff; 8 + 2 + 4]].concat();
        checked.extend(1_u32.to_be_bytes());
        varint(&mut checked, record.len() as i64);
        checked.extend(record);
        let mut batch = vec![0; 8];
        batch.extend((4 + 1 + 4 + checked.len() as u32).to_be_bytes());
        batch.extend([&[0xff; 4][..], &[2], &crc32c(&checked).to_be_bytes()].concat());
        batch.extend(checked);
        batch
    }
}

/// Encodes request 0 (produce) in version 3, acknowledged by all, within ten seconds.
fn request(topic: &str, partition: i32, batch: &[u8]) -> Vec<u8> {
    let mut request = b"\0\0\0\x03hiwa\xff\xff\xff\xff\xff\xff".to_vec();
    request.extend(10_000_u32.to_be_bytes());
    request.extend(1_u32.to_be_bytes());
    request.extend((topic.len() as u16).to_be_bytes());
    request.extend(topic.as_bytes());
    request.extend(1_u32.to_be_bytes());
    request.extend(partition.to_be_bytes());
    request.extend((batch.len() as u32).to_be_bytes());
    request.extend(batch);
    [&(request.len() as u32).to_be_bytes()[..], &request].concat()
}

/// Returns the address of the leader of a partition.
fn leader(fixture: &TopicFixture, partition: i32) -> String {
    let config = ClientConfig::new().set("bootstrap.servers", &fixture.bootstrap).clone();
    let client: BaseConsumer = config.create().unwrap();
    let found = client.fetch_metadata(Some(&fixture.topic), Duration::from_secs(20)).unwrap();
    let mut partitions = found.topics()[0].partitions().iter();
    let leader = partitions.find(|one| one.id() == partition).unwrap().leader();
    let broker = found.brokers().iter().find(|broker| broker.id() == leader).unwrap();
    format!("{}:{}", broker.host(), broker.port())
}

/// Encodes an integer in zigzag and LEB128.
fn varint(out: &mut Vec<u8>, number: i64) {
    let mut number = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    varint(out, bytes.map_or(-1, |bytes| bytes.len() as i64));
    out.extend(bytes.unwrap_or_default());
}

/// Computes the CRC-32C (Castagnoli) checksum, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    })
}
