//! What roles allow.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use permissions::{
    Access, Action, InvalidPermission, InvalidRole, Permission, Role, Roles, TABLE,
    role::{MAX_PERMISSIONS, MAX_ROLE_NAME_BYTES},
    table::{ADMIN, BUILT_IN, MEMBER, SERVICE},
};
use proptest::prelude::*;

fn access(permissions: &[&str]) -> Access {
    Access::new(permissions.iter().map(|permission| permission.parse().unwrap()))
}

fn mail(tool: &str) -> Action<'_> {
    Action::CallTool { server: "mail", tool }
}

#[test]
fn the_built_in_roles_have_what_the_table_says_and_nothing_else() {
    let roles = Roles::default();
    for name in BUILT_IN {
        let access = roles.access([name]);
        for row in TABLE.iter().filter(|row| !row.has_pattern) {
            assert_eq!(
                access.allows(&Action::Route(row.name)),
                name == ADMIN || row.roles.contains(&name),
                "{name} {}",
                row.name
            );
        }
        assert!(access.allows(&mail("send")) && access.allows(&Action::UseModel("gpt-4.1")), "{name}");
    }
    assert!(
        !roles.access([SERVICE]).allows(&Action::Route("tools:manage")),
        "a program does not loosen its own policies"
    );
}

#[test]
fn who_has_no_role_or_one_that_is_gone_may_do_nothing() {
    for names in [vec![], vec!["gone"], vec![""]] {
        let access = Roles::default().access(names);
        assert!(TABLE.iter().all(|row| !access.allows(&Action::Route(row.name))));
        assert!(!access.allows(&mail("send")) && !access.allows(&Action::UseModel("gpt")));
    }
}

#[test]
fn a_permission_may_name_a_tool_or_a_model() {
    let access =
        access(&["tools:call:mail:list_*", "tools:call:clock:now", "models:use:gpt-*", "models:use:llama3:8b"]);
    assert!(access.allows(&mail("list_mailboxes")) && !access.allows(&mail("send")));
    let clock = |tool| access.allows(&Action::CallTool { server: "clock", tool });
    assert!(clock("now") && !clock("now2") && !clock(""));
    assert!(!access.allows(&Action::CallTool { server: "mail2", tool: "list_x" }));
    for (model, allowed) in
        [("gpt-4.1", true), ("gpt-", true), ("gpt", false), ("o1", false), ("llama3:8b", true), ("llama3", false)]
    {
        assert_eq!(access.allows(&Action::UseModel(model)), allowed, "{model}");
    }
}

#[test]
fn several_roles_are_added_up() {
    let roles = Roles::new([Role::custom("auditor", ["audit:read"]).unwrap()]);
    let access = roles.access([MEMBER, "auditor"]);
    assert!(access.allows(&Action::Route("audit:read")) && access.allows(&Action::Route("conversations:read")));
    assert!(!access.allows(&Action::Route("users:read")));
}

#[test]
fn nobody_gives_what_they_do_not_have() {
    let roles = Roles::default();
    let (admin, member) = (roles.access([ADMIN]), roles.access([MEMBER]));
    assert!(admin.allows_giving(&admin) && admin.allows_giving(&member) && member.allows_giving(&member));
    assert!(!member.allows_giving(&admin));
    let some = access(&["tools:call:mail:*", "users:manage"]);
    assert!(some.allows_giving(&access(&["tools:call:mail:list_*"])) && some.allows_giving(&Access::default()));
    for more in ["tools:call:*", "tools:call:mai*", "*", "models:use:gpt", "users:read"] {
        assert!(!some.allows_giving(&access(&[more])), "{more}");
    }
}

#[test]
fn what_is_not_a_permission_is_refused_in_words() {
    for right in ["*", "users:read", "tools:call:*", "tools:call:mail:*", "models:use:gpt-4.1", "models:use:llama3:8b"]
    {
        assert_eq!(right.parse::<Permission>().unwrap().to_string(), right);
    }
    for unknown in ["", "users", "users:*", "users:read:x", "tools:callx", "tools:*", "Users:read", "users:read "] {
        assert_eq!(unknown.parse::<Permission>(), Err(InvalidPermission::Unknown(unknown.into())));
    }
    assert_eq!("tools:call".parse::<Permission>(), Err(InvalidPermission::NoPattern("tools:call")));
    for odd in ["tools:call:", "tools:call:*:send", "tools:call:**", "models:use:a b", "models:use:a\n"] {
        assert_eq!(odd.parse::<Permission>(), Err(InvalidPermission::Pattern), "{odd}");
    }
    assert_eq!(format!("models:use:{}", "x".repeat(300)).parse::<Permission>(), Err(InvalidPermission::TooLong));
}

#[test]
fn a_role_has_a_plain_name_of_its_own_and_a_limit() {
    assert!(Role::custom("support-2", ["users:read"]).is_ok());
    for name in ["admin", "member", "service", "user"] {
        assert_eq!(Role::custom(name, []), Err(InvalidRole::BuiltIn), "{name}");
    }
    for name in ["", "Support", "2", "a b", "a/b", "é", &"x".repeat(MAX_ROLE_NAME_BYTES + 1)] {
        assert_eq!(Role::custom(name, []), Err(InvalidRole::Name), "{name}");
    }
    assert!(matches!(Role::custom("a", ["x"]), Err(InvalidRole::Permission(_))));
    let many: Vec<String> = (0..=MAX_PERMISSIONS).map(|index| format!("models:use:{index}")).collect();
    assert_eq!(Role::custom("a", many.iter().map(String::as_str)), Err(InvalidRole::TooMany));
}

#[test]
fn a_stored_permission_that_is_not_understood_allows_nothing() {
    let role = Role::stored("later", ["rockets:launch", "users:read", "*:*"]);
    assert_eq!(role.permissions().map(Permission::as_str).collect::<Vec<_>>(), ["users:read"]);
}

proptest! {
    #[test]
    fn who_may_give_a_permission_may_do_whatever_it_allows(
        given in "(\\*|tools:call:[ab:]{0,3}\\*?|models:use:[ab]{0,3}\\*?)",
        has in "(\\*|tools:call:[ab:]{0,3}\\*?|models:use:[ab]{0,3}\\*?)",
        server in "[ab]{0,2}", tool in "[ab]{0,2}",
    ) {
        let (Ok(given), Ok(has)) = (given.parse::<Permission>(), has.parse::<Permission>()) else { return Ok(()) };
        let (given, has) = (Access::new([given]), Access::new([has]));
        if has.allows_giving(&given) {
            for action in [Action::CallTool { server: &server, tool: &tool }, Action::UseModel(&tool)] {
                prop_assert!(!given.allows(&action) || has.allows(&action));
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused_and_what_is_read_is_written_the_same(text in "\\PC{0,300}") {
        if let Ok(permission) = text.parse::<Permission>() {
            prop_assert_eq!(permission.as_str(), text);
        }
    }
}
