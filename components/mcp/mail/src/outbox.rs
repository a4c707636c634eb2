//! Stores drafts and sends mails (RFC 8621 sections 4.6 and 7), each at most once, even if a call is repeated.
//!
//! A mail's Message-ID is derived from the call. Before a mail is created, the newest mails of Drafts and Sent are searched for it, and it is created
//! only in the state of that search (`ifInState`). So two attempts at once cannot both create it. Search indexes lag, so none is used. A draft that
//! is being sent has the keyword `SENDING`. An attempt that finds this keyword does not send: a mail that is not sent is better than one that is sent
//! twice.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use tool_provider::{Context, Failure};
use upstream::Http;

use crate::{
    email::{Address, Email, Got as Emails},
    jmap::{Account, Answers, SetError, Uncalled, unexpected},
    letter::{self, Letter},
    mailboxes::{self, Mailboxes},
    recipients,
};

/// How many of the newest mails of Drafts and Sent are searched. An earlier attempt was minutes ago.
const RECENT_MAX: usize = 100;

/// The number of attempts while other mails arrive.
pub(crate) const ATTEMPTS_MAX: usize = 4;

const UNKNOWN: &str =
    "It is not known whether the mail was sent: look for it in the mailbox of sent mails before you try again.";

/// The keyword of a draft that is being sent, or whose sending ended without a known result.
const SENDING: &str = "edge-assistant-sending";

/// Added to the message about a draft that was not sent, if the server did not confirm that the keyword was removed.
const MAYBE_MARKED: &str = " It may still be marked as being sent. A marked draft is not sent from here: send it from another program, or write it again.";

/// An account that can write mails.
pub(crate) struct Outbox<'a, T> {
    pub(crate) account: Account<'a, T>,
    mailboxes: Mailboxes,
    identity: Option<String>,
    /// The sender of its mails.
    pub(crate) from: Address,
}

/// A mail that was stored or sent.
pub(crate) struct Stored {
    pub(crate) id: String,
    /// Whether an earlier attempt at the same call did it.
    pub(crate) was_before: bool,
}

/// A mail of an earlier attempt at the same call.
struct Earlier {
    id: String,
    is_draft: bool,
}

/// RFC 8621 section 6.
#[derive(Deserialize, Clone)]
struct Identity {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
}

#[derive(Deserialize)]
struct Identities {
    list: Vec<Identity>,
}

/// The response to `Foo/set` with one object.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Set {
    created: Option<BTreeMap<String, Created>>,
    not_created: Option<BTreeMap<String, SetError>>,
    updated: Option<BTreeMap<String, Value>>,
    not_updated: Option<BTreeMap<String, SetError>>,
}

#[derive(Deserialize)]
struct Created {
    id: String,
}

impl<'a, T: Http> Outbox<'a, T> {
    /// Opens the account in the tool's settings, with the identity that it writes as.
    pub(crate) async fn open(context: &Context, transport: &'a T) -> Result<Self, Failure> {
        let account = Account::open(context, transport).await?;
        let mut calls = vec![mailboxes::get()];
        if account.can_submit {
            calls.push(("Identity/get", json!({ "ids": null })));
        }
        let answers = account.call(calls).await?;
        let mailboxes = answers.read::<mailboxes::Got>(0)?.into();
        let identities = if account.can_submit { answers.read::<Identities>(1)?.list } else { Vec::new() };
        let wanted = context.secret("address").map(str::trim).ok().filter(|address| !address.is_empty());
        let username = context.secret("username").map(str::trim).ok().filter(|name| name.contains('@'));
        let is = |identity: &&Identity| wanted.is_none_or(|wanted| identity.email.eq_ignore_ascii_case(wanted));
        // An identity `*@example.com` is valid for any address there, and some servers list identities without an address.
        let is_address =
            |identity: &&Identity| recipients::address(&identity.email).is_ok() && !identity.email.starts_with('*');
        let known = identities.iter().find(|identity| is(identity) && is_address(identity));
        let identity =
            known.or_else(|| identities.iter().find(|identity| !is_address(identity))).or(identities.first());
        let email = known.map(|identity| identity.email.as_str()).or(wanted).or(username);
        let Some(from) = email.and_then(|email| recipients::address(email).ok()) else {
            return Err(Failure::NotConfigured(
                "The mail server does not report your address: enter it as \"address\" under Tools in the settings first.".into(),
            ));
        };
        let name = known.map(|identity| crate::email::line(&identity.name)).filter(|name| !name.is_empty());
        let identity = identity.map(|identity| identity.id.clone());
        Ok(Self { account, mailboxes, identity, from: Address { name: name.or(from.name), email: from.email } })
    }

