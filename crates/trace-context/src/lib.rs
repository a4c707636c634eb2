//! Where in a trace this work is: the W3C Trace Context of a request, and how all of its work finds it without passing it on.
//!
//! A request belongs to a [`Scope`]: its place in the trace, and its id. [`within`] makes it the current one while a future is polled, so a log line or a
//! request to another component asks [`current`], and no function in between carries it. A task that goes on after the request takes it along
//! ([`inherit`]). This crate sends nothing and records nothing; `traces` does.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    sync::Arc,
};

/// The header (W3C Trace Context, section 3.2), in lower case.
pub const TRACEPARENT: &str = "traceparent";

/// The same between components of this application. A host that records traces itself writes its own place into the other, and Spin 4.1 that of a new trace.
pub const INSIDE_TRACEPARENT: &str = "edge-assistant-traceparent";

/// The version that is written. Of a later one, the same four fields are read (section 3.2.4).
const VERSION: &str = "00";
/// The version that there never is (section 3.2.2.1).
const INVALID_VERSION: &str = "ff";
/// The flag that says that the caller may have recorded the trace (section 3.2.2.5.1). The other flags mean nothing here and are not passed on.
const SAMPLED: u8 = 1;

/// A place in a trace: the trace, this request's span in it, and the span that caused it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    parent_id: Option<u64>,
    is_sampled: bool,
}

/// What one request's work has in common.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    /// Its place in the trace.
    pub trace: TraceContext,
    /// Its id: what the client sent as `X-Request-Id`, or one that was made. It names one request to one component, the trace all that belongs together. A tool
    /// server, which only `tools` calls, has none.
    pub request_id: Option<String>,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Scope>>> = const { RefCell::new(None) };
}

impl TraceContext {
    /// A new span: of the trace that a caller's `traceparent` names, or of a new trace if there is none that is valid.
    #[must_use]
    pub fn continued(traceparent: Option<&str>) -> Self {
        let span_id = u64::from_be_bytes(random()).max(1);
        match traceparent.and_then(parse) {
            Some((trace_id, parent_id, is_sampled)) => {
                Self { trace_id, span_id, parent_id: Some(parent_id), is_sampled }
            }
            None => {
                let trace_id = u128::from_be_bytes(random()).max(1);
                Self { trace_id, span_id, parent_id: None, is_sampled: false }
            }
        }
    }

    /// The same by the headers of a request. What another component says counts, unless a host on the way has a place in the same trace.
    #[must_use]
    pub fn received<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let [passed, inside] = [TRACEPARENT, INSIDE_TRACEPARENT].map(header);
        let trace_of = |header: Option<&str>| header.and_then(parse).map(|(trace_id, ..)| trace_id);
        let is_elsewhere = trace_of(inside).is_some_and(|trace_id| trace_of(passed) != Some(trace_id));
        Self::continued(if is_elsewhere { inside } else { passed })
    }

    /// The place that an id names which is known wherever the work is: that of a run, which several may execute one after the other. It is no part of the
    /// traces in which they do.
    #[must_use]
    pub fn named(id: u128) -> Self {
        let span_id = u64::try_from(id & u128::from(u64::MAX)).unwrap_or_default().max(1);
        Self { trace_id: id.max(1), span_id, parent_id: None, is_sampled: false }
    }

    /// A place below this one, for a part of its work: the same trace, a span of its own, whose parent is this span.
    #[must_use]
    pub fn child(&self) -> Self {
        let span_id = u64::from_be_bytes(random()).max(1);
        Self { span_id, parent_id: Some(self.span_id), ..*self }
    }

    /// The same place, with another answer to whether its spans are recorded. Whoever is asked further on learns it.
    #[must_use]
    pub const fn with_sampled(self, is_sampled: bool) -> Self {
        Self { is_sampled, ..self }
    }

    /// Whether the spans of the trace are recorded; of a trace from outside that nobody has decided about here, whether its caller may have recorded it.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.is_sampled
    }

    /// The trace, the span and its parent, as bytes in the order in which they are written.
    #[must_use]
    pub fn ids(&self) -> ([u8; 16], [u8; 8], Option<[u8; 8]>) {
        (self.trace_id.to_be_bytes(), self.span_id.to_be_bytes(), self.parent_id.map(u64::to_be_bytes))
    }

    /// 32 hexadecimal digits: the same for all work that one request from outside has caused.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// 16 hexadecimal digits: this request.
    #[must_use]
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span_id)
    }

    /// 16 hexadecimal digits: the caller's span. `None`: the trace began here.
    #[must_use]
    pub fn parent_id(&self) -> Option<String> {
        self.parent_id.map(|id| format!("{id:016x}"))
    }

    /// The header for a request that this work makes: its receiver's parent is this span.
    #[must_use]
    pub fn traceparent(&self) -> String {
        let flags = if self.is_sampled { SAMPLED } else { 0 };
        format!("{VERSION}-{:032x}-{:016x}-{flags:02x}", self.trace_id, self.span_id)
    }
}

