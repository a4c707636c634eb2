//! What a token of a component proves, and what it does not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use inside_token::{About, Call, InvalidToken, Keys, LIFETIME_S, Signer};
use jwt_simple::prelude::{Claims, Duration, Ed25519KeyPair, EdDSAKeyPairLike as _};

const NOW_MS: i64 = 1_800_000_000_000;

const ABOUT: About<'static> = About { user_id: Some("ada"), request_id: "run-1" };

fn after(seconds: i64) -> i64 {
    NOW_MS + seconds * 1000
}

#[test]
fn a_token_says_who_calls_for_whom_and_in_which_run() {
    let stream = Signer::generate("stream");
    let keys = Keys::new([Signer::generate("chat").public_key(), stream.public_key()]);
    let token = stream.sign("tools", ABOUT, NOW_MS).unwrap();
    let call = Call { caller: "stream".into(), user_id: Some("ada".into()), request_id: "run-1".into() };
    assert_eq!(keys.verify(&token, "tools", NOW_MS), Ok(call.clone()));
    let nobody = stream.sign("tools", About { user_id: None, ..ABOUT }, NOW_MS).unwrap();
    assert_eq!(keys.verify(&nobody, "tools", NOW_MS), Ok(Call { user_id: None, ..call }));
    let stored = Signer::from_pem("stream", stream.id(), &stream.private_key()).unwrap();
    assert!(keys.verify(&stored.sign("tools", ABOUT, NOW_MS).unwrap(), "tools", NOW_MS).is_ok());
}

#[test]
fn a_token_is_for_one_callee_and_for_seconds() {
    let tools = Signer::generate("tools");
    let keys = Keys::new([tools.public_key()]);
    let token = tools.sign("mcp-mail", ABOUT, NOW_MS).unwrap();
    let lifetime = i64::try_from(LIFETIME_S).unwrap();
    for at in [-4, 0, lifetime] {
        assert!(keys.verify(&token, "mcp-mail", after(at)).is_ok(), "{at}");
    }
    for at in [-60, lifetime + 6, 3600] {
        assert_eq!(keys.verify(&token, "mcp-mail", after(at)), Err(InvalidToken::OtherTime), "{at}");
    }
    for other in ["mcp-web", "tools", "mcp-mail2", ""] {
        assert_eq!(keys.verify(&token, other, NOW_MS), Err(InvalidToken::OtherCallee), "{other}");
    }
}

#[test]
fn a_key_speaks_for_its_own_component_alone() {
    let (stream, chat) = (Signer::generate("stream"), Signer::generate("chat"));
    let keys = Keys::new([stream.public_key()]);
    let token = chat.sign("tools", ABOUT, NOW_MS).unwrap();
    assert_eq!(keys.verify(&token, "tools", NOW_MS), Err(InvalidToken::UnknownKey));
    // `chat` gives itself out as `stream`: with the id of its key, and with its own key under another name.
    let named = Signer::from_pem("stream", stream.id(), &chat.private_key()).unwrap();
    let renamed = Signer::from_pem("stream", chat.id(), &chat.private_key()).unwrap();
    let keys = Keys::new([stream.public_key(), chat.public_key()]);
    for forged in [named, renamed] {
        let token = forged.sign("tools", ABOUT, NOW_MS).unwrap();
        assert_eq!(keys.verify(&token, "tools", NOW_MS), Err(InvalidToken::Refused));
    }
}

#[test]
fn whoever_may_not_call_a_component_has_no_token_for_it() {
    let callers = ["stream", "chat", "ops", "tools", "auth", "mcp-web", "ui"];
    let callees = ["tools", "auth", "chat", "stream", "mcp-clock", "mcp-mail", "oauth", "admin", "ops"];
    let mut allowed = Vec::new();
    for caller in callers {
        let signer = Signer::generate(caller);
        let keys = Keys::new([signer.public_key()]);
        for callee in callees {
            match keys.verify(&signer.sign(callee, ABOUT, NOW_MS).unwrap(), callee, NOW_MS) {
                Ok(_) => allowed.push(format!("{caller}>{callee}")),
                Err(error) => assert_eq!(error, InvalidToken::NotAllowed, "{caller}>{callee}"),
            }
        }
    }
    assert_eq!(
        allowed,
        [
            "stream>tools",
            "chat>tools",
            "ops>tools",
            "ops>auth",
            "ops>chat",
            "ops>stream",
            "tools>mcp-clock",
            "tools>mcp-mail",
            "auth>tools",
        ]
    );
}

#[test]
fn what_is_no_such_token_is_refused() {
    let pair = Ed25519KeyPair::generate().with_key_id("k");
    let stored = Signer::from_pem("stream", "k", &pair.to_pem()).unwrap();
    let keys = Keys::new([stored.public_key()]);
    let claims = || Claims::create(Duration::from_hours(24 * 365)).with_issuer("stream").with_audience("tools");
    let long = pair.sign(claims().with_jwt_id("r")).unwrap();
    let now_ms = i64::try_from(jwt_simple::prelude::Clock::now_since_epoch().as_millis()).unwrap();
    assert_eq!(keys.verify(&long, "tools", now_ms), Err(InvalidToken::OtherTime), "it lives for a year");
    let nameless = pair.sign(claims()).unwrap();
    let good = stored.sign("tools", ABOUT, NOW_MS).unwrap();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    for wrong in [
        nameless,
        String::new(),
        "x".repeat(10_000),
        "a.b.c".to_owned(),
        format!("{signed}."),
        format!("{signed}.{}", "A".repeat(signature.len())),
    ] {
        assert_eq!(keys.verify(&wrong, "tools", NOW_MS), Err(InvalidToken::Refused), "{wrong}");
    }
}
