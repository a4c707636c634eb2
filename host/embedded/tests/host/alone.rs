//! Components of WASI 0.2 have an instance for each request: nothing is left of one, and a trap ends nobody else.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::harness::{Host, guest, private, read, web};

fn manifest() -> String {
    format!(
        "spin_manifest_version = 2\n[application]\nname = \"fixture\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"alone\"\n[component.alone]\nsource = {:?}\n",
        guest("alone")
    )
}

#[tokio::test]
async fn each_request_has_an_instance_of_its_own_and_its_whole_body() {
    let host = Host::start(&manifest());
    for length in [0, 1, 300_000] {
        let body = Full::new(Bytes::from(vec![7; length]));
        let response = host.send(Request::post("/").body(body).unwrap()).await;
        assert_eq!(read(response).await, (200, format!("request 1, {length} bytes")));
    }
}

#[tokio::test]
async fn a_trap_ends_one_request_and_no_other() {
    let host = Host::start(&manifest());
    let (trapped, other) = tokio::join!(host.get("/trap"), host.get("/"));
    assert_eq!(trapped, (500, String::new()));
    assert_eq!(other, (200, "request 1, 0 bytes".to_owned()));
    host.logged("[alone] an instance ended").await;
}

#[tokio::test]
async fn a_component_of_wasi_0_3_calls_one_of_0_2() {
    let grants = "allowed_outbound_hosts = [\"http://inner.spin.internal\"]";
    let inner = private("inner", "").replace(&guest("everything"), &guest("alone"));
    let host = Host::start(&format!("{}\n{inner}", web(grants)));
    for _ in 0..2 {
        assert_eq!(host.ok("/pass?http://inner.spin.internal/").await, "request 1, 0 bytes");
    }
}
