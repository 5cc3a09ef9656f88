//! A PostgreSQL of the test's own, which can be stopped in the middle of its work.

#[allow(clippy::duplicate_mod, reason = "a test file may have it by another way, too")]
#[path = "../../../tests/skipped/mod.rs"]
mod skipped;

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// The programs of a server.
pub(super) struct Programs {
    pub(super) folder: PathBuf,
    /// A library that is loaded into the server before any other.
    pub(super) preload: Option<PathBuf>,
}

impl Programs {
    fn named() -> Option<Self> {
        Some(Self { folder: env::var_os("HIGHWATER_TEST_PG_BIN")?.into(), preload: None })
    }
}

/// A private cluster; it is stopped and removed when this is dropped.
pub(super) struct Cluster {
    programs: Programs,
    folder: PathBuf,
    port: u16,
    password: Option<&'static str>,
}

impl Cluster {
    /// Makes and starts a cluster that trusts everybody; `None` if the server's programs aren't named.
    pub(super) fn start() -> Option<Self> {
        Some(Self::start_with(Programs::named()?, None))
    }

    /// Makes and starts a cluster that asks everybody for a password; that of its owner is this one.
    pub(super) fn start_asking(password: &'static str) -> Option<Self> {
        Some(Self::start_with(Programs::named()?, Some(password)))
    }

    /// Makes and starts a cluster of these programs.
    pub(super) fn start_with(programs: Programs, password: Option<&'static str>) -> Self {
        let folder = env::temp_dir().join(format!("highwater-fire-{:016x}", fastrand::u64(..)));
        fs::create_dir(&folder).unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&folder));
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cluster = Self { programs, folder, port, password };
        let mut initdb = cluster.owned("initdb");
        initdb.args(["-U", "postgres", "-D"]).arg(cluster.data());
        if let Some(password) = password {
            let file = cluster.folder.join("password");
            fs::write(&file, password).unwrap();
            initdb.args(["-A", "scram-sha-256", "--pwfile"]).arg(file);
        } else {
            initdb.args(["-A", "trust"]);
        }
        run(&mut initdb);
        cluster.restart();
        cluster
    }

    /// The URL of its database.
    pub(super) fn url(&self) -> String {
        self.url_of("postgres", self.password.unwrap_or_default(), "postgres")
    }

    /// The URL of a database for a user.
    pub(super) fn url_of(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Stops it as a loss of power does: no checkpoint, no farewell.
    pub(super) fn crash(&self) {
        run(self.owned("pg_ctl").args(["-m", "immediate", "-w", "stop", "-D"]).arg(self.data()));
    }

    /// Starts it again. The system may take a moment to give its port and memory back.
    pub(super) fn restart(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200",
            self.port
        );
        for _ in 0..10 {
            let mut start = self.owned("pg_ctl");
            if let Some(library) = &self.programs.preload {
                start.env("LD_PRELOAD", library);
            }
            start.args(["-w", "-o", &options, "-l"]).arg(self.folder.join("log"));
            if start.arg("-D").arg(self.data()).arg("start").status().unwrap().success() {
                return;
            }
            thread::sleep(Duration::from_millis(500));
        }
        panic!("the cluster in {} does not start", self.folder.display());
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// One of the server's programs; the server refuses to be run by root.
    fn owned(&self, program: &str) -> Command {
        let program = self.programs.folder.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = self.owned("pg_ctl");
        let _ = stop.args(["-m", "immediate", "-w", "stop", "-D"]).arg(self.data()).status();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Says loudly that a test can't run here, or fails where that is forbidden.
pub(super) fn skip(test: &str, what: &str) {
    skipped::skip(test, what);
}

fn is_root() -> bool {
    Path::new("/root").metadata().is_ok()
        && Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n")
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}
