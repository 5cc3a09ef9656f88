//! A Kafka cluster of the test's own, whose servers can be killed, stopped and started again.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use super::metadata;

/// The environment variable that names the folder of a server's jars.
pub(super) const LIBS: &str = "HIGHWATER_TEST_KAFKA_LIBS";

/// What every server has in common, here and in `scripts/services`.
const SETTINGS: &str = include_str!("../../../scripts/services.d/kafka/server.properties");
const LOGGING: &str = include_str!("../../../scripts/services.d/kafka/log4j2.xml");

const LOGIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required";

/// Several clusters may start at once, on few cores; a server that takes longer hangs.
const TOO_LONG: Duration = Duration::from_secs(120);

/// A private cluster. Its servers are numbered from 1, as their `node.id` is; each is a controller too,
/// so one of three can be missed. They are killed, and their folder removed, when this is dropped.
pub(super) struct Cluster {
    programs: Programs,
    // Before the folder, because fields are dropped in order.
    nodes: Vec<Node>,
    _folder: TempDir,
}

/// What servers have beside what all of them have.
#[derive(Default)]
pub(super) struct Also {
    /// Further listeners, as `NAME://HOST:PORT`, each with its protocol. Of one server alone.
    pub(super) listeners: Vec<(String, &'static str)>,
    /// Lines of the settings.
    pub(super) settings: String,
    /// Arguments for the formatting of the store.
    pub(super) format: Vec<String>,
}

impl Cluster {
    /// Makes and starts a cluster of one to three servers; `None` if the jars aren't named. A topic has
    /// a replica on each, and of three two must be in sync.
    pub(super) async fn start(nodes: usize) -> Option<Self> {
        Some(Self::of(env::var_os(LIBS)?.into(), nodes).await)
    }

    /// The same, with the jars in this folder.
    pub(super) async fn of(libs: PathBuf, nodes: usize) -> Self {
        Self::set_up(libs, nodes, Also::default()).await
    }

    /// The same as [`Cluster::start`], with something more.
    #[allow(dead_code, reason = "only what is spoken to by TLS has more")]
    pub(super) async fn with(nodes: usize, also: Also) -> Option<Self> {
        Some(Self::set_up(env::var_os(LIBS)?.into(), nodes, also).await)
    }

    async fn set_up(libs: PathBuf, nodes: usize, also: Also) -> Self {
        assert!((1..=3).contains(&nodes), "{nodes} servers");
        let programs = Programs::with(libs);
        let folder = tempfile::Builder::new().prefix("highwater-kafka-").tempdir().unwrap();
        let nodes = Node::several(nodes, folder.path());
        let mut cluster = Self { programs, nodes, _folder: folder };
        cluster.format(&also).await;
        for node in &mut cluster.nodes {
            node.launch(&cluster.programs);
        }
        let all: Vec<_> = cluster.nodes.iter().map(|node| node.number).collect();
        for node in &mut cluster.nodes {
            node.takes_for_alive(&all).await;
        }
        cluster
    }

    /// The addresses of all, for a client's `bootstrap.servers`.
    pub(super) fn servers(&self) -> String {
        self.nodes.iter().map(Node::address).collect::<Vec<_>>().join(",")
    }

    /// The address of one for clients that say who they are: `alice`, whose password is `secret`, by
    /// `SASL_PLAINTEXT` and `PLAIN`.
    pub(super) fn guarded(&self, node: usize) -> String {
        format!("127.0.0.1:{}", self.nodes[node - 1].guarded)
    }

    /// The address of one by a detour: from the first port, at which somebody is to listen, to the second, at which
    /// the server does. A client that begins at the first is told no other.
    pub(super) fn detour(&self, node: usize) -> (u16, u16) {
        let node = &self.nodes[node - 1];
        (node.detour, node.behind)
    }

    /// The address of one, for a client's `bootstrap.servers`.
    pub(super) fn server(&self, node: usize) -> String {
        self.nodes[node - 1].address()
    }

    /// Kills a server as a loss of its machine does: no farewell to clients or controller.
    pub(super) fn kill(&mut self, node: usize) {
        self.nodes[node - 1].kill();
    }

    /// Starts a killed server again on what it had stored, and waits until it has been let in. That is
    /// only after the controller has missed it, so after about three seconds.
    pub(super) async fn restart(&mut self, node: usize) {
        let node = &mut self.nodes[node - 1];
        node.launch(&self.programs);
        node.takes_for_alive(&[node.number]).await;
    }

    /// Stops a server in the middle of what it does; its connections stay open.
    pub(super) fn stop(&self, node: usize) {
        self.nodes[node - 1].signal("-STOP");
    }

    /// Lets a stopped server go on.
    pub(super) fn cont(&self, node: usize) {
        self.nodes[node - 1].signal("-CONT");
    }

    /// Whether a server answers, and is let in by its cluster as far as it knows.
    pub(super) async fn answers(&self, node: usize) -> bool {
        let node = &self.nodes[node - 1];
        metadata::alive(node.port).await.is_ok_and(|alive| alive.contains(&node.number))
    }

    /// Runs one of Kafka's console tools on the servers given, and returns what it prints.
    pub(super) async fn tool(
        &self,
        servers: &str,
        class: &str,
        arguments: &str,
        input: &str,
    ) -> String {
        let mut tool = tokio::process::Command::from(self.programs.java("-Xmx128m"));
        tool.arg(class).args(["--bootstrap-server", servers]).args(arguments.split_whitespace());
        tool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut tool = tool.spawn().unwrap();
        tool.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        let output = tool.wait_with_output().await.unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{class} {arguments}: {printed}{complaint}");
        printed
    }

