//! The database goes away while the app runs and comes back, or the app is not allowed to reach it.

use anyhow::{Context as _, Result};
use native_postgres::PostgresUrl;
use tests::{App, Event, Person, own_server, said, start_model, until};

use crate::on_postgres;

#[tokio::test]
async fn a_run_goes_on_through_a_restart_of_the_server() -> Result<()> {
    on_postgres!();
    let mut server = own_server()?;
    let options = start_model()?.options().variable("database_url", &server.create_database("app")?);
    let (_host, app) = App::own(options)?.context("a host of our own")?;
    let person = Person::in_app(&app).await?;
    let turn = person.ask("scripted-chunks=150-delay=20-ttft=0", "Hello").await?;
    let mut events = person.events(&turn.run).await?;
    let mut heard = events.through_tokens(20).await?;
    let restarting = tokio::task::spawn_blocking(move || {
        server.restart()?;
        anyhow::Ok(server)
    });
    heard.extend(events.until_broken().await);
    let _server = restarting.await??;
    // The executor waited for the server. If it had given up, the reader would come back for the rest.
    let seen = heard.iter().filter_map(|event| event.id).max();
    if let Some(rest) = person.events_after(&turn.run, seen).await? {
        heard.extend(rest.all().await?);
    }
    let counts: Vec<u64> = heard.iter().filter_map(|event| event.metadata("token_count").as_u64()).collect();
    assert_eq!(counts, (1..=150).collect::<Vec<_>>());
    assert_eq!(heard.last().map(Event::kind), Some("complete"));
    assert_eq!(said(&heard), person.answer(&turn).await?);
    Ok(())
}

#[tokio::test]
async fn without_the_server_the_app_says_so_and_recovers_by_itself() -> Result<()> {
    on_postgres!();
    let mut server = own_server()?;
    let options = start_model()?.options().variable("database_url", &server.create_database("app")?);
    let (_host, app) = App::own(options)?.context("a host of our own")?;
    let person = Person::in_app(&app).await?;
    // As after a crash: the server recovers from its log, and confirmed data is there.
    server.terminate()?;
    let refused = person.request(reqwest::Method::GET, "/api/conversations").send().await?;
    tests::problem(refused, 503, "unavailable").await?;
    let ready = app.request(reqwest::Method::GET, "/ready").send().await?;
    assert_eq!(ready.status(), 503);
    assert_eq!(app.request(reqwest::Method::GET, "/health").send().await?.status(), 200);
    server.restart()?;
    let ready = async || anyhow::Ok(app.request(reqwest::Method::GET, "/ready").send().await?.status() == 200);
    until("the app to be ready", async || Ok(ready().await?.then_some(()))).await?;
    let (turn, heard) = person.hear("scripted-chunks=5-delay=0-ttft=0", "Hello").await?;
    assert_eq!(said(&heard), person.answer(&turn).await?);
    Ok(())
}

#[tokio::test]
async fn migrations_that_take_longer_than_a_probe_waits_are_done_by_probes_alone() -> Result<()> {
    on_postgres!();
    let server = own_server()?;
    let address = server.create_database("app")?;
    // The longest migration makes eight views, and so takes longer than `/ready` waits for the database.
    let slow = "CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); END';
        CREATE EVENT TRIGGER slow ON ddl_command_end WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION slow()";
    address.parse::<PostgresUrl>()?.connect().await?.batch_execute(slow).await?;
    let options = start_model()?.options().variable("database_url", &address);
    let (_host, app) = App::own(options)?.context("a host of our own")?;
    let ready = async || anyhow::Ok(app.request(reqwest::Method::GET, "/ready").send().await?.status() == 200);
    assert!(!ready().await?, "the first probe should not have waited so long");
    until("the app to be ready", async || Ok(ready().await?.then_some(()))).await
}

#[tokio::test]
async fn a_server_that_database_host_does_not_name_is_not_asked_and_not_told_of() -> Result<()> {
    on_postgres!();
    let options = start_model()?.options().variable("database_host", "db.example.com:5432");
    let (_host, app) = App::own(options)?.context("a host of our own")?;
    let ready = app.request(reqwest::Method::GET, "/ready").send().await?;
    assert_eq!(ready.status(), 503);
    let told = ready.text().await?;
    assert!(told.contains("database_host does not allow the server") && !told.contains("127.0.0.1"), "{told}");
    Ok(())
}
