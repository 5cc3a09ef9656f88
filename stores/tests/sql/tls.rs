//! Servers that offer TLS, demand it, or have another certificate.

use std::{fs, path::PathBuf};

use highwater_core::{
    Code, NextStep, Position,
    port::{EventStore as _, ViewStore as _},
};
use highwater_test_support::postgres::PostgresCluster;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;

use super::{
    append, commit,
    error_messages::{self, SECRET},
    server::open,
};

/// The user who has a certificate instead of a password.
const CERTIFIED: &str = "certified";

const HBA: &str = "hostssl all certified all cert\nhostssl all all all scram-sha-256\n";

type Authority = CertifiedIssuer<'static, KeyPair>;

/// A certificate and its key, as PEM.
struct Certified {
    certificate: String,
    key: String,
}

/// Creates an authority. Two of them have one name and different keys.
fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "authority of a test");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn certified(by: &Authority, name: &str) -> Certified {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, by).unwrap().pem();
    Certified { certificate, key: key.serialize_pem() }
}

/// A server that demands TLS, whose certificate is for `localhost`.
struct TlsServer {
    cluster: PostgresCluster,
    authority: Authority,
    folder: TempDir,
}

impl TlsServer {
    async fn start(test: &str) -> Option<Self> {
        error_messages::record_log();
        let cluster = PostgresCluster::start_with_password(test, SECRET)?;
        let authority = authority();
        let server = Self { cluster, authority, folder: tempfile::tempdir().unwrap() };
        server.certify(&server.authority);
        server.file("root", &server.authority.pem());
        server.file("other-root", &self::authority().pem());
        server.file("no-root", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let mut owner = server.owner().await;
        let create = format!(
            "create role {CERTIFIED} login; grant create on database postgres to {CERTIFIED}"
        );
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut owner).await.unwrap();
        Some(server)
    }

    /// Restarts the server with a certificate of this authority.
    fn certify(&self, by: &Authority) {
        let Certified { certificate, key } = certified(by, "localhost");
        self.cluster.use_tls(&certificate, &key, &self.authority.pem(), HBA);
    }

