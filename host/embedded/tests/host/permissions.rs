//! Requests for rights that the manifest does not grant are refused, and the log names the line that would grant them.

use crate::harness::{Host, guest, private, refused, web};

#[tokio::test]
async fn a_host_that_is_not_granted_is_refused() {
    let host = Host::start(&web("allowed_outbound_hosts = [\"https://example.com\"]"));
    for address in
        ["https://example.org/x", "http://example.com/", "https://example.com:8443/", "http://web.spin.internal/"]
    {
        let answer = host.get(&format!("/get?{address}")).await;
        assert_eq!(answer, (502, "ErrorCode::HttpRequestDenied".to_owned()), "{address}");
    }
    host.logged("add \"https://example.org\" to component.web.allowed_outbound_hosts").await;
    host.logged("add \"http://web.spin.internal\" to component.web.allowed_outbound_hosts").await;
}

#[tokio::test]
async fn a_database_or_store_that_is_not_granted_is_refused() {
    let host = Host::start(&web(""));
    assert_eq!(host.get("/database?default").await, (502, "Error::AccessDenied".to_owned()));
    host.logged("add \"default\" to component.web.sqlite_databases").await;
    assert_eq!(host.get("/key?a").await, (502, "Error::AccessDenied".to_owned()));
    host.logged("add \"default\" to component.web.key_value_stores").await;
}

#[tokio::test]
async fn grants_are_each_components_own() {
    let grants = "allowed_outbound_hosts = [\"http://inner.spin.internal\"]\nsqlite_databases = [\"default\"]";
    let host = Host::start(&format!("{}\n{}", web(grants), private("inner", "")));
    assert_eq!(host.ok("/database?default").await, "open");
    let inner = host.ok("/pass?http://inner.spin.internal/database?default").await;
    assert_eq!(inner, "Error::AccessDenied");
}

#[tokio::test]
async fn other_files_cannot_be_attached() {
    let host = Host::start(&web("sqlite_databases = [\"default\"]"));
    let (status, told) = host.get("/sqlite-sync?ATTACH%20'/tmp/other.db'%20AS%20other").await;
    assert_eq!(status, 502);
    assert!(told.contains("not authorized"), "{told}");
}

#[tokio::test]
async fn variables_come_from_flags_and_environment_only_as_the_manifest_says() {
    let manifest = format!(
        "{}\n[variables]\nname = {{ default = \"nobody\" }}\nkey = {{ required = true, secret = true }}\n",
        web("environment = { MODE = \"test\" }\n[component.web.variables]\ngreeting = \"hello {{ name }}\"")
    );
    let host = Host::start_with(&manifest, &["--variable", "key=hush", "--variable", "name=Ann"]);
    assert_eq!(host.ok("/variable?greeting").await, "hello Ann");
    assert_eq!(host.ok("/environment?MODE").await, "test");
    let (status, told) = host.get("/variable?key").await;
    assert_eq!(status, 502);
    assert!(told.contains("Undefined") && !told.contains("hush"), "{told}");
    assert!(!host.log().contains("hush"));
}

#[tokio::test]
async fn an_interface_that_only_spin_has_is_named_at_start_and_ends_the_instance_when_called() {
    let host = Host::start(&web(""));
    host.logged("[web] imports fermyon:spin/llm").await;
    assert_eq!(host.get("/infer").await, (500, String::new()));
    host.logged("infer is not served by the embedded host").await;
    assert_eq!(host.ok("/count").await, "1");
}

#[test]
fn an_import_that_nobody_has_is_named_with_its_component() {
    let manifest = web("").replace(&guest("everything"), &guest("asker"));
    let (code, said) = refused(&manifest, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("component \"web\"") && said.contains("fixture:answers/answers@1.0.0"), "{said}");
}

#[test]
fn a_start_that_cannot_work_says_why_and_fails() {
    let missing = web("").replace(".wasm", ".nowhere");
    let required = format!("{}\n[variables]\nkey = {{ required = true }}\n", web(""));
    let cases = [
        (missing, "is not built"),
        (required, "SPIN_VARIABLE_KEY"),
        (web("sqlite_databases = [\"other\"]"), "\"other\", which is not defined"),
        (web("allowed_outbound_hosts = [\"https://example.com/path\"]"), "path"),
        (web("unheard_of = true"), "unheard_of"),
        (web("").replace("component = \"web\"", "component = \"wob\""), "wob"),
    ];
    for (manifest, expected) in cases {
        let (code, said) = refused(&manifest, &[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(expected), "{expected:?} is not in: {said}");
    }
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("spin.toml");
    std::fs::write(&manifest, web("")).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_embedded-host"))
        .args(["up", "--listen", &address, "--from"])
        .arg(&manifest)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
}
