//! The encryption of what people type: the work on it that nobody waits for, and what an operator should know of it.
//!
//! Nothing is encrypted here: `storage` does that.

use std::{
    cell::Cell,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use platform::{instance, sleep, within};
use storage::{Database, StorageError, Store, master_keys::MasterKeyUse, master_sealed::Resealed};
use web::{
    App,
    log::{Level, log},
    settings::Check,
};

use crate::COMPONENT;

/// How often an instance looks for work. What there is to do is hours or days old.
const PAUSE: Duration = Duration::from_secs(60);
/// The same after an error: the database may have been busy.
const AFTER_ERROR: Duration = Duration::from_secs(5);
/// How long an instance works at once. Then the next request, or the next question of `/ready`, lets it go on.
const WORK: Duration = Duration::from_secs(2);
/// Between two steps, requests have their turn: a step of SQLite lets nothing else of the instance run.
const STEP_PAUSE: Duration = Duration::from_millis(10);
/// A database that takes longer is the business of its own check.
const CHECK_LIMIT: Duration = Duration::from_secs(1);

/// The check of the master keys, and that of what they wrap.
const MASTER_KEY: &str = "master_key";
const ENCRYPTION: &str = "encryption";

thread_local! {
    static NEXT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Goes on with what is to be encrypted, after a response, also to `/ready`: an installation that nobody uses is asked whether it is ready.
pub(crate) fn go_on<D: Database + 'static>(app: App<D>) {
    let now = Instant::now();
    if NEXT.get().is_some_and(|next| now < next) {
        return;
    }
    NEXT.set(now.checked_add(PAUSE));
    platform::spawn(async move {
        let mut resealed = Resealed::default();
        sleep(STEP_PAUSE).await;
        while now.elapsed() < WORK {
            match step(app.store(), &mut resealed).await {
                Ok(true) => sleep(STEP_PAUSE).await,
                Ok(false) => return,
                Err(error) => {
                    let cause = BTreeMap::from([("cause", error.to_string())]);
                    log(COMPONENT, Level::Error, "what is stored could not be encrypted further", cause);
                    NEXT.set(Instant::now().checked_add(AFTER_ERROR));
                    return;
                }
            }
        }
        NEXT.set(None);
    });
}

async fn step(store: &Store<impl Database>, resealed: &mut Resealed) -> Result<bool, StorageError> {
    if !store.has_encryption_work().await? {
        return Ok(false);
    }
    if store.seal_next_rows().await?
        || store.rewrap_next_keys().await?
        || store.reseal_next_with_master(resealed).await?
    {
        return Ok(true);
    }
    store.forget_master_keys().await?;
    store.forget_former_data_keys().await?;
    Ok(false)
}

/// What an operator should know, for `/ready`.
pub(crate) async fn checks() -> Vec<Check> {
    let checked = within(CHECK_LIMIT, async {
        let app = instance::app(COMPONENT).await.ok()?;
        Some(state(app.store()).await)
    });
    let unknown =
        || vec![Check::warning(ENCRYPTION, "The state of the encryption could not be read in time.".to_owned())];
    checked.await.flatten().unwrap_or_else(unknown)
}

async fn state(store: &Store<impl Database>) -> Vec<Check> {
    if let Some(error) = store.master_key().fault() {
        let detail = format!(
            "master_key is not valid, so nothing of what people typed can be read: {error}. Make one: openssl rand -base64 32."
        );
        return vec![Check::new(MASTER_KEY, Err(detail))];
    }
    let checks = async {
        let keys = store.master_keys().await?;
        Ok::<_, StorageError>(vec![master_key(store, &keys), encryption(store, &keys).await?])
    };
    checks.await.unwrap_or_else(|error| vec![Check::new(ENCRYPTION, Err(said(&error)))])
}

fn said(error: &StorageError) -> String {
    log(COMPONENT, Level::Error, "the keys cannot be read", BTreeMap::from([("cause", error.to_string())]));
    "The state of the encryption cannot be read: the log says why.".to_owned()
}

fn master_key(store: &Store<impl Database>, keys: &[MasterKeyUse]) -> Check {
    let missing: Vec<String> = keys
        .iter()
        .filter(|key| !key.is_known && (key.uses > 0 || key.own > 0))
        .map(|key| format!("{} (of {} people, and {} keys of the installation)", key.id, key.uses, key.own))
        .collect();
    if !missing.is_empty() {
        let detail = format!(
            "What people typed cannot be read, or nobody can log in, because these master keys are missing: {}. Put them back into master_key, behind the one that wraps.",
            missing.join(", ")
        );
        return Check::new(MASTER_KEY, Err(detail));
    }
    if store.master_key().is_empty() {
        let detail = "master_key is not set: the key that opens what people typed lies in the database beside it, so whoever copies the database can read \
                      it. Set SPIN_VARIABLE_MASTER_KEY (openssl rand -base64 32), and keep it apart from copies of the database.";
        return Check::warning(MASTER_KEY, detail.to_owned());
    }
    let forgotten: Vec<&str> = keys.iter().filter(|key| !key.is_known).map(|key| key.id.as_str()).collect();
    if !forgotten.is_empty() {
        let detail = format!(
            "Keys of providers of models, webhooks, and secrets that an earlier release stored cannot be used, because these master keys are missing: {}. Put them \
             back into master_key, or have them entered again.",
            forgotten.join(", ")
        );
        return Check::warning(MASTER_KEY, detail);
    }
    let unneeded: Vec<&str> = keys
        .iter()
        .filter(|key| !key.wraps && key.uses == 0 && key.secrets == 0 && key.own == 0)
        .map(|key| key.id.as_str())
        .collect();
    if unneeded.is_empty() {
        Check::new(MASTER_KEY, Ok(()))
    } else {
        Check::warning(MASTER_KEY, format!("Nothing needs these master keys any more: {}.", unneeded.join(", ")))
    }
}

async fn encryption(store: &Store<impl Database>, keys: &[MasterKeyUse]) -> Result<Check, StorageError> {
    let (replaced, skipped) = (store.former_data_keys().await?, store.unsealable_rows().await?);
    if replaced > 0 {
        let detail = format!(
            "The data keys of {replaced} people are being replaced: what the former ones opened is encrypted anew, which takes an hour or more. \
             {skipped} rows wait for it, because the keys of their people cannot be used."
        );
        return Ok(Check::warning(ENCRYPTION, detail));
    }
    if let Some(progress) = store.sealing_progress().await? {
        let detail = format!(
            "What was stored until an hour after the upgrade is being encrypted from then on: {} of {} rows are. The rest can be read in the database.",
            progress.seen, progress.total
        );
        return Ok(Check::warning(ENCRYPTION, detail));
    }
    if skipped > 0 {
        let detail = format!(
            "{skipped} rows of an earlier release can still be read in the database: the keys of their people cannot be used. If a master key is \
             missing, put it back; the rows are looked at again each day."
        );
        return Ok(Check::warning(ENCRYPTION, detail));
    }
    let older: i64 = keys.iter().filter(|key| key.is_known && !key.wraps).map(|key| key.uses + key.own).sum();
    Ok(if older == 0 {
        Check::new(ENCRYPTION, Ok(()))
    } else {
        let detail = format!(
            "{older} keys, of people or of the installation, are being wrapped by the new master key. Until then, keep the older ones."
        );
        Check::warning(ENCRYPTION, detail)
    })
}

#[cfg(test)]
mod tests {
    use storage::{MasterKey, Store};
    use web::settings::Status;

    use super::*;

    const OLD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const NEW: &str = "HxAAAAQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn ready_says_what_the_keys_mean_and_what_to_do() {
        let fixture = router_test::Fixture::default();
        let (user, _) = fixture.person("ada@example.org");
        futures::executor::block_on(async {
            let with = |key: &str| Store::with_master_key(fixture.another_connection(), MasterKey::new(key.to_owned()));
            let told = async |key: &str| {
                let checks = state(&with(key)).await;
                checks.into_iter().map(|check| (check.status, check.detail.unwrap_or_default())).collect::<Vec<_>>()
            };
            let unset = told("").await;
            assert!(unset[0].0 == Status::Warning && unset[0].1.contains("whoever copies"), "{unset:?}");
            let wrong = told("words that are no key").await;
            assert!(
                wrong.len() == 1 && wrong[0].0 == Status::Failed && wrong[0].1.contains("openssl rand"),
                "{wrong:?}"
            );
            with(OLD).create_conversation(user.id, "planted", None).await.unwrap();
            assert!(told(OLD).await.iter().all(|(status, _)| *status == Status::Ok));
            let lost = told(NEW).await;
            assert!(lost[0].0 == Status::Failed && lost[0].1.contains("630dcd2966c43366"), "{lost:?}");
            // A key that sealed only secrets of an earlier release, and was removed on purpose.
            let database = fixture.another_connection();
            let sealed = "INSERT INTO tool_secrets (user_id, server, name, sealed, updated_at) VALUES (?1, 's', 'n', 'v1.0123456789abcdef.x', 0)";
            database.query(storage::Statement::new("t", sealed, [user.id.into()])).await.unwrap();
            let removed = told(OLD).await;
            assert!(removed[0].0 == Status::Warning && removed[0].1.contains("0123456789abcdef"), "{removed:?}");
            database.query(storage::Statement::new("t", "DELETE FROM tool_secrets", [])).await.unwrap();
            let both = format!("{NEW},{OLD}");
            let rotating = told(&both).await;
            assert!(rotating[1].0 == Status::Warning && rotating[1].1.contains("keep the older"), "{rotating:?}");
            assert!(step(&with(&both), &mut Resealed::default()).await.unwrap());
            let rotated = told(&both).await;
            assert!(rotated[0].1.contains("630dcd2966c43366") && rotated[1].0 == Status::Ok, "{rotated:?}");
            assert!(told(NEW).await.iter().all(|(status, _)| *status == Status::Ok));
        });
    }
}
