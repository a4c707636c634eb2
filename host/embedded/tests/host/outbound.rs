//! Outgoing requests of guests: bodies pass as they arrive, and a dropped body closes its connection.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Host, next_piece, nobody, until, web};

const GRANTS: &str = "allowed_outbound_hosts = [\"http://127.0.0.1:*\"]";

/// Reads a request's head.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn an_upstreams_body_passes_through_as_it_comes() {
    let host = Host::start(&web(GRANTS));
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = upstream.local_addr().unwrap();
    let reading = async {
        let mut response = host.open(&format!("/pass?http://{address}/x")).await;
        assert_eq!(next_piece(&mut response).await.unwrap(), "first");
        response
    };
    let writing = async {
        let (mut stream, _) = upstream.accept().await.unwrap();
        let asked = head(&mut stream).await;
        assert!(asked.starts_with("GET /x HTTP/1.1\r\n") && asked.contains(&format!("host: {address}\r\n")), "{asked}");
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").await.unwrap();
        stream
    };
    // The second piece is written only after the first was read at the other end.
    let (mut response, mut stream) = tokio::join!(reading, writing);
    stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(next_piece(&mut response).await.unwrap(), "second");
    assert_eq!(next_piece(&mut response).await, None);
}

#[tokio::test]
async fn a_body_dropped_unread_closes_the_upstreams_connection() {
    let host = Host::start(&web(GRANTS));
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = upstream.local_addr().unwrap();
    let answering = async {
        let (mut stream, _) = upstream.accept().await.unwrap();
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").await.unwrap();
        // Nothing more is sent: only the other side can close this connection.
        let mut rest = Vec::new();
        tokio::time::timeout(std::time::Duration::from_secs(10), stream.read_to_end(&mut rest)).await.unwrap()
    };
    let path = format!("/get?http://{address}/");
    let (status, closed) = tokio::join!(host.ok(&path), answering);
    assert_eq!(status, "200 OK");
    assert!(closed.is_ok() || closed.unwrap_err().kind() == std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn when_the_reader_leaves_the_next_piece_closes_the_upstreams_connection() {
    let host = Host::start(&web(GRANTS));
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = upstream.local_addr().unwrap();
    let path = format!("/pass?http://{address}/");
    let reading = async {
        let mut response = host.open(&path).await;
        assert_eq!(next_piece(&mut response).await.unwrap(), "first");
    };
    let writing = async {
        let (mut stream, _) = upstream.accept().await.unwrap();
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").await.unwrap();
        stream
    };
    let ((), stream) = tokio::join!(reading, writing);
    // A guest learns only when it sends that its reader has left. Until then it continues to ask for pieces.
    until(async || stream.try_write(b"4\r\nmore\r\n").is_err() || matches!(stream.try_read(&mut [0]), Ok(0))).await;
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_an_error_the_guest_can_name() {
    let host = Host::start(&web(GRANTS));
    let (_held, closed) = nobody();
    let answer = host.get(&format!("/get?http://{closed}/")).await;
    assert_eq!(answer, (502, "ErrorCode::ConnectionRefused".to_owned()));
    host.logged(&format!("GET http://{closed}/ failed")).await;
}

#[tokio::test]
async fn a_body_read_to_its_end_leaves_the_connection_for_the_next_request() {
    let host = Host::start(&web(GRANTS));
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let path = format!("/pass?http://{}/", upstream.local_addr().unwrap());
    let answering = async {
        let (mut stream, _) = upstream.accept().await.unwrap();
        for _ in 0..2 {
            head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
    };
    let asking = async {
        assert_eq!(host.ok(&path).await, "ok");
        assert_eq!(host.ok(&path).await, "ok");
    };
    tokio::join!(answering, asking);
}
