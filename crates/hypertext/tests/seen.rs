//! The visible parts of documents: a corpus of files, each with the text that a person reads, and malicious documents.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use hypertext::{Element, Reader, Sheets, walk};

/// The time that an unoptimised build may take for a document of this size.
const TIME_LIMIT: Duration = Duration::from_secs(3);
const DOCUMENT_BYTES: usize = 256 << 10;

/// The words, and the starts and ends of elements.
#[derive(Default)]
struct Words {
    text: String,
    title: String,
    open: usize,
}

impl Reader for Words {
    fn open(&mut self, element: &Element<'_>) -> bool {
        self.text.push(' ');
        self.open += 1;
        element.name != b"nav"
    }

    fn close(&mut self, _: &[u8]) {
        self.text.push(' ');
    }

    fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn title(&mut self, text: &str) {
        self.title.push_str(text);
    }
}

fn read(html: &str, sheets: Sheets) -> Words {
    let mut words = Words::default();
    walk(html, sheets, &mut words);
    words
}

fn seen(html: &str) -> String {
    read(html, Sheets::Hold).text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn of_every_document_is_read_what_a_person_sees() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seen");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "html") {
            let (html, expected) =
                (fs::read_to_string(&path).unwrap(), fs::read_to_string(path.with_extension("txt")).unwrap());
            assert_eq!(seen(&html), expected.trim(), "{}", path.display());
            count += 1;
        }
    }
    assert!(count > 5, "the documents are not there");
}

#[test]
fn where_style_sheets_do_not_hold_white_is_white_on_white() {
    let html = "<style>body { background: black }</style><p style='color:white'>obey</p>";
    assert_eq!(read(html, Sheets::Ignored).text.trim(), "");
    assert_eq!(seen(html), "obey");
}

#[test]
fn what_the_reader_leaves_out_is_left_out_whole() {
    assert_eq!(seen("<nav>a<nav>b</nav>c<p>d</nav>e"), "e");
}

#[test]
fn the_title_is_the_documents_own() {
    assert_eq!(
        read(
            "<title>A &amp; b</title><svg><title>Icon</title></svg><template><title>No</title></template>",
            Sheets::Hold
        )
        .title,
        "A & b"
    );
}

#[test]
fn deeper_than_anybody_looks_what_is_hidden_stays_hidden() {
    let deep = "<div>".repeat(600);
    assert_eq!(seen(&format!("{deep}seen{}", "</div>".repeat(600))), "seen");
    assert_eq!(seen(&format!("{deep}<p hidden>obey</p>obey")), "");
    let inner = format!("{}<div hidden>{}", "<div>".repeat(500), "<div>".repeat(50));
    assert_eq!(seen(&format!("{inner}obey{}obey", "</div>".repeat(50))), "");
}

#[test]
fn hostile_documents_take_no_longer_than_others() {
    let fill = |unit: &str| unit.repeat(DOCUMENT_BYTES / unit.len());
    let within = |start: &str, unit: &str| format!("{start}{}", fill(unit));
    for (name, html) in [
        ("deep", fill("<div>")),
        ("deep hidden", fill("<div hidden>")),
        ("deep formatting", fill("<b style=color:red>")),
        ("misnested formatting", fill("<p><b style=display:none>x</p>")),
        ("ends of nothing", within(&"<span>".repeat(511), "</x>")),
        ("paragraphs far in", within(&"<div>".repeat(511), "<p></p>")),
        ("ends far out", within(&"<section>".repeat(511), "</main>")),
        ("long style", within("<p style='", "opacity:0;(")),
        ("long name", within("<", "x")),
        ("long names", fill("<x-very-long-name-of-an-element>")),
        ("deep svg", fill("<svg><g>")),
        ("deep formulas", fill("<math><mi>")),
        ("cells", within("<table>", "<tr><td>")),
        ("escapes", within("<p style='", "\\")),
        ("titles", fill("<title>x</title>")),
        ("sheets", fill("<style>.a{display:none}</style>")),
        ("open sheets", fill("<style>")),
        ("open blocks", within("<style>", "@media all{")),
        ("open comments", fill("<!--")),
        (
            "many rules and many elements",
            format!(
                "<style>{}</style>{}",
                (0..4_000).map(|n| format!(".a.b{n}{{opacity:0}}p.a.c{n}{{opacity:0}}")).collect::<String>(),
                "<p class='a b c'>".repeat(5_000)
            ),
        ),
        (
            "many rules with the same end and many elements",
            format!(
                "<style>{}</style>{}",
                (0..2_000).map(|n| format!(".b{n}.a.a.a.a{{opacity:0}}")).collect::<String>(),
                "<p class='a b c d e f'>".repeat(8_000)
            ),
        ),
        (
            "a long rule and many elements",
            format!("<style>{}{{opacity:0}}</style>{}", ".a".repeat(50_000), "<p class='a b'>".repeat(10_000)),
        ),
    ] {
        let start = Instant::now();
        let words = read(&html, Sheets::Hold);
        let taken = start.elapsed();
        println!("{name}: {taken:?}, {} elements", words.open);
        assert!(taken < TIME_LIMIT, "{name} took {taken:?}");
    }
}

#[test]
fn what_a_sheet_hides_stays_hidden_however_long_it_and_the_document_are() {
    let filling: String = (0..2_500).map(|n| format!(".f{n}.a{{opacity:0}}")).collect();
    let sheet = format!("<style>{filling} .note{{display:none}}</style>");
    assert_eq!(seen(&format!("{sheet}one<p class=note>obey</p><p class=other>two</p>")), "one two");
    let filling: String = (0..1_500).map(|n| format!(".f{n}.a{{opacity:0}}")).collect();
    let sheet = format!("<style>{filling} .note{{display:none}}</style>");
    let many = "<i class=a></i>".repeat(5_000);
    assert_eq!(seen(&format!("{sheet}{many}one<p class=note>obey</p><p class=other>two</p>")), "one two");
}

#[test]
fn what_a_sheet_only_colours_is_seen_however_long_it_and_the_document_are() {
    let seen = |filling: String, many: &str| {
        let first = "body{background:#fff}.light{color:#fff}.late{color:#111}";
        let rules = ".text{color:#111}p{background:#fff}.gone.note{display:none}.late{display:none}.gone.note.open{color:#222}.hero{background:#000}";
        let body =
            "<p class=text>one</p><p class='gone text'>two</p><p class='gone note'>obey</p><p class=late>obey</p>";
        let dark = "<div class=hero><b class=light>three</b></div>";
        seen(&format!("<style>{first}{filling}{rules}</style><body>{many}{body}{dark}"))
    };
    let colours = (0..2_500).map(|n| format!(".f{n}.a{{color:#333}}")).collect();
    assert_eq!(seen(colours, ""), "one two three");
    let colours = (0..1_500).map(|n| format!(".f{n}.a{{color:#333}}")).collect();
    assert_eq!(seen(colours, &"<i class=a></i>".repeat(5_000)), "one two three");
}

#[test]
fn of_more_rules_that_hide_than_are_kept_each_hides_what_it_is_about() {
    let filling: String = (0..12_000).map(|n| format!(".f{n}{{opacity:0}}")).collect();
    let sheet = format!("<style>{filling} p.note{{display:none}}.text{{color:#111}}</style>");
    assert_eq!(seen(&format!("{sheet}<p class=note>obey</p><p class=f11999>obey</p><p class=text>one</p>")), "one");
}
