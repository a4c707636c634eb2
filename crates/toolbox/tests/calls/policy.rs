//! The truth table of policies, and patterns.

use proptest::prelude::*;
use toolbox::{
    Annotations,
    Effect::{self, Allow, Ask, Deny},
    KnownTool, Policy, decide,
    policy::{InvalidPattern, exact_pattern},
};

use crate::tool;

fn policies(written: &[(&str, Effect)]) -> Vec<Policy> {
    written.iter().map(|(pattern, effect)| Policy::parse(pattern, *effect).unwrap()).collect()
}

#[test]
fn the_truth_table() {
    type Written = &'static [(&'static str, Effect)];
    let table: &[(Written, Written, Effect)] = &[
        // installation, user => mail:send, which is our own and changes something
        (&[], &[], Ask),
        (&[("mail:*", Allow)], &[], Allow),
        (&[("mail:*", Ask)], &[], Ask),
        (&[("mail:*", Deny)], &[], Deny),
        (&[("clock:*", Allow)], &[("web:*", Allow)], Ask),
        // the user's policy wins over the installation's
        (&[], &[("mail:*", Allow)], Allow),
        (&[], &[("mail:*", Ask)], Ask),
        (&[("mail:send", Allow)], &[("*:*", Ask)], Ask),
        (&[("mail:*", Allow)], &[("mail:*", Allow)], Allow),
        // only the user's allow for exactly this tool loosens the installation's ask
        (&[("mail:*", Ask)], &[("mail:*", Allow)], Ask),
        (&[("mail:*", Ask)], &[("mail:sen*d", Allow)], Ask),
        (&[("mail:*", Ask)], &[("mail:send", Allow)], Allow),
        (&[("mail:send", Ask)], &[("mail:send", Allow)], Allow),
        (&[("mail:send", Ask)], &[("*:*", Allow)], Ask),
        // the installation's ask does not count if its own more specific allow overrides it
        (&[("mail:*", Ask), ("mail:send", Allow)], &[], Allow),
        (&[("mail:*", Ask), ("mail:send", Allow)], &[("mail:*", Allow)], Allow),
        // within one level the most specific wins
        (&[("*:*", Allow), ("mail:s*", Ask)], &[], Ask),
        (&[], &[("mail:*", Ask), ("mail:send", Allow)], Allow),
        (&[], &[("mail:*", Allow), ("mail:send", Ask)], Ask),
        (&[], &[("mail:send*", Ask), ("mail:send", Allow)], Allow),
        (&[], &[("mail:s*", Allow), ("mail:*d", Ask)], Ask),
        // a deny at either level wins over everything, however general it is
        (&[("*:*", Deny)], &[("mail:send", Allow)], Deny),
        (&[("mail:send", Allow)], &[("*:*", Deny)], Deny),
        (&[("mail:*", Deny), ("mail:send", Allow)], &[], Deny),
        (&[], &[("mail:*", Deny), ("mail:send", Allow)], Deny),
    ];
    for (installation, user, expected) in table {
        let found = decide(&tool("mail", "send"), &policies(installation), &policies(user));
        assert_eq!(found, *expected, "installation {installation:?}, user {user:?}");
    }
}

#[test]
fn by_default_our_own_tools_that_only_read_are_allowed() {
    for (read_only, remote, expected) in
        [(true, false, Allow), (true, true, Ask), (false, false, Ask), (false, true, Ask)]
    {
        let annotations = Annotations { read_only, ..Annotations::default() };
        let tool = KnownTool { annotations, remote, ..tool("s", "t") };
        assert_eq!(decide(&tool, &[], &[]), expected, "read only {read_only}, remote {remote}");
    }
}

#[test]
fn a_tool_that_always_asks_can_be_denied_and_never_allowed() {
    let tool = KnownTool { always_asks: true, ..tool("mail", "send") };
    for allowed in [vec![], policies(&[("mail:send", Allow)])] {
        assert_eq!(decide(&tool, &allowed, &allowed), Ask);
        assert_eq!(decide(&tool, &allowed, &policies(&[("mail:*", Deny)])), Deny);
    }
}

