//! Adds a tool server to the text of `spin.toml` or removes it, and adds a folder to the excluded ones in `Cargo.toml`. Comments and everything else
//! stay as they are. This module must not read or write files.

use std::ops::Range;

use anyhow::{Context as _, bail};
use toml::de::{DeTable, DeValue};
use toml_edit::{Array, Decor, DocumentMut, Item};

/// The beginning of the line above all tool servers, and of the lines above other sections.
const TOOL_SERVERS: &str = "# ---- Tool servers";
const SECTION: &str = "\n# ---- ";
/// The places that must exist to add a tool server.
const HOSTS: [&str; 3] = ["component", "tools", "allowed_outbound_hosts"];
const LIST: [&str; 4] = ["component", "tools", "variables", "tool_servers"];
const EXCLUDE: [&str; 2] = ["workspace", "exclude"];

/// The manifest with `section`, the component `mcp-<name>`, after the other tool servers. `tools` may reach it and lists it.
pub(crate) fn with_tool_server(manifest: &str, name: &str, section: &str) -> anyhow::Result<String> {
    let document = DeTable::parse(manifest).context("spin.toml is not TOML")?;
    let mut insertions = Vec::new();

    let (hosts, span) = find(document.get_ref(), &HOSTS).context("in spin.toml")?;
    let DeValue::Array(hosts) = hosts else { bail!("{} is no list", HOSTS.join(".")) };
    let last = hosts.iter().last().map(|host| host.span());
    append(manifest, span, last, &format!("\"http://mcp-{name}.spin.internal\""), &mut insertions)?;

    let (list, span) = find(document.get_ref(), &LIST).context("in spin.toml")?;
    let DeValue::String(list) = list else { bail!("{} is no text", LIST.join(".")) };
    if list.contains("{{") {
        bail!("{} is a template, so nothing can be added to it", LIST.join("."));
    }
    let comma = if list.trim().is_empty() { "" } else { ", " };
    // Before the closing quote.
    insertions.push((span.end.saturating_sub(1), format!("{comma}{name}")));

    let servers = manifest.find(TOOL_SERVERS).unwrap_or(manifest.len());
    let next = manifest.get(servers..).and_then(|rest| rest.find(SECTION));
    insertions.push(match next {
        Some(next) => (servers + next + 1, format!("{section}\n")),
        None => (manifest.len(), format!("{}\n{section}", if manifest.ends_with('\n') { "" } else { "\n" })),
    });

    let edited = insert(manifest, insertions);
    check(&edited, name).context("spin.toml has a form in which nothing can be added; add the tool server by hand")?;
    Ok(edited)
}

/// The manifest without the component `mcp-<name>`, its trigger, and all mentions of it.
pub(crate) fn without_tool_server(manifest: &str, name: &str) -> anyhow::Result<String> {
    let id = format!("mcp-{name}");
    let mut document: DocumentMut = manifest.parse().context("spin.toml is not TOML")?;
    if document.get_mut("component").and_then(|components| components.as_table_mut()?.remove(&id)).is_none() {
        bail!("spin.toml has no component {id}");
    }
    if let Some(triggers) =
        document.get_mut("trigger").and_then(|trigger| trigger.get_mut("http")?.as_array_of_tables_mut())
    {
        triggers.retain(|trigger| trigger.get("component").and_then(Item::as_str) != Some(&id));
    }
    let Some(tools) = document.get_mut("component").and_then(|components| components.get_mut("tools")) else {
        return Ok(document.to_string());
    };
    let host = format!("http://{id}.spin.internal");
    if let Some(hosts) = tools.get_mut("allowed_outbound_hosts").and_then(Item::as_array_mut) {
        take_out(hosts, &host);
    }
    let listed = tools.get_mut("variables").and_then(|variables| variables.get_mut("tool_servers"));
    if let Some(listed) = listed.and_then(Item::as_value_mut)
        && let Some(names) = listed.as_str()
    {
        let rest: Vec<&str> = names.split(',').map(str::trim).filter(|listed| *listed != name).collect();
        let decor = listed.decor().clone();
        *listed = rest.join(", ").into();
        *listed.decor_mut() = decor;
    }
    Ok(document.to_string())
}

