//! The consistency token, which a writer passes to a reader so that the read sees the write (R3).

use std::{collections::BTreeMap, fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{LogId, Malformed, Position};

/// A part of the log with its own clock. A single store has only [`PartitionId::LOG`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(u32);

impl PartitionId {
    /// The store's own total order.
    pub const LOG: Self = Self(0);

    /// The partition with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }
}

/// A vector of positions, one per partition: *everything up to here*.
///
/// A receipt carries one, and a later read waits until the view has reached it. It is durable and
/// crosses services: as text it is URL-safe, for headers and query strings, and as a serde value it
/// is that text. A token for one partition takes a dozen characters.
///
/// A receipt's token also has a fingerprint of its log, so that readers of another log refuse it
/// instead of waiting for a position that means nothing there.
///
/// ```
/// use highwater_core::{Position, Token};
///
/// let token = Token::at(Position::new(70_000));
/// let header = token.to_string();
/// assert_eq!(header.parse::<Token>().unwrap(), token);
/// assert!(token.is_covered_by(&Token::at(Position::new(70_001))));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Token {
    log: Option<LogId>,
    clocks: BTreeMap<PartitionId, Position>,
}

/// The first byte of the encoding without the fingerprint of a log.
const FORMAT_WITHOUT_LOG: u8 = 1;
/// The first byte of the encoding with a log's fingerprint, whose four bytes follow.
const FORMAT_WITH_LOG: u8 = 2;

/// The largest number of partitions that a token may name as text. It comes from outside, so its
/// size is bounded.
const MAX_CLOCKS: usize = 256;
/// The longest text of a token: at most 20 bytes for each of those partitions, in base 64.
const MAX_TEXT_BYTES: usize = MAX_CLOCKS * 20 * 4 / 3;

impl Token {
    /// Creates a token for everything in the store's log up to `position`.
    #[must_use]
    pub fn at(position: Position) -> Self {
        Self::default().with(PartitionId::LOG, position)
    }

    /// Creates a token for everything in this log up to `position`.
    #[must_use]
    pub fn of(log: LogId, position: Position) -> Self {
        Self { log: Some(log), ..Self::at(position) }
    }

    /// The log that the token belongs to, if that is recorded; [`LogId::NONE`] if the token was
    /// merged from tokens of several logs.
    #[must_use]
    pub const fn log(&self) -> Option<LogId> {
        self.log
    }

    /// Adds everything in `partition` up to `position`.
    #[must_use]
    pub fn with(mut self, partition: PartitionId, position: Position) -> Self {
        let clock = self.clocks.entry(partition).or_default();
        *clock = (*clock).max(position);
        self
    }

    /// The position in one partition; [`Position::START`] if the token does not name it.
    #[must_use]
    pub fn position(&self, partition: PartitionId) -> Position {
        self.clocks.get(&partition).copied().unwrap_or_default()
    }

    /// The partitions that the token names, with their positions.
    pub fn clocks(&self) -> impl Iterator<Item = (PartitionId, Position)> {
        self.clocks.iter().map(|(partition, position)| (*partition, *position))
    }

    /// Returns true if the token names no partition but [`PartitionId::LOG`], so that a single
    /// store can reach it.
    #[must_use]
    pub fn is_of_one_order(&self) -> bool {
        self.clocks.keys().all(|partition| *partition == PartitionId::LOG)
    }

    /// Returns the least token that covers both. Two tokens of different logs give one that no
    /// reader can wait for.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let log = match (self.log, other.log) {
            (Some(log), Some(other)) if log != other => Some(LogId::NONE),
            (log, other) => log.or(other),
        };
        let both = Self { log, ..self.clone() };
        other.clocks().fold(both, |token, (partition, at)| token.with(partition, at))
    }

    /// Returns true if a reader at `seen` has seen all that this token requires.
    #[must_use]
    pub fn is_covered_by(&self, seen: &Self) -> bool {
        self.clocks().all(|(partition, position)| seen.position(partition) >= position)
    }

    /// Encodes the format byte, the log if it is known, then partition and position of each clock
    /// as LEB128 integers.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = match self.log {
            None => vec![FORMAT_WITHOUT_LOG],
            Some(log) => [&[FORMAT_WITH_LOG][..], &log.to_bytes()].concat(),
        };
        for (partition, position) in self.clocks() {
            write_varint(&mut bytes, u64::from(partition.0));
            write_varint(&mut bytes, position.get());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (log, mut rest) = match bytes.split_first()? {
            (&FORMAT_WITHOUT_LOG, rest) => (None, rest),
            (&FORMAT_WITH_LOG, rest) => {
                let (log, rest) = rest.split_first_chunk()?;
                (Some(LogId::from_bytes(*log)), rest)
            }
            _ => return None,
        };
        let mut token = Self { log, ..Self::default() };
        while !rest.is_empty() {
            let partition = u32::try_from(read_varint(&mut rest)?).ok()?;
            let position = read_varint(&mut rest).filter(|p| *p <= Position::END.get())?;
            token = token.with(PartitionId(partition), Position::new(position));
        }
        Some(token).filter(|token| token.clocks.len() <= MAX_CLOCKS)
    }
}

