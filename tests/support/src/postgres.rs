//! A private PostgreSQL cluster, which can be crashed in the middle of its work.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::services::{POSTGRES_PROGRAMS, skip};

/// The programs of a server.
pub struct PostgresPrograms {
    pub folder: PathBuf,
    /// A library that is loaded into the server before any other.
    pub preload: Option<PathBuf>,
}

impl PostgresPrograms {
    /// Returns the programs that the environment names; skips the test if it names none.
    fn from_env(test: &str) -> Option<Self> {
        let folder = env::var_os(POSTGRES_PROGRAMS);
        if folder.is_none() {
            skip(test, POSTGRES_PROGRAMS);
        }
        Some(Self { folder: folder?.into(), preload: None })
    }
}

/// A private cluster. It is stopped and removed when this is dropped.
pub struct PostgresCluster {
    programs: PostgresPrograms,
    folder: PathBuf,
    port: u16,
    password: Option<&'static str>,
}

impl PostgresCluster {
    /// Creates and starts a cluster without passwords; skips the test if the environment names no programs of a server.
    pub fn start(test: &str) -> Option<Self> {
        Some(Self::start_from(PostgresPrograms::from_env(test)?, None))
    }

    /// Creates and starts a cluster that asks every user for a password. The owner has this one.
    pub fn start_with_password(test: &str, password: &'static str) -> Option<Self> {
        Some(Self::start_from(PostgresPrograms::from_env(test)?, Some(password)))
    }

    /// Creates and starts a cluster of these programs. With a password for its owner, it asks every user for one.
    pub fn start_from(programs: PostgresPrograms, password: Option<&'static str>) -> Self {
        let folder = env::temp_dir().join(format!("highwater-postgres-{:016x}", fastrand::u64(..)));
        fs::create_dir(&folder).unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&folder));
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cluster = Self { programs, folder, port, password };
        let mut initdb = cluster.program("initdb");
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

    /// Restarts the server with TLS: the certificate of the server and its key, the root of the certificates of clients, and
    /// the lines of `pg_hba.conf`, which say who may connect and how.
    pub fn use_tls(&self, certificate: &str, key: &str, root: &str, hba: &str) {
        run(self.program("pg_ctl").args(["-m", "fast", "-w", "stop", "-D"]).arg(self.data()));
        let settings = "ssl = on\nssl_ca_file = 'root.crt'\n";
        let files = [
            ("server.crt", certificate),
            ("server.key", key),
            ("root.crt", root),
            ("pg_hba.conf", hba),
            ("postgresql.auto.conf", settings),
        ];
        for (name, content) in files {
            let file = self.data().join(name);
            fs::write(&file, content).unwrap();
            run(Command::new("chmod").arg("600").arg(&file));
            if is_root() {
                run(Command::new("chown").arg("postgres").arg(&file));
            }
        }
        self.restart();
    }

    /// Creates and starts a hot standby of this cluster, which follows it.
    pub fn start_standby(&self) -> Self {
        let folder = env::temp_dir().join(format!("highwater-postgres-{:016x}", fastrand::u64(..)));
        fs::create_dir(&folder).unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&folder));
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let programs = PostgresPrograms { folder: self.programs.folder.clone(), preload: None };
        let standby = Self { programs, folder, port, password: self.password };
        let mut backup = standby.program("pg_basebackup");
        backup.args(["-R", "-c", "fast", "-d", &self.url(), "-D"]).arg(standby.data());
        run(&mut backup);
        standby.restart();
        standby
    }

    /// Makes a standby the primary.
    pub fn promote(&self) {
        run(self.program("pg_ctl").args(["-w", "promote", "-D"]).arg(self.data()));
    }

    /// The port of the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of its database.
    pub fn url(&self) -> String {
        self.url_of("postgres", self.password.unwrap_or_default(), "postgres")
    }

    /// The URL of its database through a proxy at this port.
    pub fn url_at(&self, proxy: u16) -> String {
        let password = self.password.unwrap_or_default();
        format!("postgres://postgres:{password}@127.0.0.1:{proxy}/postgres")
    }

    /// The URL of a database for a user.
    pub fn url_of(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Stops the server as a loss of power does: without a checkpoint, without a notice to clients.
    pub fn crash(&self) {
        run(self.program("pg_ctl").args(["-m", "immediate", "-w", "stop", "-D"]).arg(self.data()));
    }

    /// Restarts the server. The system may take a moment to release its port and memory.
    pub fn restart(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200",
            self.port
        );
        for _ in 0..10 {
            let mut start = self.program("pg_ctl");
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

    /// Copies the data of the server, which is stopped in order while that lasts. There is one copy at most.
    pub fn back_up(&self) {
        run(self.program("pg_ctl").args(["-m", "fast", "-w", "stop", "-D"]).arg(self.data()));
        let _ = fs::remove_dir_all(self.backup());
        run(Command::new("cp").arg("-a").arg(self.data()).arg(self.backup()));
        self.restart();
    }

    /// Loses the server with its data, and starts it on the last copy.
    pub fn restore(&self) {
        self.crash();
        fs::remove_dir_all(self.data()).unwrap();
        fs::rename(self.backup(), self.data()).unwrap();
        self.restart();
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn backup(&self) -> PathBuf {
        self.folder.join("backup")
    }

    /// Returns a command for one of the server's programs, as the user `postgres` if this process is root: the server refuses
    /// to be run by root.
    fn program(&self, program: &str) -> Command {
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

impl Drop for PostgresCluster {
    fn drop(&mut self) {
        let mut stop = self.program("pg_ctl");
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
