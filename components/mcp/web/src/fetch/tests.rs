//! Pages of people and attackers, without a network.

use std::{collections::HashMap, net::IpAddr};

use futures::executor::block_on;
use http::{Request, Response};
use scripted_server::{Asked, Scripted, answer};
use upstream::{Http, Outcome, Unanswered};

use super::*;

type Script = Box<dyn Fn(&Asked) -> Outcome>;

/// A few pages, and a name service.
struct Pages {
    server: Scripted<Script>,
    /// `None`: the host does not look names up.
    names: Option<HashMap<&'static str, Vec<IpAddr>>>,
}

impl Pages {
    fn asked(&self) -> Vec<String> {
        self.server.asked().iter().map(|asked| asked.uri.to_string()).collect()
    }
}

impl Http for Pages {
    async fn send(&self, request: Request<Vec<u8>>, limits: Limits) -> Outcome {
        assert!(limits.bytes == MAX_BYTES && limits.wait <= TIME_LIMIT);
        self.server.send(request, limits).await
    }
}

impl World for Pages {
    async fn addresses(&self, name: &str) -> Result<Option<Vec<IpAddr>>, Failure> {
        let Some(names) = &self.names else { return Ok(None) };
        let found =
            names.get(name).cloned().ok_or_else(|| Failure::UpstreamFailed(format!("there is no host called {name}")));
        found.map(Some)
    }
}

fn redirected(to: &str) -> Response<Vec<u8>> {
    answer(302, &[("location", to)], b"")
}

