//! `[component.x.dependencies]`: a provider composed in over an async WIT interface of our own.

use crate::harness::{Host, guest, refused};

fn manifest(inherit: &str) -> String {
    format!(
        "spin_manifest_version = 2\n[application]\nname = \"fixture\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"asker\"\n\
         [component.asker]\nsource = {:?}\n{inherit}\n\
         [component.asker.variables]\ngreeting = \"hello\"\n\
         [component.asker.dependencies]\n\"fixture:answers/answers@1.0.0\" = {{ path = {:?} }}\n",
        guest("asker"),
        guest("answerer"),
    )
}

#[tokio::test]
async fn the_dependency_answers_and_has_the_components_permissions() {
    let host = Host::start(&manifest("dependencies_inherit_configuration = true"));
    assert_eq!(host.ok("/?Ann").await, "hello Ann true");
    assert_eq!(host.ok("/").await, "unknown ");
    let granted = "dependencies_inherit_configuration = true\nsqlite_databases = [\"default\"]";
    let host = Host::start(&manifest(granted));
    assert_eq!(host.ok("/?Ann").await, "hello Ann false");
}

#[test]
fn a_dependency_that_must_not_inherit_is_refused_rather_than_granted() {
    let (code, said) = refused(&manifest(""), &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("does not inherit"), "{said}");
}

#[test]
fn a_dependency_that_nothing_imports_is_named_with_the_imports_there_are() {
    let manifest =
        manifest("dependencies_inherit_configuration = true").replace("answers@1.0.0\" =", "answers@2.0.0\" =");
    let (code, said) = refused(&manifest, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("fixture:answers/answers@2.0.0") && said.contains("fixture:answers/answers@1.0.0"), "{said}");
}
