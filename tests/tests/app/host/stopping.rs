//! The host is told to stop with SIGTERM: it accepts nothing new and lets running work end. Spin ends at once, so its runs are taken over as after a
//! kill.

use anyhow::Result;
use tests::{App, Event, Host, Options, Person, said, start_model};

/// A host that drains, and its app; `None` if there is none.
fn draining(options: Options) -> Result<Option<(Host, App)>> {
    if Host::drains() { App::own(options) } else { Ok(None) }
}

#[tokio::test]
async fn a_stream_is_finished_before_the_host_ends() -> Result<()> {
    let Some((mut host, app)) = draining(start_model()?.options())? else { tests::skip!("needs a host that drains") };
    let person = Person::in_app(&app).await?;
    let turn = person.ask("scripted-chunks=60-delay=20-ttft=0", "Hello").await?;
    let mut events = person.events(&turn.run).await?;
    let mut heard = events.through_tokens(3).await?;
    host.terminate()?;
    heard.extend(events.all().await?);
    assert_eq!(heard.last().map(Event::kind), Some("complete"));
    let exit = host.wait()?;
    assert_eq!(exit.code, Some(0), "{}", exit.errors);

    host.restart()?;
    let person = Person { app: App::of(&host), ..person };
    assert_eq!(person.answer(&turn).await?, said(&heard));
    Ok(())
}

#[tokio::test]
async fn a_run_that_nobody_reads_is_finished_before_the_host_ends() -> Result<()> {
    let Some((mut host, app)) = draining(start_model()?.options())? else { tests::skip!("needs a host that drains") };
    let person = Person::in_app(&app).await?;
    let turn = person.ask("scripted-chunks=60-delay=20-ttft=0", "Hello").await?;
    let mut events = person.events(&turn.run).await?;
    events.through_tokens(3).await?;
    drop(events);
    host.terminate()?;
    let exit = host.wait()?;
    assert_eq!(exit.code, Some(0), "{}", exit.errors);
    host.restart()?;
    let person = Person { app: App::of(&host), ..person };
    assert_eq!(person.run(&turn.run).await?["state"], "complete");
    Ok(())
}

#[tokio::test]
async fn a_host_with_nothing_to_do_ends_at_once() -> Result<()> {
    let Some((mut host, app)) = draining(start_model()?.options())? else { tests::skip!("needs a host that drains") };
    Person::in_app(&app).await?;
    host.terminate()?;
    let exit = host.wait()?;
    assert_eq!(exit.code, Some(0), "{}", exit.errors);
    Ok(())
}
