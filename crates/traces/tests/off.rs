//! What an instance pays that records nothing. One test: an instance decides once what is recorded.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{cell::RefCell, fmt, sync::Arc, time::Instant};

use futures::executor::block_on;
use trace_context::{Scope, TraceContext};
use traces::{Kind, Span, names};

/// A name that nobody may write.
struct Unwritten;

impl fmt::Display for Unwritten {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("the name of a span that is not recorded was written");
    }
}

#[test]
fn without_a_collector_one_variable_is_read_once_and_nothing_is_written() {
    let read = RefCell::new(Vec::new());
    let variable = async |name: &'static str| {
        read.borrow_mut().push(name);
        String::new()
    };
    for _ in 0..3 {
        block_on(traces::set_up(Some("chat"), &variable));
    }
    assert_eq!(read.into_inner(), ["otlp_endpoint"]);
    let trace = TraceContext::continued(Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    let scope = Arc::new(Scope { trace: traces::decided(trace), request_id: None });
    assert!(scope.trace.is_sampled(), "what the caller said goes on");
    trace_context::with(Some(scope), || {
        let mut span = Span::begin(Kind::Client, Unwritten);
        span.set(names::GEN_AI_REQUEST_MODEL, "m");
        assert!(!span.is_recorded());
        drop((span, Span::of_request(Unwritten, Instant::now())));
        traces::run_begun(1, Unwritten);
    });
    let sending = traces::sending(async |_| panic!("nobody waits"), async |_| panic!("nothing is sent"), |_| {});
    assert!(traces::is_empty() && traces::take().is_none() && sending.is_none());
}
