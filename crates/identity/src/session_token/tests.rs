//! Which tokens verify, and what they say.

use jwt_simple::prelude::JWTClaims;

use super::*;

fn user() -> User {
    User {
        id: Id::new(),
        email: "a@example.org".into(),
        name: String::new(),
        role: "auditor".into(),
        group_roles: vec!["member".into(), "auditor".into()],
        is_suspended: false,
        has_second_factor: false,
        access_version: 3,
        created_at: Timestamp::from_millis(0),
    }
}

fn session(issuer: &Issuer) -> String {
    issuer.issue(&user(), None, Purpose::Session, Timestamp::now()).unwrap()
}

fn verifier(issuer: &Issuer) -> Verifier {
    Verifier::new([(issuer.id(), issuer.public_key().as_str())])
}

fn minutes_away(minutes: i64) -> Timestamp {
    Timestamp::from_millis(Timestamp::now().as_millis() + minutes * 60_000)
}

/// Verifies a token with changed claims.
fn verified(change: impl FnOnce(&mut JWTClaims<SessionClaims>)) -> Result<Caller, InvalidToken> {
    let issuer = Issuer::generate();
    let claims = SessionClaims {
        role: "admin".into(),
        roles: Vec::new(),
        access_version: None,
        session_id: None,
        scopes: None,
        resource: None,
    };
    let mut claims = Claims::with_custom_claims(claims, Duration::from_secs(LIFETIME_S))
        .with_subject(Id::new())
        .with_issuer(ISSUER)
        .with_audience(Purpose::Session.audience());
    change(&mut claims);
    verifier(&issuer).verify(&issuer.key.sign(claims).unwrap(), Purpose::Session)
}

#[test]
fn a_token_says_whose_it_is() {
    let (issuer, user, session) = (Issuer::generate(), user(), Id::new());
    let token = issuer.issue(&user, Some(session), Purpose::Session, Timestamp::now()).unwrap();
    let caller = verifier(&issuer).verify(&token, Purpose::Session).unwrap();
    assert_eq!((caller.user_id, caller.session_id, caller.access_version), (user.id, Some(session), Some(3)));
    assert_eq!(caller.roles, ["auditor", "member"]);
    let age_ms = Timestamp::now().as_millis() - caller.issued_at.as_millis();
    assert!((0..10_000).contains(&age_ms), "{age_ms}");
}

#[test]
fn a_programs_token_says_how_far_it_goes_and_opens_only_the_gateway() {
    let (issuer, session_id) = (Issuer::generate(), Id::new());
    let program = ProgramSession { session_id, scopes: "gateway:use tools:call:clock:*", resource: "/mcp/clock" };
    let token = issuer.issue_to_program(&user(), program, Timestamp::now()).unwrap();
    assert_eq!(verifier(&issuer).verify(&token, Purpose::Session), Err(InvalidToken::OtherPurpose));
    let caller = verifier(&issuer).verify(&token, Purpose::Gateway).unwrap();
    assert_eq!((caller.session_id, caller.scopes.as_deref()), (Some(session_id), Some(program.scopes)));
    assert_eq!(caller.resource.as_deref(), Some(program.resource));
}

#[test]
fn a_token_of_somebody_with_more_roles_than_fit_says_no_version_so_that_they_are_read() {
    let issuer = Issuer::generate();
    let with = |count: usize| {
        let user = User { group_roles: (1..count).map(|index| index.to_string()).collect(), ..user() };
        let token = issuer.issue(&user, None, Purpose::Session, Timestamp::now()).unwrap();
        let caller = verifier(&issuer).verify(&token, Purpose::Session).unwrap();
        (caller.roles.len(), caller.access_version)
    };
    assert_eq!(with(MAX_ROLES_OF_PERSON), (MAX_ROLES_OF_PERSON, Some(3)));
    assert_eq!(with(MAX_ROLES_OF_PERSON + 1), (MAX_ROLES_OF_PERSON, None));
}

#[test]
fn a_token_of_an_earlier_release_is_an_administrators_or_a_members() {
    for (former, roles) in [("admin", vec!["admin"]), ("user", vec!["member"]), ("root", vec![])] {
        let caller = verified(|claims| claims.custom.role = former.into()).unwrap();
        assert_eq!(caller.roles, roles);
        assert_eq!((caller.session_id, caller.access_version), (None, None));
    }
}

