//! Requests reach the component their route names, and bodies pass through.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::harness::{Host, next_piece, private, read, web};

#[tokio::test]
async fn a_body_is_echoed() {
    let host = Host::start(&web(""));
    let request = Request::post("/echo").body(Full::new(Bytes::from("hello".repeat(100_000)))).unwrap();
    let (status, text) = read(host.send(request).await).await;
    assert_eq!((status, text.len()), (200, 500_000));
}

#[tokio::test]
async fn a_streamed_body_arrives_piece_by_piece() {
    let host = Host::start(&web(""));
    let mut response = host.open("/stream").await;
    let start = std::time::Instant::now();
    let mut times = Vec::new();
    for piece in ["one\n", "two\n", "three\n"] {
        assert_eq!(next_piece(&mut response).await.unwrap(), piece);
        times.push(start.elapsed());
    }
    assert_eq!(next_piece(&mut response).await, None);
    // The guest waits 50 ms between the pieces; if they were buffered, they would arrive together.
    assert!(times[2] - times[0] >= std::time::Duration::from_millis(80), "{times:?}");
}

#[tokio::test]
async fn requests_share_an_instance_up_to_its_limit() {
    let host = Host::start_with(&web(""), &["--max-instance-reuse-count", "3"]);
    let mut counts = Vec::new();
    for _ in 0..4 {
        counts.push(host.ok("/count").await);
    }
    assert_eq!(counts, ["1", "2", "3", "1"]);
}

#[tokio::test]
async fn an_instance_without_work_ends_after_the_idle_timeout() {
    let host = Host::start_with(&web(""), &["--idle-instance-timeout", "0ms"]);
    assert_eq!(host.ok("/count").await, "1");
    crate::harness::until(async || host.ok("/count").await == "1").await;
}

#[tokio::test]
async fn components_are_told_how_they_were_found() {
    let manifest =
        format!("{}\n{}", web("allowed_outbound_hosts = [\"http://inner.spin.internal\"]"), private("inner", ""))
            .replace("\"/...\"", "\"/at/:place/...\"");
    let host = Host::start(&manifest);
    let told = host.ok("/at/home/headers?q=1").await;
    for expected in [
        format!("host: {}", host.address),
        format!("spin-full-url: http://{}/at/home/headers?q=1", host.address),
        "spin-path-info: /headers".to_owned(),
        "spin-raw-component-route: /at/:place/...".to_owned(),
        "spin-path-match-place: home".to_owned(),
        "spin-client-addr: 127.0.0.1:".to_owned(),
    ] {
        assert!(told.contains(&expected), "{expected} is not in {told}");
    }
    assert_eq!(host.get("/elsewhere").await, (404, String::new()));
    assert_eq!(host.ok("/.well-known/spin/health").await, "OK");
}

#[tokio::test]
async fn chaining_keeps_the_path_and_reaches_private_routes() {
    let grants = "allowed_outbound_hosts = [\"http://inner.spin.internal\"]";
    let host = Host::start(&format!("{}\n{}", web(grants), private("inner", "")));
    let told = host.ok("/pass?http://inner.spin.internal/a/b/headers").await;
    assert!(told.contains("spin-path-info: /a/b/headers"), "{told}");
    assert!(told.contains("spin-client-addr: 0.0.0.0:0"), "{told}");
    assert_eq!(host.ok("/pass?http://inner.spin.internal/stream").await, "one\ntwo\nthree\n");
    assert_eq!(host.ok("/get?http://inner.spin.internal/trap").await, "500 Internal Server Error");
}

#[tokio::test]
async fn calling_a_component_that_is_not_there_is_an_error_that_names_it() {
    let host = Host::start(&web("allowed_outbound_hosts = [\"http://nobody.spin.internal\"]"));
    let (status, told) = host.get("/get?http://nobody.spin.internal/").await;
    assert_eq!((status, told.as_str()), (502, "ErrorCode::DestinationNotFound"));
    host.logged("called \"nobody\"").await;
}
