//! Scripts of the random properties: steps and reads, drawn without knowledge of the store. The
//! world runs them on the store under test and on the model.

use std::ops::Range;

use proptest::{prelude::*, sample::Index};

/// An append to execute.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) identity: Identity,
    /// The part of each of the three streams in the append, if any.
    pub(super) parts: [Option<Part>; 3],
    pub(super) watch: Option<Watch>,
    /// True if all responses are awaited before the next append is called.
    pub(super) settles: bool,
}

/// The command id of an append.
#[derive(Debug, Clone)]
pub(super) enum Identity {
    New,
    /// Repeats an earlier append.
    Repeat(Index),
    /// Uses the id of an earlier append for another command.
    Reuse(Index),
}

/// The expectation of one stream, and the tags of its new events.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) expectation: RelativeExpectation,
    pub(super) tags: Vec<u8>,
}

/// An expectation relative to the actual state of the stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum RelativeExpectation {
    Any,
    NoStream,
    Exists,
    Version(i64),
    Head(i64),
    StrangeHead,
}

/// A query for a condition or a read.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    pub(super) kind: u8,
    pub(super) behind: u64,
}

/// A page to read.
#[derive(Debug, Clone)]
pub(super) struct PageRead {
    pub(super) kind: u8,
    pub(super) from: Index,
    pub(super) backward: bool,
    pub(super) limit: usize,
}

pub(super) fn steps(count: Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), count)
}

fn step() -> impl Strategy<Value = Step> {
    let identity = prop_oneof![
        8 => Just(Identity::New),
        2 => any::<Index>().prop_map(Identity::Repeat),
        1 => any::<Index>().prop_map(Identity::Reuse),
    ];
    let parts = prop::array::uniform3(prop::option::weighted(0.5, part()));
    let watch = prop::option::weighted(0.25, watch());
    (identity, parts, watch, prop::bool::weighted(0.3))
        .prop_map(|(identity, parts, watch, settles)| Step { identity, parts, watch, settles })
}

fn part() -> impl Strategy<Value = Part> {
    (relative_expectation(), prop::collection::vec(0..4_u8, 0..4))
        .prop_map(|(expectation, tags)| Part { expectation, tags })
}

fn relative_expectation() -> impl Strategy<Value = RelativeExpectation> {
    prop_oneof![
        4 => Just(RelativeExpectation::Any),
        1 => Just(RelativeExpectation::NoStream),
        1 => Just(RelativeExpectation::Exists),
        6 => Just(RelativeExpectation::Version(0)),
        1 => (-1..=1_i64).prop_map(RelativeExpectation::Version),
        6 => Just(RelativeExpectation::Head(0)),
        1 => (-1..=1_i64).prop_map(RelativeExpectation::Head),
        1 => Just(RelativeExpectation::StrangeHead),
    ]
}

fn watch() -> impl Strategy<Value = Watch> {
    (0..KINDS, 0..4_u64).prop_map(|(kind, behind)| Watch { kind, behind })
}

pub(super) fn page_reads(count: Range<usize>) -> impl Strategy<Value = Vec<PageRead>> {
    let read = (0..KINDS, any::<Index>(), any::<bool>(), 0..8_usize);
    let read =
        read.prop_map(|(kind, from, backward, limit)| PageRead { kind, from, backward, limit });
    prop::collection::vec(read, count)
}

/// The number of kinds of queries in the world.
pub(super) const KINDS: u8 = 6;