    /// Under an id of its own: a server must not take another test's, at a port that was this one's, for
    /// one of its cluster. The id is the text of sixteen bytes; their last bits must be zero.
    async fn format(&self, also: &Also) {
        let id: String = std::iter::repeat_with(fastrand::alphanumeric).take(20).collect();
        let id = format!("A{id}A");
        let voters: Vec<_> = self.nodes.iter().map(Node::voter).collect();
        join_all(self.nodes.iter().map(|node| async {
            node.configure(&voters, also);
            let mut format = tokio::process::Command::from(node.java(&self.programs, "-Xmx128m"));
            format.args([
                "kafka.tools.StorageTool",
                "format",
                "-t",
                &id,
                "-c",
                "server.properties",
            ]);
            format.args(&also.format);
            let done = format.kill_on_drop(true).status().await.unwrap();
            assert!(done.success(), "{}", node.log());
        }))
        .await;
    }
}

/// The programs of a server.
struct Programs {
    java: PathBuf,
    libs: PathBuf,
}

impl Programs {
    /// Java is found by the same rule as in `scripts/services`.
    fn with(libs: PathBuf) -> Self {
        let home = env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
        let java = home.filter(|java| java.exists()).unwrap_or_else(|| "java".into());
        Self { java, libs }
    }

    /// A Java that has the jars; the class and its arguments are to be added.
    fn java(&self, memory: &str) -> Command {
        let mut java = Command::new(&self.java);
        java.arg(memory).arg("-cp").arg(self.libs.join("*"));
        java.stdin(Stdio::null());
        java
    }
}

/// One server.
struct Node {
    number: i32,
    nodes: usize,
    folder: PathBuf,
    port: u16,
    controller: u16,
    guarded: u16,
    detour: u16,
    behind: u16,
    process: Option<Child>,
}

impl Node {
    fn several(nodes: usize, folder: &Path) -> Vec<Self> {
        let ports = free_ports(5 * nodes);
        let several = (1..).zip(ports.chunks(5)).map(|(number, ports)| {
            let folder = folder.join(format!("{number}"));
            fs::create_dir(&folder).unwrap();
            let [port, controller, guarded, detour, behind] =
                [ports[0], ports[1], ports[2], ports[3], ports[4]];
            Self { number, nodes, folder, port, controller, guarded, detour, behind, process: None }
        });
        several.collect()
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn voter(&self) -> String {
        format!("{}@127.0.0.1:{}", self.number, self.controller)
    }

    fn configure(&self, voters: &[String], also: &Also) {
        let Self { number, port, controller, guarded, detour, behind, nodes, .. } = self;
        let in_sync = if *nodes == 3 { 2 } else { 1 };
        let (mut listeners, mut protocols) = (String::new(), String::new());
        for (listener, protocol) in &also.listeners {
            let name = listener.split_once(':').map_or("", |(name, _)| name);
            listeners += &format!(",{listener}");
            protocols += &format!(",{name}:{protocol}");
        }
        let own = format!(
            "node.id={number}
            controller.quorum.voters={}
            listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},GUARDED://127.0.0.1:{guarded},DETOUR://127.0.0.1:{behind}{listeners}
            advertised.listeners=PLAINTEXT://127.0.0.1:{port},GUARDED://127.0.0.1:{guarded},DETOUR://127.0.0.1:{detour}{listeners}
            listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,DETOUR:PLAINTEXT,GUARDED:SASL_PLAINTEXT{protocols}
            sasl.enabled.mechanisms=PLAIN
            listener.name.guarded.plain.sasl.jaas.config={LOGIN} user_alice=\"secret\";
            default.replication.factor={nodes}
            min.insync.replicas={in_sync}
            offsets.topic.replication.factor={nodes}
            transaction.state.log.replication.factor={nodes}
            transaction.state.log.min.isr={in_sync}
            {}\n",
            voters.join(","),
            also.settings
        );
        fs::write(self.folder.join("server.properties"), format!("{SETTINGS}{own}")).unwrap();
        fs::write(self.folder.join("log4j2.xml"), LOGGING).unwrap();
    }

    /// A Java in the server's folder that has the jars, and prints to the server's log.
    fn java(&self, programs: &Programs, memory: &str) -> Command {
        let log = self.folder.join("log");
        let log = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut java = programs.java(memory);
        java.arg("-Dlog4j2.configurationFile=log4j2.xml");
        java.current_dir(&self.folder).stdout(log.try_clone().unwrap()).stderr(log);
        java
    }

    fn launch(&mut self, programs: &Programs) {
        assert!(self.process.is_none(), "server {} was not killed", self.number);
        let mut java = self.java(programs, "-Xmx512m");
        self.process = Some(java.args(["kafka.Kafka", "server.properties"]).spawn().unwrap());
    }

    /// Waits until the server takes at least these for alive.
    async fn takes_for_alive(&mut self, numbers: &[i32]) {
        let began = Instant::now();
        loop {
            let alive = metadata::alive(self.port).await.unwrap_or_default();
            if numbers.iter().all(|number| alive.contains(number)) {
                return;
            }
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "server {} has ended: {}", self.number, self.log());
            assert!(began.elapsed() < TOO_LONG, "server {} hangs: {}", self.number, self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A stopped one dies of this too.
    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
    }

    /// The last lines that it has printed.
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

/// Below the range from which the system hands out ports of outgoing connections: a client that tries
/// again and again to reach a killed server would in the end be given its port. No port is given twice
/// in this process.
pub(super) fn free_ports(count: usize) -> Vec<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let _ = NEXT.compare_exchange(0, fastrand::u16(1..12000), Ordering::Relaxed, Ordering::Relaxed);
    let candidates =
        std::iter::repeat_with(|| 20000 + NEXT.fetch_add(1, Ordering::Relaxed) % 12000);
    let free = candidates.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.take(count).collect()
}
