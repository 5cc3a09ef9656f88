//! A PostgreSQL of the test's own, which can be stopped in the middle of its work.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// A private cluster; it is stopped and removed when this is dropped.
pub(super) struct Cluster {
    programs: PathBuf,
    /// A library that is loaded into the server before any other.
    preload: Option<PathBuf>,
    folder: PathBuf,
    port: u16,
}

impl Cluster {
    /// Makes and starts a cluster; `None` if the server's programs aren't named.
    #[allow(dead_code, reason = "the benchmarks find the programs themselves")]
    pub(super) fn start() -> Option<Self> {
        let programs = env::var_os("HIGHWATER_TEST_PG_BIN")?;
        Some(Self::start_with(programs.into(), None))
    }

    /// Makes and starts a cluster of these programs, with a library loaded into the server.
    pub(super) fn start_with(programs: PathBuf, preload: Option<PathBuf>) -> Self {
        let folder = env::temp_dir().join(format!("highwater-fire-{:016x}", fastrand::u64(..)));
        fs::create_dir(&folder).unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&folder));
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cluster = Self { programs, preload, folder, port };
        run(cluster
            .owned("initdb")
            .args(["-A", "trust", "-U", "postgres", "-D"])
            .arg(cluster.data()));
        cluster.restart();
        cluster
    }

    /// The URL of its database.
    pub(super) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    #[allow(dead_code, reason = "the benchmarks crash nothing")]
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
            if let Some(library) = &self.preload {
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
        let program = self.programs.join(program);
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

fn is_root() -> bool {
    Path::new("/root").metadata().is_ok()
        && Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n")
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}
