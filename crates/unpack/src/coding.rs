//! Decodes one content coding, piece by piece.

use std::io::{self, Write};

use brotli_decompressor::{BrotliDecoderParameter, DecompressorWriter};
use flate2::write::{DeflateDecoder, GzDecoder, ZlibDecoder};

use crate::Unreadable;

/// The most members of one gzip (RFC 1952, section 2.2). Even an empty one costs as much as a web page.
const MEMBERS_MAX: usize = 100;
/// The size of brotli's output buffer.
const BUFFER_BYTES: usize = 4 << 10;
/// The largest window of brotli, as a power of two. The decoder may allocate all of it for a body of a few bytes. Servers and their libraries
/// use 4 MiB; only larger files that were compressed in advance use more.
const WINDOW_BITS_MAX: u32 = 22;
/// The first bytes of a gzip.
const GZIP_START: [u8; 2] = [0x1f, 0x8b];

/// A content coding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

impl Coding {
    /// Finds a coding by its name. `None`: unknown. `Some(None)`: no coding.
    pub(crate) fn named(name: &str) -> Option<Option<Self>> {
        match name {
            "gzip" | "x-gzip" => Some(Some(Self::Gzip)),
            "deflate" => Some(Some(Self::Deflate)),
            "br" => Some(Some(Self::Brotli)),
            // Servers write these names for other things, or for nothing.
            "" | "identity" | "none" | "binary" | "8bit" | "utf-8" | "utf8" | "chunked" | "aws-chunked" => Some(None),
            _ => None,
        }
    }
}

/// Why decoding failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    Broken(&'static str),
    Window,
    TooLong,
}

impl Fault {
    pub(crate) fn of(self, bytes_max: usize) -> Unreadable {
        match self {
            Self::Broken(coding) => Unreadable::Broken(coding),
            Self::Window => Unreadable::Unknown(format!("br with a window of more than 2^{WINDOW_BITS_MAX} bytes")),
            Self::TooLong => Unreadable::TooLong(bytes_max),
        }
    }
}

/// Takes the decoded bytes, up to the limit.
pub(crate) struct Sink {
    bytes: Vec<u8>,
    left: usize,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A coding that is being decoded.
pub(crate) struct Stage {
    coding: Coding,
    /// The first bytes, which show the real coding.
    start: Vec<u8>,
    state: State,
    members: usize,
}

enum State {
    /// Nothing has come.
    New(Sink),
    Gzip(GzDecoder<Sink>),
    Zlib(ZlibDecoder<Sink>),
    Deflate(DeflateDecoder<Sink>),
    Brotli(Box<DecompressorWriter<Sink>>),
    /// The body is not compressed, whatever its name says.
    Plain(Sink),
    /// The compressed data has ended; the rest is ignored.
    Done(Sink),
}

impl Stage {
    pub(crate) fn new(coding: Coding, bytes_max: usize) -> Self {
        let sink = Sink { bytes: Vec::new(), left: bytes_max };
        Self { coding, start: Vec::new(), state: State::New(sink), members: 0 }
    }

    /// Decodes a piece.
    pub(crate) fn push(&mut self, packed: &[u8]) -> Result<Vec<u8>, Fault> {
        if let State::New(_) = self.state {
            self.start.extend_from_slice(packed);
            if self.start.len() < GZIP_START.len() {
                return Ok(Vec::new());
            }
            let start = std::mem::take(&mut self.start);
            self.begin(&start)?;
            return self.run(&start);
        }
        self.run(packed)
    }

    /// The input has ended.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, Fault> {
        let start = std::mem::take(&mut self.start);
        let broken = |coding| move |error: io::Error| fault(&error, coding);
        match self.state {
            // A body of one byte cannot be decoded.
            State::New(_) if start.is_empty() => Ok(start),
            State::New(_) => Err(Fault::Broken(self.name())),
            State::Plain(_) | State::Done(_) => Ok(Vec::new()),
            State::Gzip(decoder) => decoder.finish().map(|sink| sink.bytes).map_err(broken("gzip")),
            State::Zlib(decoder) => decoder.finish().map(|sink| sink.bytes).map_err(broken("deflate")),
            State::Deflate(decoder) => decoder.finish().map(|sink| sink.bytes).map_err(broken("deflate")),
            State::Brotli(mut decoder) => {
                decoder.close().map_err(broken("br"))?;
                Ok(std::mem::take(&mut decoder.get_mut().bytes))
            }
        }
    }