fn write_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.to_bytes()))
    }
}

impl AsRef<Self> for Token {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl FromStr for Token {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let is_short = text.len() <= MAX_TEXT_BYTES;
        let bytes = is_short.then(|| URL_SAFE_NO_PAD.decode(text).ok()).flatten();
        bytes.and_then(|bytes| Self::from_bytes(&bytes)).ok_or_else(|| {
            Malformed::new("consistency token", text, "pass on the receipt's token unchanged")
        })
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_the_round_trip_with_several_partitions() {
        let token = Token::at(Position::new(300))
            .with(PartitionId::new(7), Position::new(1))
            .with(PartitionId::new(u32::MAX), Position::END);
        assert_eq!(token.to_string().parse::<Token>().unwrap(), token);
        let json = serde_json::to_string(&token).unwrap();
        assert_eq!(serde_json::from_str::<Token>(&json).unwrap(), token);
    }

    #[test]
    fn r3_a_token_of_a_log_survives_the_round_trip_and_says_which() {
        let token = Token::of(LogId::of(b"bank"), Position::new(70_000));
        let read: Token = token.to_string().parse().unwrap();
        assert_eq!((&read, read.log()), (&token, Some(LogId::of(b"bank"))));
        assert!(token.to_string().len() <= 16, "{token}");
        assert!(token.to_string().bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
    }

    #[test]
    fn r3_tokens_of_format_1_stay_readable() {
        for (text, position) in [("AQAB", 1), ("AQCsAg", 300), ("AQDwogQ", 70_000)] {
            let token: Token = text.parse().unwrap();
            assert_eq!(token, Token::at(Position::new(position)));
            assert_eq!(token.to_string(), text);
        }
    }

    #[test]
    fn r3_a_token_merged_of_two_logs_is_of_none() {
        let [one, other] = [b"one", b"two"].map(|id| Token::of(LogId::of(id), Position::new(5)));
        assert_eq!(one.merge(&other).log(), Some(LogId::NONE));
        assert_eq!(one.merge(&one).log(), one.log());
        assert_eq!(Token::default().merge(&one), one);
        assert_eq!(one.merge(&Token::at(Position::new(3))), one);
    }

    #[test]
    fn r3_a_token_with_too_many_clocks_is_refused_whatever_its_length() {
        let clocks = |count: u32| {
            (1..=count).fold(Token::default(), |token, number| {
                token.with(PartitionId::new(u32::MAX - number), Position::END)
            })
        };
        let most = clocks(MAX_CLOCKS as u32);
        assert_eq!(most.to_string().parse::<Token>().unwrap(), most);
        assert!(clocks(MAX_CLOCKS as u32 + 1).to_string().parse::<Token>().is_err());
        let endless = URL_SAFE_NO_PAD.encode([&[FORMAT_WITHOUT_LOG][..], &[0; 1 << 20]].concat());
        assert!(endless.parse::<Token>().is_err());
    }

    #[test]
    fn garbage_is_an_error_and_not_an_empty_token() {
        for text in ["", "!", "AA", "Av8", "AgAAAA", "Aw", "Af_______________w", "AYA", "AQA"] {
            assert!(text.parse::<Token>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn merge_takes_the_later_position_of_each_partition() {
        let left = Token::at(Position::new(5)).with(PartitionId::new(1), Position::new(9));
        let right = Token::at(Position::new(7));
        let both = left.merge(&right);
        assert!(left.is_covered_by(&both) && right.is_covered_by(&both));
        assert!(!both.is_covered_by(&left) && !both.is_covered_by(&right));
    }
}
