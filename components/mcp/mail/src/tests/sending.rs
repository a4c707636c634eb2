//! Drafts, sent mails and answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::{
    create_draft,
    create_draft::CreateDraft,
    read_mail,
    read_mail::{Mail, ReadMail},
    reply_to_mail,
    reply_to_mail::ReplyToMail,
    send_draft,
    send_draft::SendDraft,
    send_mail,
    send_mail::{SendMail, Sent},
};

fn hello() -> SendMail {
    SendMail {
        to: vec!["Dan <dan@ext.example>".into()],
        cc: vec!["eve@ext.example".into()],
        bcc: vec!["fay@ext.example".into()],
        subject: "Héllo".into(),
        body: "Line\n.\nÜnï".into(),
    }
}

fn draft() -> CreateDraft {
    CreateDraft {
        to: vec!["dan@ext.example".into()],
        subject: Some("Plan".into()),
        body: "Let us.".into(),
        ..Default::default()
    }
}

impl World {
    async fn send(&self, id: &str, arguments: &SendMail) -> Result<Sent, Failure> {
        send_mail::run(arguments, &self.call(id), &self.transport).await
    }

    async fn reply(&self, id: &str, arguments: &ReplyToMail) -> Result<Sent, Failure> {
        reply_to_mail::run(arguments, &self.call(id), &self.transport).await
    }

    async fn read(&self, id: &str) -> Mail {
        let arguments = ReadMail { id: id.into(), ..ReadMail::default() };
        read_mail::run(&arguments, &self.call("read"), &self.transport).await.unwrap().mails.remove(0)
    }
}

#[tokio::test]
async fn a_mail_is_sent_once_however_often_the_call_is_repeated() {
    let Some(world) = World::start_or_skip() else { return };
    let first = world.send("send", &hello()).await.unwrap();
    let again = world.send("send", &hello()).await.unwrap();
    assert_eq!((first.was_sent_before, again.was_sent_before, &again.id), (false, true, &first.id));
    let received = world.cyrus.sink.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].from, "ada@localhost");
    assert_eq!(received[0].to, ["dan@ext.example", "eve@ext.example", "fay@ext.example"]);
    let text = &received[0].text;
    assert!(text.contains("To: Dan <dan@ext.example>\n") && text.contains("Cc: eve@ext.example\n"), "{text}");
    assert!(!text.contains("fay@"), "{text}");
    let sent = world.mails_in("sent").await;
    assert_eq!((sent.len(), sent[0].subject.as_str(), sent[0].flags.len()), (1, "Héllo", 0));
    assert_eq!(world.read(&sent[0].id).await.text, "Line\n.\nÜnï");
    assert!(world.mails_in("drafts").await.is_empty());
    // A second call with the same text makes a second mail.
    assert!(!world.send("other", &hello()).await.unwrap().was_sent_before);
    assert_eq!(world.cyrus.sink.received().len(), 2);
}

#[tokio::test]
async fn attempts_at_the_same_time_make_one_mail() {
    let Some(world) = World::start_or_skip() else { return };
    let hello = hello();
    let (one, two, three) =
        tokio::join!(world.send("send", &hello), world.send("send", &hello), world.send("send", &hello));
    let mut sent = 0;
    for result in [one, two, three] {
        match result {
            Ok(Sent { was_sent_before, .. }) => sent += usize::from(!was_sent_before),
            failed => {
                let words = words(failed);
                assert!(words.contains("earlier attempt") || words.contains("So much goes on"), "{words}");
            }
        }
    }
    assert_eq!(sent, 1);
    assert_eq!((world.cyrus.sink.received().len(), world.mails_in("sent").await.len()), (1, 1));
}

#[tokio::test]
async fn what_cannot_be_sent_is_kept_and_said() {
    let Some(world) = World::start_or_skip() else { return };
    let nobody = SendMail { to: vec!["nobody@ext.example".into()], cc: vec![], bcc: vec![], ..hello() };
    let said = words(world.send("send", &nobody).await);
    let drafts = world.mails_in("drafts").await;
    assert!(said.contains("recipients") && said.contains(&format!("`{}`", drafts[0].id)), "{said}");
    assert_eq!((drafts.len(), world.mails_in("sent").await.len()), (1, 0));
    // A draft that was certainly not sent can be sent later.
    let later = SendDraft {
        id: drafts[0].id.clone(),
        subject: nobody.subject,
        to: nobody.to,
        body: nobody.body,
        ..SendDraft::default()
    };
    let later = send_draft::run(&later, &world.call("later"), &world.transport).await;
    assert!(words(later).contains("recipients"));
    for (wrong, said) in [
        (SendMail { to: vec!["dan@ext.example\r\nBcc: all@ext.example".into()], ..hello() }, "addresses"),
        (SendMail { subject: "Hi\r\nBcc: all@ext.example".into(), ..hello() }, "subject"),
        (SendMail { to: vec![], cc: vec![], bcc: vec![], ..hello() }, "`to`"),
    ] {
        let words = words(world.send("wrong", &wrong).await);
        assert!(words.contains(said), "{words}");
    }
    let mut unnamed = world.call("send");
    unnamed.secrets.retain(|(name, _)| name != "address");
    assert!(words(send_mail::run(&hello(), &unnamed, &world.transport).await).contains("\"address\""));
    assert!(world.cyrus.sink.received().is_empty());
}

