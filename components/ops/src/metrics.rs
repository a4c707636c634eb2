//! `/metrics`: what all instances of all hosts have counted, and what is there at this moment, as Prometheus reads it.

use ::metrics::{
    Sample, VALUE, table,
    text::{self, Format},
};
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, Method, header};
use permissions::table::MetricsRead;
use storage::Database;
use web::{Allowed, App, Authenticator, Result};

/// Where they are.
pub(crate) const PATH: &str = "/metrics";

/// The router's state.
pub(crate) struct Metrics<D>(App<D>);

impl<D> Clone for Metrics<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D: Database> Authenticator for Metrics<D> {
    type Database = D;

    // Prometheus sends a key.
    fn takes_keys(_: &Method) -> bool {
        true
    }

    fn app(&self) -> &App<D> {
        &self.0
    }
}

/// The route.
pub(crate) fn router<D: Database + 'static>(app: App<D>) -> Router {
    Router::new().route(PATH, get(metrics::<D>)).with_state(Metrics(app))
}

/// Says what all instances of all hosts have counted.
///
/// And what is there at this moment, as Prometheus reads it, or as OpenMetrics.
#[cfg_attr(test, utoipa::path(
    get, path = "/metrics", tag = "Metrics", operation_id = "getMetrics",
    responses(
        (status = 200, description = "The metrics.", content((String = "text/plain"), (String = "application/openmetrics-text"))),
    ),
))]
async fn metrics<D: Database>(
    State(Metrics(app)): State<Metrics<D>>,
    _: Allowed<MetricsRead>,
    headers: HeaderMap,
) -> Result<Response> {
    let mut samples = app.store().metric_totals().await?;
    samples.extend(app.store().metric_gauges().await?);
    samples.extend(hit_ratios(&samples));
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    Ok(([(header::CONTENT_TYPE, format.content_type())], text::write(&samples, format)).into_response())
}

/// The share of looks into each cache that found something, in millionths.
fn hit_ratios(samples: &[Sample]) -> Vec<Sample> {
    let looks = |cache: &str, only: Option<&str>| {
        let is_counted = |sample: &&Sample| {
            let [of, result, ..] = &sample.labels;
            sample.metric == table::CACHE_REQUESTS.name && of == cache && only.is_none_or(|only| result == only)
        };
        samples.iter().filter(is_counted).map(|sample| i128::from(sample.value)).sum::<i128>()
    };
    let mut caches: Vec<&str> = samples
        .iter()
        .filter(|sample| sample.metric == table::CACHE_REQUESTS.name)
        .map(|Sample { labels: [cache, ..], .. }| cache.as_str())
        .collect();
    caches.sort_unstable();
    caches.dedup();
    let ratio = |cache: &str| {
        let value = looks(cache, Some("hit")).saturating_mul(1_000_000) / looks(cache, None).max(1);
        let labels = [cache.to_owned(), String::new(), String::new(), String::new()];
        let value = i64::try_from(value).unwrap_or_default();
        Sample { metric: table::CACHE_HIT_RATIO.name.to_owned(), labels, bucket: VALUE, value }
    };
    caches.into_iter().map(ratio).collect()
}

#[cfg(test)]
mod tests;
