//! All who wait for one view, in this process: one subscription, however many they are; and when the view
//! moves, one look for all who can be answered. Whoever has waited long enough is answered here, too: it
//! comes again and asks for nothing but what there is.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::{Either, select};
use highwater_core::{Error, Result, domain::ViewName, port::StoredRow};
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

use super::{
    demand::{Demand, Over},
    desk::{Desk, PATIENCE, Seen},
};
use crate::metrics::WaitMeter;

/// Of so few keys the rows are read with every look, so that whoever can be answered is answered by it.
const FEW: usize = 16;
/// For so many keys rows are read in one statement at the most.
const CHUNK: usize = 500;

/// The hubs of an open store.
#[derive(Default)]
pub(super) struct Hubs {
    pub(super) waits: WaitMeter,
    views: Mutex<HashMap<ViewName, Arc<Hub>>>,
}

impl Hubs {
    pub(super) fn of(&self, view: &ViewName) -> Arc<Hub> {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(views.entry(view.clone()).or_default())
    }
}

#[derive(Default)]
pub(super) struct Hub {
    waiting: Mutex<Waiting>,
    /// Told when there may be somebody to answer, or nobody any more.
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    waiters: BTreeMap<u64, Waiter>,
    /// Ranges that are being looked at beside everything else.
    looking: HashSet<Over>,
    /// The last look at the view while it is served.
    last: Option<Seen>,
    /// Which task answers.
    served_by: Option<u64>,
}

struct Waiter {
    over: Over,
    demand: Demand,
    answer: oneshot::Sender<Result<Seen>>,
}

/// A look at the view.
struct Look {
    seen: Seen,
    /// Whose number is lower had a place before it began.
    next: u64,
}

/// What could not be done for those who waited.
struct Failed {
    error: Error,
    /// Whose number is lower had a place before it was begun.
    next: u64,
}

/// Some who can be answered.
#[derive(Default)]
struct Ready {
    of_keys: Vec<Waiter>,
    of_ranges: HashMap<Over, Vec<Waiter>>,
    /// Whether one of those with keys came when the look had begun, and may have seen something newer.
    has_late: bool,
}

/// A place among the waiters, which is given up when this is dropped.
pub(super) struct Place {
    hub: Arc<Hub>,
    number: u64,
    answer: oneshot::Receiver<Result<Seen>>,
}

impl Hub {
    /// Takes a place. Whoever has it is answered when the view is as far as demanded; by a look that began
    /// afterwards, unless it is a position that was lacking.
    pub(super) fn join(self: &Arc<Self>, desk: &Desk, over: &Over, demand: Demand) -> Place {
        let (sender, answer) = oneshot::channel();
        let mut waiting = self.waiting();
        let number = waiting.next;
        waiting.next += 1;
        // A look that began before this place was taken may have seen enough already.
        let is_met =
            waiting.last.as_ref().is_some_and(|seen| demand.is_met_by(&desk.freshness(seen, over)));
        let is_met = is_met && !waiting.is_looking_at(over);
        let waiter = Waiter { over: over.clone(), demand, answer: sender };
        waiting.waiters.insert(number, waiter);
        // A number that no task has had: it is the waiter's own.
        let serves = *waiting.served_by.get_or_insert(number) == number;
        drop(waiting);
        let place = Place { hub: Arc::clone(self), number, answer };
        if serves {
            // Not under the lock: a runtime that is ending drops the task at once, and it takes the lock.
            let serving = Serving { hub: Arc::clone(self), desk: desk.clone(), number };
            tokio::spawn(serving.run());
        } else if is_met {
            self.changed.notify_one();
        }
        place
    }

    /// The last look at the view, without rows, while somebody waits.
    pub(super) fn last(&self) -> Option<Seen> {
        self.waiting().last.clone()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys of all, if they are few.
    fn few(&self) -> Over {
        let waiting = self.waiting();
        let mut keys = Vec::new();
        for waiter in waiting.waiters.values() {
            keys.extend_from_slice(waiter.over.keys());
            if keys.len() > FEW {
                return Over::nothing();
            }
        }
        if keys.is_empty() { Over::nothing() } else { Over::Keys(keys.into()) }
    }

    /// Takes some who can be answered as far as this look goes.
    fn take_ready(&self, desk: &Desk, Look { seen, next }: &Look) -> Ready {
        let mut waiting = self.waiting();
        let seen = seen.without_rows();
        let (mut numbers, mut keys) = (Vec::new(), 0);
        for (number, waiter) in &waiting.waiters {
            if keys >= CHUNK {
                break;
            }
            let is_met = waiter.demand.is_met_by(&desk.freshness(&seen, &waiter.over));
            if is_met && !waiting.is_looking_at(&waiter.over) {
                numbers.push(*number);
                keys += waiter.over.keys().len();
            }
        }
        let mut ready = Ready::default();
        for number in numbers {
            let Some(waiter) = waiting.waiters.remove(&number) else { continue };
            if let Over::Range(..) = waiter.over {
                ready.of_ranges.entry(waiter.over.clone()).or_default().push(waiter);
            } else {
                ready.has_late |= number >= *next && !waiter.demand.is_a_position();
                ready.of_keys.push(waiter);
            }
        }
        waiting.last = Some(seen);
        ready
    }
}

impl Waiting {
    fn is_looking_at(&self, over: &Over) -> bool {
        matches!(over, Over::Range(..)) && self.looking.contains(over)
    }
}

impl Ready {
    fn is_nobody(&self) -> bool {
        self.of_keys.is_empty() && self.of_ranges.is_empty()
    }
}

impl Place {
    /// The answer: a look at the view that is as far as demanded, with the rows that were asked for.
    /// `None` if whoever answered is gone. Whoever gives it up takes nothing from others.
    pub(super) async fn answer(mut self) -> Option<Result<Seen>> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.hub.waiting();
        let was_waiting = waiting.waiters.remove(&self.number).is_some();
        if was_waiting && waiting.waiters.is_empty() {
            self.hub.changed.notify_one();
        }
    }
}

