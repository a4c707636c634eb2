//! The tools that an instance lists, on paused time, with a real database and servers that speak the protocol.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::{rc::Rc, sync::Arc, time::Duration};

use cache::Clock as _;
use futures::future::join_all;
use mcp::{Features, Resource, TransportError};
use native_sqlite::SqliteFile;
use router_test::{Fixture, Surroundings, ToolServer, paused};
use storage::{Database as _, Statement};
use tool_catalogue::{Catalogue, KnownOffers, List, Listed, Memory, RemoteServer, Server, Servers};

/// How long lists are valid, and how long expired lists are still used at once.
const FRESH: Duration = Duration::from_secs(10);
const STALE: Duration = Duration::from_secs(60);
/// The longest wait for stored lists: one of the requests that come at once reads them.
const AT_ONCE: Duration = Duration::from_millis(5);
/// After this time, what was stale is refreshed: it is put off for half a second, for whoever waits for an answer.
const REFRESHED: Duration = Duration::from_secs(1);

/// An installation: a database and its surroundings.
struct Installation {
    fixture: Fixture,
    outside: Surroundings,
    servers: Arc<Servers>,
}

/// An instance of the component.
type Instance = Catalogue<SqliteFile, Surroundings>;

impl Installation {
    /// An installation with composed servers that have one tool each.
    fn new(outside: Surroundings, names: &[&str], elsewhere: &str) -> Self {
        for name in names {
            outside.set(&composed(name), ToolServer::of(&["act"]));
        }
        let remote = RemoteServer::parse_list(elsewhere).unwrap().into_iter().map(Server::remote);
        let all = names.iter().filter_map(|name| Server::composed(name)).chain(remote).collect();
        Self { fixture: Fixture::default(), outside, servers: Arc::new(Servers { all, unread: None }) }
    }

    fn instance(&self) -> Instance {
        let store = Arc::clone(self.fixture.app.store());
        Catalogue::new(Arc::clone(&self.servers), store, self.outside.clone(), Memory::default())
    }

    /// Lets time pass, for every clock.
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
        let sql = "UPDATE tool_listings SET fetched_at = fetched_at - ?1";
        let parameters = [i64::try_from(time.as_millis()).unwrap().into()];
        self.fixture.another_connection().query(Statement::new("pass", sql, parameters)).await.unwrap();
    }

    /// The offers that runs will find.
    async fn kept(&self) -> Vec<String> {
        // The database is written after the answer.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let kept = self.fixture.app.store().kept_offers(None).await.unwrap();
        match KnownOffers::default().read(&kept).list {
            List::Known(kept, _) => kept.tools.iter().map(|tool| tool.offer.name.clone()).collect(),
            List::Nothing | List::TooLong => Vec::new(),
        }
    }
}

fn composed(name: &str) -> String {
    format!("mcp-{name}.spin.internal")
}

fn names(listed: &Listed) -> Vec<&str> {
    listed.catalog.iter().map(|(name, _)| name).collect()
}

fn lists(asked: &[String]) -> usize {
    asked.iter().filter(|asked| asked.ends_with("tools/list")).count()
}

/// The tools that an instance lists, and how long it takes.
async fn timed(instance: &Instance, outside: &Surroundings) -> (Rc<Listed>, Duration) {
    let began = outside.now();
    let listed = instance.listed().await.unwrap();
    (listed, outside.now() - began)
}

#[test]
fn a_new_installation_asks_each_server_once_for_all_who_come_at_once_and_keeps_what_they_say() {
    paused(|outside| async move {
        let house = Installation::new(outside.clone(), &["clock", "mail"], "");
        let instance = house.instance();
        for listed in join_all((0..16).map(|_| instance.listed())).await {
            assert_eq!(names(&listed.unwrap()), ["clock_act", "mail_act"]);
        }
        assert_eq!(outside.asked(), ["mcp-clock.spin.internal tools/list", "mcp-mail.spin.internal tools/list"]);
        assert_eq!(house.kept().await, ["clock_act", "mail_act"]);
        let (listed, took) = timed(&house.instance(), &outside).await;
        assert_eq!((names(&listed).len(), outside.asked().len()), (2, 0), "others read it");
        assert!(took < AT_ONCE, "{took:?}");
    });
}

#[test]
fn where_each_request_has_an_instance_of_its_own_each_server_is_still_asked_once() {
    paused(|outside| async move {
        let house = Installation::new(outside.clone(), &["clock", "mail"], "");
        for age in [Duration::ZERO, FRESH, FRESH + STALE] {
            house.pass(age).await;
            let instances: Vec<_> = (0..50).map(|_| house.instance()).collect();
            for listed in join_all(instances.iter().map(Catalogue::listed)).await {
                assert_eq!(names(&listed.unwrap()), ["clock_act", "mail_act"]);
            }
            tokio::time::sleep(REFRESHED).await;
            assert_eq!(lists(&outside.asked()), 2, "{age:?}");
        }
    });
}

