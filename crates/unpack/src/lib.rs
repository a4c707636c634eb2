//! Decompresses bodies (`Content-Encoding`, RFC 9110 section 8.4.1) that servers compress although the request did not ask for it.
//!
//! [`whole`] decompresses a complete body, [`Unpacker`] one that is still arriving. Both stop at their limit, however large a small body claims
//! to become. Must not know requests, and reads nothing itself.

mod coding;

use coding::{Coding, Stage};

/// How many codings a body may have. Servers apply one; a proxy may add a second.
const CODINGS_MAX: usize = 2;
/// How many of them may be brotli, whose window is a hundred times larger. Nobody applies it twice.
const BROTLI_MAX: usize = 1;

/// Why a body cannot be decompressed. The words follow the server's name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    /// An unknown coding, or too many codings.
    #[error("packs its answer in a way that cannot be read ({0})")]
    Unknown(String),
    /// The body does not have the named coding, or ends too early.
    #[error("sent an answer whose packing is broken ({0})")]
    Broken(&'static str),
    /// The decompressed body is longer than the limit.
    #[error("sent an answer that is longer than {0} bytes")]
    TooLong(usize),
}

/// A body that is still arriving.
pub struct Unpacker {
    /// The stages in the order in which they decode.
    stages: Vec<Stage>,
    bytes_max: usize,
}

impl Unpacker {
    /// For a body with this `Content-Encoding` and at most this many decompressed bytes. `None`: the body is not compressed.
    ///
    /// # Errors
    /// [`Unreadable::Unknown`].
    pub fn new(content_encoding: &str, bytes_max: usize) -> Result<Option<Self>, Unreadable> {
        let unknown = || Unreadable::Unknown(content_encoding.chars().filter(|c| !c.is_control()).take(60).collect());
        let mut codings = Vec::new();
        for name in content_encoding.split(',').map(|name| name.trim().to_ascii_lowercase()) {
            codings.extend(Coding::named(&name).ok_or_else(unknown)?);
        }
        let brotli = codings.iter().filter(|coding| **coding == Coding::Brotli).count();
        if codings.len() > CODINGS_MAX || brotli > BROTLI_MAX {
            return Err(unknown());
        }
        let stages: Vec<Stage> = codings.into_iter().rev().map(|coding| Stage::new(coding, bytes_max)).collect();
        Ok((!stages.is_empty()).then_some(Self { stages, bytes_max }))
    }

    /// Takes a piece of the body and returns the bytes decoded from it.
    ///
    /// # Errors
    /// [`Unreadable`]; do not push anything after it.
    pub fn push(&mut self, packed: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let bytes_max = self.bytes_max;
        let mut piece = packed.to_vec();
        for stage in &mut self.stages {
            piece = stage.push(&piece).map_err(|fault| fault.of(bytes_max))?;
        }
        Ok(piece)
    }

    /// The body is complete. Returns the remaining bytes.
    ///
    /// # Errors
    /// [`Unreadable`] if the body ends too early.
    pub fn finish(self) -> Result<Vec<u8>, Unreadable> {
        let mut rest = Vec::new();
        for mut stage in self.stages {
            let mut piece = stage.push(&rest).map_err(|fault| fault.of(self.bytes_max))?;
            piece.extend(stage.finish().map_err(|fault| fault.of(self.bytes_max))?);
            rest = piece;
        }
        Ok(rest)
    }
}

/// Decompresses a body to at most this many bytes. A body that is not compressed is returned as it is.
///
/// # Errors
/// [`Unreadable`].
pub fn whole(content_encoding: &str, body: Vec<u8>, bytes_max: usize) -> Result<Vec<u8>, Unreadable> {
    // A response to HEAD has the header but no body.
    if body.is_empty() {
        return Ok(body);
    }
    let Some(mut unpacker) = Unpacker::new(content_encoding, bytes_max)? else { return Ok(body) };
    let mut unpacked = unpacker.push(&body)?;
    unpacked.extend(unpacker.finish()?);
    Ok(unpacked)
}