#[tokio::test]
async fn a_draft_is_made_once_and_sent_as_it_is() {
    let Some(world) = World::start_or_skip() else { return };
    let make = async || create_draft::run(&draft(), &world.call("draft"), &world.transport).await.unwrap();
    let (made, again) = (make().await, make().await);
    assert_eq!((&made.id, made.from.as_str()), (&again.id, "ada@localhost"));
    let drafts = world.mails_in("drafts").await;
    assert_eq!((drafts.len(), drafts[0].flags.as_slice()), (1, &["draft".to_owned()][..]));
    assert!(world.cyrus.sink.received().is_empty());
    let right = || SendDraft {
        id: made.id.clone(),
        subject: "Plan".into(),
        to: vec!["Dan@ext.example".into()],
        body: "Let us. \r\n".into(),
        ..SendDraft::default()
    };
    let send = async |arguments| send_draft::run(&arguments, &world.call("send"), &world.transport).await;
    // Only a draft that the person was asked about is sent.
    for (wrong, said) in [
        (SendDraft { to: vec!["eve@ext.example".into()], ..right() }, "which is dan@ext.example"),
        (SendDraft { cc: vec!["eve@ext.example".into()], ..right() }, "which is nobody"),
        (SendDraft { subject: "Party".into(), ..right() }, "is \"Plan\""),
        (SendDraft { body: "Let us not.".into(), ..right() }, "text of this draft is another"),
        (SendDraft { id: "Mnone".into(), ..right() }, "no such mail"),
    ] {
        let words = words(send(wrong).await);
        assert!(words.contains(said), "{words}");
    }
    assert!(world.cyrus.sink.received().is_empty());
    assert!(!send(right()).await.unwrap().was_sent_before);
    assert!(send(right()).await.unwrap().was_sent_before);
    assert_eq!(world.cyrus.sink.received().len(), 1);
    assert_eq!((world.mails_in("drafts").await.len(), world.mails_in("sent").await.len()), (0, 1));
    let hidden = CreateDraft { bcc: vec!["eve@ext.example".into()], ..draft() };
    let hidden = create_draft::run(&hidden, &world.call("hidden"), &world.transport).await.unwrap();
    assert!(words(send(SendDraft { id: hidden.id, ..right() }).await).contains("keeps the `bcc`"));
    world.deliver(2, "Subject: Plan", "not mine");
    let id = world.mails_in("inbox").await.remove(0).id;
    let not_mine = SendDraft { id, to: vec!["ada@localhost".into()], body: "not mine".into(), ..right() };
    assert!(words(send(not_mine).await).contains("not a draft"));
}

#[tokio::test]
async fn an_answer_goes_where_the_mail_wants_it_and_into_its_conversation() {
    let Some(world) = World::start_or_skip() else { return };
    let head = "Subject: Plan\nCc: dan@ext.example, ada@localhost\nReply-To: list@ext.example\nMessage-ID: <2@ext.example>\nReferences: <1@ext.example>";
    world.deliver(2, head, "Shall we?");
    let id = world.mails_in("inbox").await.remove(0).id;
    let answer = || ReplyToMail {
        id: id.clone(),
        to: vec!["list@ext.example".into()],
        body: "Yes.".into(),
        ..Default::default()
    };
    let elsewhere = ReplyToMail { to: vec!["carol@ext.example".into()], ..answer() };
    assert!(words(world.reply("reply", &elsewhere).await).contains("which is list@ext.example"));
    for was_sent_before in [false, true] {
        assert_eq!(world.reply("reply", &answer()).await.unwrap().was_sent_before, was_sent_before);
    }
    let received = world.cyrus.sink.received();
    assert_eq!((received.len(), received[0].to.as_slice()), (1, &["list@ext.example".to_owned()][..]));
    let text = &received[0].text;
    assert!(text.contains("Subject: Re: Plan\n") && text.contains("In-Reply-To: <2@ext.example>\n"), "{text}");
    assert!(text.contains("References: <1@ext.example> <2@ext.example>\n"), "{text}");
    let answered = world.mails_in("inbox").await.remove(0);
    assert!(answered.flags.contains(&"answered".to_owned()));
    assert_eq!(world.mails_in("sent").await[0].thread_id, answered.thread_id);
    let all = ReplyToMail { reply_all: true, ..answer() };
    assert!(words(world.reply("all", &all).await).contains("`cc` differs"));
    let cc = vec!["dan@ext.example".into()];
    let sent = world.reply("all", &ReplyToMail { cc, ..all }).await.unwrap();
    assert_eq!(sent.recipients, ["list@ext.example", "dan@ext.example"]);
    // The draft of an answer takes over the same parts.
    let drafted = CreateDraft { in_reply_to: Some(id.clone()), body: "Later.".into(), ..Default::default() };
    let drafted = create_draft::run(&drafted, &world.call("draft"), &world.transport).await.unwrap();
    assert_eq!((drafted.to[0].as_str(), drafted.subject.as_str()), ("list@ext.example", "Re: Plan"));
}
