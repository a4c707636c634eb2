//! Names, and what is refused.

use std::collections::BTreeSet;

use proptest::prelude::*;
use toolbox::{
    Catalog, Tool,
    catalog::{MAX_DESCRIPTION_CHARS, MAX_MODEL_NAME_BYTES, MAX_SERVERS, MAX_TOOLS, Reason, model_name},
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

fn reasons(catalog: &Catalog) -> Vec<Reason> {
    catalog.refused().iter().map(|refused| refused.reason.clone()).collect()
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
    assert_eq!(catalog.of_server("mail").map(|(name, _)| name).collect::<Vec<_>>(), ["mail_read", "mail_send"]);
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
    // Written down, because a conversation from before an update has it.
    assert_eq!(
        model_name("s", &one),
        names.iter().find(|name| catalog.find(name).unwrap().name == one).copied().unwrap()
    );
}

#[test]
fn tools_that_come_to_the_same_name_are_all_refused() {
    let catalog = catalog(&[("a", &["b_c", "x"]), ("a_b", &["c"]), ("a.b", &["c"])]);
    assert_eq!(names(&catalog), ["a_x"]);
    assert_eq!(reasons(&catalog), vec![Reason::SameName("a_b_c".to_owned()); 3]);
}

#[test]
fn a_server_named_twice_is_refused_and_the_others_stay() {
    let catalog = catalog(&[("a", &["x"]), ("b", &["x"]), ("a", &["y"])]);
    assert_eq!(names(&catalog), ["b_x"]);
    assert_eq!(reasons(&catalog), [Reason::SameServer, Reason::SameServer]);
}

#[test]
fn names_that_are_none_are_refused() {
    let long = "x".repeat(129);
    let catalog = catalog(&[
        ("", &["x"]),
        ("a:b", &["x"]),
        ("ok", &["", " ", "*", "new\nline", "turned\u{202e}around", &long, "fine:name", "名前"]),
    ]);
    assert_eq!(names(&catalog), ["ok___", "ok_fine_name"]);
    assert_eq!(catalog.refused().len(), 8);
    assert!(catalog.refused().iter().all(|refused| !refused.to_string().contains('\n')), "{:?}", catalog.refused());
}

#[test]
fn there_are_only_so_many_servers_and_tools() {
    let servers = (0..=MAX_SERVERS).map(|index| (format!("s{index}"), vec![tool("", "x")])).collect();
    let catalog = Catalog::new(servers);
    assert_eq!((catalog.iter().count(), reasons(&catalog)), (MAX_SERVERS, vec![Reason::TooManyServers]));
    let tools = (0..=MAX_TOOLS + 5).map(|index| tool("", &index.to_string())).collect();
    let catalog = Catalog::new(vec![("s".to_owned(), tools)]);
    assert_eq!((catalog.iter().count(), reasons(&catalog)), (MAX_TOOLS, vec![Reason::TooManyTools]));
}

#[test]
fn descriptions_are_cut_and_large_schemas_refused() {
    let wordy = Tool { description: "語".repeat(MAX_DESCRIPTION_CHARS + 1), ..tool("", "wordy") };
    let huge = Tool { input_schema: raw(&serde_json::json!({"description": "x".repeat(70_000)})), ..tool("", "huge") };
    let odd = Tool { input_schema: raw(&serde_json::json!([])), ..tool("", "odd") };
    let catalog = Catalog::new(vec![("s".to_owned(), vec![wordy, huge, odd])]);
    assert_eq!(catalog.find("s_wordy").unwrap().description.chars().count(), MAX_DESCRIPTION_CHARS + 1);
    assert_eq!(reasons(&catalog), [Reason::SchemaTooLarge, Reason::NotASchema]);
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
            prop_assert_eq!(name, model_name(&tool.server, &tool.name));
            prop_assert!(seen.insert(name.to_owned()));
        }
        let total: usize = servers.iter().map(|(_, names)| names.len()).sum();
        let refused_servers = catalog.refused().iter().any(|refused| refused.tool.is_none());
        prop_assert!(refused_servers || catalog.iter().count() + catalog.refused().len() == total, "nothing gets lost");
        let again = make();
        prop_assert_eq!(names(&catalog), names(&again));
    }
}
