//! Rich Text Format (Microsoft, version 1.9.1): its text, without what is hidden or deleted.

use std::collections::HashMap;

use encoding_rs::{Encoding, WINDOWS_1252};

use crate::{table::Table, writer::Writer};

/// Groups in groups. Word writes a dozen.
const DEPTH_MAX: usize = 1_000;
/// The usual name of a word of control is shorter.
const WORD_MAX_BYTES: usize = 32;

/// Groups whose text is not the document's (besides those that are marked to be passed over by who does not know them).
const NOT_TEXT: [&str; 22] = [
    "fonttbl",
    "colortbl",
    "stylesheet",
    "info",
    "pict",
    "object",
    "header",
    "headerl",
    "headerr",
    "headerf",
    "footer",
    "footerl",
    "footerr",
    "footerf",
    "listtable",
    "listoverridetable",
    "revtbl",
    "rsidtbl",
    "themedata",
    "datastore",
    "xmlnstbl",
    "filetbl",
];

/// What holds in a group.
#[derive(Clone, Copy)]
struct Group {
    is_skipped: bool,
    is_hidden: bool,
    /// How many bytes stand for a letter that is written as a number, for who does not know the number.
    substitutes: usize,
    encoding: &'static Encoding,
}

pub(crate) fn read(bytes: &[u8], writer: &mut Writer) {
    let group = Group { is_skipped: false, is_hidden: false, substitutes: 1, encoding: WINDOWS_1252 };
    let mut reader = Reader {
        rest: bytes,
        group,
        groups: Vec::new(),
        too_deep: 0,
        text: String::new(),
        packed: Vec::new(),
        pass: 0,
        high: None,
        level: None,
        is_item: false,
        is_in_table: false,
        cell: String::new(),
        table: Table::default(),
        fonts: HashMap::new(),
        font: None,
        is_font_list: false,
        usual: WINDOWS_1252,
        writer,
    };
    reader.read();
}

struct Reader<'b, 'w> {
    rest: &'b [u8],
    group: Group,
    groups: Vec<Group>,
    too_deep: usize,
    /// The open paragraph, and its bytes that are no letters yet.
    text: String,
    packed: Vec<u8>,
    /// How many bytes stand for a letter that was read.
    pass: usize,
    /// The first half of a letter that is written as two numbers.
    high: Option<u16>,
    level: Option<u8>,
    is_item: bool,
    is_in_table: bool,
    cell: String,
    table: Table,
    /// The encodings of fonts by their numbers.
    fonts: HashMap<i32, &'static Encoding>,
    font: Option<i32>,
    is_font_list: bool,
    /// The document's encoding.
    usual: &'static Encoding,
    writer: &'w mut Writer,
}

impl Reader<'_, '_> {
    fn read(&mut self) {
        while let Some((byte, rest)) = self.rest.split_first() {
            self.rest = rest;
            if self.writer.is_full() {
                return;
            }
            match byte {
                b'{' => self.open(),
                b'}' => self.close(),
                b'\\' => self.control(),
                b'\r' | b'\n' => {}
                byte => self.byte(*byte),
            }
        }
        self.end_paragraph();
        self.end_table();
    }

    fn open(&mut self) {
        self.unpack();
        if self.groups.len() < DEPTH_MAX {
            self.groups.push(self.group);
        } else {
            self.too_deep = self.too_deep.saturating_add(1);
        }
    }

    fn close(&mut self) {
        self.unpack();
        if self.too_deep > 0 {
            self.too_deep = self.too_deep.saturating_sub(1);
        } else if let Some(group) = self.groups.pop() {
            self.group = group;
            // The list of fonts is a group in the outermost.
            self.is_font_list &= self.groups.len() > 1;
        }
    }

    fn byte(&mut self, byte: u8) {
        if self.pass > 0 {
            self.pass = self.pass.saturating_sub(1);
        } else if !self.group.is_skipped && !self.group.is_hidden {
            self.packed.push(byte);
        }
    }

    /// The bytes until now become letters.
    fn unpack(&mut self) {
        if !self.packed.is_empty() {
            let (letters, _) = self.group.encoding.decode_without_bom_handling(&self.packed);
            self.text.push_str(&letters);
            self.packed.clear();
        }
    }

    fn push(&mut self, text: &str) {
        self.unpack();
        if !self.group.is_skipped && !self.group.is_hidden {
            self.text.push_str(text);
        }
    }

