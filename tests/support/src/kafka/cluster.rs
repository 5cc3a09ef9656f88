//! The servers of a cluster together.

use std::{env, path::PathBuf, process::Stdio};

use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use super::node::{Node, Programs};
use crate::services::{KAFKA_LIBS, skip};

/// A private cluster. Its servers are numbered from 1, as their `node.id` is; each is a controller too, so one of three
/// may be missing. They are killed, and their folder removed, when this is dropped.
pub struct KafkaCluster {
    programs: Programs,
    // Before the folder, because fields are dropped in order.
    nodes: Vec<Node>,
    _folder: TempDir,
}

/// Settings that the servers have in addition to the common ones.
#[derive(Default)]
pub struct Extras {
    /// Further listeners, as `NAME://HOST:PORT`, each with its protocol. Of a single server only.
    pub listeners: Vec<(String, &'static str)>,
    /// Lines of `server.properties`.
    pub settings: String,
    /// Arguments for the formatting of the store.
    pub format: Vec<String>,
}

impl KafkaCluster {
    /// Creates and starts a cluster of one to three servers; skips the test if the environment names no jars. A topic has
    /// a replica on each, and of three two must be in sync.
    pub async fn start(test: &str, nodes: usize) -> Option<Self> {
        Self::start_with(test, nodes, Extras::default()).await
    }

    /// Creates and starts a cluster with these extra settings; skips the test if the environment names no jars.
    pub async fn start_with(test: &str, nodes: usize, extras: Extras) -> Option<Self> {
        let Some(libs) = env::var_os(KAFKA_LIBS) else {
            skip(test, KAFKA_LIBS);
            return None;
        };
        Some(Self::set_up(libs.into(), nodes, extras).await)
    }

    /// Creates and starts a cluster with the jars in this folder.
    pub async fn start_from(libs: PathBuf, nodes: usize) -> Self {
        Self::set_up(libs, nodes, Extras::default()).await
    }

    async fn set_up(libs: PathBuf, nodes: usize, extras: Extras) -> Self {
        assert!((1..=3).contains(&nodes), "{nodes} servers");
        let programs = Programs::in_folder(libs);
        let folder = tempfile::Builder::new().prefix("highwater-kafka-").tempdir().unwrap();
        let nodes = Node::create(nodes, folder.path());
        let mut cluster = Self { programs, nodes, _folder: folder };
        cluster.format(&extras).await;
        for node in &mut cluster.nodes {
            node.launch(&cluster.programs);
        }
        let all: Vec<_> = cluster.nodes.iter().map(|node| node.number).collect();
        for node in &mut cluster.nodes {
            node.wait_until_it_sees(&all).await;
        }
        cluster
    }

    /// The addresses of all servers, for a client's `bootstrap.servers`.
    pub fn servers(&self) -> String {
        self.nodes.iter().map(Node::address).collect::<Vec<_>>().join(",")
    }

    /// The address of one server, for a client's `bootstrap.servers`.
    pub fn server(&self, node: usize) -> String {
        self.nodes[node - 1].address()
    }

    /// The address of one server for clients that log in by `SASL_PLAINTEXT` and `PLAIN`: as `alice` with the password
    /// `secret`.
    pub fn sasl_server(&self, node: usize) -> String {
        format!("127.0.0.1:{}", self.nodes[node - 1].sasl)
    }

    /// Two ports of one server: the one that it advertises, on which a proxy of the test listens, and the one on which the
    /// server itself does. A client that connects to the first learns of no other.
    pub fn proxied(&self, node: usize) -> (u16, u16) {
        let node = &self.nodes[node - 1];
        (node.proxy, node.behind_proxy)
    }

    /// Kills a server as a loss of its machine does: clients and controller get no notice.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node - 1].kill();
    }

    /// Restarts a killed server on what it had stored, and waits until the cluster has admitted it. The controller has to
    /// miss it first, which takes about three seconds.
    pub async fn restart(&mut self, node: usize) {
        let node = &mut self.nodes[node - 1];
        node.launch(&self.programs);
        node.wait_until_it_sees(&[node.number]).await;
    }

    /// Pauses the process of a server; its connections stay open.
    pub fn pause(&self, node: usize) {
        self.nodes[node - 1].signal("-STOP");
    }

    /// Resumes a paused server.
    pub fn resume(&self, node: usize) {
        self.nodes[node - 1].signal("-CONT");
    }

    /// Returns true if a server answers, and knows that its cluster has admitted it.
    pub async fn is_alive(&self, node: usize) -> bool {
        self.nodes[node - 1].is_alive().await
    }

    /// Runs one of Kafka's console tools against these servers, and returns what it prints.
    pub async fn tool(&self, servers: &str, class: &str, arguments: &str, input: &str) -> String {
        let mut tool = tokio::process::Command::from(self.programs.java("-Xmx128m"));
        tool.arg(class).args(["--bootstrap-server", servers]).args(arguments.split_whitespace());
        tool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut tool = tool.spawn().unwrap();
        tool.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        let output = tool.wait_with_output().await.unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{class} {arguments}: {printed}{errors}");
        printed
    }

    /// Formats the stores under a cluster id of their own: a server must not take that of another test, at a port that was
    /// this one's, for one of its cluster. The id is the text of sixteen bytes; their last bits must be zero.
    async fn format(&self, extras: &Extras) {
        let id: String = std::iter::repeat_with(fastrand::alphanumeric).take(20).collect();
        let id = format!("A{id}A");
        let voters: Vec<_> = self.nodes.iter().map(Node::voter).collect();
        join_all(self.nodes.iter().map(|node| {
            node.configure(&voters, extras);
            node.format(&self.programs, &id, &extras.format)
        }))
        .await;
    }
}