/// Removes an item and the comment after it. The library stores that comment before the next item.
fn take_out(list: &mut Array, item: &str) {
    let Some(at) = list.iter().position(|known| known.as_str() == Some(item)) else { return };
    let before = |decor: &Decor| decor.prefix().and_then(|before| before.as_str()).unwrap_or_default().to_owned();
    let own = before(list.remove(at).decor());
    let last_comment = own.split_once('\n').map(|(comment, _)| comment).unwrap_or_default();
    let without_own = |text: &str| match text.split_once('\n') {
        Some((_, rest)) => format!("{last_comment}\n{rest}"),
        None => text.to_owned(),
    };
    match list.get_mut(at) {
        Some(next) => {
            let text = without_own(&before(next.decor()));
            next.decor_mut().set_prefix(text);
        }
        None => {
            let text = without_own(list.trailing().as_str().unwrap_or_default());
            list.set_trailing(text);
        }
    }
}

/// The workspace's manifest with an excluded folder, which a pattern in `members` would otherwise include.
pub(crate) fn without_member(workspace: &str, folder: &str) -> anyhow::Result<String> {
    let document = DeTable::parse(workspace).context("Cargo.toml is not TOML")?;
    let (list, span) = find(document.get_ref(), &EXCLUDE).context("in Cargo.toml")?;
    let DeValue::Array(list) = list else { bail!("{} is no list", EXCLUDE.join(".")) };
    let mut insertions = Vec::new();
    append(workspace, span, list.iter().last().map(|item| item.span()), &format!("{folder:?}"), &mut insertions)?;
    let edited = insert(workspace, insertions);
    DeTable::parse(&edited).context("Cargo.toml has a form in which nothing can be added")?;
    Ok(edited)
}

fn insert(text: &str, mut insertions: Vec<(usize, String)>) -> String {
    // From the end, so that the positions stay valid.
    insertions.sort_by_key(|(position, _)| std::cmp::Reverse(*position));
    let mut edited = text.to_owned();
    for (position, text) in insertions {
        edited.insert_str(position, &text);
    }
    edited
}

fn find<'a, 'i>(table: &'a DeTable<'i>, path: &[&str]) -> anyhow::Result<(&'a DeValue<'i>, Range<usize>)> {
    let missing = || format!("there is no {}", path.join("."));
    let (key, rest) = path.split_first().with_context(missing)?;
    let (_, value) = table.iter().find(|(known, _)| known.get_ref() == key).with_context(missing)?;
    match value.get_ref() {
        _ if rest.is_empty() => Ok((value.get_ref(), value.span())),
        DeValue::Table(table) => find(table, rest).with_context(missing),
        _ => bail!(missing()),
    }
}

/// Appends an item to a list, on its own line if the last item has one.
fn append(
    text: &str,
    list: Range<usize>,
    last: Option<Range<usize>>,
    item: &str,
    insertions: &mut Vec<(usize, String)>,
) -> anyhow::Result<()> {
    let Some(last) = last else {
        insertions.push((list.start + 1, item.to_owned()));
        return Ok(());
    };
    let (before, after) = (text.get(..last.start), text.get(last.end..list.end));
    let (before, after) = before.zip(after).context("a list ends before its items")?;
    let indent = before.rsplit('\n').next().unwrap_or_default();
    if !indent.trim().is_empty() {
        insertions.push((last.end, format!(", {item}")));
        return Ok(());
    }
    match after.find('\n') {
        // After the comma and the comment of the last item.
        Some(end) => {
            insertions.push((last.end + end, format!("\n{indent}{item},")));
            if !after.trim_start().starts_with(',') {
                insertions.push((last.end, ",".to_owned()));
            }
        }
        None => insertions.push((last.end, format!(",\n{indent}{item}"))),
    }
    Ok(())
}

