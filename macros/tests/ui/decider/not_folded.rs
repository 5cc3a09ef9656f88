use highwater_core::{Aggregate, Boundary, Event};

struct Account;

fn is_event<E: Event>() {}
fn is_aggregate<A: Aggregate>() {}
fn is_boundary<B: Boundary>() {}

fn main() {
    is_event::<Account>();
    is_aggregate::<Account>();
    is_boundary::<Account>();
}