#[test]
fn a_star_stays_on_its_side_of_the_colon() {
    let matches = |pattern: &str, server, name| Policy::parse(pattern, Allow).unwrap().matches(&tool(server, name));
    assert!(matches("*:*", "a", "b:c") && matches("a:b:c", "a", "b:c") && matches("a:*:c", "a", "b:c"));
    assert!(!matches("m*l:x", "ma", "il:x"));
    assert!(!matches("a:?", "a", "b"), "a question mark is a question mark");
    assert!(!matches("A:b", "a", "b"), "large and small letters differ");
}

#[test]
fn patterns_are_checked() {
    let parse = |pattern: &str| Policy::parse(pattern, Allow).map(drop);
    for wrong in ["", "*", "mail", ":", "mail:", ":send"] {
        assert_eq!(parse(wrong), Err(InvalidPattern::Form), "{wrong:?}");
    }
    assert_eq!(parse("a:\0"), Err(InvalidPattern::Control));
    assert_eq!(parse(&format!("a:{}", "b".repeat(300))), Err(InvalidPattern::TooLong));
    assert_eq!(parse(&exact_pattern(&tool(&"s".repeat(64), &"t".repeat(191)))), Ok(()), "any tool can be named");
}

#[test]
fn an_operators_list_is_read_or_said_to_be_wrong() {
    let list = Policy::parse_list(" allow calendar:list_*, deny mail:*,\nask  a b:c , ").unwrap();
    let effect = |server, name| decide(&tool(server, name), &list, &[]);
    assert_eq!((list.len(), effect("calendar", "list_events"), effect("mail", "send")), (3, Allow, Deny));
    assert!(list[2].matches(&tool("a b", "c")));
    assert!(Policy::parse_list("").unwrap().is_empty());
    let wrong = |text| Policy::parse_list(text).unwrap_err().to_string();
    assert_eq!(wrong("ask a:b, permit c:d"), "\"permit c:d\": a policy is allow, ask or deny, and then a pattern");
    assert_eq!(wrong("deny"), "\"deny\": a policy is allow, ask or deny, and then a pattern");
    assert!(wrong("deny mail").starts_with("\"deny mail\": a pattern has the form server:tool"));
}

#[test]
fn what_cannot_be_read_denies_everything() {
    assert_eq!(decide(&tool("mail", "send"), &[Policy::deny_everything()], &policies(&[("mail:send", Allow)])), Deny);
}

/// A plain implementation of patterns, to compare with.
fn plain(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], text) => text.is_empty(),
        (['*', rest @ ..], text) => (0..=text.len()).any(|at| plain(rest, &text[at..])),
        ([c, pattern @ ..], [d, text @ ..]) => c == d && plain(pattern, text),
        _ => false,
    }
}

proptest! {
    #[test]
    fn globs_mean_what_they_plainly_mean(pattern in "[ab?*]{1,8}", name in "[ab?]{1,10}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        let policy = Policy::parse(&format!("s:{pattern}"), Allow).unwrap();
        prop_assert_eq!(policy.matches(&tool("s", &name)), plain(&chars(&pattern), &chars(&name)));
    }

    #[test]
    fn any_name_is_matched_by_itself_and_its_pattern_by_no_other(a in "[a-z.:?]{1,9}", b in "[a-z.:?]{1,9}") {
        let policy = Policy::parse(&exact_pattern(&tool("s", &a)), Allow).unwrap();
        prop_assert!(policy.matches(&tool("s", &a)));
        prop_assert_eq!(policy.matches(&tool("s", &b)), a == b);
    }

    #[test]
    fn no_user_gets_past_a_deny(pattern in "[a-z*]{1,5}:[a-z*]{1,5}") {
        let user = policies(&[(&pattern, Allow)]);
        prop_assert_eq!(decide(&tool("mail", "send"), &policies(&[("mail:*", Deny)]), &user), Deny);
    }
}

#[test]
fn a_pattern_full_of_stars_takes_no_time() {
    let policy = Policy::parse(&format!("s:{}b", "*a".repeat(120)), Allow).unwrap();
    assert!(!policy.matches(&tool("s", &"a".repeat(128))));
}