fn web<const N: usize>(answers: [(&'static str, Response<Vec<u8>>); N]) -> Pages {
    let answers = HashMap::from(answers);
    let script = move |asked: &Asked| {
        let url = asked.uri.to_string();
        answers.get(url.as_str()).cloned().ok_or_else(|| Unanswered::NotSent(format!("{url} does not answer")))
    };
    Pages { server: Scripted::new(Box::new(script)), names: None }
}

fn fetched(world: &Pages, url: &str, offset: u32) -> Result<Part, Failure> {
    block_on(read(&Fetch { url: url.to_owned(), offset }, world))
}

fn one(headers: &[(&str, &str)], body: &[u8]) -> Result<Part, Failure> {
    fetched(&web([("https://a.org/", answer(200, headers, body))]), "https://a.org/", 0)
}

#[test]
fn a_page_is_read_with_its_title_and_its_last_address() {
    let html = "<title>Rust</title><h1>Hello</h1>".as_bytes();
    let web = web([
        ("https://a.org/old", redirected("/older?b=c#d")),
        ("https://a.org/older?b=c", redirected("http://www.b.org")),
        ("https://www.b.org/", answer(200, &[("content-type", "Text/HTML; Charset=\"utf-8\"")], html)),
    ]);
    let part = fetched(&web, " http://a.org/old#x ", 0).unwrap();
    let expected = Part {
        title: "Rust".into(),
        url: "https://www.b.org/".into(),
        text: "# Hello".into(),
        characters: 7,
        next_offset: None,
    };
    assert_eq!(part, expected);
    assert_eq!(web.asked(), ["https://a.org/old", "https://a.org/older?b=c", "https://www.b.org/"]);
    let answer = part.into_answer().unwrap();
    assert_eq!(answer.text, "Title: Rust\nAddress: https://www.b.org/\n\n# Hello");
    assert!(answer.structured.unwrap().contains("\"text\":\"# Hello\""));
}

#[test]
fn every_redirect_is_checked() {
    for (to, words) in [
        ("http://169.254.169.254/latest/meta-data/", "169.254.169.254"),
        ("//localhost/", "localhost"),
        ("https://2130706433/", "127.0.0.1"),
        ("http://tools.spin.internal/", "tools.spin.internal"),
        ("https://b.org:8080/", "Port 8080"),
        ("file:///etc/passwd", "file:"),
        ("https://user@b.org/", "password"),
    ] {
        let web = web([("https://a.org/", redirected(to))]);
        let Err(Failure::InvalidArguments(said)) = fetched(&web, "https://a.org/", 0) else {
            panic!("{to} was followed")
        };
        assert!(said.contains(words), "{to}: {said}");
        assert_eq!(web.asked(), ["https://a.org/"]);
    }
    for to in ["https://", "http://[/"] {
        let web = web([("https://a.org/", redirected(to))]);
        assert!(matches!(fetched(&web, "https://a.org/", 0), Err(Failure::UpstreamFailed(_))), "{to}");
    }
}

#[test]
fn a_page_that_sends_on_at_once_is_read_as_the_next_one() {
    let html = |body: &str| answer(200, &[("content-type", "text/html")], body.as_bytes());
    let refresh = |content: &str| html(&format!("<meta http-equiv=Refresh content=\"{content}\"><p>Moved"));
    for sends in [
        refresh("0;url=/new"),
        refresh("3; URL='https://a.org/new#x'"),
        answer(200, &[("content-type", "text/html"), ("refresh", "0;url=http://a.org/new")], b"<p>Moved"),
    ] {
        let web = web([("https://a.org/", sends), ("https://a.org/new", html("<p>Here"))]);
        let part = fetched(&web, "https://a.org/", 0).unwrap();
        assert_eq!((part.url.as_str(), part.text.as_str()), ("https://a.org/new", "Here"));
    }
    for (stays, text) in [
        (refresh("0"), "Moved"),
        (refresh("0;url=https://a.org/#top"), "Moved"),
        (refresh("0;url=javascript:alert(1)"), "Moved"),
        (refresh("60;url=/new"), "Moved\n\n(After 60 seconds the page moves on to https://a.org/new)"),
        (html("<noscript><meta http-equiv=refresh content='0;url=/new'></noscript><p>Moved"), "Moved"),
    ] {
        assert_eq!(fetched(&web([("https://a.org/", stays)]), "https://a.org/", 0).unwrap().text, text);
    }
    for (to, words) in [("http://169.254.169.254/", "169.254.169.254"), ("//ops.spin.internal/", "ops.spin.internal")] {
        let web = web([("https://a.org/", refresh(&format!("0;url={to}")))]);
        let Err(Failure::InvalidArguments(said)) = fetched(&web, "https://a.org/", 0) else {
            panic!("{to} was followed")
        };
        assert!(said.contains(words), "{to}: {said}");
    }
    let web = web([("https://a.org/", refresh("0;url=/b")), ("https://a.org/b", refresh("0;url=/"))]);
    let Err(Failure::UpstreamFailed(said)) = fetched(&web, "https://a.org/", 0) else { panic!("it went on for ever") };
    assert!(said.contains("more than 5 times"), "{said}");
}

#[test]
fn redirects_end() {
    let web = web([("https://a.org/", redirected("http://a.org/"))]);
    let Err(Failure::UpstreamFailed(said)) = fetched(&web, "https://a.org/", 0) else { panic!("it went on for ever") };
    assert!(said.contains("more than 5 times"), "{said}");
    assert_eq!(web.asked().len(), 1 + MAX_REDIRECTS);
}

#[test]
fn names_that_lead_to_private_addresses_are_refused_where_the_host_tells() {
    let page = || answer(200, &[("content-type", "text/plain")], b"x");
    let mut web = web([
        ("https://public.org/", page()),
        ("https://both.org/", page()),
        ("https://metadata.org/", page()),
        ("https://away.org/", redirected("https://metadata.org/")),
    ]);
    web.names = Some(HashMap::from([
        ("public.org", vec!["1.1.1.1".parse().unwrap(), "2606:4700::1111".parse().unwrap()]),
        ("both.org", vec!["1.1.1.1".parse().unwrap(), "10.0.0.1".parse().unwrap()]),
        ("metadata.org", vec!["169.254.169.254".parse().unwrap()]),
        ("away.org", vec!["1.1.1.1".parse().unwrap()]),
    ]));
    assert_eq!(fetched(&web, "https://public.org/", 0).unwrap().text, "x");
    for url in ["https://both.org/", "https://metadata.org/", "https://away.org/"] {
        assert!(matches!(fetched(&web, url, 0), Err(Failure::InvalidArguments(_))), "{url}");
    }
    assert!(matches!(fetched(&web, "https://no-such.org/", 0), Err(Failure::UpstreamFailed(_))));
    assert_eq!(web.asked(), ["https://public.org/", "https://away.org/"]);
}

#[test]
fn long_texts_come_in_parts() {
    let text = "äbc ".repeat(11_000);
    let web = web([("https://a.org/", answer(200, &[("content-type", "text/plain; charset=utf-8")], text.as_bytes()))]);
    let (mut read, mut offset) = (String::new(), Some(0));
    while let Some(from) = offset {
        let part = fetched(&web, "https://a.org/", u32::try_from(from).unwrap()).unwrap();
        assert!(part.text.chars().count() <= MAX_CHARS && part.characters == 44_000);
        read.push_str(&part.text);
        offset = part.next_offset;
    }
    assert_eq!(read, text);
    assert!(
        matches!(fetched(&web, "https://a.org/", 44_000), Err(Failure::InvalidArguments(words)) if words.contains("44000"))
    );
    let answer = fetched(&web, "https://a.org/", 0).unwrap().into_answer().unwrap();
    assert!(answer.text.ends_with("(next_offset: 20000 of 44000 characters)"));
}

#[test]
fn text_is_given_as_it_is_and_other_things_are_refused_by_name() {
    for kind in [
        "text/plain",
        "application/json",
        "application/problem+json;x=y",
        "application/rss+xml",
        "TEXT/CSV",
        "application/xml",
    ] {
        assert_eq!(
            one(&[("content-type", kind)], b"{ \"a\" : [\n1 ]}<p>").unwrap().text,
            "{ \"a\" : [\n1 ]}<p>",
            "{kind}"
        );
    }
    for kind in ["application/pdf", "image/png", "application/octet-stream", "video/mp4; x=y", "nonsense"] {
        let Err(Failure::UpstreamFailed(said)) = one(&[("content-type", kind)], b"x") else {
            panic!("{kind} was read")
        };
        assert!(said.contains(kind.split(';').next().unwrap()), "{said}");
    }
    assert_eq!(one(&[], b" <!DOCTYPE HTML><p>x").unwrap().text, "x");
    assert_eq!(one(&[], b"x <p>").unwrap().text, "x <p>");
    assert_eq!(one(&[], "x\u{e0041}\u{e0042} y".as_bytes()).unwrap().text, "x y", "what nobody sees");
    assert!(matches!(one(&[], b"\x7fELF\0"), Err(Failure::UpstreamFailed(_))));
    let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xfc</a>";
    for kind in [&[("content-type", "application/atom+xml")][..], &[("content-type", "text/xml")], &[]] {
        assert!(one(kind, latin).unwrap().text.ends_with("<a>ü</a>"));
    }
    let page = b"<?xml version='1.0' encoding='ISO-8859-1'?><html><body><p>\xfc</p></body></html>";
    assert_eq!(one(&[("content-type", "application/xhtml+xml")], page).unwrap().text, "ü");
    assert_eq!(one(&[("content-type", "text/html")], page).unwrap().text, "ü");
    assert_eq!(one(&[("content-type", "text/html; charset=iso-8859-1")], b"<p>\xfc").unwrap().text, "ü");
    assert_eq!(
        one(&[("content-type", "text/html")], b"").unwrap().into_answer().unwrap().text,
        "Address: https://a.org/\n\n(no text)"
    );
}

#[test]
fn what_is_no_page_is_told() {
    let web = web([("https://a.org/", answer(404, &[], b"no")), ("https://b.org/", answer(304, &[], b""))]);
    assert!(
        matches!(fetched(&web, "https://a.org/", 0), Err(Failure::UpstreamFailed(words)) if words.contains("404 Not Found"))
    );
    assert!(matches!(fetched(&web, "https://b.org/", 0), Err(Failure::UpstreamFailed(words)) if words.contains("304")));
    for url in ["", "a.org", "https://", "http://[::1"] {
        assert!(matches!(fetched(&web, url, 0), Err(Failure::InvalidArguments(_))), "{url}");
    }
}