/// Trace, span and flag of a header (section 3.2.2). `None`: it is not valid, so there is no trace to continue.
fn parse(traceparent: &str) -> Option<(u128, u64, bool)> {
    let mut fields = traceparent.trim().split('-');
    let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let has_digits = |field: &str, count: usize| {
        field.len() == count && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_formed = has_digits(version, 2) && has_digits(trace, 32) && has_digits(span, 16) && has_digits(flags, 2);
    // Only later versions may have more fields.
    let is_known = version != INVALID_VERSION && (version != VERSION || fields.next().is_none());
    if !is_formed || !is_known {
        return None;
    }
    let trace_id = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
    let span_id = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
    Some((trace_id, span_id, u8::from_str_radix(flags, 16).ok()? & SAMPLED != 0))
}

/// The bytes of an id. Ids of zero are not valid, so whoever calls takes another number; a host without random numbers has the same for all.
fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let _ = getrandom::fill(&mut bytes);
    bytes
}

/// The scope of the work that asks. `None`: it belongs to no request.
#[must_use]
pub fn current() -> Option<Arc<Scope>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Does something in a scope that waits for nothing.
pub fn with<T>(scope: Option<Arc<Scope>>, work: impl FnOnce() -> T) -> T {
    let outside = CURRENT.replace(scope);
    let done = work();
    CURRENT.set(outside);
    done
}

/// Runs a future in a scope, whichever other futures are polled between its steps.
pub fn within<T>(scope: Option<Arc<Scope>>, future: impl Future<Output = T>) -> impl Future<Output = T> {
    // Boxed: a future has room for those that it is given and again for those that it waits for, so scopes within scopes would outgrow the stack.
    let (mut future, mut scope) = (Box::pin(future), scope);
    poll_fn(move |context| {
        let outside = CURRENT.replace(scope.take());
        let polled = future.as_mut().poll(context);
        scope = CURRENT.replace(outside);
        polled
    })
}

