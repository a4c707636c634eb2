//! Work that nobody waits for: sealing the audit log, erasing accounts, deleting conversations whose time is over, having webhooks sent, texts
//! indexed and what is left of files removed, encrypting private keys, and adding up metrics. This component does it after its own requests and whenever `/ready` asks about its settings, so every few seconds
//! where somebody watches the installation (docs/adr/0040 to 0043, 0049, 0050, 0054, 0056). The database decides whose work counts.

use std::{
    cell::Cell,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use platform::variables::variable;
use storage::{Database, Store};
use web::{
    App, Result,
    log::{Level, log},
};

use crate::{COMPONENT, erasure, revocation, sealing};

/// The time between two looks of one instance: what happens meanwhile waits.
const INTERVAL: Duration = Duration::from_secs(5);
/// Time for the response to leave, and for its event to arrive.
const AFTER_RESPONSE: Duration = Duration::from_millis(250);
/// Steps in one look, each some statements: the next look goes on.
const MAX_EXPIRY_STEPS: u32 = 100;

/// The time between two looks at what does not hurry: private keys after an upgrade or a change of the master key, sessions of long ago, and counts that
/// nobody reads.
const TIDY_INTERVAL: Duration = Duration::from_secs(60);

thread_local! {
    static LOOKED: Cell<Option<Instant>> = const { Cell::new(None) };
    static TIDIED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Does what is due, after the response, unless this instance has just looked. A failure is logged; what is due waits for the next look.
pub(crate) fn soon() {
    if LOOKED.get().is_some_and(|looked| looked.elapsed() < INTERVAL) {
        return;
    }
    LOOKED.set(Some(Instant::now()));
    platform::spawn(async move {
        platform::sleep(AFTER_RESPONSE).await;
        match platform::instance::app(COMPONENT).await {
            Ok(app) => work(&app, &variable("signing_key").await).await,
            Err(error) => note(Err(error.into())),
        }
    });
}

/// One read, and nothing else while there is nothing to do. What fails does not keep the other from being done.
async fn work<D: Database + 'static>(app: &App<D>, signing_key: &str) {
    let store = app.store();
    let work = match store.background_work().await {
        Ok(work) => work,
        Err(error) => return note(Err(error.into())),
    };
    if work.sends {
        platform::webhooks::wake(COMPONENT, app);
    }
    if work.indexes {
        platform::search::wake(COMPONENT, app);
    }
    if work.sweeps {
        platform::files::wake(COMPONENT, app);
    }
    if work.erases {
        let revoke = async |user_id| revocation::revoke(app, user_id).await;
        note(erasure::erase_due(store, signing_key, revoke).await);
    }
    if work.expires {
        note(expire(store).await);
    }
    if work.seals {
        note(sealing::seal(store, signing_key).await);
    }
    if TIDIED.get().is_none_or(|tidied| tidied.elapsed() >= TIDY_INTERVAL) {
        TIDIED.set(Some(Instant::now()));
        note(forget_sessions(store).await);
        note(store.seal_own_secrets().await.map(drop).map_err(Into::into));
        note(store.fold_metrics().await.map_err(Into::into));
    }
}

/// Deletes conversations whose time is over. Tasks of theirs that go on elsewhere are stopped by `tools`, with the next that it has to stop.
async fn expire<D: Database>(store: &Store<D>) -> Result<()> {
    for _ in 0..MAX_EXPIRY_STEPS {
        if !store.expire_next().await? {
            break;
        }
    }
    Ok(())
}

/// Deletes sessions whose time was over eight days ago.
async fn forget_sessions<D: Database>(store: &Store<D>) -> Result<()> {
    for _ in 0..MAX_EXPIRY_STEPS {
        if !store.forget_old_sessions().await? {
            break;
        }
    }
    Ok(())
}

fn note(done: Result<()>) {
    if let Err(error) = done {
        let cause = error.causes().unwrap_or_default();
        log(COMPONENT, Level::Error, "work in the background failed", BTreeMap::from([("cause", cause)]));
    }
}