    /// Stores a letter as a draft.
    pub(crate) async fn store(&self, letter: &Letter) -> Result<Stored, Failure> {
        letter.check()?;
        for _ in 0..ATTEMPTS_MAX {
            let (state, earlier) = self.earlier(&letter.message_id).await?;
            if let Some(earlier) = earlier {
                return Ok(Stored { id: earlier.id, was_before: true });
            }
            let call = self.create(letter, &state, false)?;
            let answers = self.account.call(vec![call]).await.map_err(Uncalled::of_change)?;
            if answers.error(0) != Some("stateMismatch") {
                let id = created(&answers, 0, "draft").map_err(Uncalled::of_change)?;
                return Ok(Stored { id, was_before: false });
            }
        }
        Err(busy())
    }

    /// Sends a letter and stores it in Sent.
    pub(crate) async fn send(&self, letter: &Letter) -> Result<Stored, Failure> {
        letter.check()?;
        let recipients = letter.recipients.all();
        if recipients.is_empty() {
            return letter::invalid("Say in `to` whom the mail goes to.");
        }
        for _ in 0..ATTEMPTS_MAX {
            let (state, earlier) = self.earlier(&letter.message_id).await?;
            match earlier {
                Some(earlier) if earlier.is_draft => return Err(attempted(&earlier.id)),
                Some(earlier) => return Ok(Stored { id: earlier.id, was_before: true }),
                None => {}
            }
            // Both calls are in one request: the second is not made if the first fails.
            let calls = vec![self.create(letter, &state, true)?, self.submit("#draft", &recipients)?];
            let answers = self.account.call(calls).await.map_err(maybe_sent)?;
            if answers.error(0) != Some("stateMismatch") {
                // If the draft may have been created, the second call may have sent it.
                let id = created(&answers, 0, "draft").map_err(maybe_sent)?;
                self.sent(&answers, 1, &id).await?;
                return Ok(Stored { id, was_before: false });
            }
        }
        Err(busy())
    }

    /// Sends a stored draft as it was in a state. `None`: the draft has changed.
    pub(crate) async fn submit_stored(
        &self,
        draft: &Email,
        state: &str,
        recipients: &[String],
    ) -> Result<Option<Stored>, Failure> {
        let id = draft.id.as_str();
        if draft.keywords.contains_key(SENDING) {
            return Err(attempted(id));
        }
        let submit = self.submit(id, recipients)?;
        let update = json!({ id: { format!("keywords/{SENDING}"): true } });
        let marked = self.account.call(vec![("Email/set", json!({ "ifInState": state, "update": update }))]).await;
        if marked.as_ref().is_ok_and(|answers| answers.error(0) == Some("stateMismatch")) {
            return Ok(None);
        }
        // Without the keyword, a second attempt would send the draft again.
        let why = match marked.and_then(|answers| answers.read_change::<Set>(0)) {
            Ok(Set { updated: Some(updated), .. }) if updated.contains_key(id) => None,
            Ok(set) => {
                let error = set.not_updated.and_then(|mut errors| errors.remove(id));
                Some(error.map_or("the mail server does not say why".into(), |error| error.words()))
            }
            Err(Uncalled::NotDone(Failure::UpstreamFailed(words))) => Some(words),
            Err(Uncalled::NotDone(failure)) => return Err(failure),
            // The keyword is not removed: it may be from another attempt that is sending the draft.
            Err(Uncalled::Unclear(failure)) => return Err(unsent(id, failure, MAYBE_MARKED)),
        };
        if let Some(why) = why {
            let words = format!(
                "The draft `{id}` was not sent, because it could not be marked as being sent: {}.",
                why.trim_end_matches('.')
            );
            return Err(Failure::UpstreamFailed(words));
        }
        let answers = match self.account.call(vec![submit]).await {
            Err(Uncalled::NotDone(failure)) => return Err(self.not_sent(id, failure).await),
            other => other.map_err(maybe_sent)?,
        };
        self.sent(&answers, 0, id).await?;
        Ok(Some(Stored { id: id.to_owned(), was_before: false }))
    }

