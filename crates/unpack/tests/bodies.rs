//! Bodies as servers compress them, and malicious ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use unpack::{Unpacker, Unreadable, whole};

const TEXT: &str = "{\"answer\": \"Grüße, Grüße, Grüße\"}";
const BYTES_MAX: usize = 64 << 10;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    brotli_with(22, bytes)
}

/// With a window of this many bits.
fn brotli_with(lgwin: i32, bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let quick = brotli::enc::BrotliEncoderParams { quality: 2, lgwin, ..Default::default() };
    brotli::BrotliCompress(&mut &*bytes, &mut packed, &quick).unwrap();
    packed
}

/// Ways to compress a text, by the name that servers give to them.
fn packed(text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let (first, second) = text.split_at(text.len() / 2);
    vec![
        ("", text.to_vec()),
        ("identity", text.to_vec()),
        ("UTF-8", text.to_vec()),
        ("gzip", gzip(text)),
        ("X-GZIP", gzip(text)),
        ("deflate", zlib(text)),
        ("deflate", deflate(text)),
        ("br", brotli(text)),
        ("gzip, br", brotli(&gzip(text))),
        (" identity , gzip,", gzip(text)),
        // Two members, garbage at the end, and a body that is not compressed at all.
        ("gzip", [gzip(first), gzip(second)].concat()),
        ("gzip", [gzip(text), b"\0\0\0".to_vec()].concat()),
        ("gzip", text.to_vec()),
    ]
}

#[test]
fn a_body_is_read_however_it_is_packed() {
    for (name, body) in packed(TEXT.as_bytes()) {
        assert_eq!(whole(name, body, BYTES_MAX).unwrap(), TEXT.as_bytes(), "{name}");
    }
    assert_eq!(whole("gzip", Vec::new(), BYTES_MAX).unwrap(), b"", "the answer to HEAD");
    assert_eq!(whole("gzip", gzip(b""), BYTES_MAX).unwrap(), b"");
}

#[test]
fn a_body_that_is_still_coming_is_read_byte_by_byte() {
    for (name, body) in packed(TEXT.as_bytes()) {
        let Some(mut unpacker) = Unpacker::new(name, BYTES_MAX).unwrap() else { continue };
        let mut read: Vec<u8> = body.iter().flat_map(|byte| unpacker.push(&[*byte]).unwrap()).collect();
        read.extend(unpacker.finish().unwrap());
        assert_eq!(read, TEXT.as_bytes(), "{name}");
    }
}

#[test]
fn what_has_come_is_known_before_the_rest_has() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(b"data: 1\n\n").unwrap();
    encoder.flush().unwrap();
    let mut unpacker = Unpacker::new("gzip", BYTES_MAX).unwrap().unwrap();
    assert_eq!(unpacker.push(encoder.get_ref()).unwrap(), b"data: 1\n\n");
}

#[test]
fn a_body_that_becomes_too_much_is_not_unpacked() {
    let zeros = vec![0; 4 << 20];
    for (name, body) in packed(&zeros).into_iter().filter(|(name, _)| name.contains(['z', 'f', 'b'])) {
        let start = Instant::now();
        assert_eq!(whole(name, body, BYTES_MAX), Err(Unreadable::TooLong(BYTES_MAX)), "{name}");
        assert!(start.elapsed() < Duration::from_secs(5), "{name} took {:?}", start.elapsed());
    }
    let exact = vec![1; BYTES_MAX];
    for (name, body) in packed(&exact) {
        assert_eq!(whole(name, body, BYTES_MAX).unwrap().len(), BYTES_MAX, "{name}");
    }
    let inner = gzip(&gzip(&zeros));
    assert_eq!(whole("gzip, gzip", inner, BYTES_MAX), Err(Unreadable::TooLong(BYTES_MAX)));
}

#[test]
fn what_cannot_be_read_is_said() {
    let text = TEXT.as_bytes();
    for name in ["zstd", "compress", "gzip, zstd", "gzip, gzip, gzip", "\u{1b}[31m"] {
        let Err(Unreadable::Unknown(said)) = whole(name, text.to_vec(), BYTES_MAX) else { panic!("{name} was read") };
        assert!(!said.contains('\u{1b}'));
    }
    let cut = |bytes: Vec<u8>| bytes.split_at(bytes.len() / 2).0.to_vec();
    for (name, body) in [
        ("gzip", cut(gzip(text))),
        ("deflate", cut(zlib(text))),
        ("deflate", cut(deflate(text))),
        ("br", cut(brotli(text))),
        ("br", text.to_vec()),
        ("deflate", text.to_vec()),
        ("gzip", gzip(b"").repeat(1_000)),
        ("gzip", vec![0x1f]),
        ("gzip", [&[0x1f, 0x8b][..], text].concat()),
    ] {
        let read = whole(name, body.clone(), BYTES_MAX);
        assert!(matches!(read, Err(Unreadable::Broken(_))), "{name} {}: {read:?}", body.escape_ascii());
    }
    let mut wrong = gzip(text);
    let last = wrong.len() - 6;
    wrong[last] ^= 1;
    assert_eq!(whole("gzip", wrong, BYTES_MAX), Err(Unreadable::Broken("gzip")), "its checksum is another one");
}

#[test]
fn a_body_of_a_few_bytes_takes_no_window_of_megabytes() {
    let text = TEXT.as_bytes();
    for bits in 10..=22 {
        assert_eq!(whole("br", brotli_with(bits, text), BYTES_MAX).unwrap(), text, "{bits} bits");
    }
    for bits in [23, 24] {
        let read = whole("br", brotli_with(bits, text), BYTES_MAX);
        assert!(matches!(&read, Err(Unreadable::Unknown(said)) if said.contains("window")), "{bits} bits: {read:?}");
    }
    let twice = whole("br, br", brotli(&brotli(text)), BYTES_MAX);
    assert!(matches!(twice, Err(Unreadable::Unknown(_))), "{twice:?}");
}
