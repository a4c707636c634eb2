//! Names in the catalog, and tools and servers that it refuses.

use std::collections::BTreeSet;

use json_schema::Unfit;
use proptest::prelude::*;
use serde_json::json;
use toolbox::{
    Catalog, KnownTool,
    catalog::{MAX_DESCRIPTION_CHARS, MAX_MODEL_NAME_BYTES, MAX_SERVERS, MAX_TOOLS, Reason, Refused, model_name},
};

use crate::{raw, tool};

fn catalog(tools: &[(&str, &[&str])]) -> Catalog {
    let server = |(server, names): &(&str, &[&str])| {
        ((*server).to_owned(), names.iter().map(|name| tool(server, name)).collect::<Vec<_>>())
    };
    Catalog::new(tools.iter().map(server).collect())
}

fn names(catalog: &Catalog) -> Vec<&str> {
    catalog.iter().map(|(name, _)| name).collect()
}

fn reasons(catalog: &Catalog) -> Vec<String> {
    catalog.refused().iter().map(|refused| refused.reason.to_string()).collect()
}

fn words<const N: usize>(reasons: [Reason; N]) -> Vec<String> {
    reasons.iter().map(ToString::to_string).collect()
}

#[test]
fn a_tool_is_named_after_its_server_and_found_by_that_name() {
    let catalog = catalog(&[("mail", &["send", "read"]), ("clock", &["now"])]);
    assert_eq!(names(&catalog), ["clock_now", "mail_read", "mail_send"]);
    assert_eq!(
        catalog.find("mail_send").map(|tool| (tool.server.as_str(), tool.name.as_str())),
        Some(("mail", "send"))
    );
    assert!(catalog.find("mail_sen").is_none() && catalog.refused().is_empty());
    assert_eq!(catalog.of_server("mail").map(|tool| &tool.name).collect::<Vec<_>>(), ["read", "send"]);
}

#[test]
fn what_a_model_cannot_write_is_replaced() {
    assert_eq!(names(&catalog(&[("my mail", &["admin.tools/list"])])), ["my_mail_admin_tools_list"]);
}

#[test]
fn a_long_name_is_cut_and_stays_apart_from_its_like() {
    let (one, two) = ("a".repeat(100) + "1", "a".repeat(100) + "2");
    let catalog = catalog(&[("s", &[&one, &two])]);
    let names = names(&catalog);
    assert_eq!(names.len(), 2);
    assert!(names.iter().all(|name| name.len() == MAX_MODEL_NAME_BYTES), "{names:?}");
    // The name must not change, because conversations from before an update have it.
    assert_eq!(
        model_name("s", &one),
        names.iter().find(|name| catalog.find(name).unwrap().name == one).copied().unwrap()
    );
}

#[test]
fn of_tools_that_come_to_the_same_name_each_has_one() {
    let found = |tools: &[(&str, &[&str])]| {
        let catalog = catalog(tools);
        assert_eq!(catalog.refused().len(), 0);
        let found = catalog.iter().map(|(name, tool)| (format!("{}:{}", tool.server, tool.name), name.to_owned()));
        found.collect::<std::collections::BTreeMap<_, _>>()
    };
    let names = found(&[("s", &["a.b", "a_b", "a b"])]);
    assert_eq!(names["s:a_b"], "s_a_b", "who is really called so keeps it");
    assert!(names["s:a.b"].starts_with("s_a_b_") && names["s:a b"].starts_with("s_a_b_"), "{names:?}");
    assert_eq!(names, found(&[("s", &["a b", "a_b", "a.b"])]), "in whatever order they are listed");
    let names = found(&[("a", &["b_c", "x"]), ("a_b", &["c"]), ("a.b", &["c"])]);
    assert_eq!(names["a:b_c"], "a_b_c", "a server that comes later takes no name away");
    assert_eq!((names["a:x"].as_str(), names.len()), ("a_x", 4));
    let names = found(&[("s", &["🎉", "名前", "住所", "what time?", "नमस्ते"])]);
    assert_eq!((names.len(), names["s:what time?"].as_str()), (5, "s_what_time_"));
}

#[test]
fn no_server_takes_a_name_of_ours() {
    let catalog = catalog(&[("search", &["tools"])]);
    assert!(names(&catalog)[0].starts_with("search_tools_"), "{:?}", names(&catalog));
}

#[test]
fn of_two_of_the_same_name_the_first_stays() {
    let catalog = catalog(&[("a", &["x", "x"]), ("b", &["x"]), ("a", &["y"])]);
    assert_eq!(names(&catalog), ["a_x", "b_x"]);
    assert_eq!(reasons(&catalog), words([Reason::SameTool, Reason::SameServer]));
}