    /// Whether a mailbox is the one of sent mails.
    pub(crate) fn is_sent(&self, mailbox: &str) -> bool {
        self.mailboxes.role("sent") == Some(mailbox)
    }

    /// Marks a mail as answered.
    pub(crate) async fn mark_answered(&self, id: &str) {
        self.patch(id, json!({ "keywords/$answered": true })).await;
    }

    /// The mail with this Message-ID, and the server's state before the search.
    async fn earlier(&self, message_id: &str) -> Result<(String, Option<Earlier>), Failure> {
        let places = ["drafts", "sent"].into_iter().filter_map(|role| self.mailboxes.role(role));
        let conditions: Vec<_> = places.map(|mailbox| json!({ "inMailbox": mailbox })).collect();
        if conditions.is_empty() {
            return Err(no_drafts());
        }
        let query = json!({
            "filter": { "operator": "OR", "conditions": conditions },
            "sort": [{ "property": "receivedAt", "isAscending": false }],
            "limit": RECENT_MAX,
        });
        let ids = json!({ "resultOf": "1", "name": "Email/query", "path": "/ids" });
        let calls = vec![
            // The first call: its state is older than everything that arrives during the search.
            ("Email/get", json!({ "ids": [], "properties": ["id"] })),
            ("Email/query", query),
            ("Email/get", json!({ "#ids": ids, "properties": ["id", "messageId", "keywords"] })),
        ];
        let answers = self.account.call(calls).await?;
        let state = answers.read::<Emails>(0)?.state;
        let emails = answers.read::<Emails>(2)?.list.into_iter();
        let is = |id: &Vec<String>| id.iter().any(|id| id == message_id);
        let found =
            emails.filter(|email| email.message_id.as_ref().is_some_and(is)).max_by_key(|email| !email.is_draft());
        Ok((state, found.map(|email| Earlier { is_draft: email.is_draft(), id: email.id })))
    }

    fn create(&self, letter: &Letter, state: &str, is_sending: bool) -> Result<(&'static str, Value), Failure> {
        let drafts = self.mailboxes.role("drafts").ok_or_else(no_drafts)?;
        let draft = letter.draft(drafts, is_sending.then_some(SENDING));
        Ok(("Email/set", json!({ "ifInState": state, "create": { "draft": draft } })))
    }

    fn submit(&self, email: &str, recipients: &[String]) -> Result<(&'static str, Value), Failure> {
        let Some(identity) = &self.identity else {
            return Err(Failure::UpstreamFailed("The mail server does not let this account send mails.".into()));
        };
        let recipients: Vec<_> = recipients.iter().map(|email| json!({ "email": email })).collect();
        let envelope = json!({ "mailFrom": { "email": self.from.email }, "rcptTo": recipients });
        let submission = json!({ "identityId": identity, "emailId": email, "envelope": envelope });
        let arguments =
            json!({ "create": { "sending": submission }, "onSuccessUpdateEmail": { "#sending": self.filed() } });
        Ok(("EmailSubmission/set", arguments))
    }

