//! Other programs must read the written events as these tools do. At the end, the server expands the series (`expand`, RFC 4791 section 9.6.5), and
//! its result is compared with ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use jiff::{Timestamp, civil::Date};
use native_cyrus::Cyrus;
use serde_json::{Value, json};

use super::*;
use crate::{delete_event, document::Document, zones::ALL_YEARS};

const FROM: &str = "20260301T000000Z";
const TO: &str = "20260501T000000Z";

/// Radicale's expansion of a series of dates leaves out those that were changed to a time.
const CYRUS: &str = "Cyrus";

/// The changes of a new event, one after the other.
fn stories() -> Vec<(Value, Vec<Value>)> {
    let moved = |occurrence: &str, start: &str| json!({"occurrence": occurrence, "start": start});
    let series =
        |occurrence: &str, start: &str| json!({"whole_series": true, "occurrence": occurrence, "start": start});
    let one = |occurrence: &str| json!({"delete": true, "occurrence": occurrence});
    vec![
        (
            json!({"start": "2026-03-09T09:00", "time_zone": BERLIN, "duration_minutes": 60, "recurrence": "FREQ=WEEKLY;UNTIL=20260413"}),
            vec![
                series("20260330T090000", "2026-03-30T11:15"),
                moved("20260323T111500", "2026-03-25T08:00"),
                json!({"occurrence": "20260330T111500", "title": "Other"}),
                one("20260316T111500"),
                one("20260323T111500"),
                json!({"whole_series": true, "title": "All"}),
            ],
        ),
        (
            json!({"start": "2026-03-20T08:00:00Z", "duration_minutes": 60, "recurrence": "FREQ=DAILY;COUNT=14"}),
            vec![one("20260328T080000Z"), moved("20260330T080000Z", "2026-03-30T18:00:00+02:00")],
        ),
        (
            json!({"start": "2026-03-20T08:00:00Z", "duration_minutes": 60, "recurrence": "FREQ=DAILY;UNTIL=20260402T080000Z"}),
            vec![
                json!({"whole_series": true, "occurrence": "20260330T080000Z", "start": "2026-03-30T12:00", "time_zone": BERLIN}),
            ],
        ),
        (
            json!({"start": "2026-03-23", "recurrence": "FREQ=DAILY;COUNT=5"}),
            vec![
                one("20260324"),
                json!({"occurrence": "20260325", "start": "2026-03-25T15:00", "time_zone": BERLIN, "duration_minutes": 30, "only": CYRUS}),
                json!({"occurrence": "20260326", "start": "2026-03-28"}),
            ],
        ),
        (
            json!({"start": "2026-03-02T10:00", "time_zone": "America/New_York", "duration_minutes": 60, "recurrence": "FREQ=MONTHLY;BYDAY=MO,1FR;COUNT=9"}),
            vec![one("20260306T100000")],
        ),
        (
            json!({"start": "2026-03-30T10:00", "time_zone": BERLIN, "duration_minutes": 60, "recurrence": "FREQ=MONTHLY;BYDAY=MO,TU,WE;BYSETPOS=-2"}),
            vec![],
        ),
    ]
}

/// The starts in an object, sorted: times in UTC, or dates.
fn starts(text: &str) -> Vec<String> {
    let document = Document::parse(text, ALL_YEARS).unwrap();
    document.events().map(|event| event.value("DTSTART").unwrap()).collect()
}

async fn expanded(transport: &Native, call: &Context, id: &str) -> Vec<String> {
    let query = format!(
        r#"<c:calendar-multiget xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:prop><c:calendar-data><c:expand start="{FROM}" end="{TO}"/></c:calendar-data></d:prop><d:href>{id}</d:href></c:calendar-multiget>"#
    );
    let calendar = format!("{}/", id.rsplit_once('/').unwrap().0);
    let server = crate::dav::Server::new(call, transport).unwrap();
    let answer = server.query(&calendar, query).await.unwrap();
    let mut found: Vec<_> = answer.objects.iter().flat_map(|object| starts(&object.text)).collect();
    found.sort();
    found
}

async fn listed(transport: &Native, call: &Context, id: &str) -> Vec<String> {
    let calendar = format!("{}/", id.rsplit_once('/').unwrap().0);
    let arguments = ListEvents {
        from: "2026-03-01".into(),
        to: "2026-04-30".into(),
        time_zone: Some("UTC".into()),
        calendar: Some(calendar),
    };
    let events = list_events::run(&arguments, call, transport).await.unwrap().events;
    let basic = |event: &Event| match event.start.parse::<Timestamp>() {
        Ok(point) => point.strftime("%Y%m%dT%H%M%SZ").to_string(),
        Err(_) => event.start.parse::<Date>().unwrap().strftime("%Y%m%d").to_string(),
    };
    let mut found: Vec<_> = events.iter().map(basic).collect();
    found.sort();
    found
}

async fn tell(transport: &Native, call: &Context, server: &str) {
    for (made, changes) in stories() {
        let mut made = made;
        made["title"] = "Tea".into();
        let id = create_event::run(&serde_json::from_value(made.clone()).unwrap(), call, transport).await.unwrap().id;
        for change in changes {
            let mut change = change;
            change["id"] = id.clone().into();
            let options = change.as_object_mut().unwrap();
            if options.remove("only").is_some_and(|only| only != server) {
                continue;
            }
            if options.remove("delete").is_some() {
                delete_event::run(&serde_json::from_value(change.clone()).unwrap(), call, transport).await.unwrap();
            } else {
                change_event::run(&serde_json::from_value(change.clone()).unwrap(), call, transport).await.unwrap();
            }
        }
        assert_eq!(listed(transport, call, &id).await, expanded(transport, call, &id).await, "{made}");
        let all = delete_event::DeleteEvent { id, whole_series: true, ..Default::default() };
        delete_event::run(&all, call, transport).await.unwrap();
    }
}

#[tokio::test]
async fn radicale_reads_what_is_written_as_we_do() {
    let Some(world) = World::start_or_skip().await else { return };
    tell(&world.transport, &world.call("tell"), "Radicale").await;
}

#[tokio::test]
async fn cyrus_reads_what_is_written_as_we_do() {
    let Some(cyrus) = Cyrus::start_or_skip() else { return };
    tell(&Native::default(), &cyrus::call(&cyrus, ""), CYRUS).await;
}
