//! TLS and SASL over TLS, and their errors. Certificates are created by the `keytool` of the Java
//! that runs Kafka.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future::join_all;
use highwater_core::{
    Code, Error, Position, Result,
    domain::ViewName,
    port::{FeedSource as _, Progress},
    value::{ShardBy, Sharding},
};
use highwater_projections::kafka::{Kafka, KafkaSource, KafkaState, Relay};
use highwater_test_support::kafka::{Extras, KafkaCluster, free_ports};
use tempfile::TempDir;
use tokio::process::Command;

use super::fixture::{RelayTask, TopicFixture, drain, in_time};

/// The password of the server's key store, which no client has.
const STORE_PASSWORD: &str = "keeps-the-key";
const PASSWORD: &str = "correct-horse";
const WRONG_PASSWORD: &str = "battery-staple";

/// A server with TLS, with or without a password.
struct TlsServer {
    cluster: KafkaCluster,
    fixture: TopicFixture,
    tls: u16,
    sasl: u16,
    certificates: TempDir,
}

impl TlsServer {
    async fn start(test: &str) -> Option<Self> {
        let certificates = tempfile::tempdir().unwrap();
        certificate(certificates.path(), "server").await;
        certificate(certificates.path(), "stranger").await;
        let [tls, sasl] = free_ports(2).try_into().unwrap();
        let extras = Extras {
            listeners: vec![
                (format!("TLS://127.0.0.1:{tls}"), "SSL"),
                (format!("TLSSASL://127.0.0.1:{sasl}"), "SASL_SSL"),
            ],
            settings: settings(certificates.path()),
            format: ["SCRAM-SHA-512"]
                .iter()
                .flat_map(|way| {
                    let user = format!("{way}=[name=alice,password={PASSWORD}]");
                    ["--add-scram".to_owned(), user]
                })
                .collect(),
        };
        let cluster = KafkaCluster::start_with(test, 1, extras).await?;
        let fixture = TopicFixture::at(cluster.servers());
        Some(Self { cluster, fixture, tls, sasl, certificates })
    }

    /// Configures a client that trusts the server with this certificate.
    fn trusting(&self, kafka: Kafka, whom: &str) -> Kafka {
        let certificate = self.certificates.path().join(format!("{whom}.pem"));
        kafka.setting("ssl.ca.location", certificate.display().to_string())
    }

    fn tls(&self, host: &str) -> Kafka {
        Kafka::at(format!("{host}:{}", self.tls)).setting("security.protocol", "SSL")
    }

    fn sasl(&self, mechanism: &str, password: &str) -> Kafka {
        let kafka = Kafka::at(format!("127.0.0.1:{}", self.sasl))
            .setting("security.protocol", "SASL_SSL")
            .setting("sasl.mechanism", mechanism)
            .setting("sasl.username", "alice")
            .setting("sasl.password", password);
        self.trusting(kafka, "server")
    }

    /// Asserts that source, view and relay of a client report this code, without a secret. All three at once: each
    /// request waits for some seconds for a server that answers.
    async fn refused(&self, Refused { kafka, code, what }: Refused, number: usize) {
        let source =
            KafkaSource::new(&self.fixture.highwater, kafka.clone(), self.fixture.topics());
        let relay = Relay::new(&self.fixture.highwater, kafka, self.fixture.topics());
        // Of two relays with one name the second would wait for the first.
        let relay = relay.named(format!("refused_{number}"));
        let join = || source.join(self.fixture.subscription("refused", Sharding::SINGLE));
        let (error, _, ()) = tokio::join!(
            refused_with(code, || source.sharding(ShardBy::Stream, 1)),
            refused_with(code, join),
            relay_refused(relay, code),
        );
        let state = source.state(&ViewName::new("refused").unwrap()).borrow().clone();
        match code {
            Code::BAD_CREDENTIALS => {
                assert!(matches!(state, KafkaState::WrongCredentials { .. }), "{state:?}");
            }
            Code::BROKER_UNREACHABLE => {
                assert!(matches!(state, KafkaState::BrokerGone { .. }), "{state:?}");
            }
            _ => {}
        }
        let said = format!("{error} {error:?} {source:?} {state:?}");
        for secret in [PASSWORD, WRONG_PASSWORD, STORE_PASSWORD] {
            assert!(!said.contains(secret), "{said}");
        }
        assert!(error.to_string().contains(what), "{error}");
        assert!(error.is_invalid() || code == Code::BROKER_UNREACHABLE, "{error}");
    }
}

/// A client that is refused, and what its error says.
struct Refused {
    kafka: Kafka,
    code: Code,
    what: &'static str,
}