    /// Writes a file, and returns its path.
    fn file(&self, name: &str, content: &str) -> PathBuf {
        let file = self.path(name);
        fs::write(&file, content).unwrap();
        file
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the certificate of a client and its key, and returns the parameters that name them.
    fn client(&self, by: &Authority) -> String {
        let Certified { certificate, key } = certified(by, CERTIFIED);
        let certificate = self.file("client.crt", &certificate);
        let key = self.file("client.key", &key);
        format!("&sslcert={}&sslkey={}", certificate.display(), key.display())
    }

    /// Returns a URL; `@` stands for the folder of the files.
    fn url(&self, user: &str, host: &str, parameters: &str) -> String {
        let parameters = parameters.replace('@', &self.folder.path().display().to_string());
        let port = self.cluster.port();
        format!(
            "postgres://{user}:{SECRET}@{host}:{port}/postgres?schema={user}&connect_timeout=20&{parameters}"
        )
    }

    async fn owner(&self) -> PgConnection {
        let url = format!("{}?sslmode=require", self.cluster.url());
        let options: PgConnectOptions = url.parse().unwrap();
        options.disable_statement_logging().connect().await.unwrap()
    }
}

#[tokio::test]
async fn a_store_works_over_tls_with_and_without_a_check_of_the_server_on_postgres() {
    let test = "a_store_works_over_tls_with_and_without_a_check_of_the_server_on_postgres";
    let Some(server) = TlsServer::start(test).await else { return };
    let client = server.client(&server.authority);
    let checked = "sslmode=verify-full&sslrootcert=@/root";
    for (number, (user, host, parameters)) in (1..).zip([
        ("postgres", "127.0.0.1", "application_name=not_said"),
        ("postgres", "127.0.0.1", "sslmode=require"),
        ("postgres", "127.0.0.1", "sslmode=require&sslrootcert=@/root"),
        ("postgres", "127.0.0.1", "sslmode=verify-ca&sslrootcert=@/root"),
        ("postgres", "localhost", checked),
        (CERTIFIED, "localhost", &format!("{checked}{client}")),
    ]) {
        let store = open(&server.url(user, host, parameters)).await.unwrap();
        store.append(append()).await.unwrap();
        let view = commit(&store, &format!("balances_{number}")).await;
        let name = view.view.clone();
        store.commit_view(view).await.unwrap();
        store.read_view(&name, &["a".to_owned()]).await.unwrap();
        // The connection that listens.
        store.wait_for_append(Position::START).await.unwrap();
        let sql = "select bool_and(ssl) and count(*) >= 2 from pg_stat_ssl join pg_stat_activity \
                   using (pid) where backend_type = 'client backend'";
        let all: bool = sqlx::query_scalar(sql).fetch_one(&mut server.owner().await).await.unwrap();
        assert!(all, "{parameters}");
        store.close().await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_refused_at_once_and_for_good_on_postgres() {
    let test = "a_server_that_is_not_trusted_is_refused_at_once_and_for_good_on_postgres";
    let Some(server) = TlsServer::start(test).await else { return };
    for (host, parameters, word) in [
        ("localhost", "sslmode=verify-full&sslrootcert=@/other-root", "sslrootcert"),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=@/other-root", "sslrootcert"),
        ("127.0.0.1", "sslmode=require&sslrootcert=@/other-root", "sslrootcert"),
        ("localhost", "sslmode=verify-full", "sslrootcert"),
        ("localhost", "sslmode=verify-full&sslrootcert=@/no-root", "sslrootcert"),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=@/root", "name the server"),
    ] {
        let error = open(&server.url("postgres", host, parameters)).await.unwrap_err();
        let words = ["TLS", "URL of the store", word];
        error_messages::check(&error, Code::BAD_CREDENTIALS, NextStep::FixRequest, &words);
    }
}

#[tokio::test]
async fn a_client_that_the_server_does_not_trust_is_refused_for_good_on_postgres() {
    let test = "a_client_that_the_server_does_not_trust_is_refused_for_good_on_postgres";
    let Some(server) = TlsServer::start(test).await else { return };
    let url = |user: &str, parameters: &str| server.url(user, "localhost", parameters);
    let plain = open(&url("postgres", "sslmode=disable")).await.unwrap_err();
    let words = ["no encryption", "sslmode=verify-full", "over TLS only"];
    error_messages::check(&plain, Code::BAD_CONFIGURATION, NextStep::FixRequest, &words);
    let nameless = open(&url(CERTIFIED, "sslmode=require")).await.unwrap_err();
    let words = ["certificate"];
    error_messages::check(&nameless, Code::BAD_CREDENTIALS, NextStep::FixRequest, &words);
    let stranger = server.client(&authority());
    let stranger = url(CERTIFIED, &format!("sslmode=require{stranger}"));
    // The server closes the connection behind its alert, which may be lost with what was sent meanwhile.
    let stranger = loop {
        match open(&stranger).await.unwrap_err() {
            lost if lost.is_retryable() => {}
            refused => break refused,
        }
    };
    let words = ["sslcert", "sslkey"];
    error_messages::check(&stranger, Code::BAD_CREDENTIALS, NextStep::FixRequest, &words);
}

#[tokio::test]
async fn parameters_of_tls_that_do_nothing_or_name_no_file_are_refused() {
    error_messages::record_log();
    let url = |parameters: &str| format!("postgres://alice:{SECRET}@127.0.0.1/bank?{parameters}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let root = format!("sslrootcert={}", file.path().display());
    for (parameters, words) in [
        ("sslmode=verify-full&sslrootcert=/nowhere/root", ["sslrootcert", "can't be read"]),
        ("sslmode=require&sslcert=/nowhere/crt&sslkey=/nowhere/key", ["sslcert", "can't be read"]),
        (&format!("sslmode=require&sslcert={}", file.path().display()), ["sslcert", "sslkey"]),
        (&root, ["sslrootcert", "sslmode"]),
        (&format!("sslmode=prefer&{root}"), ["sslrootcert", "sslmode"]),
    ] {
        let error = open(&url(parameters)).await.unwrap_err();
        error_messages::check(&error, Code::BAD_CONFIGURATION, NextStep::FixRequest, &words);
    }
}

#[tokio::test]
async fn a_certificate_that_changes_while_the_store_is_open_is_a_permanent_error() {
    let test = "a_certificate_that_changes_while_the_store_is_open_is_a_permanent_error";
    let Some(server) = TlsServer::start(test).await else { return };
    let trusting = "sslmode=verify-full&sslrootcert=@/root";
    let store = open(&server.url("postgres", "localhost", trusting)).await.unwrap();
    store.append(append()).await.unwrap();
    server.certify(&authority());
    let error = store.head().await.unwrap_err();
    error_messages::check(&error, Code::BAD_CREDENTIALS, NextStep::FixRequest, &["sslrootcert"]);
    // The one before was sent on a connection that was cut.
    let _ = store.append(append()).await;
    let error = store.append(append()).await.unwrap_err();
    error_messages::check(&error, Code::BAD_CREDENTIALS, NextStep::FixRequest, &["sslrootcert"]);
    server.certify(&server.authority);
    store.append(append()).await.unwrap();
    store.head().await.unwrap();
}
