//! The machine of a process under fire: its clock and its disk, which the test disturbs while the process runs.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use highwater::{
    domain::Fingerprint,
    port::{Append, EventStore, Ids as _},
    stores::{SqliteHook, SystemIds, sqlx},
};
use serde::{Deserialize, Serialize};

use crate::clock::SetClock;

/// The time between two looks at the file.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The text that a process prints when its clock has jumped.
pub const CLOCK_JUMPED: &str = "the clock has jumped";

/// The state of a machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The seconds by which its clock is ahead, or behind if they are negative.
    pub clock_ahead: i64,
    pub disk_is_full: bool,
}

/// The file by which a test tells its processes the state of their machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MachineFile(PathBuf);

impl MachineFile {
    /// Creates the file of a machine on which nothing is wrong.
    pub fn create(file: PathBuf) -> Self {
        let machine = Self(file);
        machine.write(Machine::default());
        machine
    }

    /// Sets the clock this much ahead of the real time, or behind it if that is negative.
    pub fn set_clock_ahead(&self, seconds: i64) {
        self.write(Machine { clock_ahead: seconds, ..self.read() });
    }

    /// Fills the disk.
    pub fn fill_disk(&self) {
        self.write(Machine { disk_is_full: true, ..self.read() });
    }

    /// Frees the disk again.
    pub fn free_disk(&self) {
        self.write(Machine { disk_is_full: false, ..self.read() });
    }

    fn write(&self, machine: Machine) {
        let next = self.0.with_extension("next");
        fs::write(&next, serde_json::to_vec(&machine).unwrap()).unwrap();
        // A reader gets the old state or the new one, and never half of it.
        fs::rename(next, &self.0).unwrap();
    }

    fn read(&self) -> Machine {
        serde_json::from_slice(&fs::read(&self.0).unwrap()).unwrap()
    }

    /// Returns the clock of the machine, which jumps whenever the test says so. Must be called within a runtime.
    pub fn clock(&self) -> SetClock {
        let (clock, machine) = (SetClock::default(), self.clone());
        let set = clock.clone();
        clock.set_ahead(said(machine.read().clock_ahead, 0));
        tokio::spawn(async move {
            loop {
                let ahead = machine.read().clock_ahead;
                said(ahead, set.set_ahead(ahead));
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        });
        clock
    }

    /// Limits the file of a log on SQLite to its size while the disk is full, for as long as the runtime runs. SQLite
    /// refuses what needs one more page then, with the code that a full disk has. Must be called within a runtime.
    pub fn limit_disk_of(&self, log: &Arc<dyn EventStore>) {
        let (machine, log) = (self.clone(), log.clone());
        tokio::spawn(async move {
            let mut is_limited = false;
            loop {
                let is_full = machine.read().disk_is_full;
                if is_full || is_limited {
                    let limit = if is_full { AT_ITS_SIZE } else { NONE };
                    let done = log.append(limiting(limit)).await;
                    // A store whose transaction was ended by SQLite opens another connection, without the limit: it is set again.
                    is_limited = is_full || done.is_err();
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        });
    }
}

/// Says that the clock has jumped, if it was another one before. Returns how much ahead it is.
fn said(ahead: i64, before: i64) -> i64 {
    if ahead != before {
        println!("{CLOCK_JUMPED}: it is {ahead} s ahead");
    }
    ahead
}

/// A limit of a single page, which SQLite raises to the size of the file.
const AT_ITS_SIZE: &str = "pragma max_page_count = 1";
const NONE: &str = "pragma max_page_count = 4294967294";

/// Returns an append without events that sets the limit of the connection for writes.
fn limiting(pragma: &'static str) -> Append {
    let hook = SqliteHook::new(move |connection, _| {
        Box::pin(async move { Ok(sqlx::query(pragma).execute(connection).await.map(drop)?) })
    });
    let append = Append::new(SystemIds.command_id(), Fingerprint::from_bits(0));
    Append { hook: Some(Arc::new(hook)), ..append }
}