/// Asserts that a relay reports this code. It ends only if no retry can cure the error.
async fn relay_refused(relay: Relay, code: Code) {
    if code == Code::BAD_CONFIGURATION {
        let error = in_time(relay.run(std::future::pending())).await.unwrap_err();
        return assert_eq!(error.code(), code, "{error}");
    }
    let relay = RelayTask::start(relay);
    let failing = async {
        while relay.fails().await.code() != code {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    in_time(failing).await;
    relay.stop().await;
}

/// Retries until the error has this code: on a busy machine a server may appear unavailable once.
async fn refused_with<T, F: Future<Output = Result<T>>>(code: Code, ask: impl Fn() -> F) -> Error {
    let retrying = async {
        loop {
            match ask().await.err().unwrap() {
                error if error.code() == code => return error,
                _ => {}
            }
        }
    };
    in_time(retrying).await
}

fn keytool() -> PathBuf {
    let home = env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/keytool"));
    home.filter(|keytool| keytool.exists()).unwrap_or_else(|| "keytool".into())
}

/// Creates a self-signed key for a server at 127.0.0.1 only, and its certificate.
async fn certificate(folder: &Path, whose: &str) {
    let store = folder.join(format!("{whose}.p12"));
    let common = ["-alias", whose, "-storetype", "PKCS12", "-storepass", STORE_PASSWORD];
    let make = ["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", "2"];
    let name = format!("CN={whose}");
    let names = ["-dname", &name, "-ext", "san=ip:127.0.0.1", "-ext", "bc:c=ca:true"];
    let file = folder.join(format!("{whose}.pem"));
    let export = ["-exportcert", "-rfc", "-file", file.to_str().unwrap()];
    for arguments in [[&make[..], &names].concat(), export.to_vec()] {
        let mut tool = Command::new(keytool());
        let done = tool.args(arguments).args(common).arg("-keystore").arg(&store).output().await;
        let done = done.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    }
}

fn settings(certificates: &Path) -> String {
    let login = "org.apache.kafka.common.security";
    format!(
        "ssl.keystore.type=PKCS12
        ssl.keystore.location={}
        ssl.keystore.password={STORE_PASSWORD}
        listener.name.tlssasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
        listener.name.tlssasl.plain.sasl.jaas.config={login}.plain.PlainLoginModule required \
        user_alice=\"{PASSWORD}\";
        listener.name.tlssasl.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;",
        certificates.join("server.p12").display()
    )
}

#[tokio::test]
async fn a_relay_and_a_view_work_over_tls_with_and_without_a_password() {
    let test = "a_relay_and_a_view_work_over_tls_with_and_without_a_password";
    let Some(server) = TlsServer::start(test).await else { return };
    let fixture = &server.fixture;
    let ways = [
        server.trusting(server.tls("127.0.0.1"), "server"),
        server.sasl("PLAIN", PASSWORD),
        server.sasl("SCRAM-SHA-512", PASSWORD),
    ];
    for (turn, kafka) in (1..).zip(ways) {
        fixture.append(20).await;
        let relay = Relay::new(&fixture.highwater, kafka.clone(), fixture.topics()).partitions(4);
        let relay = RelayTask::start(relay.named("tls"));
        relay.has_published(Position::new(20 * turn)).await;
        let source = KafkaSource::new(&fixture.highwater, kafka.clone(), fixture.topics());
        let mut feed = fixture.whole(&source, &Progress::default()).await;
        let drained = drain(&mut *feed, Position::new(20 * turn), 7).await;
        assert_eq!(drained.events, fixture.log().await);
        assert_eq!(source.filled(), 0);
        // Members of a group work as well.
        let sharding = Sharding::by_stream(4);
        let subscription = fixture.subscription(&format!("grouped_{turn}"), sharding);
        let mut member = fixture.join(&source, &subscription).await;
        member.until(4).await;
        for shard in sharding.all() {
            let events = member.deliver(shard, Position::new(20 * turn)).await;
            assert_eq!(events, fixture.of_shard(sharding, shard).await);
        }
        relay.stop().await;
    }
    assert!(server.cluster.is_alive(1).await);
}

#[tokio::test]
async fn errors_of_tls_are_reported_without_a_secret() {
    let test = "errors_of_tls_are_reported_without_a_secret";
    let Some(server) = TlsServer::start(test).await else { return };
    let wrong = |kafka, what| Refused { kafka, code: Code::BAD_CREDENTIALS, what };
    let unreachable =
        |kafka| Refused { kafka, code: Code::BROKER_UNREACHABLE, what: "security.protocol" };
    let missing = server.trusting(server.tls("127.0.0.1"), "nobody");
    let all = [
        // The client trusts another certificate, or only those of the machine.
        wrong(server.trusting(server.tls("127.0.0.1"), "stranger"), "ssl.ca.location"),
        wrong(server.tls("127.0.0.1"), "ssl.ca.location"),
        // The certificate is not valid for this name, which may have another address, where no
        // server listens.
        wrong(
            server
                .trusting(server.tls("localhost"), "server")
                .setting("broker.address.family", "v4"),
            "the certificate of the server",
        ),
        wrong(server.sasl("PLAIN", WRONG_PASSWORD), "sasl"),
        wrong(server.sasl("SCRAM-SHA-512", WRONG_PASSWORD), "sasl"),
        Refused { kafka: missing, code: Code::BAD_CONFIGURATION, what: "ssl.ca.location" },
        // A server with another protocol only closes the connection.
        unreachable(Kafka::at(format!("127.0.0.1:{}", server.tls))),
        unreachable(Kafka::at(server.cluster.servers()).setting("security.protocol", "SSL")),
    ];
    let refused = all.into_iter().zip(1..).map(|(refused, number)| server.refused(refused, number));
    join_all(refused).await;
}
