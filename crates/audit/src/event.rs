//! An event as it is stored, and the digests that stand for it in the chain. Must not change what a digest covers: stored ones would not fit any more.

use crate::sha256;

/// A stored event. The texts are as in the database, so that what is checked is what is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredEvent {
    /// Its id.
    pub id: String,
    /// When it was done, in milliseconds since the epoch.
    pub at: i64,
    /// The account that acted, or for which the app acted.
    pub user_id: String,
    /// The action, such as `tool.call`.
    pub action: String,
    /// The object of the action.
    pub subject: String,
    /// The run of the action.
    pub run_id: Option<String>,
    /// The model's id of the call.
    pub call_id: Option<String>,
    /// A code for the result.
    pub outcome: String,
    /// More, in events of releases before the chain. Later ones have it apart, so that it can be erased.
    pub detail: Option<String>,
    /// What stands for the detail that is kept apart: [`detail_digest`].
    pub detail_digest: Option<String>,
}

impl StoredEvent {
    /// The digest of the event: SHA-256 of its fields as a JSON array, in the order of this type. A detail that is kept apart is in it by its own
    /// digest, so the event still fits after the detail was erased.
    #[must_use]
    pub fn digest(&self) -> String {
        let Self { id, at, user_id, action, subject, run_id, call_id, outcome, detail, detail_digest } = self;
        let fields =
            serde_json::json!([id, at, user_id, action, subject, run_id, call_id, outcome, detail, detail_digest]);
        sha256(&fields.to_string())
    }
}

/// What stands for a detail: SHA-256 of a random salt and the detail. Details are short and can be guessed; without the salt nobody can try.
#[must_use]
pub fn detail_digest(salt: &str, detail: &str) -> String {
    sha256(&serde_json::json!([salt, detail]).to_string())
}

/// A new salt of 128 bits.
///
/// # Errors
/// The host gives no random numbers.
pub fn salt() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_in_the_digest_and_none_can_take_the_place_of_another() {
        let event = StoredEvent {
            id: "1".into(),
            at: 2,
            user_id: "u".into(),
            action: "a".into(),
            subject: "s".into(),
            run_id: None,
            call_id: None,
            outcome: "ok".into(),
            detail: None,
            detail_digest: None,
        };
        let some = || Some("x".to_owned());
        let others = [
            StoredEvent { id: "2".into(), ..event.clone() },
            StoredEvent { at: 3, ..event.clone() },
            StoredEvent { user_id: "v".into(), ..event.clone() },
            StoredEvent { action: "as".into(), subject: String::new(), ..event.clone() },
            StoredEvent { subject: "t".into(), ..event.clone() },
            StoredEvent { run_id: some(), ..event.clone() },
            StoredEvent { call_id: some(), ..event.clone() },
            StoredEvent { outcome: "no".into(), ..event.clone() },
            StoredEvent { detail: some(), ..event.clone() },
            StoredEvent { detail_digest: some(), ..event.clone() },
            event,
        ];
        let digests: std::collections::BTreeSet<String> = others.iter().map(StoredEvent::digest).collect();
        assert_eq!(digests.len(), others.len());
        // Anybody can compute it: docs/audit.md says how.
        assert_eq!(digests.iter().next().map(String::len), Some(64));
    }

    #[test]
    fn a_detail_is_hidden_by_its_salt() {
        let (one, other) = (salt().unwrap(), salt().unwrap());
        assert_ne!(one, other);
        assert_ne!(detail_digest(&one, "admin"), detail_digest(&other, "admin"));
        assert_eq!(detail_digest(&one, "admin"), detail_digest(&one, "admin"));
    }
}
