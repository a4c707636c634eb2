//! A request to the model is sent in one piece. If neither side sends small pieces at once (`TCP_NODELAY`), each further piece waits 40 ms for the
//! acknowledgement of the one before.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
};

use anyhow::{Context as _, Result, ensure};
use tests::{App, Options, Person};

/// The model's answer. The length of its body is known, so the connection is kept.
const ANSWER: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// The turns that are measured. The first request of a connection may be sent in more pieces, because the other side then acknowledges at once.
const TURNS: usize = 8;

/// A request, and the number of reads in which it came.
#[derive(Debug)]
struct Came {
    head: String,
    reads: usize,
}

/// Answers requests one after the other, and reports how each of them came.
fn serve(mut connection: TcpStream, told: &mpsc::Sender<Came>) -> Result<()> {
    loop {
        let (mut bytes, mut reads, mut buffer) = (Vec::new(), 0, vec![0; 1 << 20]);
        let head = loop {
            let read = connection.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            reads += 1;
            bytes.extend_from_slice(buffer.get(..read).unwrap_or_default());
            let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).to_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
            if length.is_none_or(|length| bytes.len() >= end + 4 + length) {
                break head;
            }
        };
        let _ = told.send(Came { head, reads });
        let length = ANSWER.len();
        write!(
            connection,
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {length}\r\n\r\n{ANSWER}"
        )?;
    }
}

#[tokio::test]
async fn a_request_says_its_length_and_leaves_in_one_piece() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let (told, came) = mpsc::channel();
    thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let told = told.clone();
            thread::spawn(move || serve(connection, &told));
        }
    });
    let options = Options::asking(&url).environment("EMBEDDED_HOST_OUTBOUND_NAGLE", "1");
    let Some((_host, app)) = App::own(options)? else { tests::skip!("the app is elsewhere") };
    let person = Person::in_app(&app).await?;
    let mut reads = Vec::new();
    for _ in 0..TURNS {
        let (_, events) = person.hear("scripted", "Hello").await?;
        ensure!(tests::said(&events) == "Hello", "{events:?}");
        let came = came.recv().context("no request came")?;
        ensure!(came.head.contains("content-length: "), "{}", came.head);
        ensure!(!came.head.contains("transfer-encoding"), "{}", came.head);
        reads.push(came.reads);
    }
    // A host's scheduler decides which of two tasks runs first. So a head may be sent alone: on Spin, for half of the requests if each has its own
    // instance. Without a length, requests come in three pieces. With a late body, they never come in one.
    let whole = reads.contains(&1);
    ensure!(whole && reads.iter().all(|reads| *reads <= 2), "requests came in so many pieces: {reads:?}");
    Ok(())
}
