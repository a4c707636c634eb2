//! The route, natively: who may read it, and what it says.

use std::time::Duration;

use ::metrics::Recorder;
use futures::executor::block_on;
use http::StatusCode;
use router_test::{Fixture, request, send};
use utoipa::OpenApi as _;

use super::*;

#[test]
fn permissions_of_every_route_are_those_of_the_document() {
    router_test::paused(async |_| {
        router_test::permissions::compare_routes("ops", router).await;
    });
}

#[derive(utoipa::OpenApi)]
#[openapi(paths(super::metrics), tags((name = "Metrics", description = "What the installation counts.")))]
struct Description;

#[test]
fn the_routes_are_described_as_they_are() {
    router_test::paused(async |_| router_test::openapi::compare(Description::openapi(), router).await);
}

#[test]
fn a_key_that_may_only_read_metrics_reads_what_instances_have_counted() {
    let fixture = Fixture::default();
    let _ = fixture.person("first@example.org");
    assert!(block_on(fixture.app.store().set_role("prometheus", "metrics:read", 9)).unwrap());
    let (user, _) = fixture.person_with("prometheus@example.org", "prometheus");
    let (_, key) = fixture.api_key(&user, "metrics:read");
    let (recorder, other) = (Recorder::new(), Recorder::new());
    for at in [&recorder, &other] {
        at.count(&table::CACHE_REQUESTS, &["tokens", "hit"]);
        at.observe(&table::TIME_TO_FIRST_TOKEN, &["m\"1\""], Duration::from_millis(300));
    }
    other.count(&table::CACHE_REQUESTS, &["tokens", "miss"]);
    for at in [recorder, other] {
        block_on(fixture.app.store().add_metrics(&at.take())).unwrap();
    }
    let ask = |accept: &str| {
        let mut asked = request(Method::GET, PATH, Some(&key), None);
        asked.headers_mut().insert(header::ACCEPT, accept.parse().unwrap());
        send(router(fixture.new_instance()), asked)
    };
    let answer = ask("*/*");
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.headers[header::CONTENT_TYPE], Format::Prometheus.content_type());
    for line in [
        "edge_assistant_cache_requests_total{cache=\"tokens\",result=\"hit\"} 2",
        "edge_assistant_cache_hit_ratio{cache=\"tokens\"} 0.666666",
        "edge_assistant_time_to_first_token_seconds_bucket{model=\"m\\\"1\\\"\",le=\"0.25\"} 0",
        "edge_assistant_time_to_first_token_seconds_bucket{model=\"m\\\"1\\\"\",le=\"0.5\"} 2",
        "edge_assistant_time_to_first_token_seconds_sum{model=\"m\\\"1\\\"\"} 0.6",
        "edge_assistant_active_runs{state=\"queued\"} 0",
        "edge_assistant_run_takeovers_total 0",
    ] {
        assert!(answer.text.lines().any(|written| written == line), "{line} is not in\n{}", answer.text);
    }
    let open = ask("application/openmetrics-text; version=1.0.0,text/plain;q=0.5");
    assert_eq!(open.headers[header::CONTENT_TYPE], Format::OpenMetrics.content_type());
    assert!(open.text.ends_with("# EOF\n") && open.text.contains("# TYPE edge_assistant_cache_requests counter\n"));
}