#[test]
fn neither_kind_of_token_opens_what_the_other_does() {
    let issuer = Issuer::generate();
    for (kind, other) in [(Purpose::Session, Purpose::Gateway), (Purpose::Gateway, Purpose::Session)] {
        let token = issuer.issue(&user(), None, kind, Timestamp::now()).unwrap();
        assert!(verifier(&issuer).verify(&token, kind).is_ok());
        assert_eq!(verifier(&issuer).verify(&token, other), Err(InvalidToken::OtherPurpose));
    }
}

#[test]
fn a_kept_key_signs_on_under_the_same_id() {
    let issuer = Issuer::generate();
    let kept = Issuer::from_pem(&issuer.private_key()).unwrap();
    assert_eq!(kept.id(), issuer.id());
    assert!(verifier(&issuer).verify(&session(&kept), Purpose::Session).is_ok());
    let refresh = RefreshToken::new(Id::new()).unwrap();
    let successor = |of: &Issuer| of.successors(&refresh).unwrap()[0].hash();
    assert_eq!(successor(&issuer), successor(&kept));
    assert!(Issuer::from_pem("rubbish").is_err());
}

#[test]
fn a_key_that_openssl_made_can_be_used() {
    // Made with `openssl genpkey -algorithm ed25519` for this test, and used nowhere else.
    let pem = concat!(
        "-----BEGIN PRIVATE KEY-----\n",
        "MC4CAQAwBQYDK2VwBCIEIG8jwWRZWrkRzEuEzMGsLvMWk8OJcNhtWdf1/rP9IHRL\n",
        "-----END PRIVATE KEY-----\n"
    );
    let issuer = Issuer::from_pem(pem).unwrap();
    assert!(verifier(&issuer).verify(&session(&issuer), Purpose::Session).is_ok());
}

