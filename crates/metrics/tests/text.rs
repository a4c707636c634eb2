//! What Prometheus reads, as a whole, and the table for operators.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use metrics::{
    Kind, MAX_LABELS, Recorder, Sample, VALUE, table,
    text::{Format, PREFIX, write},
};
use proptest::prelude::*;

/// Set to anything, it makes this test write the text instead of comparing with it.
const WRITE: &str = "WRITE_GOLDEN";

fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn samples() -> Vec<Sample> {
    let recorder = Recorder::new();
    for (method, route, status) in [("GET", "/api/conversations/{id}", "2xx"), ("POST", "none", "4xx")] {
        recorder.count(&table::HTTP_REQUESTS, &["chat", method, route, status]);
        recorder.observe(&table::HTTP_REQUEST_DURATION, &["chat", method, route], Duration::from_micros(7_250));
    }
    recorder.observe(&table::TIME_TO_FIRST_TOKEN, &["a \"model\"\\with\nall"], Duration::from_secs(90));
    recorder.count(&table::RUNS_ENDED, &["error", "model_failed"]);
    let mut samples = recorder.take();
    // Another instance's, and one that this release does not know.
    samples.extend(samples.clone());
    let labels = ["m", "EUR", "", ""].map(str::to_owned);
    samples.push(Sample { metric: "cost".to_owned(), labels, bucket: VALUE, value: 1_230_000 });
    let labels = [const { String::new() }; MAX_LABELS];
    samples.push(Sample { metric: "of_tomorrow".to_owned(), labels, bucket: VALUE, value: 1 });
    samples
}

#[test]
fn the_text_is_as_it_was() {
    for (format, name) in [(Format::Prometheus, "prometheus.txt"), (Format::OpenMetrics, "openmetrics.txt")] {
        let (written, path) = (write(&samples(), format), path(&format!("tests/{name}")));
        if std::env::var_os(WRITE).is_some() {
            fs::write(&path, &written).unwrap();
        }
        assert_eq!(written, fs::read_to_string(&path).unwrap(), "{name}");
    }
}

#[test]
fn every_metric_is_named_by_the_conventions_and_described() {
    for metric in table::ALL {
        let has_end = |end: &str| metric.name.ends_with(end);
        assert!(!has_end("_total") && !has_end("_count") && !has_end("_sum") && !has_end("_bucket"), "{}", metric.name);
        assert!(metric.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", metric.name);
        assert!(metric.help.ends_with('.') && !metric.help.contains(['\n', '\\']), "{}", metric.name);
        assert!(metric.labels.len() <= MAX_LABELS, "{}", metric.name);
        let is_timed = has_end("_seconds");
        assert!(!is_timed || metric.is_in_millionths, "{}", metric.name);
        assert!(metric.kind != Kind::Histogram || is_timed, "{}: buckets are those of durations", metric.name);
    }
}

#[test]
fn the_table_for_operators_has_every_metric_with_its_labels() {
    let document = fs::read_to_string(path("../../docs/metrics.md")).unwrap();
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with(&format!("| `{PREFIX}"))).collect();
    let expected: Vec<String> = table::ALL
        .iter()
        .map(|metric| {
            let (kind, total) = match metric.kind {
                Kind::Counter => ("counter", "_total"),
                Kind::Histogram => ("histogram", ""),
                Kind::Gauge => ("gauge", ""),
            };
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
            format!("| `{PREFIX}{}{total}` | {kind} | {labels} |", metric.name)
        })
        .collect();
    assert_eq!(rows.len(), expected.len(), "{rows:#?}");
    for (row, expected) in rows.iter().zip(&expected) {
        assert!(row.starts_with(expected), "{row}\nis not\n{expected}");
    }
}

/// The documents, in all folders.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            documents(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

#[test]
fn rules_queries_and_runbooks_name_only_what_is_written() {
    let is_of_a_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut names: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for metric in table::ALL {
        let ends: &[&str] = match metric.kind {
            Kind::Counter => &["_total"],
            // Without an end, it is all of them.
            Kind::Histogram => &["", "_bucket", "_sum", "_count"],
            Kind::Gauge => &[""],
        };
        for end in ends {
            let mut labels: BTreeSet<&str> = metric.labels.iter().copied().collect();
            labels.extend((*end == "_bucket").then_some("le"));
            names.insert(format!("{}{end}", metric.name), labels);
        }
    }
    let written = fs::read_to_string(path("tests/prometheus.txt")).unwrap();
    let mut found = vec![path("tests/alerts.yaml")];
    documents(&path("../../docs"), &mut found);
    let mut uses = 0;
    for file in found {
        let text = fs::read_to_string(&file).unwrap();
        for named in text.split(PREFIX).skip(1) {
            let (name, rest) = named.split_at(named.find(|letter| !is_of_a_name(letter)).unwrap_or(named.len()));
            let Some(labels) = names.get(name) else { panic!("{}: there is no {PREFIX}{name}", file.display()) };
            let selected =
                rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
            for label in selected.split(',').filter(|selected| !selected.is_empty()) {
                let label_name = label.split(|letter| !is_of_a_name(letter)).next().unwrap_or_default();
                assert!(labels.contains(label_name), "{}: {PREFIX}{name} has no {label_name}", file.display());
                assert!(label_name != "le" || written.contains(label), "{}: no bucket is {label}", file.display());
            }
            uses += 1;
        }
    }
    assert!(uses > 50, "only {uses} found");
}

proptest! {
    #[test]
    fn whatever_a_label_says_stays_one_line_and_can_be_read_back(label in ".{0,40}") {
        let recorder = Recorder::new();
        recorder.count(&table::PROVIDER_REQUESTS, &[&label, "ok"]);
        let text = write(&recorder.take(), Format::Prometheus);
        let start = format!("{PREFIX}provider_requests_total{{provider=\"");
        let Some(line) = text.lines().find(|line| line.starts_with(&start)) else { panic!("{text}") };
        let said = line.strip_prefix(&start).unwrap().strip_suffix("\",outcome=\"ok\"} 1").unwrap();
        let mut read = String::new();
        let mut letters = said.chars();
        while let Some(letter) = letters.next() {
            read.push(match letter {
                '\\' => match letters.next() {
                    Some('n') => '\n',
                    Some(other) => other,
                    None => panic!("{said}"),
                },
                '"' => panic!("{said}"),
                letter => letter,
            });
        }
        prop_assert_eq!(read, label);
    }
}

/// `cargo test --release -p metrics -- --ignored --nocapture how_long`.
#[test]
#[ignore = "measures"]
fn how_long_an_observation_takes() {
    const TIMES: u32 = 1_000_000;
    let recorder = Recorder::new();
    let routes: Vec<String> = (0..40).map(|at| format!("/api/things/{at}/{{id}}")).collect();
    let labels: Vec<[&str; 3]> = routes.iter().map(|route| ["chat", "GET", route.as_str()]).collect();
    let began = std::time::Instant::now();
    for labels in labels.iter().cycle().take(TIMES as usize) {
        recorder.observe(&table::HTTP_REQUEST_DURATION, labels, Duration::from_millis(3));
    }
    println!("{:?} with {} series", began.elapsed() / TIMES, routes.len());
}
