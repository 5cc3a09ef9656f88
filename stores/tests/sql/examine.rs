//! Looking at a database without opening the store. What the tool finds is tested there.

use highwater_core::Code;
use highwater_stores::examine::{Examination, Severity};

use super::{error_messages::SECRET, server::Server};

#[tokio::test]
async fn rights_that_the_user_lacks_are_named() {
    let Some(server) = Server::of("rights_that_the_user_lacks_are_named").await else { return };
    server.open().await.unwrap().close().await;
    let own = Examination::of(&server.url()).await.unwrap();
    assert!(own.is_current() && own.workers.is_empty(), "{own:?}");
    assert!(own.findings.iter().all(|found| found.code != Some(Code::BAD_DATABASE)), "{own:?}");

    let other = format!("{}_other", server.name);
    server.execute(&format!("create role {other} login password '{SECRET}'")).await;
    let url = server.url_of(&other, SECRET, "postgres");
    let found = lacking(&url).await;
    assert!(found.contains("usage on the schema"), "{found}");
    assert!(!Examination::of(&url).await.unwrap().is_current());

    let schema = &server.name;
    let rights = "select, insert, update, delete on all tables in schema";
    server
        .execute(&format!(
            "grant usage on schema {schema} to {other}; grant {rights} {schema} to {other}; \
             revoke insert on {schema}.events from {other}"
        ))
        .await;
    let found = lacking(&url).await;
    assert!(found.ends_with(": create on the schema, insert on events"), "{found}");

    let all =
        format!("grant create on schema {schema} to {other}; grant {rights} {schema} to {other}");
    server.execute(&all).await;
    let whole = Examination::of(&url).await.unwrap();
    assert!(whole.findings.iter().all(|found| found.code.is_none()), "{whole:?}");
}

/// Returns the words of the finding about rights.
async fn lacking(url: &str) -> String {
    let examination = Examination::of(url).await.unwrap();
    let found = examination.findings.iter().find(|found| found.code == Some(Code::BAD_DATABASE));
    let found = found.unwrap_or_else(|| panic!("{examination:?}"));
    assert_eq!(found.severity, Severity::Error);
    assert!(!found.message.contains(SECRET));
    found.message.clone()
}
