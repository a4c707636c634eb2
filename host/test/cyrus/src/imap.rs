//! A minimal IMAP client (RFC 9051): it logs in and stores a message.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use anyhow::bail;

/// A server that is silent for so long is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection of a person who is logged in.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn open(port: u16, name: &str, password: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut connection = Self { stream: BufReader::new(stream) };
        connection.read("*")?;
        connection.ask(&format!("LOGIN \"{name}\" \"{password}\""))?;
        Ok(connection)
    }

    pub(crate) fn append(&mut self, mailbox: &str, received: &str, message: &str) -> anyhow::Result<()> {
        // With `+`, the client need not wait until the server asks for the rest (RFC 7888).
        self.ask(&format!("APPEND \"{mailbox}\" \"{received}\" {{{}+}}\r\n{message}", message.len()))
    }

    fn ask(&mut self, command: &str) -> anyhow::Result<()> {
        self.stream.get_mut().write_all(format!("a {command}\r\n").as_bytes())?;
        self.read("a")
    }

    /// Reads up to the line with a tag, which must say `OK`.
    fn read(&mut self, tag: &str) -> anyhow::Result<()> {
        let mut line = String::new();
        while self.stream.read_line(&mut line)? > 0 {
            match line.strip_prefix(tag) {
                Some(answer) if answer.starts_with(" OK") => return Ok(()),
                Some(answer) => bail!("IMAP:{answer}"),
                None => line.clear(),
            }
        }
        bail!("IMAP: the server hung up")
    }
}
