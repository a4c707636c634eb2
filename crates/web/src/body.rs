//! Reads request bodies within limits: one for each body, and one for all bodies that an instance holds at once. `arriving.rs` limits the time.

use std::{
    error::Error,
    iter::successors,
    ops::Deref,
    sync::atomic::{AtomicUsize, Ordering},
};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use problem::Problem;

use crate::{Result, arriving::TooSlow};

/// The most bytes of long bodies that an instance holds at once: four bodies of the maximum length. With the values parsed from them, that is
/// half of the 128 MiB that hosted edges give an instance. Sixteen such bodies would not fit.
const MAX_HELD_BYTES: usize = 24 * 1024 * 1024;

/// A body up to this length is not counted: sixteen of them are a megabyte.
const SMALL_BYTES: usize = 64 * 1024;

/// The first buffer. It then doubles as bytes arrive, so a `Content-Length` that is only announced costs no memory.
const FIRST_BYTES: usize = SMALL_BYTES;

static HELD: Held = Held(AtomicUsize::new(0));

/// How many bytes of long bodies are held.
struct Held(AtomicUsize);

/// The share of one body; dropping this releases it.
struct Room<'a> {
    held: &'a Held,
    bytes: usize,
}

impl<'a> Room<'a> {
    const fn new(held: &'a Held) -> Self {
        Self { held, bytes: 0 }
    }

    /// Reserves room for this many bytes in total. `false`: there is no room.
    fn fits(&mut self, bytes: usize) -> bool {
        let more = if bytes > SMALL_BYTES { bytes.saturating_sub(self.bytes) } else { 0 };
        let take = |held: usize| held.checked_add(more).filter(|held| *held <= MAX_HELD_BYTES);
        let taken = self.held.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        self.bytes += if taken { more } else { 0 };
        taken
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.held.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A body that was read. It counts against the limit until it is dropped.
pub struct Body<'a> {
    bytes: Vec<u8>,
    _room: Room<'a>,
}

impl Body<'_> {
    /// Its bytes, for a caller that wants to own them.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl AsRef<[u8]> for Body<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Deref for Body<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never print what people wrote.
        f.debug_struct("Body").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// Reads the body of a request, at most `max` bytes long.
///
/// # Errors
/// 413 when it is longer, at once if its header says so; 503 when other bodies take all the room; 408 when it comes too slowly; 400 when it
/// breaks off.
pub async fn read(headers: &HeaderMap, body: axum::body::Body, max: usize) -> Result<Body<'static>> {
    read_into(&HELD, headers, body, max).await
}

async fn read_into<'a>(
    held: &'a Held,
    headers: &HeaderMap,
    mut body: axum::body::Body,
    max: usize,
) -> Result<Body<'a>> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let declared = declared.unwrap_or(0);
    if declared > max {
        return Err(Problem::too_large(max).into());
    }
    let mut room = Room::new(held);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken_off)?.into_data() else { continue };
        let length = bytes.len().saturating_add(data.len());
        if length > max {
            return Err(Problem::too_large(max).into());
        }
        if length > bytes.capacity() {
            let doubled = bytes.capacity().saturating_mul(2).max(FIRST_BYTES);
            let wanted = if length <= declared { doubled.min(declared) } else { doubled.min(max) }.max(length);
            let more = wanted.saturating_sub(bytes.len());
            if !room.fits(wanted) || bytes.try_reserve_exact(more).is_err() {
                return Err(busy().into());
            }
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Body { bytes, _room: room })
}

fn broken_off(error: axum::Error) -> Problem {
    let mut causes = successors(error.source(), |&cause| cause.source());
    if causes.any(|cause| cause.is::<TooSlow>()) {
        let detail = "The request came too slowly. Nothing was stored; send it again.";
        return Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", detail);
    }
    Problem::invalid_json("The body broke off.").with_cause(error)
}

fn busy() -> Problem {
    let detail = "Too many long messages arrive at the moment. Nothing was stored; send it again.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
        .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _, executor::block_on, stream};

    use super::*;

    const LONGEST: usize = 6 * 1024 * 1024;

    fn read(held: &Held, declared: Option<usize>, length: usize, max: usize) -> Result<Body<'_>> {
        let declared = declared.map(|declared| (header::CONTENT_LENGTH, declared.into()));
        let body = axum::body::Body::from(vec![b'x'; length]);
        block_on(read_into(held, &declared.into_iter().collect(), body, max))
    }

    fn status(body: Result<Body<'_>>) -> u16 {
        axum::response::IntoResponse::into_response(body.unwrap_err()).status().as_u16()
    }

    #[test]
    fn an_instance_holds_four_of_the_longest_bodies_and_any_short_one() {
        let held = Held(AtomicUsize::new(0));
        let read = |declared, length| read(&held, declared, length, LONGEST);
        for declared in [Some(LONGEST), None] {
            let mut bodies: Vec<_> = (0..4).map(|_| read(declared, LONGEST).unwrap()).collect();
            assert!(bodies.iter().all(|body| body.len() == LONGEST));
            assert_eq!(status(read(declared, LONGEST)), 503);
            assert_eq!(status(read(Some(SMALL_BYTES + 1), SMALL_BYTES + 1)), 503);
            assert_eq!(read(Some(SMALL_BYTES), SMALL_BYTES).unwrap().len(), SMALL_BYTES);
            bodies.pop();
            assert!(read(declared, LONGEST).is_ok());
        }
        assert_eq!(held.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_body_that_is_passed_on_counts_until_its_last_copy_is_dropped() {
        let held: &'static Held = Box::leak(Box::new(Held(AtomicUsize::new(0))));
        let body = axum::body::Bytes::from_owner(read(held, Some(LONGEST), LONGEST, LONGEST).unwrap());
        let copy = body.clone();
        drop(body);
        assert_eq!((copy.len(), held.0.load(Ordering::Relaxed)), (LONGEST, LONGEST));
        drop(copy);
        assert_eq!(held.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_a_body_only_announces_takes_no_room() {
        let held = Held(AtomicUsize::new(0));
        let announced = [(header::CONTENT_LENGTH, LONGEST.into())].into_iter().collect();
        let mut coming: Vec<_> = (0..100)
            .map(|_| {
                let begins = stream::iter([Ok::<_, axum::BoxError>("begins")]).chain(stream::pending());
                Box::pin(read_into(&held, &announced, axum::body::Body::from_stream(begins), LONGEST))
            })
            .collect();
        assert!(coming.iter_mut().all(|body| body.now_or_never().is_none()));
        assert!(read(&held, Some(LONGEST), LONGEST, LONGEST).is_ok());
    }

    #[test]
    fn a_body_that_comes_too_slowly_is_refused_as_such() {
        let held = Held(AtomicUsize::new(0));
        for (error, refused) in [(axum::BoxError::from(TooSlow), 408), (axum::BoxError::from("gone"), 400)] {
            let body = axum::body::Body::from_stream(stream::iter([Err::<&str, _>(error)]));
            assert_eq!(status(block_on(read_into(&held, &HeaderMap::new(), body, LONGEST))), refused);
        }
    }

    #[test]
    fn a_body_that_is_too_long_is_refused_before_it_is_read_if_it_says_so() {
        let held = Held(AtomicUsize::new(0));
        let read = |declared, length| read(&held, declared, length, 10);
        assert_eq!(status(read(Some(11), 0)), 413);
        assert_eq!(status(read(None, 11)), 413);
        assert_eq!(status(read(Some(1), 11)), 413);
        assert_eq!(&*read(Some(1), 10).unwrap(), b"xxxxxxxxxx");
    }
}
