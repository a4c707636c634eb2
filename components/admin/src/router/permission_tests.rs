//! What every route answers to whom, and what every role may do.

use permissions::{
    TABLE,
    table::{ADMIN, BUILT_IN, Row},
};

use super::*;

#[test]
fn permissions_of_every_route_are_those_of_the_document() {
    router_test::paused(async |_| {
        router_test::permissions::compare_routes("admin", |app| router(app, Config::default())).await;
    });
}

#[test]
fn nobody_learns_from_a_refusal_whether_there_is_something() {
    router_test::paused(async |_| {
        router_test::others::compare_others(|app| router(app, Config::default())).await;
    });
}

#[test]
fn permissions_of_every_role_are_those_of_the_document() {
    let has = |role: &str, row: &Row| if role == ADMIN || row.roles.contains(&role) { "yes" } else { "" };
    let mut table = String::from("| permission | allows | admin | member | service |\n|---|---|---|---|---|\n");
    for row in TABLE {
        let pattern = if row.has_pattern { ":…" } else { "" };
        let cells = BUILT_IN.map(|role| has(role, row));
        table.push_str(&format!("| `{}{pattern}` | {} | {} |\n", row.name, row.purpose, cells.join(" | ")));
    }
    router_test::permissions::compare("roles", &table);
}