/// Checks that the edit has the intended result.
fn check(edited: &str, name: &str) -> anyhow::Result<()> {
    let document = DeTable::parse(edited)?;
    let id = format!("mcp-{name}");
    find(document.get_ref(), &["component", &id, "source"])?;
    let (hosts, _) = find(document.get_ref(), &HOSTS)?;
    let host = format!("http://{id}.spin.internal");
    let is_host = |item: &DeValue<'_>| matches!(item, DeValue::String(text) if *text == host);
    let DeValue::Array(hosts) = hosts else { bail!("{} is no list", HOSTS.join(".")) };
    if !hosts.iter().any(|item| is_host(item.get_ref())) {
        bail!("{host} is not in {}", HOSTS.join("."));
    }
    let (list, _) = find(document.get_ref(), &LIST)?;
    let DeValue::String(list) = list else { bail!("{} is no text", LIST.join(".")) };
    if !list.split(',').any(|listed| listed.trim() == name) {
        bail!("{name} is not in {}", LIST.join("."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{with_tool_server, without_member, without_tool_server};

    const NEW: &str = "[component.mcp-dice]\nsource = \"dice.wasm\"\n";

    fn manifest(hosts: &str, servers: &str) -> String {
        format!(
            "# Why.\n[component.tools] # here\nallowed_outbound_hosts = {hosts}\n[component.tools.variables]\ntool_servers = {servers}\n\n\
             # ---- Tool servers: private. ----\n\n[component.mcp-clock]\nsource = \"clock.wasm\"\n\n# ---- Operations ----\n\n[component.ops]\n"
        )
    }

    #[test]
    fn the_rest_stays_as_it_is() {
        let before = manifest("[\n  \"a\",\n  # why b\n  \"b\", # and this\n]", "\"clock\"");
        let expected = manifest(
            "[\n  \"a\",\n  # why b\n  \"b\", # and this\n  \"http://mcp-dice.spin.internal\",\n]",
            "\"clock, dice\"",
        )
        .replace("# ---- Operations", &format!("{NEW}\n# ---- Operations"));
        assert_eq!(with_tool_server(&before, "dice", NEW).unwrap(), expected);
    }

    #[test]
    fn lists_of_any_form_take_one_more() {
        for (hosts, expected) in [
            ("[]", "[\"http://mcp-dice.spin.internal\"]"),
            ("[\"a\"]", "[\"a\", \"http://mcp-dice.spin.internal\"]"),
            ("[\"a\", ]", "[\"a\", \"http://mcp-dice.spin.internal\", ]"),
            ("[\n  \"a\"\n]", "[\n  \"a\",\n  \"http://mcp-dice.spin.internal\",\n]"),
            ("[\n  \"a\" # b\n]", "[\n  \"a\", # b\n  \"http://mcp-dice.spin.internal\",\n]"),
            ("[\n  \"a\"]", "[\n  \"a\",\n  \"http://mcp-dice.spin.internal\"]"),
        ] {
            let edited = with_tool_server(&manifest(hosts, "\"\""), "dice", NEW).unwrap();
            assert!(edited.contains(&format!("hosts = {expected}\n")), "{hosts}: {edited}");
            assert!(edited.contains("tool_servers = \"dice\"\n"), "{edited}");
        }
    }

    #[test]
    fn what_was_added_can_be_taken_out_again() {
        let section = format!("[[trigger.http]]\nroute = {{ private = true }}\ncomponent = \"mcp-dice\"\n\n{NEW}");
        for hosts in ["[]", "[\n  \"a\",\n  # why b\n  \"b\", # and this\n]"] {
            let before = manifest(hosts, "\"clock\"");
            let with = with_tool_server(&before, "dice", &section).unwrap();
            assert_eq!(without_tool_server(&with, "dice").unwrap(), before);
        }
        assert!(without_tool_server(&manifest("[]", "\"\""), "dice").is_err());
    }

    #[test]
    fn the_last_section_takes_it_at_the_end() {
        let (before, _) =
            manifest("[]", "'clock'").split_once("\n\n# ---- Op").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let edited = with_tool_server(&before, "dice", NEW).unwrap();
        assert!(edited.ends_with(&format!("clock.wasm\"\n\n{NEW}")), "{edited}");
        assert!(edited.contains("tool_servers = 'clock, dice'"), "{edited}");
    }

    #[test]
    fn what_cannot_be_edited_is_refused_with_the_reason() {
        let template = with_tool_server(&manifest("[]", "\"{{ tool_servers }}\""), "dice", NEW);
        assert!(template.unwrap_err().to_string().contains("template"));
        let missing = with_tool_server("[component.ui]\n", "dice", NEW);
        assert!(format!("{:#}", missing.unwrap_err()).contains("there is no component.tools"));
    }

    #[test]
    fn a_folder_is_left_out_of_the_workspace() {
        let before = "[workspace]\nexclude = [] # why\nmembers = [\"a/*\"]\n";
        let one = without_member(before, "a/b").unwrap();
        assert_eq!(one, before.replace("[]", "[\"a/b\"]"));
        assert_eq!(without_member(&one, "a/c").unwrap(), before.replace("[]", "[\"a/b\", \"a/c\"]"));
    }
}
