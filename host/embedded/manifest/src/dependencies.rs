//! Matches a component's imports with its dependencies. The host composes them.

/// Whether a dependency's name, `package[/interface][@version]` or a plain name, matches an import.
#[must_use]
pub fn matches_import(name: &str, import: &str) -> bool {
    let split = |text: &str| -> (String, Option<String>, Option<String>) {
        let (path, version) = match text.split_once('@') {
            Some((path, version)) => (path, Some(version.to_owned())),
            None => (text, None),
        };
        match path.split_once('/') {
            Some((package, interface)) => (package.to_owned(), Some(interface.to_owned()), version),
            None => (path.to_owned(), None, version),
        }
    };
    let (package, interface, version) = split(name);
    let (import_package, import_interface, import_version) = split(import);
    package == import_package
        && (interface.is_none() || interface == import_interface)
        && (version.is_none() || version == import_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependencys_name_matches_imports_as_in_spin() {
        for (name, import) in [
            ("foo:bar/baz@0.1.0", "foo:bar/baz@0.1.0"),
            ("foo:bar/baz", "foo:bar/baz@0.1.0"),
            ("foo:bar", "foo:bar/baz@0.1.0"),
            ("foo:bar@0.1.0", "foo:bar/baz@0.1.0"),
            ("foo-bar", "foo-bar"),
        ] {
            assert!(matches_import(name, import), "{name} {import}");
        }
        for (name, import) in [
            ("foo:bar/baz@0.1.0", "foo:bar/baz"),
            ("foo:bar/baz", "foo:bar/bub"),
            ("foo:bar", "foo:bub/bib"),
            ("foo:bar@0.1.0", "foo:bar/baz"),
            ("foo:bar/baz", "foo-bar"),
        ] {
            assert!(!matches_import(name, import), "{name} {import}");
        }
    }
}