    fn control(&mut self) {
        let Some((first, rest)) = self.rest.split_first() else { return };
        if !first.is_ascii_alphabetic() {
            self.rest = rest;
            match first {
                b'\'' => {
                    let digits = self.rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                    self.rest = self.rest.get(2..).unwrap_or_default();
                    if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                        self.byte(byte);
                    }
                }
                b'\\' | b'{' | b'}' => self.byte(*first),
                b'~' => self.push(" "),
                b'_' => self.push("-"),
                b'*' => self.group.is_skipped = true,
                b'\r' | b'\n' => self.end_paragraph(),
                _ => {}
            }
            return;
        }
        let length = self.rest.iter().take(WORD_MAX_BYTES).take_while(|byte| byte.is_ascii_alphabetic()).count();
        let (word, rest) = self.rest.split_at_checked(length).unwrap_or_default();
        let length = rest
            .iter()
            .take(11)
            .enumerate()
            .take_while(|(at, byte)| byte.is_ascii_digit() || *at == 0 && **byte == b'-')
            .count();
        let (number, rest) = rest.split_at_checked(length).unwrap_or_default();
        self.rest = rest.strip_prefix(b" ").unwrap_or(rest);
        let word = std::str::from_utf8(word).unwrap_or_default();
        let number = std::str::from_utf8(number).ok().and_then(|number| number.parse::<i32>().ok());
        self.word(word, number);
    }

    fn word(&mut self, word: &str, number: Option<i32>) {
        let is_on = number != Some(0);
        let count = || number.and_then(|number| usize::try_from(number).ok()).unwrap_or_default();
        match word {
            "par" | "sect" | "page" => self.end_paragraph(),
            "line" => self.push("\n"),
            "tab" => self.push("\t"),
            "emdash" => self.push("—"),
            "endash" => self.push("–"),
            "bullet" => self.push("•"),
            "lquote" => self.push("‘"),
            "rquote" => self.push("’"),
            "ldblquote" => self.push("“"),
            "rdblquote" => self.push("”"),
            "emspace" | "enspace" | "qmspace" => self.push(" "),
            "u" => self.letter(number.unwrap_or_default()),
            "uc" => self.group.substitutes = count(),
            "bin" => self.rest = self.rest.get(count()..).unwrap_or_default(),
            "v" | "deleted" => {
                self.unpack();
                self.group.is_hidden = is_on;
            }
            "plain" => {
                self.unpack();
                self.group.is_hidden = false;
            }
            "ansicpg" => {
                let page = number.and_then(|number| u16::try_from(number).ok());
                self.usual = page.and_then(encoding_of_page).unwrap_or(WINDOWS_1252);
                self.group.encoding = self.usual;
            }
            "mac" => {
                self.usual = encoding_rs::MACINTOSH;
                self.group.encoding = self.usual;
            }
            "fonttbl" => {
                self.is_font_list = true;
                self.group.is_skipped = true;
            }
            "f" if self.is_font_list => self.font = number,
            "fcharset" if self.is_font_list => {
                let encoding = number.and_then(encoding_of_charset);
                if let Some((font, encoding)) = self.font.zip(encoding) {
                    self.fonts.entry(font).or_insert(encoding);
                }
            }
            "f" => {
                self.unpack();
                let found = number.and_then(|number| self.fonts.get(&number));
                self.group.encoding = found.copied().unwrap_or(self.usual);
            }
            "pard" => {
                self.level = None;
                self.is_item = false;
                self.is_in_table = false;
            }
            "outlinelevel" => {
                self.level = number
                    .and_then(|level| u8::try_from(level).ok())
                    .filter(|level| *level < 9)
                    .map(|level| level.saturating_add(1));
            }
            "listtext" | "pntext" => {
                self.is_item = true;
                self.group.is_skipped = true;
            }
            "intbl" => self.is_in_table = true,
            "cell" | "nestcell" => {
                self.unpack();
                self.cell.push_str(&std::mem::take(&mut self.text));
                self.table.cell(&std::mem::take(&mut self.cell));
            }
            "row" | "nestrow" => self.table.end_row(),
            "footnote" => self.push(" "),
            word if NOT_TEXT.contains(&word) => self.group.is_skipped = true,
            _ => {}
        }
    }

    /// A letter as a number of sixteen bits with a sign; a letter beyond them is two.
    fn letter(&mut self, number: i32) {
        self.unpack();
        self.pass = self.group.substitutes;
        let unit = u16::try_from(number.rem_euclid(0x1_0000)).unwrap_or_default();
        let units = self.high.take().map_or_else(|| vec![unit], |high| vec![high, unit]);
        if (0xd800..0xdc00).contains(&unit) {
            self.high = Some(unit);
            return;
        }
        let letters = String::from_utf16_lossy(&units);
        self.push(&letters);
    }

    fn end_paragraph(&mut self) {
        self.unpack();
        if self.group.is_skipped {
            return;
        }
        let text = std::mem::take(&mut self.text);
        if self.is_in_table {
            self.cell.push_str(&text);
            self.cell.push(' ');
            return;
        }
        self.end_table();
        match self.level {
            Some(level) => self.writer.heading(level, &text),
            None if self.is_item => self.writer.item(&text),
            None => self.writer.paragraph(&text),
        }
    }

    fn end_table(&mut self) {
        if !self.cell.trim().is_empty() {
            self.table.cell(&std::mem::take(&mut self.cell));
        }
        self.cell.clear();
        self.writer.table(&mut self.table);
    }
}

/// The encoding of a code page of Windows.
fn encoding_of_page(page: u16) -> Option<&'static Encoding> {
    let label = match page {
        932 => "shift_jis",
        936 => "gbk",
        949 => "euc-kr",
        950 => "big5",
        10_000 => "macintosh",
        65_001 => "utf-8",
        874 | 1250..=1258 => return Encoding::for_label(format!("windows-{page}").as_bytes()),
        _ => return None,
    };
    Encoding::for_label(label.as_bytes())
}

/// The encoding of a font's set of letters.
fn encoding_of_charset(charset: i32) -> Option<&'static Encoding> {
    encoding_of_page(match charset {
        77 => 10_000,
        128 => 932,
        129 => 949,
        134 => 936,
        136 => 950,
        161 => 1253,
        162 => 1254,
        163 => 1258,
        177 => 1255,
        178 => 1256,
        186 => 1257,
        204 => 1251,
        222 => 874,
        238 => 1250,
        _ => return None,
    })
}