    /// The changes that make a draft a sent mail.
    fn filed(&self) -> Value {
        let mut patch = json!({ "keywords/$draft": null, format!("keywords/{SENDING}"): null });
        if let Some((sent, patch)) = self.mailboxes.role("sent").zip(patch.as_object_mut()) {
            patch.insert("mailboxIds".into(), json!({ sent: true }));
        }
        patch
    }

    /// Removes the keyword from a draft that was certainly not sent, so it can be sent again.
    async fn not_sent(&self, id: &str, failure: Failure) -> Failure {
        let is_unmarked = self.patch(id, json!({ format!("keywords/{SENDING}"): null })).await;
        unsent(id, failure, if is_unmarked { "" } else { MAYBE_MARKED })
    }

    /// Changes a mail's keywords or mailboxes. Returns whether the server did so.
    async fn patch(&self, id: &str, patch: Value) -> bool {
        let answers = self.account.call_beside(vec![("Email/set", json!({ "update": { id: patch } }))]).await;
        let set = answers.and_then(|answers| answers.read::<Set>(0).ok());
        set.and_then(|set| set.updated).is_some_and(|updated| updated.contains_key(id))
    }

    /// Reads whether a draft was sent, and files it if the server has not. If the result is unknown, the draft keeps its keyword.
    async fn sent(&self, answers: &Answers, position: usize, id: &str) -> Result<(), Failure> {
        match created(answers, position, "sending") {
            Ok(_) => {}
            Err(Uncalled::NotDone(failure)) => return Err(self.not_sent(id, failure).await),
            Err(unclear) => return Err(maybe_sent(unclear)),
        }
        let filed = answers.beside(position, "Email/set").and_then(|answer| answer.get("updated")?.get(id));
        if filed.is_none() {
            self.patch(id, self.filed()).await;
        }
        Ok(())
    }
}

/// The id of the object that a call created.
fn created(answers: &Answers, position: usize, name: &str) -> Result<String, Uncalled> {
    let set: Set = answers.read_change(position)?;
    if let Some(created) = set.created.and_then(|mut created| created.remove(name)) {
        return Ok(created.id);
    }
    Err(match set.not_created.and_then(|mut errors| errors.remove(name)) {
        Some(error) => Uncalled::NotDone(Failure::UpstreamFailed(format!(
            "The mail server does not take the mail: {}.",
            error.words()
        ))),
        None => Uncalled::Unclear(unexpected("it neither made the mail nor refused to")),
    })
}

/// The failure of a call that certainly did not send a draft, with a sentence about the keyword.
fn unsent(id: &str, failure: Failure, mark: &str) -> Failure {
    let words = match &failure {
        Failure::InvalidArguments(words) | Failure::UpstreamFailed(words) => words.trim_end_matches('.'),
        Failure::TimedOut => "The mail server took too long",
        Failure::NotConfigured(_) => return failure,
    };
    Failure::UpstreamFailed(format!("{words}. It is kept as the draft `{id}`, and was not sent.{mark}"))
}

/// The failure of a call that sends a mail. If the mail may have been sent, the message says so.
fn maybe_sent(uncalled: Uncalled) -> Failure {
    match uncalled {
        Uncalled::Unclear(Failure::UpstreamFailed(words)) => {
            Failure::UpstreamFailed(format!("{}. {UNKNOWN}", words.trim_end_matches('.')))
        }
        Uncalled::Unclear(Failure::TimedOut) => {
            Failure::UpstreamFailed(format!("The mail server took too long. {UNKNOWN}"))
        }
        Uncalled::NotDone(failure) | Uncalled::Unclear(failure) => failure,
    }
}

fn attempted(id: &str) -> Failure {
    let words =
        format!("An earlier attempt to send this mail is not over, or broke off: it is the draft `{id}`. {UNKNOWN}");
    Failure::UpstreamFailed(words)
}

fn no_drafts() -> Failure {
    Failure::UpstreamFailed("There is no mailbox for drafts: make one at the server first.".into())
}

pub(crate) fn busy() -> Failure {
    Failure::UpstreamFailed("So much goes on in this mailbox that the mail was not made: try again.".into())
}
