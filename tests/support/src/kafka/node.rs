//! One server of a cluster.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use super::{cluster::Extras, metadata};

/// The settings that every server has, here and in `scripts/services`.
const SETTINGS: &str = include_str!("../../../../scripts/services.d/kafka/server.properties");
const LOGGING: &str = include_str!("../../../../scripts/services.d/kafka/log4j2.xml");

const LOGIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required";

/// Several clusters may start at once, on few cores; a server that takes longer hangs.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// The programs of a server.
pub(super) struct Programs {
    java: PathBuf,
    libs: PathBuf,
}

impl Programs {
    /// Java is found by the same rule as in `scripts/services`.
    pub(super) fn in_folder(libs: PathBuf) -> Self {
        let home = env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
        let java = home.filter(|java| java.exists()).unwrap_or_else(|| "java".into());
        Self { java, libs }
    }

    /// Returns a command for Java with the jars on its class path. The caller adds the class and its arguments.
    pub(super) fn java(&self, memory: &str) -> Command {
        let mut java = Command::new(&self.java);
        // Servers and tools of tests live for seconds: the second compiler would cost more than it gains.
        java.args([memory, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
        java.args(self.archive()).arg("-cp").arg(self.libs.join("*"));
        java.stdin(Stdio::null());
        java
    }

    /// Returns the options for the archive of classes that `scripts/services` has put beside the jars, if there is one:
    /// Java starts in half the time then. It doesn't use an archive of other jars, and need not say so.
    fn archive(&self) -> Vec<String> {
        let archive = self.libs.join("classes.jsa");
        let option = || format!("-XX:SharedArchiveFile={}", archive.display());
        if archive.exists() { vec![option(), "-Xlog:disable".into()] } else { Vec::new() }
    }
}

/// One server.
pub(super) struct Node {
    pub(super) number: i32,
    nodes: usize,
    folder: PathBuf,
    port: u16,
    controller: u16,
    pub(super) sasl: u16,
    pub(super) proxy: u16,
    pub(super) behind_proxy: u16,
    process: Option<Child>,
}

impl Node {
    /// Creates so many servers, each with a folder and ports of its own.
    pub(super) fn create(nodes: usize, folder: &Path) -> Vec<Self> {
        let ports = free_ports(5 * nodes);
        let several = (1..).zip(ports.chunks(5)).map(|(number, ports)| {
            let folder = folder.join(format!("{number}"));
            fs::create_dir(&folder).unwrap();
            Self {
                number,
                nodes,
                folder,
                port: ports[0],
                controller: ports[1],
                sasl: ports[2],
                proxy: ports[3],
                behind_proxy: ports[4],
                process: None,
            }
        });
        several.collect()
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn voter(&self) -> String {
        format!("{}@127.0.0.1:{}", self.number, self.controller)
    }

    /// Writes the settings of the server.
    pub(super) fn configure(&self, voters: &[String], extras: &Extras) {
        let Self { number, port, controller, sasl, proxy, behind_proxy, nodes, .. } = self;
        let in_sync = if *nodes == 3 { 2 } else { 1 };
        let mut listeners = String::new();
        let mut protocols = String::new();
        for (listener, protocol) in &extras.listeners {
            let name = listener.split_once(':').map_or("", |(name, _)| name);
            listeners += &format!(",{listener}");
            protocols += &format!(",{name}:{protocol}");
        }
        let own = format!(
            "node.id={number}
            controller.quorum.voters={}
            listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SASL://127.0.0.1:{sasl},PROXIED://127.0.0.1:{behind_proxy}{listeners}
            advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL://127.0.0.1:{sasl},PROXIED://127.0.0.1:{proxy}{listeners}
            listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,SASL:SASL_PLAINTEXT{protocols}
            sasl.enabled.mechanisms=PLAIN
            listener.name.sasl.plain.sasl.jaas.config={LOGIN} user_alice=\"secret\";
            default.replication.factor={nodes}
            min.insync.replicas={in_sync}
            offsets.topic.replication.factor={nodes}
            transaction.state.log.replication.factor={nodes}
            transaction.state.log.min.isr={in_sync}
            {}\n",
            voters.join(","),
            extras.settings
        );
        fs::write(self.folder.join("server.properties"), format!("{SETTINGS}{own}")).unwrap();
        fs::write(self.folder.join("log4j2.xml"), LOGGING).unwrap();
    }

    /// Returns a command for Java in the server's folder, with the jars, which prints to the server's log.
    fn java(&self, programs: &Programs, memory: &str) -> Command {
        let log = self.folder.join("log");
        let log = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut java = programs.java(memory);
        java.arg("-Dlog4j2.configurationFile=log4j2.xml");
        java.current_dir(&self.folder).stdout(log.try_clone().unwrap()).stderr(log);
        java
    }

    pub(super) fn launch(&mut self, programs: &Programs) {
        assert!(self.process.is_none(), "server {} was not killed", self.number);
        let mut java = self.java(programs, "-Xmx512m");
        self.process = Some(java.args(["kafka.Kafka", "server.properties"]).spawn().unwrap());
    }

    /// Formats the server's store: as Kafka's own tool, which takes its time, or by that if it has something to add.
    pub(super) async fn format(&self, programs: &Programs, cluster_id: &str, extra: &[String]) {
        if extra.is_empty() {
            let (data, number) = (self.folder.join("data"), self.number);
            fs::create_dir(&data).unwrap();
            let properties = format!("version=1\nnode.id={number}\ncluster.id={cluster_id}\n");
            return fs::write(data.join("meta.properties"), properties).unwrap();
        }
        let mut format = tokio::process::Command::from(self.java(programs, "-Xmx128m"));
        format.args(["kafka.tools.StorageTool", "format", "-t", cluster_id]);
        format.args(["-c", "server.properties"]).args(extra);
        let status = format.kill_on_drop(true).status().await.unwrap();
        assert!(status.success(), "{}", self.log());
    }

    /// Waits until the server takes at least these servers for alive.
    pub(super) async fn wait_until_it_sees(&mut self, numbers: &[i32]) {
        let began = Instant::now();
        loop {
            let alive = metadata::live_servers(self.port).await.unwrap_or_default();
            if numbers.iter().all(|number| alive.contains(number)) {
                return;
            }
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "server {} has ended: {}", self.number, self.log());
            assert!(
                began.elapsed() < START_TIMEOUT,
                "server {} hangs: {}",
                self.number,
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns true if the server answers, and counts itself among the live ones.
    pub(super) async fn is_alive(&self) -> bool {
        let alive = metadata::live_servers(self.port).await;
        alive.is_ok_and(|alive| alive.contains(&self.number))
    }

    /// Kills the server, even if it is paused.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(super) fn signal(&self, signal: &str) {
        let process = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
    }

    /// The last lines that the server has printed.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns free ports below the range from which the system takes those of outgoing connections: a client that retries
/// to reach a killed server would at some time be given the server's own port. No port is returned twice in this process.
pub fn free_ports(count: usize) -> Vec<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let _ = NEXT.compare_exchange(0, fastrand::u16(1..12000), Ordering::Relaxed, Ordering::Relaxed);
    let candidates =
        std::iter::repeat_with(|| 20000 + NEXT.fetch_add(1, Ordering::Relaxed) % 12000);
    let free = candidates.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.take(count).collect()
}