#[test]
fn names_that_are_none_are_refused() {
    let long = "x".repeat(192);
    let catalog = catalog(&[
        ("", &["x"]),
        ("a:b", &["x"]),
        ("ok", &["", " ", "*", "new\nline", "turned\u{202e}around", &long, "fine:name", "名前"]),
    ]);
    assert_eq!(names(&catalog), ["ok___", "ok_fine_name"]);
    assert_eq!(catalog.refused().len(), 8);
    let refused: Vec<_> = catalog.refused().iter().map(Refused::name).collect();
    assert!(refused.contains(&"ok:new\\nline".to_owned()) && refused.contains(&"a:b".to_owned()), "{refused:?}");
}

#[test]
fn there_are_only_so_many_servers_and_tools() {
    let servers = (0..=MAX_SERVERS).map(|index| (format!("s{index}"), vec![tool("", "x")])).collect();
    let catalog = Catalog::new(servers);
    assert_eq!((catalog.iter().count(), reasons(&catalog)), (MAX_SERVERS, words([Reason::TooManyServers])));
}

#[test]
fn a_server_with_very_many_tools_leaves_the_others_theirs() {
    let many = |count: usize| (0..count).map(|index| tool("", &index.to_string())).collect::<Vec<_>>();
    let servers = [("big", many(1_500)), ("small", many(10)), ("other", many(40))];
    let catalog = Catalog::new(servers.map(|(name, tools)| (name.to_owned(), tools)).into());
    let counts = ["big", "small", "other"].map(|server| catalog.of_server(server).count());
    assert_eq!((counts, catalog.iter().count()), ([MAX_TOOLS - 50, 10, 40], MAX_TOOLS));
    assert_eq!(reasons(&catalog), words([Reason::TooManyTools(550)]));
    assert_eq!((catalog.refused()[0].server.as_str(), &catalog.refused()[0].tool), ("big", &None));
}

#[test]
fn long_definitions_use_up_the_share_of_their_server_only() {
    let long = |name: &str| KnownTool { description: "x".repeat(MAX_DESCRIPTION_CHARS), ..tool("", name) };
    let wordy = |name: &str| KnownTool { input_schema: raw(&json!({"title": "x".repeat(60_000)})), ..long(name) };
    let mut tools: Vec<KnownTool> = (0..12).map(|index| wordy(&index.to_string())).collect();
    tools.push(tool("", "short"));
    let catalog = Catalog::new(vec![("s".to_owned(), tools), ("t".to_owned(), vec![long("fine")])]);
    assert_eq!((catalog.of_server("s").count(), catalog.of_server("t").count()), (9, 1));
    assert!(catalog.find("s_short").is_some(), "what is short has room after what is long");
    assert_eq!(reasons(&catalog), words([Reason::TooLong(4)]));
}

#[test]
fn descriptions_are_cut_and_large_schemas_refused() {
    let wordy = KnownTool { description: "語".repeat(MAX_DESCRIPTION_CHARS + 1), ..tool("", "wordy") };
    let huge = KnownTool { input_schema: raw(&json!({"description": "x".repeat(70_000)})), ..tool("", "huge") };
    let odd = KnownTool { input_schema: raw(&json!([1])), ..tool("", "odd") };
    let catalog = Catalog::new(vec![("s".to_owned(), vec![wordy, huge, odd])]);
    assert_eq!(catalog.find("s_wordy").unwrap().description.chars().count(), MAX_DESCRIPTION_CHARS + 1);
    assert_eq!(reasons(&catalog), words([Reason::Schema(Unfit::TooLarge), Reason::Schema(Unfit::NotAnObject)]));
}

proptest! {
    #[test]
    fn names_are_what_models_can_write_unique_and_stable(
        servers in prop::collection::vec((".{0,80}", prop::collection::vec(".{0,150}", 0..6)), 0..6),
    ) {
        let make = || Catalog::new(servers.iter().map(|(server, names)| {
            (server.clone(), names.iter().map(|name| tool(server, name)).collect())
        }).collect());
        let catalog = make();
        let mut seen = BTreeSet::new();
        for (name, tool) in catalog.iter() {
            prop_assert!((1..=MAX_MODEL_NAME_BYTES).contains(&name.len()));
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'));
            prop_assert!(catalog.find(name).is_some_and(|found| found.name == tool.name));
            prop_assert!(seen.insert(name.to_owned()));
        }
        let total: usize = servers.iter().map(|(_, names)| names.len()).sum();
        let (listed, refused) = (catalog.iter().count(), catalog.refused().len());
        let whole = servers.iter().all(|(server, names)| names.is_empty() || catalog.of_server(server).count() > 0);
        prop_assert!(!whole || listed + refused >= total, "nothing gets lost");
        let again = make();
        prop_assert_eq!(names(&catalog), names(&again));
    }
}
