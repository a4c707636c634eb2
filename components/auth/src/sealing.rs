//! Gives the events of the audit log their places in the chain and signs its end (docs/adr/0040). This component does it, because it has the signing
//! key; `background.rs` says when. Must not keep anybody waiting.

use std::collections::BTreeMap;

use audit::chain::BATCH;
use identity::statement::About;
use storage::{Database, Store};
use web::{
    Result,
    log::{Level, log},
};

use crate::COMPONENT;

/// Batches one after the other, for an installation whose events wait since before there was a chain. The next look goes on.
const MAX_BATCHES: u32 = 20;

/// Seals what waits, in batches. Another host may do so at the same time: one of two equal batches counts. The head is logged: whoever keeps logs
/// elsewhere can tell later whether the end of the record was cut off.
pub(crate) async fn seal<D: Database>(store: &Store<D>, signing_key: &str) -> Result<()> {
    let mut has_backlog = store.has_audit_backlog().await?;
    for _ in 0..MAX_BATCHES {
        has_backlog = has_backlog && store.take_audit_backlog(BATCH).await?;
        let Some(arrivals) = store.audit_arrivals(BATCH).await? else {
            if has_backlog {
                continue;
            }
            return Ok(());
        };
        let extended = audit::chain::extend(&arrivals.head, &arrivals.events, arrivals.now.as_millis());
        let Some((links, claims)) = extended else { return Ok(()) };
        let (issuer, now) = web::issuing::issuer(COMPONENT, store, signing_key).await?;
        let signature = issuer.sign_statement(About::AuditSeal, claims.clone(), now)?;
        // A head that another host's batch has taken the place of never came to be.
        if !store.seal_audit(&links, &claims, (issuer.id(), &signature)).await? {
            return Ok(());
        }
        let head = format!("{}:{}", claims.last, claims.hash);
        log(COMPONENT, Level::Info, "the audit log is sealed", BTreeMap::from([("head", head)]));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use audit::{
        chain::SealClaims,
        verification::{CheckedSeal, Verification},
    };
    use futures::executor::block_on;
    use identity::statement::StatementVerifier;
    use router_test::Fixture;
    use storage::audit::AuditEvent;

    use super::*;

    #[test]
    fn what_waits_is_sealed_once_with_the_signing_key_and_can_be_verified() {
        let fixture = Fixture::default();
        let (user, _) = fixture.person("a@example.org");
        let store = fixture.app.store();
        for _ in 0..BATCH + 1 {
            block_on(store.append_audit(&AuditEvent::new(user.id, "a.b", "s"))).unwrap();
        }
        for _ in 0..2 {
            block_on(seal(store, "")).unwrap();
        }
        let keys = block_on(store.all_public_keys()).unwrap();
        let verifier = StatementVerifier::new(keys.iter().map(|(id, jwk)| (id.as_str(), jwk.as_str())));
        let seals = block_on(store.audit_seals(0, i64::MAX, 10)).unwrap();
        assert_eq!(seals.len(), 2);
        let checked = seals.into_iter().map(|seal| CheckedSeal {
            first_position: seal.first_position,
            claims: verifier.verified::<SealClaims>(About::AuditSeal, &seal.signature),
            retired_at: None,
        });
        let mut verification = Verification::new(None);
        verification.page(block_on(store.audit_links(0, BATCH + 2)).unwrap(), checked.collect());
        let verified = verification.finish();
        assert_eq!((verified.findings.as_slice(), verified.head.position), ([].as_slice(), i64::from(BATCH) + 1));
    }
}
