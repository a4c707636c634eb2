//! Receives the mails that Cyrus sends: a minimal SMTP server (RFC 5321).

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// Accepts every mail, except for addresses that begin with `nobody@`. Its thread ends with the process.
#[derive(Debug)]
pub struct Sink {
    pub(crate) port: u16,
    received: Arc<Mutex<Vec<Received>>>,
}

/// A mail that the sink accepted.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The sender of the envelope.
    pub from: String,
    /// The recipients of the envelope.
    pub to: Vec<String>,
    /// Headers and body.
    pub text: String,
}

impl Sink {
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || converse(&stream, &shared));
            }
        });
        Ok(Self { port, received })
    }

    /// The mails that it has accepted so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn converse(stream: &TcpStream, received: &Mutex<Vec<Received>>) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut say = move |words: &str| writer.write_all(format!("{words}\r\n").as_bytes());
    let mut lines = BufReader::new(stream).lines();
    let mut mail = Received::default();
    say("220 sink")?;
    while let Some(line) = lines.next().transpose()? {
        let address = || line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let command = line.to_ascii_uppercase();
        if command.starts_with("MAIL") {
            mail = Received { from: address(), ..Received::default() };
        } else if command.starts_with("RCPT") {
            if address().starts_with("nobody@") {
                say("550 there is nobody of that name")?;
                continue;
            }
            mail.to.push(address());
        } else if command.starts_with("DATA") {
            say("354 go on")?;
            while let Some(line) = lines.next().transpose()?.filter(|line| line != ".") {
                mail.text.push_str(line.strip_prefix('.').unwrap_or(&line));
                mail.text.push('\n');
            }
            received.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut mail));
        } else if command.starts_with("QUIT") {
            return say("221 bye");
        }
        say("250 ok")?;
    }
    Ok(())
}
