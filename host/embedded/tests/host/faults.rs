//! A faulty guest harms only its own instance.

use crate::harness::{Host, next_piece, private, web};

#[tokio::test]
async fn a_trap_is_a_bare_500_and_other_components_go_on() {
    let grants = "allowed_outbound_hosts = [\"http://inner.spin.internal\"]";
    let host = Host::start(&format!("{}\n{}", web(grants), private("inner", "")));
    let mut streaming = host.open("/stream").await;
    assert_eq!(next_piece(&mut streaming).await.unwrap(), "one\n");
    assert_eq!(host.ok("/get?http://inner.spin.internal/trap?here").await, "500 Internal Server Error");
    assert_eq!(next_piece(&mut streaming).await.unwrap(), "two\n");
    host.logged("[inner] an instance ended").await;
    // The backtrace names the guest's function.
    host.logged("fixture_everything::trap").await;
    host.logged("asked to trap here").await;
}

#[tokio::test]
async fn the_next_request_after_a_trap_gets_a_new_instance() {
    let host = Host::start(&web(""));
    assert_eq!(host.ok("/count").await, "1");
    assert_eq!(host.get("/trap").await, (500, String::new()));
    assert_eq!(host.ok("/count").await, "1");
}

#[tokio::test]
async fn a_guest_that_takes_all_memory_is_refused_more_and_the_host_goes_on() {
    let host = Host::start(&web(""));
    let told = host.ok("/eat").await;
    let eaten: u32 = told.trim_start_matches("ate ").trim_end_matches(" MiB").parse().unwrap();
    assert!((128..=256).contains(&eaten), "{told}");
    host.logged("refused more memory").await;
    assert!(host.ok("/count").await.parse::<u32>().is_ok());
}

#[tokio::test]
async fn a_guest_that_loops_holds_up_nobody_and_is_ended() {
    let host = Host::start_with(&web(""), &["--max-cpu-time", "1s"]);
    // More loops than there are cores.
    let loops = async { tokio::join!(host.get("/loop"), host.get("/loop"), host.get("/loop"), host.get("/loop")) };
    let others = async {
        // While they loop: each request finds a free instance.
        for _ in 0..20 {
            assert!(host.ok("/count").await.parse::<u32>().is_ok());
        }
    };
    let ((first, ..), ()) = tokio::join!(loops, others);
    assert_eq!(first, (500, String::new()));
    host.logged("without waiting for anything").await;
}

#[tokio::test]
async fn a_guest_that_waits_is_not_taken_for_one_that_loops() {
    let host = Host::start_with(&web(""), &["--max-cpu-time", "50ms"]);
    assert_eq!(host.ok("/sleep?300").await, "slept");
}
