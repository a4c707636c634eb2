//! Texts as vectors that are near where their meanings are near, and the search for the nearest ones (docs/adr/0058).
//!
//! A [`Vector`] has a byte for each dimension, whoever made it: an embedding model elsewhere ([`openai`]), or the table that is in the box ([`Table`]). A text is cut into [`pieces`] first. [`Nearest`] compares all of
//! a person's, exactly, and [`fuse`] puts what it found together with what words found. Pure: it neither seals vectors nor knows where they are kept.

mod fusion;
mod nearest;
pub mod openai;
mod pieces;
mod table;
mod vector;
mod word_pieces;

pub use fusion::fuse;
pub use nearest::{Nearest, Neighbour};
pub use pieces::{MAX_PIECE_BYTES, MAX_PIECES, pieces};
pub use table::{TABLE_DIMENSIONS, TABLE_NAME, Table, TableError};
pub use vector::{MAX_DIMENSIONS, Vector, VectorError};
