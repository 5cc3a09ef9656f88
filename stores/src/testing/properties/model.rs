//! Random appends and reads, with the memory store as the model.

use std::future::Future;

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};

use super::{
    script::{PageRead, Step, page_reads, steps},
    world::World,
};
use crate::testing::{Fixture, seed};

/// Creates a runner whose cases follow from the printed seed.
fn runner(cases: u32) -> TestRunner {
    let mut bytes = [0; 32];
    fastrand::Rng::with_seed(seed()).fill(&mut bytes);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// Runs the cases in a separate thread, because proptest is not async, and each case to its end.
async fn prop<S, F>(cases: u32, strategy: S, case: impl Fn(S::Value) -> F + Send + 'static)
where
    S: Strategy + Send + 'static,
    F: Future<Output = Result<(), TestCaseError>>,
{
    let runtime = tokio::runtime::Handle::current();
    let run = move || {
        let outcome = runner(cases).run(&strategy, |value| runtime.block_on(case(value)));
        outcome.map_err(|failure| failure.to_string())
    };
    if let Err(failure) = tokio::task::spawn_blocking(run).await.unwrap() {
        panic!("{failure}");
    }
}

pub(super) async fn w1_w2_w4_w6_random_appends_do_as_in_the_model(fixture: Fixture) {
    let case = move |steps: Vec<Step>| {
        let store = fixture.store();
        async move {
            let mut world = World::new(store).await;
            for step in &steps {
                world.step(step).await?;
            }
            world.settle().await?;
            world.compare_logs().await
        }
    };
    prop(40, steps(1..16), case).await;
}

pub(super) async fn w1_random_appends_build_on_one_another_as_in_the_model(fixture: Fixture) {
    let case = move |steps: Vec<Step>| {
        let store = fixture.store();
        async move {
            let mut world = World::new(store).await;
            for step in steps {
                world.step(&Step { settles: false, ..step }).await?;
            }
            world.settle().await?;
            world.compare_logs().await
        }
    };
    prop(10, steps(16..40), case).await;
}

pub(super) async fn r_random_pages_are_as_in_the_model(fixture: Fixture) {
    let store = fixture.store();
    let case = move |(steps, page_reads): (Vec<Step>, Vec<PageRead>)| {
        let store = store.clone();
        async move {
            let mut world = World::new(store).await;
            for step in &steps {
                world.step(step).await?;
            }
            world.settle().await?;
            for read in &page_reads {
                world.compare_page(read).await?;
            }
            Ok(())
        }
    };
    prop(10, (steps(10..30), page_reads(1..40)), case).await;
}
