//! Files that are made to be a burden: each ends soon, with a text or with a word that says why not, and never with a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod outcome;

use std::{
    fs,
    io::{Cursor, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use extraction::{Document, FILE_MAX_BYTES, Hints, NoteCode, TEXT_MAX_BYTES, Unreadable};
use proptest::{prelude::*, test_runner::Config};
use zip::{ZipWriter, write::SimpleFileOptions};

/// What an unoptimised build may take on a busy machine.
const TIME_LIMIT: Duration = Duration::from_secs(30);

fn read(name: &str, bytes: impl Into<Vec<u8>>) -> Result<Document, Unreadable> {
    let began = Instant::now();
    let read = extraction::read(bytes.into(), Hints { name, media_type: "" });
    assert!(began.elapsed() < TIME_LIMIT, "{name} took {:?}", began.elapsed());
    outcome::shown(&read);
    read
}

/// What of a file grows with the square of something else takes minutes; what grows with the file alone, a second.
fn read_soon(name: &str, bytes: impl Into<Vec<u8>>) -> Document {
    let began = Instant::now();
    let read = extraction::read(bytes.into(), Hints { name, media_type: "" }).unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{name} took {:?}", began.elapsed());
    read
}

fn has_note(document: &Document, code: NoteCode) -> bool {
    document.notes.iter().any(|note| note.code == code)
}

/// An archive of files, compressed.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        let method = if bytes.is_empty() { zip::CompressionMethod::Stored } else { zip::CompressionMethod::Deflated };
        let options = SimpleFileOptions::default().compression_method(method);
        archive.start_file(*name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

const TYPES: (&str, &[u8]) = ("[Content_Types].xml", b"<Types>wordprocessingml.</Types>");

/// A file of objects, numbered from 1, of which the first is the catalogue. Streams are written with their lengths.
fn pdf(objects: &[String]) -> Vec<u8> {
    let mut file = b"%PDF-1.7\n".to_vec();
    let mut places = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        places.push(file.len());
        file.extend(format!("{} 0 obj\n{object}\nendobj\n", index + 1).bytes());
    }
    let table = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    for place in places {
        file.extend(format!("{place:010} 00000 n \n").bytes());
    }
    file.extend(format!("trailer<</Size {}/Root 1 0 R>>\nstartxref\n{table}\n%%EOF", objects.len() + 1).bytes());
    file
}

fn stream(dict: &str, content: &str) -> String {
    format!("<<{dict}/Length {}>>stream\n{content}\nendstream", content.len())
}

const CATALOGUE: &str = "<</Type/Catalog/Pages 2 0 R>>";
const FONT: &str = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>";

#[test]
fn an_archive_that_unpacks_to_gigabytes_is_refused() {
    let bomb = archive(&[TYPES, ("word/document.xml", &vec![b' '; 25 << 20])]);
    assert!(bomb.len() < 100_000);
    assert!(matches!(read("a.docx", bomb), Err(Unreadable::TooComplex(_))));
}

#[test]
fn chapters_that_are_missing_are_looked_for_once() {
    let item = |id: u32| format!("<item id='{id}' href='y{id:05}'/><itemref idref='{id}'/>");
    let items: String = (0..8_000).map(item).collect();
    let names: Vec<String> = (0..10_000).map(|name| format!("x{name:05}")).collect();
    let book: [(&str, &[u8]); 3] = [
        ("mimetype", b"application/epub+zip"),
        ("META-INF/container.xml", b"<rootfile full-path='package'/>"),
        ("package", items.as_bytes()),
    ];
    let mut files = book.to_vec();
    files.extend(names.iter().map(|name| (name.as_str(), b"".as_slice())));
    let document = read_soon("a.epub", archive(&files));
    assert!(document.text.is_empty() && has_note(&document, NoteCode::Damaged));
}

#[test]
fn a_file_in_an_archive_is_found_whatever_the_case_of_its_name() {
    let book: [(&str, &[u8]); 4] = [
        ("mimetype", b"application/epub+zip"),
        ("meta-inf/CONTAINER.xml", b"<rootfile full-path='Book/Package'/>"),
        ("book/package", b"<item id='1' href='One'/><itemref idref='1'/>"),
        ("BOOK/ONE", b"<p>end</p>"),
    ];
    assert_eq!(read("a.epub", archive(&book)).unwrap().text, "end");
}

#[test]
fn slides_are_found_by_their_ids() {
    let ids: String = (0..30_000).map(|id| format!("<p:sldId r:id='y{id:05}'/>")).collect();
    let others: String = (0..30_000).map(|id| format!("<Relationship Id='x{id:05}'/>")).collect();
    let presentation = format!("<p>{ids}<p:sldId r:id='r'/></p>");
    let relationships = format!("<r>{others}<Relationship Id='r' Target='slide'/></r>");
    let files: [(&str, &[u8]); 4] = [
        ("[Content_Types].xml", b"<Types>presentationml.</Types>"),
        ("ppt/presentation.xml", presentation.as_bytes()),
        ("ppt/_rels/presentation.xml.rels", relationships.as_bytes()),
        ("ppt/slide", b"<p:p><a:t>end</a:t></p:p>"),
    ];
    assert_eq!(read_soon("a.pptx", archive(&files)).text, "end");
}

#[test]
fn what_is_repeated_costs_nothing_once_the_table_is_full() {
    let cell = |text: &str| {
        format!("<table:table-cell table:number-columns-repeated='64'><text:p>{text}</text:p></table:table-cell>")
    };
    let row = |cells: &str| format!("<table:table-row table:number-rows-repeated='64'>{cells}</table:table-row>");
    let late = cell(&format!("{}x", " ".repeat(10_000))).repeat(150);
    let rows = row(&cell(&"x".repeat(32_000))) + &row(&late);
    let content = format!("<office:spreadsheet><table:table>{rows}</table:table></office:spreadsheet>");
    let files: [(&str, &[u8]); 2] =
        [("mimetype", b"application/vnd.oasis.opendocument.spreadsheet"), ("content.xml", content.as_bytes())];
    assert!(has_note(&read_soon("a.ods", archive(&files)), NoteCode::Truncated));
}

#[test]
fn a_cell_that_is_repeated_is_cleaned_once() {
    let cell = format!(
        "<table:table-cell table:number-columns-repeated='64'><text:p>x{}</text:p></table:table-cell>",
        " ".repeat(32 << 10)
    );
    let rows = format!("<table:table-row table:number-rows-repeated='64'>{cell}</table:table-row>").repeat(30);
    let content = format!("<office:spreadsheet><table:table>{rows}</table:table></office:spreadsheet>");
    let files: [(&str, &[u8]); 2] =
        [("mimetype", b"application/vnd.oasis.opendocument.spreadsheet"), ("content.xml", content.as_bytes())];
    assert_eq!(read_soon("a.ods", archive(&files)).text.lines().count(), 64 * 30);
}

#[test]
fn markup_that_is_deep_costs_its_bytes() {
    let deep = "<w:tbl><w:tr><w:tc><w:p>".repeat(50_000);
    let text = format!("<w:document>{deep}<w:r><w:t>end</w:t></w:r>");
    assert_eq!(read("a.docx", archive(&[TYPES, ("word/document.xml", text.as_bytes())])).unwrap().text, "end");
    assert_eq!(read("a.html", "<div>".repeat(100_000) + "end").unwrap().text, "end");
    assert_eq!(read("a.rtf", format!("{{\\rtf1 {}end", "{".repeat(100_000))).unwrap().text, "end");
    assert_eq!(read("a.json", "[".repeat(100_000)).unwrap().text.len(), 100_000);
    for nested in ["> ", "- ", "* > ", "[", "![", "`", "*_", "<a ", "&#", "|"] {
        read("a.md", nested.repeat(20_000)).unwrap();
    }
}

#[test]
fn a_mail_in_mails_costs_its_bytes() {
    let mut mail = String::from("Subject: outermost\nMIME-Version: 1.0\n");
    for level in 0..2_000 {
        mail += &format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n");
    }
    mail += "Content-Type: text/plain\n\nend\n";
    assert!(read("a.eml", mail).unwrap().text.contains("outermost"));
    let inside = "Content-Type: message/rfc822\n\n".repeat(2_000);
    assert!(read("a.eml", format!("Subject: outermost\n{inside}end")).unwrap().text.contains("outermost"));
}

#[test]
fn fonts_are_found_by_their_numbers() {
    let fonts: String = (0..50_000).map(|font| format!("\\f{font}\\fcharset204")).collect();
    let unknown = "\\f-1".repeat(200_000);
    let document = read_soon("a.rtf", format!("{{\\rtf1{{\\fonttbl{fonts}}}{unknown}\\f49999\\'e4}}"));
    assert_eq!(document.text, "д");
}

#[test]
fn a_row_that_is_too_long_ends_the_table() {
    let document = read("a.csv", format!("a,b\n\"{}\",c\n", "x".repeat(3 << 20))).unwrap();
    assert!(document.text == "a\tb" && has_note(&document, NoteCode::Damaged));
}

#[test]
fn a_text_that_is_too_long_is_cut_and_says_so() {
    let document = read("a.txt", "Zwölf Wörter. ".repeat(TEXT_MAX_BYTES / 14)).unwrap();
    assert!(document.text.len() <= TEXT_MAX_BYTES && document.text.len() > TEXT_MAX_BYTES - 100);
    assert!(has_note(&document, NoteCode::Truncated));
    let lines = read("a.txt", "a\n\n".repeat(200_000)).unwrap();
    assert!(has_note(&lines, NoteCode::Truncated));
    assert_eq!(read("a.txt", vec![b'a'; FILE_MAX_BYTES + 1]), Err(Unreadable::TooLarge));
}

#[test]
fn pages_that_are_their_own_parents_end() {
    let loops = [CATALOGUE.to_owned(), "<</Type/Pages/Count 1/Kids[2 0 R 2 0 R]>>".to_owned()];
    let _ = read("a.pdf", pdf(&loops));
    let mut xref = pdf(&loops);
    let text = String::from_utf8(xref.clone()).unwrap().replace("/Root 1 0 R", "/Root 1 0 R/Prev 9");
    xref = text.into_bytes();
    let _ = read("a.pdf", xref);
}

#[test]
fn drawings_that_draw_each_other_end() {
    // Twenty times twenty times ...: a letter for each of 10^13 ways.
    let mut objects = vec![
        CATALOGUE.to_owned(),
        "<</Type/Pages/Count 1/Kids[3 0 R]>>".to_owned(),
        "<</Type/Page/Parent 2 0 R/Contents 5 0 R/Resources<</XObject<</X 5 0 R>>>>>>".to_owned(),
        FONT.to_owned(),
    ];
    for next in 6..16 {
        let dict = format!("/Type/XObject/Subtype/Form/Resources<</Font<</F 4 0 R>>/XObject<</X {next} 0 R>>>>");
        objects.push(stream(&dict, &format!("BT /F 9 Tf (a) Tj ET {}{}", "/X Do ".repeat(20), " ".repeat(1 << 20))));
    }
    objects.push(stream("/Type/XObject/Subtype/Form/Resources<</XObject<</X 5 0 R>>>>", &"/X Do ".repeat(20)));
    let document = read("a.pdf", pdf(&objects)).unwrap();
    assert_eq!(document.parts.len(), 1);
}

#[test]
fn a_thousand_pages_are_read() {
    let mut objects = vec![CATALOGUE.to_owned(), String::new(), FONT.to_owned()];
    let mut kids = String::new();
    for page in 1..=1_000 {
        kids += &format!("{} 0 R ", objects.len() + 1);
        let content = format!("{} 0 R", objects.len() + 2);
        objects.push(format!(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents {content}/Resources<</Font<</F 3 0 R>>>>>>"
        ));
        objects.push(stream("", &format!("BT /F 12 Tf 50 700 Td (This is page {page}.) Tj ET")));
    }
    objects[1] = format!("<</Type/Pages/Count 1000/Kids[{kids}]>>");
    let document = read("a.pdf", pdf(&objects)).unwrap();
    assert_eq!(document.parts.len(), 1_000);
    assert!(document.text.contains("This is page 1.") && document.text.ends_with("This is page 1000."));
}

#[test]
fn a_paragraph_of_a_pdf_file_ends_after_a_thousand_lines() {
    let lines = "(a) '".repeat(3_000);
    let page = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 5 0 R/Resources<</Font<</F 4 0 R>>>>>>";
    let objects = [
        CATALOGUE.to_owned(),
        "<</Type/Pages/Count 1/Kids[3 0 R]>>".to_owned(),
        page.to_owned(),
        FONT.to_owned(),
        stream("", &format!("BT /F .2 Tf .24 TL 50 790 Td {lines} ET")),
    ];
    let document = read("a.pdf", pdf(&objects)).unwrap();
    assert_eq!(document.blocks.len(), 3);
}

#[test]
fn a_hundred_thousand_objects_are_looked_at_once() {
    let mut objects = vec![CATALOGUE.to_owned(), "<</Type/Pages/Count 0/Kids[]>>".to_owned()];
    objects.extend((0..100_000).map(|index| format!("<</A {index} 0 R/B[{index} 0 R]>>")));
    let _ = read("a.pdf", pdf(&objects));
    // Without the table everything is searched for.
    let file = String::from_utf8(pdf(&objects)).unwrap().replace("startxref", "startxxxx");
    let _ = read("a.pdf", file);
}

/// A file of the corpus with some bytes changed, copied or lost.
fn mutated() -> impl Strategy<Value = (String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let files: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none_or(|ending| ending != "outcome"))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        // The reader of old Excel files follows a chain of sectors that is a circle until its memory ends, which only the sandbox survives.
        .filter(|(name, bytes)| !bytes.is_empty() && name != "old.xls")
        .collect();
    let changes =
        prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0..6_u8), 1..8);
    (prop::sample::select(files), changes).prop_map(|((name, mut bytes), changes)| {
        for (one, other, byte, what) in changes {
            if bytes.is_empty() {
                break;
            }
            let (from, to) = (one.index(bytes.len()), other.index(bytes.len()));
            let (from, to) = (from.min(to), from.max(to));
            match what {
                0 => bytes[from] = byte,
                1 => bytes[from] ^= 1 << (byte % 8),
                2 => bytes.truncate(to),
                3 => drop(bytes.drain(from..to.min(from + 50))),
                4 => {
                    let piece = bytes[from..to.min(from + 200)].to_vec();
                    bytes.splice(to..to, piece);
                }
                _ => bytes[to] = [b'0', b'9', b'<', b'>', b'/', b'\\', b'(', 0xff][usize::from(byte % 8)],
            }
        }
        (name, bytes)
    })
}

proptest! {
    // Few for every change; more with PROPTEST_CASES.
    #![proptest_config(Config { cases: std::env::var("PROPTEST_CASES").map_or(60, |cases| cases.parse().unwrap()), ..Config::default() })]

    #[test]
    fn a_broken_file_is_read_in_part_or_refused((name, bytes) in mutated()) {
        let _ = read(&name, bytes);
    }
}
