//! What a host does while nobody waits for it. It is killed while it erases somebody, and while it sends a copy: the next one goes on, and a copy that
//! broke off says so. Conversations whose time is over go by themselves.

use anyhow::{Context as _, Result};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{App, Host, Person, array, is_postgres, start_model, text, until};

/// A few more than a host erases at once: it pauses before the last of them, so however late it is killed, it is in the middle.
const TO_ERASE: u32 = 4_020;
/// Some megabytes.
const TO_COPY: u32 = 2_000;
const LONG_TITLE_CHARS: u32 = 4_096;
const SHORT_TITLE_CHARS: u32 = 32;

/// Gives somebody more conversations than anybody would begin here, with titles that cannot be compressed.
async fn fill(host: &Host, person: &Person, conversations: u32, title_chars: u32) -> Result<()> {
    let user = text(&person.user, "/id")?;
    let random = if is_postgres() {
        format!(
            "(SELECT string_agg(md5(CAST(random() AS text) || CAST(i * s AS text)), '') FROM generate_series(1, {}) AS s)",
            title_chars / 32
        )
    } else {
        format!("lower(hex(randomblob({})))", title_chars / 2)
    };
    host.in_database(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {conversations})
         INSERT INTO conversations (id, user_id, title, created_at, updated_at)
         SELECT '00000000-0000-7000-8000-' || substr(CAST(i + 1000000000000 AS text), 2), '{user}', {random}, i, i FROM n"
    ))
    .await?;
    Ok(())
}

/// How many conversations somebody has in the database.
async fn left(host: &Host, person: &Person) -> Result<u32> {
    let user = text(&person.user, "/id")?;
    let rows = host.in_database(&format!("SELECT COUNT(*) FROM conversations WHERE user_id = '{user}'")).await?;
    Ok(rows.first().and_then(|row| row.first()).context("a count")?.parse()?)
}

#[tokio::test]
async fn whoever_is_being_erased_when_the_host_dies_is_erased_by_the_next_one() -> Result<()> {
    let options = start_model()?.options().variable("erasure_grace_days", "0");
    let Some((mut host, app)) = App::own(options)? else { tests::skip!("needs a host to kill") };
    let (admin, person) = (Person::in_app(&app).await?, Person::in_app(&app).await?);
    admin.converse("scripted").await?;
    fill(&host, &person, TO_ERASE, SHORT_TITLE_CHARS).await?;
    let proof = json!({"password": Person::PASSWORD});
    let asked = person.request(Method::DELETE, "/api/account").json(&proof).send().await?;
    assert_eq!(asked.status(), StatusCode::ACCEPTED);
    let token = json!({"receipt_token": asked.json::<Value>().await?["receipt_token"]});
    let receipt = async |app: &App| {
        let answer = app.request(Method::POST, "/api/account/receipt").json(&token).send().await?;
        anyhow::ensure!(answer.status() == StatusCode::OK, "the receipt: {}", answer.status());
        Ok(answer.json::<Value>().await?["receipt"].as_str().map(str::to_owned))
    };
    until("the first of it to be gone", async || {
        receipt(&app).await?;
        Ok((left(&host, &person).await? < TO_ERASE).then_some(()))
    })
    .await?;
    host.kill()?;
    let before = left(&host, &person).await?;
    assert!(before > 0, "it was killed in the middle");
    // The dead host's turn lasts for a minute.
    host.in_database("UPDATE erasures SET leased_until = 0").await?;
    host.restart()?;
    let app = App::of(&host);
    until("the receipt", async || receipt(&app).await).await?;
    assert_eq!(left(&host, &person).await?, 0);
    let user = text(&person.user, "/id")?;
    let counted = host.in_database(&format!("SELECT inventory FROM erasures WHERE user_id = '{user}'")).await?;
    assert!(counted.concat().concat().contains(&format!("\"conversations\":{TO_ERASE}")), "{counted:?}");
    let gone = json!({"email": person.email, "password": Person::PASSWORD});
    let gone = app.request(Method::POST, "/auth/login").json(&gone).send().await?;
    assert_eq!(gone.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(left(&host, &admin).await?, 1, "everybody else keeps what is theirs");
    Ok(())
}

#[tokio::test]
async fn a_copy_that_breaks_off_says_so_and_can_be_asked_for_again() -> Result<()> {
    let Some((mut host, app)) = App::own(start_model()?.options())? else { tests::skip!("needs a host to kill") };
    let mut person = Person::in_app(&app).await?;
    fill(&host, &person, TO_COPY, LONG_TITLE_CHARS).await?;
    let mut copy = person.request(Method::GET, "/api/account/export").send().await?;
    assert_eq!(copy.status(), StatusCode::OK);
    copy.chunk().await?.context("the first of it")?;
    host.kill()?;
    let broke_off = async {
        while copy.chunk().await?.is_some() {}
        Ok::<_, reqwest::Error>(())
    };
    assert!(broke_off.await.is_err(), "it looks whole");
    host.restart()?;
    person.app = App::of(&host);
    let again = person.request(Method::GET, "/api/account/export").send().await?.bytes().await?;
    assert!(again.windows(4).any(|bytes| bytes == b"PK\x05\x06"), "it has its end");
    assert!(again.len() > (TO_COPY * LONG_TITLE_CHARS / 2) as usize, "{}", again.len());
    Ok(())
}

#[tokio::test]
async fn conversations_whose_time_is_over_go_by_themselves_and_temporary_ones_are_in_no_list() -> Result<()> {
    let Some((host, app)) = App::own(start_model()?.options())? else { tests::skip!("needs a host of its own") };
    let person = Person::in_app(&app).await?;
    let turn = person.ask("scripted-delay=1", "For a while").await?;
    person.events(&turn.run).await?.all().await?;
    let temporary = person.post("/api/conversations", &json!({"temporary": true})).await?;
    let temporary = text(&temporary.json().await?, "/id")?;
    let listed = async || anyhow::Ok(array(&person.get("/api/conversations").await?, "/items")?.len());
    assert_eq!((listed().await?, left(&host, &person).await?), (1, 2));
    let rule = json!({"subject": "installation", "days": 1});
    let set = person.request(Method::PUT, "/api/admin/retention").json(&rule).send().await?;
    assert_eq!(set.status(), StatusCode::OK);
    let path = format!("/api/conversations/{}", turn.conversation);
    assert!(person.get(&path).await?["expires_at"].is_string());
    // Days pass.
    for sql in [
        "UPDATE retention_rules SET counts_at = 1",
        "UPDATE conversations SET updated_at = 1",
        "UPDATE runs SET updated_at = 1, lease_expires_at = 1",
        "UPDATE conversation_lifetimes SET check_at = 1",
    ] {
        host.in_database(sql).await?;
    }
    until("both to be gone", async || {
        // Somebody comes by.
        person.get("/auth/me").await?;
        Ok((left(&host, &person).await? == 0).then_some(()))
    })
    .await?;
    for gone in [path, format!("/api/conversations/{temporary}")] {
        assert_eq!(person.request(Method::GET, &gone).send().await?.status(), StatusCode::NOT_FOUND);
    }
    let records = person.get("/api/admin/audit").await?;
    let records = array(&records, "/items")?;
    let reasons = records.iter().filter(|record| record["action"] == "conversations.expire");
    let mut reasons: Vec<String> =
        reasons.map(|record| format!("{} {}", record["subject"], record["detail"])).collect();
    reasons.sort();
    assert_eq!(reasons, [r#""rule" "count=1""#, r#""temporary" "count=1""#]);
    Ok(())
}