/// The task that answers, for as long as somebody waits.
struct Serving {
    hub: Arc<Hub>,
    desk: Desk,
    number: u64,
}

impl Serving {
    async fn run(self) {
        if let Err(failed) = self.serve().await {
            self.fail(&failed);
        }
    }

    async fn serve(&self) -> Result<(), Failed> {
        loop {
            let seen = self.round().await?;
            if self.is_done() {
                return Ok(());
            }
            let next = self.hub.waiting().next;
            let changed =
                self.desk.highwater.views().wait_for_view_change(&self.desk.view, &seen.state);
            let told = std::pin::pin!(self.hub.changed.notified());
            // A store that never says anything is asked again all the same.
            let Ok(heard) = timeout(PATIENCE, select(changed, told)).await else { continue };
            if let Either::Left((Err(error), _)) = heard {
                return Err(Failed { error, next });
            }
        }
    }

    /// Looks, and answers all who can be answered: those whose keys are many, in chunks.
    async fn round(&self) -> Result<Seen, Failed> {
        let over = self.hub.few();
        let (mut look, mut rows) = (self.look(&over).await?, over.keys().to_vec());
        loop {
            let ready = self.hub.take_ready(&self.desk, &look);
            if ready.is_nobody() {
                return Ok(look.seen);
            }
            for (range, waiters) in ready.of_ranges {
                self.look_beside(range, waiters);
            }
            let wanted = ready.of_keys.iter().flat_map(|waiter| waiter.over.keys());
            if ready.has_late || wanted.clone().any(|key| !rows.contains(key)) {
                rows = wanted.cloned().collect();
                rows.sort_unstable();
                rows.dedup();
                match self.look(&Over::Keys(rows.as_slice().into())).await {
                    Ok(later) => look = later,
                    Err(failed) => {
                        give(ready.of_keys, &|_| Err(failed.error.clone()));
                        return Err(failed);
                    }
                }
            }
            let seen = &look.seen;
            let found: HashMap<&str, &StoredRow> =
                seen.rows.iter().map(|(key, row)| (key.as_str(), row)).collect();
            give(ready.of_keys, &|over| Ok(share(seen, &found, over)));
        }
    }

    async fn look(&self, over: &Over) -> Result<Look, Failed> {
        let next = self.hub.waiting().next;
        match self.desk.look(over).await {
            Ok(seen) => Ok(Look { seen, next }),
            Err(error) => Err(Failed { error, next }),
        }
    }

    /// Answers all who asked for the same range by one look, which may take longer than others wait. Who
    /// comes meanwhile is answered by the next.
    fn look_beside(&self, range: Over, waiters: Vec<Waiter>) {
        self.hub.waiting().looking.insert(range.clone());
        let looking = Looking { hub: Arc::clone(&self.hub), range };
        let desk = self.desk.clone();
        tokio::spawn(async move {
            let found = desk.look(&looking.range).await;
            give(waiters, &|_| found.clone());
        });
    }

    /// Ends if nobody waits any more.
    fn is_done(&self) -> bool {
        let mut waiting = self.hub.waiting();
        let is_done = waiting.waiters.is_empty();
        if is_done {
            (waiting.served_by, waiting.last) = (None, None);
        }
        is_done
    }

    /// Tells all what went wrong who waited when it was begun. Who came later begins anew.
    fn fail(&self, Failed { error, next }: &Failed) {
        let mut waiting = self.hub.waiting();
        let later = waiting.waiters.split_off(next);
        let waiters = mem::replace(&mut waiting.waiters, later);
        drop(waiting);
        give(waiters.into_values().collect(), &|_| Err(error.clone()));
    }
}

/// However it ends: whoever comes next begins anew, and whoever waits is told by the closed channel.
impl Drop for Serving {
    fn drop(&mut self) {
        let mut waiting = self.hub.waiting();
        if waiting.served_by == Some(self.number) {
            (waiting.served_by, waiting.last) = (None, None);
            waiting.waiters.clear();
        }
    }
}

/// A range that is being looked at.
struct Looking {
    hub: Arc<Hub>,
    range: Over,
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.hub.waiting().looking.remove(&self.range);
        // Somebody may have come for it meanwhile.
        self.hub.changed.notify_one();
    }
}

/// Who doesn't wait any more hears nothing.
fn give(waiters: Vec<Waiter>, answer: &dyn Fn(&Over) -> Result<Seen>) {
    for Waiter { over, answer: sender, .. } in waiters {
        if !sender.is_closed() {
            let _ = sender.send(answer(&over));
        }
    }
}

/// The part of a look that is for one waiter.
fn share(seen: &Seen, found: &HashMap<&str, &StoredRow>, over: &Over) -> Seen {
    let row = |key: &String| {
        let row = found.get(key.as_str()).map(|row| (*row).clone());
        (key.clone(), row.unwrap_or_default())
    };
    let (state, head, read_at) = (Arc::clone(&seen.state), seen.head, seen.read_at);
    let rows = Arc::new(over.keys().iter().map(row).collect());
    Seen { rows, more: false, state, head, read_at }
}
