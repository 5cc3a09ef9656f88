//! The faults of a run under fire: drawn at random by a seed, and printed with their times.

use std::{
    fmt::Debug,
    thread,
    time::{Duration, Instant},
};

/// The time within which a fault shows an effect, and everything goes on after it.
const EFFECT_TIMEOUT: Duration = Duration::from_secs(120);

/// A deck of faults. Each is drawn once before any is drawn again, so that no run leaves one out.
#[derive(Debug)]
pub struct FaultDeck<F> {
    all: Vec<F>,
    /// The faults of this round that have not been drawn yet.
    left: Vec<F>,
    random: fastrand::Rng,
    began: Instant,
    drawn: usize,
}

impl<F: Copy + Debug> FaultDeck<F> {
    /// Creates the deck of a run. A fault that is in it several times is drawn as often in each round.
    pub fn new(all: &[F], seed: u64) -> Self {
        Self {
            all: all.to_vec(),
            left: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
            began: Instant::now(),
            drawn: 0,
        }
    }

    /// Draws the next fault, and prints it.
    pub fn draw(&mut self) -> F {
        if self.left.is_empty() {
            self.left.clone_from(&self.all);
            self.random.shuffle(&mut self.left);
        }
        let fault = self.left.pop().unwrap();
        self.drawn += 1;
        println!("after {:.1?}: {fault:?}", self.began.elapsed());
        fault
    }

    /// Returns true once every fault has been drawn.
    pub fn is_complete(&self) -> bool {
        self.drawn >= self.all.len()
    }
}

/// Waits until a fault has an effect, or until work goes on after it.
///
/// # Panics
/// If that never happens.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + EFFECT_TIMEOUT;
    while !is_so() {
        assert!(Instant::now() < until, "this never happens: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
