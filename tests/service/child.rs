//! A service in a process of its own, to be told to end. It is this test binary again, told by its
//! environment.

use std::{
    env,
    fs::File,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use highwater::{
    Highwater, Open as _, Worker,
    projections::DirectSource,
    service::{Config, Service},
};
use tempfile::TempDir;

use crate::{
    bank::Balance,
    probe::{PATIENCE, free_address, until},
    stuck::Stuck,
};

const PREFIX: &str = "HIGHWATER_TEST_SERVICE";
const STUCK: &str = "HIGHWATER_TEST_STUCK";

/// The child itself. Without its environment it is an empty test.
#[test]
fn serves_until_it_is_told() {
    if env::var_os(format!("{PREFIX}_STORE")).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let service = Service::new(Config::from_environment(PREFIX).unwrap()).unwrap();
        let bank = Highwater::open(service.config().store.expose()).await.unwrap();
        let mut worker = Worker::on(&bank);
        if env::var_os(STUCK).is_some() {
            worker = worker.fed_by(Stuck(DirectSource::new(&bank)));
        }
        let worker = worker.view_with::<Balance>(service.config().options("balances"));
        service.worker(worker).run_until_told().await.unwrap();
    });
}

/// A service that serves, or did.
pub(crate) struct Serving {
    child: Child,
    pub(crate) address: SocketAddr,
    diary: PathBuf,
    _folder: TempDir,
}

impl Serving {
    /// Starts one that keeps the balances of a store, and waits until it is ready.
    pub(crate) fn start(store: &str, drain: &str, is_stuck: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (address, diary) = (free_address(), folder.path().join("diary"));
        let file = File::create(&diary).unwrap();
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["child::serves_until_it_is_told", "--exact", "--nocapture"])
            .env(format!("{PREFIX}_STORE"), store)
            .env(format!("{PREFIX}_DRAIN"), drain)
            .env(format!("{PREFIX}_HTTP__LISTEN"), address.to_string())
            .env(format!("{PREFIX}_LOG__FORMAT"), "json")
            .env(format!("{PREFIX}_PROJECTIONS__BALANCES__BATCH"), "20")
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        if is_stuck {
            command.env(STUCK, "1");
        }
        let child = command.spawn().unwrap();
        let serving = Self { child, address, diary, _folder: folder };
        until(address, |status, _| status == 200);
        serving
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it does not end: {}", self.diary());
    }

    /// What it has had to say.
    pub(crate) fn diary(&self) -> String {
        std::fs::read_to_string(&self.diary).unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
