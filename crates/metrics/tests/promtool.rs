//! Prometheus' own checker reads what is written: `promtool`, of Debian's package `prometheus`, which `cargo dev test` fetches into `target/promtool`. It is
//! skipped where there is none, unless `EA_REQUIRE_PROMTOOL=1`.

use std::{
    env, fs,
    io::ErrorKind,
    path::Path,
    process::{Command, Stdio},
};

#[test]
fn promtool_finds_nothing_to_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let text = fs::File::open(folder.join("prometheus.txt")).unwrap();
    let fetched = folder.join("../../../target/promtool/usr/bin/promtool");
    let program = if fetched.exists() { fetched } else { "promtool".into() };
    let checked = Command::new(program).args(["check", "metrics"]).stdin(Stdio::from(text)).output();
    let is_required = env::var_os("EA_REQUIRE_PROMTOOL").is_some_and(|value| value == "1");
    match checked {
        Ok(checked) => {
            let said =
                String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
            assert!(checked.status.success() && said.trim().is_empty(), "{said}");
        }
        Err(error) if error.kind() == ErrorKind::NotFound && !is_required => {
            eprintln!("SKIPPED: there is no promtool: apt-get install prometheus");
        }
        Err(error) => panic!("promtool cannot be run: {error}"),
    }
}