    fn name(&self) -> &'static str {
        match self.coding {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
        }
    }

    fn begin(&mut self, start: &[u8]) -> Result<(), Fault> {
        let sink = match &mut self.state {
            State::New(sink) => Sink { bytes: std::mem::take(&mut sink.bytes), left: sink.left },
            _ => return Ok(()),
        };
        if self.coding == Coding::Brotli && start.first().is_some_and(|first| window_bits(*first) > WINDOW_BITS_MAX) {
            return Err(Fault::Window);
        }
        self.state = match self.coding {
            // Proxies decompress a body and leave the name in the header.
            Coding::Gzip if !start.starts_with(&GZIP_START) => State::Plain(sink),
            Coding::Gzip => State::Gzip(GzDecoder::new(sink)),
            // The standard means zlib, but servers send both (RFC 9110, 8.4.1.2).
            Coding::Deflate if is_zlib(start) => State::Zlib(ZlibDecoder::new(sink)),
            Coding::Deflate => State::Deflate(DeflateDecoder::new(sink)),
            Coding::Brotli => {
                let mut decoder = DecompressorWriter::new(sink, BUFFER_BYTES);
                // Windows of a gigabyte are not in the standard (RFC 7932).
                decoder.set_parameter(BrotliDecoderParameter::BROTLI_DECODER_PARAM_LARGE_WINDOW, 0);
                State::Brotli(Box::new(decoder))
            }
        };
        Ok(())
    }

    fn run(&mut self, mut packed: &[u8]) -> Result<Vec<u8>, Fault> {
        let name = self.name();
        let broken = |error: io::Error| fault(&error, name);
        while !packed.is_empty() {
            let written = match &mut self.state {
                State::New(_) | State::Done(_) => return Ok(Vec::new()),
                State::Plain(sink) => sink.write(packed).map_err(broken)?,
                State::Gzip(decoder) => decoder.write(packed).map_err(broken)?,
                State::Zlib(decoder) => decoder.write(packed).map_err(broken)?,
                State::Deflate(decoder) => decoder.write(packed).map_err(broken)?,
                State::Brotli(decoder) => decoder.write(packed).map_err(broken)?,
            };
            if written == 0 {
                self.end(packed)?;
            }
            packed = packed.get(written..).unwrap_or_default();
        }
        self.taken()
    }

    /// The compressed data ends before the body: either another member of the gzip follows, or bytes without meaning.
    fn end(&mut self, rest: &[u8]) -> Result<(), Fault> {
        let name = self.name();
        let broken = |error: io::Error| fault(&error, name);
        let nothing = State::New(Sink { bytes: Vec::new(), left: 0 });
        self.state = match std::mem::replace(&mut self.state, nothing) {
            State::Gzip(decoder) => {
                self.members = self.members.saturating_add(1);
                let sink = decoder.finish().map_err(broken)?;
                // Only one byte of the next member may have arrived.
                if !rest.iter().zip(&GZIP_START).all(|(byte, known)| byte == known) {
                    State::Done(sink)
                } else if self.members < MEMBERS_MAX {
                    State::Gzip(GzDecoder::new(sink))
                } else {
                    return Err(Fault::Broken(name));
                }
            }
            State::Zlib(decoder) => State::Done(decoder.finish().map_err(broken)?),
            State::Deflate(decoder) => State::Done(decoder.finish().map_err(broken)?),
            State::Brotli(mut decoder) => {
                let sink = decoder.get_mut();
                State::Done(Sink { bytes: std::mem::take(&mut sink.bytes), left: sink.left })
            }
            other => other,
        };
        Ok(())
    }

    /// Takes the bytes decoded since the last call.
    fn taken(&mut self) -> Result<Vec<u8>, Fault> {
        let name = self.name();
        let broken = |error: io::Error| fault(&error, name);
        let sink = match &mut self.state {
            State::New(sink) | State::Plain(sink) | State::Done(sink) => sink,
            State::Gzip(decoder) => {
                decoder.flush().map_err(broken)?;
                decoder.get_mut()
            }
            State::Zlib(decoder) => {
                decoder.flush().map_err(broken)?;
                decoder.get_mut()
            }
            State::Deflate(decoder) => {
                decoder.flush().map_err(broken)?;
                decoder.get_mut()
            }
            State::Brotli(decoder) => decoder.get_mut(),
        };
        Ok(std::mem::take(&mut sink.bytes))
    }
}

fn fault(error: &io::Error, coding: &'static str) -> Fault {
    if error.kind() == io::ErrorKind::FileTooLarge { Fault::TooLong } else { Fault::Broken(coding) }
}

/// The window size from brotli's first byte, if it is a large one (RFC 7932, section 9.1).
fn window_bits(first: u8) -> u32 {
    let large = u32::from(first >> 1 & 0b111);
    // All other windows are at most 17.
    if first & 1 == 1 && large != 0 { large.saturating_add(17) } else { 0 }
}

/// Whether the data begins like zlib (RFC 1950, section 2.2).
fn is_zlib(start: &[u8]) -> bool {
    match start {
        [method, flags, ..] => method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0,
        _ => false,
    }
}
