//! R2: validators and caches never hide the freshness of a response.

use highwater_test_support::bank::{Balance, banks};

use crate::server::{Reply, get_with, put, router, send, work_until};

fn etag(reply: &Reply) -> String {
    reply.header("etag").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_an_unchanged_row_is_304_with_the_current_freshness() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Balance>(&bank, &put(&bank, "alice", 7).await).await;
        let router = router(&bank);
        let full = get_with(&router, "/accounts/alice", &[]).await;
        let tag = etag(&full);
        assert!(tag.starts_with("W/\"") && tag.is_ascii(), "{tag}");
        assert_eq!(full.header("cache-control"), Some("no-cache, private"));

        let current = get_with(&router, "/accounts/alice", &[("if-none-match", tag.as_bytes())]);
        let current = current.await;
        assert_eq!((current.status.as_u16(), current.header("age")), (304, Some("0")));

        put(&bank, "bob", 1).await;
        let several = format!("\"x\", {tag}, W/\"y\"");
        let strong = tag.trim_start_matches("W/").to_owned();
        for cached in [tag.as_str(), several.as_str(), strong.as_str(), "*"] {
            let cached =
                get_with(&router, "/accounts/alice", &[("if-none-match", cached.as_bytes())]);
            let cached = cached.await;
            assert_eq!((cached.status.as_u16(), cached.text.as_str()), (304, ""));
            assert_eq!(cached.header("content-type"), None);
            for name in ["etag", "cache-control", "vary", "highwater-token"] {
                assert_eq!(cached.header(name), full.header(name), "{name}");
            }
            // From here on a cache has the current row.
            let freshness = cached.header("highwater-freshness").unwrap();
            assert!(freshness.starts_with("converging;position=1;lag=1;"), "{freshness}");
            assert!(cached.header("age").unwrap().parse::<u64>().unwrap() >= 1);
        }
        let head =
            send(&router, "HEAD", "/accounts/alice", &[("if-none-match", tag.as_bytes())], "");
        assert_eq!(head.await.status, 304);
        for other in ["W/\"x\"", "x", "", "\"", "W/", ","] {
            let full = get_with(&router, "/accounts/alice", &[("if-none-match", other.as_bytes())]);
            assert_eq!(full.await.status, 200, "{other}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_a_changed_row_has_another_validator_and_an_equal_row_the_same() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Balance>(&bank, &put(&bank, "alice", 7).await).await;
        let router = router(&bank);
        let before = etag(&get_with(&router, "/accounts/alice", &[]).await);
        work_until::<Balance>(&bank, &put(&bank, "bob", 1).await).await;
        assert_eq!(etag(&get_with(&router, "/accounts/alice", &[]).await), before);
        work_until::<Balance>(&bank, &put(&bank, "alice", 1).await).await;
        let changed =
            get_with(&router, "/accounts/alice", &[("if-none-match", before.as_bytes())]).await;
        assert_eq!((changed.status.as_u16(), changed.json()["cents"].as_i64()), (200, Some(8)));
        assert_ne!(etag(&changed), before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_an_answer_that_is_not_as_fresh_as_requested_is_never_304_and_never_cached() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Balance>(&bank, &put(&bank, "alice", 7).await).await;
        let router = router(&bank);
        let tag = etag(&get_with(&router, "/accounts/alice", &[]).await);
        let token = put(&bank, "alice", 3).await.token().to_string();
        for path in ["stale", "eventual", "own", "cached"] {
            for cached in [tag.as_bytes(), b"*"] {
                let path = format!("/accounts/alice/{path}");
                let headers = [("if-none-match", cached), ("highwater-token", token.as_bytes())];
                let reply = get_with(&router, &path, &headers).await;
                // The response equals the caller's copy, byte for byte, but does not satisfy its
                // request.
                assert_eq!((reply.status.as_u16(), reply.json()["cents"].as_i64()), (200, Some(7)));
                assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
                assert_eq!(reply.header("etag"), None, "{path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_a_handler_may_let_caches_keep_an_answer() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Balance>(&bank, &put(&bank, "alice", 7).await).await;
        let router = router(&bank);
        let reply = get_with(&router, "/accounts/alice/cached", &[]).await;
        assert_eq!(reply.header("cache-control"), Some("public, max-age=60"));
        assert_eq!(reply.header("vary"), Some("highwater-token"));
    }
}
