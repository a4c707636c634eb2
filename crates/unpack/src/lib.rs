//! Answers that come packed (`Content-Encoding`, RFC 9110 section 8.4.1), though nobody asked for that: servers do it all the same.
//!
//! [`whole`] unpacks a body that is there, [`Unpacker`] one that is still coming. Both stop at the limit they are given, whatever a body of a
//! few bytes claims to become. Must not know requests, nor read anything itself.

mod coding;

use coding::{Coding, Stage};

/// How often a body may be packed. Once is what servers do, twice what a proxy makes of it.
const CODINGS_MAX: usize = 2;
/// How often of these with brotli, whose window is a hundred times that of the others. Nobody packs with it twice.
const BROTLI_MAX: usize = 1;

/// Why a body cannot be unpacked, in words that follow the server's name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    /// In a way that is not known here, or too often.
    #[error("packs its answer in a way that cannot be read ({0})")]
    Unknown(String),
    /// It is not what it says, or ends too early.
    #[error("sent an answer whose packing is broken ({0})")]
    Broken(&'static str),
    /// It becomes more than the limit.
    #[error("sent an answer that is longer than {0} bytes")]
    TooLong(usize),
}

/// A body that is still coming.
pub struct Unpacker {
    /// What is undone first, first.
    stages: Vec<Stage>,
    bytes_max: usize,
}

impl Unpacker {
    /// For a body with this `Content-Encoding`, which may become so many bytes. `None`: it is not packed.
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

    /// Takes a piece of the body, and gives what is known of it.
    ///
    /// # Errors
    /// [`Unreadable`]; nothing may be pushed after that.
    pub fn push(&mut self, packed: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let bytes_max = self.bytes_max;
        let mut piece = packed.to_vec();
        for stage in &mut self.stages {
            piece = stage.push(&piece).map_err(|fault| fault.of(bytes_max))?;
        }
        Ok(piece)
    }

    /// The body is there.
    ///
    /// # Errors
    /// [`Unreadable`], when it ends too early.
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

/// Unpacks a body, which may become so many bytes. One that is not packed is given back.
///
/// # Errors
/// [`Unreadable`].
pub fn whole(content_encoding: &str, body: Vec<u8>, bytes_max: usize) -> Result<Vec<u8>, Unreadable> {
    // The answer to HEAD says how a body would be packed.
    if body.is_empty() {
        return Ok(body);
    }
    let Some(mut unpacker) = Unpacker::new(content_encoding, bytes_max)? else { return Ok(body) };
    let mut unpacked = unpacker.push(&body)?;
    unpacked.extend(unpacker.finish()?);
    Ok(unpacked)
}