#[test]
fn what_runs_find_is_made_anew_for_them_though_no_server_has_to_be_asked() {
    paused(|outside| async move {
        let elsewhere = r#"[{"name": "wiki", "url": "https://wiki.example.org/mcp"}]"#;
        let house = Installation::new(outside.clone(), &[], elsewhere);
        outside.set("wiki.example.org", ToolServer { ttl_ms: Some(600_000), ..ToolServer::of(&["read"]) });
        house.instance().listed().await.unwrap();
        assert_eq!(house.kept().await, ["wiki_read"]);
        let counts_for_ms = async || {
            let kept = house.fixture.app.store().kept_offers(None).await.unwrap();
            kept.list.unwrap().counts_for_ms
        };
        house.pass(FRESH + STALE).await;
        assert!(counts_for_ms().await < 0);
        outside.asked();
        house.instance().made_anew().await.unwrap();
        assert_eq!((house.kept().await, lists(&outside.asked())), (vec!["wiki_read".to_owned()], 0));
        assert!(counts_for_ms().await > 0);
    });
}

#[test]
fn what_is_stale_is_used_at_once_and_made_anew_beside() {
    paused(|outside| async move {
        let house = Installation::new(outside.clone(), &["clock"], "");
        let instance = house.instance();
        instance.listed().await.unwrap();
        outside.asked();
        outside.set(&composed("clock"), ToolServer::of(&["act", "more"]));
        house.pass(FRESH).await;
        for instance in [&instance, &house.instance()] {
            let (listed, took) = timed(instance, &outside).await;
            assert_eq!(names(&listed), ["clock_act"]);
            assert!(took < AT_ONCE, "{took:?}");
        }
        tokio::time::sleep(REFRESHED).await;
        assert_eq!(names(&instance.listed().await.unwrap()), ["clock_act", "clock_more"]);
        assert_eq!(house.kept().await, ["clock_act", "clock_more"]);
        assert_eq!(lists(&outside.asked()), 1, "one of two instances asks");
    });
}

#[test]
fn what_is_old_is_waited_for_a_moment_and_beats_nothing() {
    paused(|outside| async move {
        let house = Installation::new(outside.clone(), &["clock"], "");
        house.instance().listed().await.unwrap();
        house.pass(FRESH + STALE).await;
        outside.set(&composed("clock"), ToolServer::of(&["new"]));
        let (listed, took) = timed(&house.instance(), &outside).await;
        assert_eq!(names(&listed), ["clock_new"]);
        assert!(took < Duration::from_millis(100), "{took:?}");
        house.pass(FRESH + STALE).await;
        outside.set(&composed("clock"), ToolServer { takes: None, ..ToolServer::of(&["newer"]) });
        let (listed, took) = timed(&house.instance(), &outside).await;
        assert_eq!(names(&listed), ["clock_new"]);
        assert_eq!(took.as_secs(), 1);
    });
}

#[test]
fn a_server_that_does_not_answer_keeps_its_tools_is_told_of_and_is_left_alone_for_a_minute() {
    paused(|outside| async move {
        let house = Installation::new(outside.clone(), &["clock", "mail"], "");
        house.instance().listed().await.unwrap();
        let refused = TransportError::Refused("no".to_owned());
        outside.set(&composed("mail"), ToolServer { fault: Some(refused), ..ToolServer::of(&[]) });
        house.pass(FRESH + STALE).await;
        outside.asked();
        for seconds in [0, 11, 22, 33, 44, 55] {
            let instance = house.instance();
            instance.listed().await.unwrap();
            tokio::time::sleep(REFRESHED).await;
            let listed = instance.listed().await.unwrap();
            assert_eq!(names(&listed), ["clock_act", "mail_act"], "after {seconds} s");
            let problems: Vec<_> = listed.problems.iter().map(|problem| problem.server.as_str()).collect();
            assert_eq!(problems, ["mail"]);
            house.pass(Duration::from_secs(11)).await;
        }
        let asked = outside.asked();
        let mail = asked.iter().filter(|asked| asked.contains("mail")).count();
        assert_eq!((lists(&asked) - mail, mail), (6, 1));
        assert!(outside.logged().contains("a tool server cannot be listed"));
        outside.set(&composed("mail"), ToolServer::of(&["act"]));
        let instance = house.instance();
        instance.listed().await.unwrap();
        tokio::time::sleep(REFRESHED).await;
        assert!(instance.listed().await.unwrap().problems.is_empty(), "it is asked again");
    });
}

#[test]
fn a_new_server_that_hangs_keeps_nobody_from_the_tools_of_the_others() {
    paused(|outside| async move {
        let elsewhere = r#"[{"name": "wiki", "url": "https://wiki.example.org/mcp"}]"#;
        let house = Installation::new(outside.clone(), &["clock"], elsewhere);
        outside.set("wiki.example.org", ToolServer { takes: None, ..ToolServer::default() });
        let (listed, took) = timed(&house.instance(), &outside).await;
        assert_eq!((names(&listed), took.as_secs()), (vec!["clock_act"], 5));
        assert!(listed.problems[0].message.contains("does not answer in time"), "{:?}", listed.problems);
        outside.set("wiki.example.org", ToolServer::of(&["read"]));
        house.pass(FRESH).await;
        let instance = house.instance();
        let (_, took) = timed(&instance, &outside).await;
        assert!(took < AT_ONCE, "from then on nobody waits for it: {took:?}");
        tokio::time::sleep(REFRESHED).await;
        assert_eq!(names(&instance.listed().await.unwrap()), ["clock_act", "wiki_read"]);
    });
}