#[test]
fn what_was_tampered_with_or_signed_by_another_does_not_hold() {
    let (issuer, other) = (Issuer::generate(), Issuer::generate());
    let token = session(&issuer);
    let (head, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = head.split_once('.').unwrap();
    let shortened = claims.strip_suffix(|_: char| true).unwrap();
    let forged = format!("{header}.{shortened}A.{signature}");
    let refused = Err(InvalidToken::Refused);
    assert_eq!(verifier(&issuer).verify(&forged, Purpose::Session), refused);
    assert_eq!(verifier(&other).verify(&token, Purpose::Session), Err(InvalidToken::UnknownKey));
    for rubbish in ["", "..", "a.b.c", &"x".repeat(10_000)] {
        assert_eq!(verifier(&issuer).verify(rubbish, Purpose::Session), refused);
    }
}

#[test]
fn a_token_holds_only_in_its_time_and_says_when_that_is() {
    let away = |minutes| Some(seconds(minutes_away(minutes).as_millis()));
    assert!(verified(|_| {}).is_ok());
    assert!(verified(|claims| (claims.issued_at, claims.expires_at) = (away(10), away(25))).is_ok());
    assert!(verified(|claims| claims.invalid_before = away(10)).is_ok());
    for (what, change) in [
        ("expired", (away(-16), away(-1), away(-16))),
        ("without an end", (away(0), None, away(0))),
        ("without a beginning", (None, away(15), None)),
        ("for ever", (away(0), away(60 * 24 * 365), away(0))),
        ("made in an hour", (away(60), away(75), away(0))),
        ("good in an hour", (away(0), away(75), away(60))),
    ] {
        let token = |claims: &mut JWTClaims<SessionClaims>| {
            (claims.issued_at, claims.expires_at, claims.invalid_before) = change;
        };
        assert_eq!(verified(token), Err(InvalidToken::Refused), "{what}");
    }
}

#[test]
fn a_token_of_somebody_else_or_for_somebody_else_does_not_hold() {
    for token in [verified(|claims| claims.issuer = Some("somebody".into())), verified(|claims| claims.issuer = None)] {
        assert_eq!(token, Err(InvalidToken::Refused));
    }
    assert_eq!(verified(|claims| claims.audiences = None), Err(InvalidToken::Refused));
    assert_eq!(verified(|claims| claims.subject = None), Err(InvalidToken::Refused));
}

#[test]
fn hosts_whose_clocks_differ_agree_by_the_clock_that_they_share() {
    let issuer = Issuer::generate();
    for minutes in [-600, -20, -10, 10, 20, 600] {
        let shared = minutes_away(minutes);
        let token = issuer.issue(&user(), None, Purpose::Session, shared).unwrap();
        let verified = verifier(&issuer).by_clock(shared).verify(&token, Purpose::Session);
        assert!(verified.is_ok(), "a clock that is {minutes} minutes away");
    }
    let old = issuer.issue(&user(), None, Purpose::Session, minutes_away(0)).unwrap();
    let verified = verifier(&issuer).by_clock(minutes_away(20)).verify(&old, Purpose::Session);
    assert_eq!(verified, Err(InvalidToken::Refused), "expired by the shared clock");
}

#[test]
fn a_challenge_names_the_version_of_the_account_and_no_roles_however_many_there_are() {
    let (issuer, mut user) = (Issuer::generate(), user());
    user.group_roles = (0..2 * MAX_ROLES_OF_PERSON).map(|n| format!("role-{n}")).collect();
    let challenge = issuer.issue_challenge(&user, Timestamp::now()).unwrap();
    let caller = verifier(&issuer).verify(&challenge, Purpose::SecondFactor).unwrap();
    assert_eq!((caller.user_id, caller.access_version, caller.roles), (user.id, Some(3), Vec::new()));
    assert_eq!(verifier(&issuer).verify(&challenge, Purpose::Session), Err(InvalidToken::OtherPurpose));
}

#[test]
fn several_keys_are_read_in_their_order_however_their_lines_are_joined() {
    let issuers = [Issuer::generate(), Issuer::generate(), Issuer::generate()];
    let pems = issuers.each_ref().map(Issuer::private_key);
    let ids = |text: &str| -> Vec<String> {
        Issuer::parse_list(text)
            .unwrap_or_else(|error| panic!("{error}: {text:?}"))
            .iter()
            .map(|issuer| issuer.id().to_owned())
            .collect()
    };
    let wanted = issuers.each_ref().map(|issuer| issuer.id().to_owned());
    for between in ["", "\n", " ", ",", ", ", "\\n", " \\n "] {
        let text = pems.join(between);
        assert_eq!(ids(&text), wanted, "{between:?}");
        assert_eq!(ids(&text.replace('\n', " ")), wanted, "{between:?} in one line");
        assert_eq!(ids(&text.replace('\n', "\\n")), wanted, "{between:?} in one line of a program");
    }
    assert_eq!((ids(""), ids(" \n")), (Vec::<String>::new(), Vec::new()));
    let cut = pems[1].replace("-----END PRIVATE", "");
    for wrong in [
        "words",
        &format!("{} words", pems[0]),
        &format!("{}{cut}", pems[0]),
        &pems[0].chars().take(40).collect::<String>(),
    ] {
        assert!(Issuer::parse_list(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_keys_before_derived_and_signed_is_still_known() {
    let (former, key) = (Issuer::generate(), Issuer::generate());
    let pem = key.private_key();
    let refresh = RefreshToken::new(Id::new()).unwrap();
    let signed = former.sign_text(Use::Registration, "program").unwrap().unwrap();
    let (name, mark) = (former.mark_name("a@example.org").unwrap(), former.mark("a@example.org", "$hash").unwrap());
    let successor = former.successors(&refresh).unwrap()[0].hash();
    let mut key = key.with_text_key(&Issuer::generate_text_key().unwrap());
    key.add_former(&former);
    let hashes: Vec<String> = key.successors(&refresh).unwrap().iter().map(RefreshToken::hash).collect();
    assert!(hashes.len() == 2 && hashes[0] != successor && hashes[1] == successor, "the newest comes first");
    // Its private half is erased, and its text key is kept.
    let mut later = Issuer::from_pem(&pem).unwrap();
    later.add_former_text_key(&former.text_key());
    for key in [&key, &later] {
        assert_eq!(key.verified_text(Use::Registration, &signed).as_deref(), Some("program"));
        assert_eq!(key.verified_text(Use::AuthorizationRequest, &signed), None);
        assert!(key.mark_names("a@example.org").unwrap().contains(&name));
        assert!(key.known_browser("a@example.org", "$hash", &mark).unwrap().is_some());
        assert_ne!(key.mark_name("a@example.org").unwrap(), name, "new marks are of the new key");
    }
    assert_eq!(Issuer::from_pem(&pem).unwrap().verified_text(Use::Registration, &signed), None);
}
