//! Malformed input is refused or ignored, and breaks nothing.

use axum::http::HeaderValue;
use highwater::{Position, Token, value::PartitionId};
use highwater_test_support::bank::{Balance, banks};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::server::{get_with, post_with, put, router, work_until};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_malformed_token_is_400_for_reads_and_commands() {
    let bank = banks().remove(0).open().await;
    let receipt = put(&bank, "alice", 7).await;
    work_until::<Balance>(&bank, &receipt).await;
    let router = router(&bank);
    let good = receipt.token().to_string();
    let odd: [&[u8]; 8] = [
        b"x",
        b"\"AgAAAAEB\"",
        b"\xff\xfe",
        "tök".as_bytes(),
        b"null",
        b"AQ AQ",
        b"AQD/////////////fw==",
        b"Bearer AQ",
    ];
    for odd in odd {
        for headers in [
            vec![("highwater-token", odd)],
            vec![("highwater-token", good.as_bytes()), ("highwater-token", odd)],
        ] {
            let read = get_with(&router, "/accounts/alice", &headers).await;
            assert_eq!(read.is_problem(400, "HW603")["next_step"], "fix_request");
            let write = post_with(&router, "/accounts/alice/deposits", &headers, 7).await;
            write.is_problem(400, "HW603");
        }
    }
    assert_eq!(bank.log().head().await.unwrap(), receipt.position(), "nothing was stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_the_tokens_of_a_request_share_a_limit_and_a_returned_token_is_accepted() {
    let bank = banks().remove(0).open().await;
    work_until::<Balance>(&bank, &put(&bank, "alice", 7).await).await;
    let router = router(&bank);
    let huge = "A".repeat(100_000);
    let many = vec![("highwater-token", huge.as_bytes()); 3];
    let refused = get_with(&router, "/accounts/alice", &many).await;
    assert!(refused.text.len() < 2_000, "the response does not repeat the whole input");
    refused.is_problem(431, "HW602");
    let empty = [("highwater-token", b"".as_slice()), ("highwater-token", b" , ,")];
    assert_eq!(get_with(&router, "/accounts/alice", &empty).await.status, 200);
    // Each of these is a valid token, but together they exceed the size limit.
    let wide = |from: u32| {
        let clocks = from..from + 200;
        let clocks = clocks.map(|n| (PartitionId::new(n), Position::new(1)));
        clocks.fold(Token::default(), |token, (part, at)| token.with(part, at)).to_string()
    };
    let (one, other) = (wide(1), wide(1_000));
    let alone = [("highwater-token", one.as_bytes())];
    // These tokens belong to no existing store. A read that requires none of them returns the token
    // of this store instead.
    get_with(&router, "/accounts/alice", &alone).await.is_problem(400, "HW613");
    let answer = get_with(&router, "/accounts/alice/eventual", &alone).await;
    let sent_back = [("highwater-token", answer.header("highwater-token").unwrap().as_bytes())];
    assert_eq!(get_with(&router, "/accounts/alice", &sent_back).await.status, 200);
    let both = [("highwater-token", one.as_bytes()), ("highwater-token", other.as_bytes())];
    get_with(&router, "/accounts/alice", &both).await.is_problem(400, "HW603");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w4_a_malformed_key_is_400_and_nothing_is_stored() {
    let bank = banks().remove(0).open().await;
    let router = router(&bank);
    let long = format!("\"{}\"", "k".repeat(256));
    let odd: [&[u8]; 13] = [
        b"",
        b"\"\"",
        b"order-7",
        b"7",
        b"\"open",
        b"\"a\" \"b\"",
        b"\"a\", \"b\"",
        b"?1",
        b":AAAA:",
        b"\xff",
        "\"schlüssel\"".as_bytes(),
        b"{8e03978e-40d5-43e8-bc93-6894a57f9324}",
        long.as_bytes(),
    ];
    for odd in odd {
        let reply = post_with(&router, "/accounts/alice/deposits", &[("idempotency-key", odd)], 7);
        let body = reply.await.is_problem(400, "");
        assert!(body["detail"].as_str().unwrap().contains("Idempotency-Key"), "{body}");
    }
    let twice = [("idempotency-key", b"\"a\"".as_slice()), ("idempotency-key", b"\"a\"")];
    post_with(&router, "/accounts/alice/deposits", &twice, 7).await.is_problem(400, "");
    assert_eq!(bank.log().head().await.unwrap(), Position::START);
    let longest = format!("\"{}\"", "k".repeat(255));
    let key = [("idempotency-key", longest.as_bytes())];
    assert_eq!(post_with(&router, "/accounts/alice/deposits", &key, 7).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_invalid_stream_key_is_400() {
    let bank = banks().remove(0).open().await;
    let router = router(&bank);
    post_with(&router, "/accounts/a%00b/deposits", &[], 7).await.is_problem(400, "HW603");
    let long = format!("/accounts/{}/deposits", "a".repeat(10_000));
    let refused = post_with(&router, &long, &[], 7).await;
    assert!(refused.text.len() < 2_000, "the response does not repeat the whole input");
    refused.is_problem(400, "HW603");
}

const HEADERS: [&str; 7] = [
    "highwater-token",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "traceparent",
    "tracestate",
    "content-type",
];

/// Fragments of valid tokens in wrong combinations, and bytes that a header may contain.
fn nonsense(random: &mut fastrand::Rng) -> Vec<u8> {
    let bits: [&[u8]; 12] = [
        b"\"",
        b",",
        b"W/",
        b"*",
        b"AQ",
        b"00-",
        b";a=1",
        b" ",
        b"8e03978e-40d5-43e8-",
        b"-",
        b"=",
        b"\\",
    ];
    let mut value = Vec::new();
    for _ in 0..random.usize(..12) {
        match random.usize(..4) {
            0 => value.push(random.u8(..)),
            _ => value.extend_from_slice(bits[random.usize(..bits.len())]),
        }
    }
    value.retain(|byte| HeaderValue::from_bytes(&[*byte]).is_ok());
    value
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn arbitrary_headers_get_an_answer_or_a_problem_of_the_client() {
    let bank = banks().remove(0).open().await;
    work_until::<Balance>(&bank, &put(&bank, "alice", 7).await).await;
    let (router, mut random) = (router(&bank), fastrand::Rng::with_seed(7));
    for round in 0..3_000 {
        let values: Vec<_> = (0..random.usize(1..4))
            .map(|_| (HEADERS[random.usize(..HEADERS.len())], nonsense(&mut random)))
            .collect();
        let headers: Vec<_> = values.iter().map(|(name, value)| (*name, &value[..])).collect();
        let reply = match round % 2 {
            0 => get_with(&router, "/accounts/alice/stale", &headers).await,
            _ => post_with(&router, "/accounts/alice/deposits", &headers, 2).await,
        };
        match reply.status.as_u16() {
            200 | 304 => assert!(reply.header("highwater-token").is_some(), "{values:?} {reply:?}"),
            status => {
                assert!([400, 412, 415, 422].contains(&status), "{values:?} {reply:?}");
                assert_eq!(reply.header("content-type"), Some("application/problem+json"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn arbitrary_bytes_on_a_socket_break_nothing() {
    let bank = banks().remove(0).open().await;
    work_until::<Balance>(&bank, &put(&bank, "alice", 7).await).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(axum::serve(listener, router(&bank)).into_future());
    let ask = async |headers: &[u8]| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let line = b"GET /accounts/alice HTTP/1.1\r\nHost: bank\r\nConnection: close\r\n";
        // A server that refuses a request may close the connection before it has read the whole
        // request.
        let _ = stream.write_all(&[line, headers, b"\r\n"].concat()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
    };
    let ok = "HTTP/1.1 200 OK";
    assert_eq!(ask(b"").await, ok);
    assert_eq!(ask(b"Highwater-Token: \xc3\x28\xff\r\n").await, "HTTP/1.1 400 Bad Request");
    for odd in [
        b"Highwater-Token: \0\r\n".to_vec(),
        b"Highwater-Token\r\n".to_vec(),
        [b"Highwater-Token: ", &b"A".repeat(2_000_000)[..], b"\r\n"].concat(),
        b"Highwater-Token: AQ\r\n".repeat(5_000),
    ] {
        assert_ne!(ask(&odd).await, ok);
        assert_eq!(ask(b"").await, ok);
    }
    assert_eq!(ask(&b"Highwater-Token: AQ\r\n".repeat(50)).await, ok);
    serving.abort();
}
