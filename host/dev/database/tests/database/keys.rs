//! Keys are listed and rotated in a database that is in use.

use crate::places::{Place, content};

#[test]
fn keys_are_rotated_once_an_hour_and_revoked_at_any_time() {
    for place in Place::all() {
        place.succeed(&["migrate"]);
        place.refuse(&["keys", "rotate"], "there is none yet");
        place.execute(vec![
            "INSERT INTO signing_keys (id, public_key, private_key, created_at) VALUES ('first', 'public', 'hidden half', 1)".to_owned(),
            "INSERT INTO inside_keys (id, caller, public_key, private_key, created_at) VALUES ('of tools', 'tools', 'public', 'hidden half', 1)".to_owned(),
        ]);
        let told = place.succeed(&["keys", "list"]);
        assert!(told.contains("tokens first current") && told.contains("inside of tools current"), "{told}");
        let told = place.succeed(&["keys", "rotate"]);
        assert!(told.contains(" verifies, made") && told.contains("tokens first current, counts for 6"), "{told}");
        assert!(!told.contains("hidden half"), "{told}");
        place.refuse(&["keys", "rotate"], "within the last hour");
        let told = place.succeed(&["keys", "rotate", "--purpose", "inside"]);
        assert!(told.contains("inside of tools verifies"), "{told}");
        let told = place.succeed(&["keys", "rotate", "--revoke"]);
        assert!(told.contains("tokens first retired") && told.contains(" current, made"), "{told}");
        assert_eq!(content(&place, "audit_events").len(), 3, "each rotation is recorded");
    }
}