/// A task in the scope of whoever starts it, for as long as it runs.
pub fn inherit<T>(task: impl Future<Output = T>) -> impl Future<Output = T> {
    within(current(), task)
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, future::join};

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    fn scope(request_id: &str) -> Arc<Scope> {
        Arc::new(Scope { trace: TraceContext::continued(None), request_id: Some(request_id.to_owned()) })
    }

    fn here() -> String {
        current().and_then(|scope| scope.request_id.clone()).unwrap_or_default()
    }

    #[test]
    fn a_valid_trace_is_continued_with_a_span_of_ones_own() {
        for flags in ["00", "01"] {
            let trace = TraceContext::continued(Some(&format!("00-{TRACE}-{PARENT}-{flags}")));
            assert_eq!((trace.trace_id().as_str(), trace.parent_id().as_deref()), (TRACE, Some(PARENT)));
            assert_ne!(trace.span_id(), PARENT);
            assert_eq!(trace.traceparent(), format!("00-{TRACE}-{}-{flags}", trace.span_id()));
        }
        let later = TraceContext::continued(Some(&format!("cc-{TRACE}-{PARENT}-01-what-comes")));
        assert_eq!(later.trace_id(), TRACE);
    }

    #[test]
    fn what_a_component_says_counts_unless_a_host_on_the_way_is_in_the_same_trace() {
        let at = |trace: &str, span: &str| format!("00-{trace}-{span}-01");
        let (own, hosts, foreign) =
            (at(TRACE, PARENT), at(TRACE, "00000000000000aa"), at(&TRACE.replace('0', "1"), PARENT));
        let received = |passed: Option<&str>, inside: Option<&str>| {
            let header = |name: &str| if name == TRACEPARENT { passed } else { inside };
            let trace = TraceContext::received(header);
            (trace.trace_id() == TRACE).then(|| trace.parent_id().unwrap_or_default())
        };
        assert_eq!(received(Some(&own), None).as_deref(), Some(PARENT));
        assert_eq!(received(Some(&hosts), Some(&own)).as_deref(), Some("00000000000000aa"));
        assert_eq!(received(Some(&foreign), Some(&own)).as_deref(), Some(PARENT));
        assert_eq!(received(None, Some(&own)).as_deref(), Some(PARENT));
        assert_eq!(received(Some(&own), Some("nonsense")).as_deref(), Some(PARENT));
        assert_eq!(received(None, None), None);
    }

    #[test]
    fn a_part_of_the_work_is_below_it_in_the_same_trace() {
        let trace = TraceContext::continued(Some(&format!("00-{TRACE}-{PARENT}-01")));
        let part = trace.child();
        assert_eq!((part.trace_id().as_str(), part.parent_id()), (TRACE, Some(trace.span_id())));
        assert_ne!(part.span_id(), trace.span_id());
        assert!(part.is_sampled() && part.with_sampled(false).traceparent().ends_with("-00"));
        let (trace_id, span_id, parent_id) = part.ids();
        assert_eq!(format!("{:032x}", u128::from_be_bytes(trace_id)), TRACE);
        assert_eq!(format!("{:016x}", u64::from_be_bytes(span_id)), part.span_id());
        assert_eq!(parent_id.map(u64::from_be_bytes).map(|id| format!("{id:016x}")), part.parent_id());
    }

    #[test]
    fn a_trace_that_is_not_valid_is_made_anew() {
        let zeros = (format!("00-{}-{PARENT}-01", "0".repeat(32)), format!("00-{TRACE}-{}-01", "0".repeat(16)));
        let wrong = [
            "",
            "00",
            &format!("00-{TRACE}-{PARENT}"),
            &format!("00-{TRACE}-{PARENT}-01-more"),
            &format!("ff-{TRACE}-{PARENT}-01"),
            &format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            &format!("00-{TRACE}x-{PARENT}-01"),
            &format!("00-{}-{PARENT}-01", TRACE.replacen('0', "+", 1)),
            &zeros.0,
            &zeros.1,
        ];
        let mut made: Vec<String> = Vec::new();
        for header in wrong.map(Some).into_iter().chain([None]) {
            let trace = TraceContext::continued(header);
            assert_eq!((trace.trace_id().len(), trace.parent_id()), (32, None), "{header:?}");
            assert!(!made.contains(&trace.trace_id()) && trace.trace_id() != TRACE, "{header:?}");
            made.push(trace.trace_id());
        }
    }

    #[test]
    fn each_future_is_in_its_own_scope_however_they_take_turns() {
        async fn work(name: &str) {
            for _ in 0..3 {
                assert_eq!(here(), name);
                let mut waited = false;
                poll_fn(|context| {
                    context.waker().wake_by_ref();
                    if std::mem::replace(&mut waited, true) {
                        std::task::Poll::Ready(())
                    } else {
                        std::task::Poll::Pending
                    }
                })
                .await;
            }
            let task = inherit(async { here() });
            assert_eq!(within(Some(scope("inner")), async { here() }).await, "inner");
            assert_eq!(within(None, task).await, name, "a task is in the scope of whoever started it");
            assert_eq!(here(), name);
        }
        let (a, b) = (within(Some(scope("a")), work("a")), within(Some(scope("b")), work("b")));
        block_on(join(a, b));
        assert_eq!(here(), "");
    }
}