#[test]
fn a_server_elsewhere_is_believed_as_long_as_it_says_within_limits() {
    for (said_ms, asked_after) in [(1_000, 11), (120_000, 121), (86_400_000, 3_601)] {
        paused(|outside| async move {
            let elsewhere = r#"[{"name": "wiki", "url": "https://wiki.example.org/mcp"}]"#;
            let house = Installation::new(outside.clone(), &[], elsewhere);
            outside.set("wiki.example.org", ToolServer { ttl_ms: Some(said_ms), ..ToolServer::of(&["read"]) });
            house.instance().listed().await.unwrap();
            assert_eq!(house.kept().await, ["wiki_read"]);
            let asks = async || {
                outside.asked();
                let instance = house.instance();
                instance.listed().await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
                lists(&outside.asked()) > 0
            };
            house.pass(Duration::from_secs(asked_after - 3)).await;
            assert!(!asks().await, "{said_ms}");
            house.pass(Duration::from_secs(4)).await;
            assert!(asks().await, "{said_ms}");
        });
    }
}

#[test]
fn servers_that_are_no_longer_configured_are_forgotten_and_new_ones_asked_at_once() {
    paused(|outside| async move {
        let before = Installation::new(outside.clone(), &["clock", "mail"], "");
        before.instance().listed().await.unwrap();
        before.kept().await;
        outside.asked();
        let after = Installation::new(outside.clone(), &["clock", "web"], "");
        let after = Installation { fixture: before.fixture, ..after };
        assert_eq!(names(&after.instance().listed().await.unwrap()), ["clock_act", "web_act"]);
        assert_eq!(outside.asked(), ["mcp-web.spin.internal tools/list"]);
        assert_eq!(after.kept().await, ["clock_act", "web_act"]);
    });
}

#[test]
fn of_two_servers_of_one_name_the_first_has_it_and_people_are_told() {
    paused(|outside| async move {
        let twice =
            r#"[{"name": "wiki", "url": "https://a.example.org"}, {"name": "wiki", "url": "https://b.example.org"}]"#;
        let house = Installation::new(outside.clone(), &[], twice);
        outside.set("a.example.org", ToolServer::of(&["a"]));
        outside.set("b.example.org", ToolServer::of(&["b"]));
        for _ in 0..2 {
            let listed = house.instance().listed().await.unwrap();
            assert_eq!(names(&listed), ["wiki_a"]);
            assert!(listed.problems[0].message.contains("another server has this name"));
            house.kept().await;
        }
    });
}

#[test]
fn when_the_database_fails_an_instance_says_what_it_knows() {
    paused(|outside| async move {
        let house = Installation::new(outside.clone(), &["clock"], "");
        let instance = house.instance();
        instance.listed().await.unwrap();
        house.kept().await;
        let drop = Statement::new("t", "DROP TABLE tool_listings", []);
        house.fixture.another_connection().query(drop).await.unwrap();
        for later in [Duration::ZERO, FRESH, STALE] {
            tokio::time::sleep(later).await;
            assert_eq!(names(&instance.listed().await.unwrap()), ["clock_act"]);
        }
        assert!(house.instance().listed().await.is_err());
    });
}

#[test]
fn what_composed_servers_have_besides_tools_is_kept_and_servers_elsewhere_are_not_believed_to_have_it() {
    paused(|outside| async move {
        let elsewhere = r#"[{"name": "wiki", "url": "https://wiki.example.org/mcp"}]"#;
        let house = Installation::new(outside.clone(), &["clock", "notes"], elsewhere);
        let note = Resource { uri: "note://1".into(), name: "One".into(), ..Resource::default() };
        let features = Features { resources: vec![note], ..Features::default() };
        let notes = ToolServer { features: features.clone(), ..ToolServer::of(&["act"]) };
        outside.set(&composed("notes"), notes.clone());
        outside.set("wiki.example.org", notes);
        let notes = [("notes".to_owned(), features)];
        assert_eq!(house.instance().listed().await.unwrap().features, notes);
        let mut asked = outside.asked();
        asked.retain(|asked| asked.contains("notes") || asked.ends_with("/list"));
        asked.sort();
        let once =
            ["mcp-clock.spin.internal tools/list", "mcp-notes.spin.internal tools/list", "wiki.example.org tools/list"];
        assert_eq!(asked, once, "with their tools, and without a question more");
        // The database is written after the answer.
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(house.instance().listed().await.unwrap().features, notes, "others read it");
        let refused = TransportError::Refused("no".to_owned());
        outside.set(&composed("notes"), ToolServer { fault: Some(refused), ..ToolServer::of(&[]) });
        house.pass(FRESH + STALE).await;
        assert_eq!(house.instance().listed().await.unwrap().features, notes, "what is known counts while it is away");
    });
}
