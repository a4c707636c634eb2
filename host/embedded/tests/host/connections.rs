//! Slow clients do not make other clients wait, and a burst waits in order.

use std::time::Duration;

use futures::future::join_all;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Host, until, web};

/// A connection that has sent this text.
async fn sending(host: &Host, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// A request that has sent four of the hundred bytes of its body.
async fn four_of_a_hundred(host: &Host) -> TcpStream {
    sending(host, "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nfour").await
}

/// Everything the host sends until it closes the connection.
async fn until_closed(mut stream: TcpStream) -> String {
    let mut said = Vec::new();
    // The connection may be reset.
    let _ = stream.read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn whoever_sends_nothing_or_half_a_request_or_rests_for_too_long_is_let_go() {
    let host = Host::start_with(&web(""), &["--client-patience", "200ms"]);
    let head = "GET /count HTTP/1.1\r\nhost: localhost\r\n";
    assert_eq!(until_closed(sending(&host, "").await).await, "");
    until_closed(sending(&host, head).await).await;
    until_closed(four_of_a_hundred(&host).await).await;
    let said = until_closed(sending(&host, &format!("{head}\r\n")).await).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
}

#[tokio::test]
async fn a_body_that_comes_slowly_but_keeps_coming_is_waited_for() {
    let host = Host::start_with(&web(""), &["--client-patience", "500ms"]);
    let mut stream = sending(&host, "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3000\r\n\r\n").await;
    for _ in 0..6 {
        stream.write_all(&[b'x'; 500]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stream.shutdown().await.unwrap();
    let said = until_closed(stream).await;
    assert_eq!(said.matches('x').count(), 3_000, "{said}");
}

#[tokio::test]
async fn clients_that_are_waited_for_make_room_for_others_the_longest_first() {
    let host = Host::start_with(&web(""), &["--max-connections", "3"]);
    let first = four_of_a_hundred(&host).await;
    let held = [four_of_a_hundred(&host).await, four_of_a_hundred(&host).await];
    host.ok("/headers").await;
    until_closed(first).await;
    drop(held);
}

#[tokio::test]
async fn a_client_that_does_not_read_makes_room_for_others() {
    let host = Host::start_with(&web(""), &["--max-connections", "3"]);
    let asked = "GET /much HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let reading_nothing = join_all((0..3).map(|_| sending(&host, asked))).await;
    host.ok("/headers").await;
    drop(reading_nothing);
}

#[tokio::test]
async fn whoever_reads_an_answer_keeps_the_place() {
    let host = Host::start_with(&web(""), &["--max-connections", "3"]);
    // The response has a piece every 10 ms.
    let mut reading = host.open("/background?note").await.into_body();
    for _ in 0..2 {
        let others = join_all((0..4).map(|_| host.ok("/sleep?300"))).await;
        assert_eq!(others, ["slept"; 4]);
    }
    assert!(reading.frame().await.unwrap().is_ok());
}

#[tokio::test]
async fn bodies_that_come_slowly_keep_nobody_out() {
    let host = Host::start_with(&web(""), &["--max-instances", "8"]);
    let head = "POST /length HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nfour";
    let slow = join_all((0..8).map(|_| sending(&host, head))).await;
    host.ok("/count").await;
    drop(slow);
}

#[tokio::test]
async fn a_burst_waits_in_order_and_what_waits_for_too_long_is_told_to_come_again() {
    let flags = ["--max-instances", "8", "--max-instance-concurrent-reuse-count", "1"];
    let host = Host::start_with(&web(""), &flags);
    let answers = join_all((0..60).map(|_| host.get("/sleep?5"))).await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");

    let host = Host::start_with(&web(""), &[&flags[..], &["--client-patience", "300ms"]].concat());
    let sleeping: Vec<_> =
        join_all((0..4).map(|_| sending(&host, "GET /sleep?5000 HTTP/1.1\r\nhost: localhost\r\n\r\n"))).await;
    until(async || host.open("/count").await.status() == 503).await;
    let refused = host.open("/count").await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    drop(sleeping);
}

#[tokio::test]
async fn a_host_that_is_none_is_refused_with_words() {
    let host = Host::start(&web(""));
    for name in ["a b", "a/b", "", "\u{e9}"] {
        let request = format!("GET / HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n");
        let said = until_closed(sending(&host, &request).await).await;
        assert!(said.starts_with("HTTP/1.1 400"), "{name:?}: {said}");
        assert!(said.contains("host header") || !said.contains("problem+json"), "{name:?}: {said}");
    }
}
