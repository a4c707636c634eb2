//! What a page draws, as far as it is text: fragments of letters with their places, and how much of the page pictures cover (ISO 32000-2, 8 and 9).
//!
//! Every operator, every letter and every unpacked byte is counted for the whole document, since drawings may use each other a million times. Nothing
//! is drawn: clips, colours and transparency are not known, so what they hide is read.

use std::{collections::HashMap, rc::Rc};

use hayro_syntax::{
    content::{TypedIter, ops::TypedInstruction},
    object::{Array, Dict, Name, Number, Object, Rect, Stream, String as PdfString},
    page::{Page, Resources},
};

use super::{
    letters::{Fonts, Letters},
    stream::unpacked,
};

/// Operators and letters of a document. A thousand dense pages have five millions; more are a burden for seconds.
const STEPS_MAX: usize = 30_000_000;
/// Bytes that are unpacked for drawings. A thousand pages of 100 KB each.
const BYTES_MAX: usize = 128 << 20;
/// Drawings in drawings. Real ones are three deep, and each level here uses the stack.
const DEPTH_MAX: usize = 12;
/// States that are kept for later. The standard asks for 28.
const STATES_MAX: usize = 256;
/// Fields, comments and stamps of a page.
const ANNOTATIONS_MAX: usize = 1_000;
/// Fragments of a page: more than a page has letters.
const FRAGMENTS_MAX: usize = 200_000;
/// Text that stands for others' letters is a ligature or a word.
const ACTUAL_MAX_CHARS: usize = 200;

/// A space is wider than this part of the font's size, and the distance between two letters of a word is not.
const SPACE: f64 = 0.16;
/// Text that goes on after so much space is another fragment: a column, or a cell.
const GAP: f64 = 1.0;
/// Raised and lowered letters stand in their line as far as this.
const RAISED: f64 = 0.5;

/// Annotations that nobody sees: hidden, or not for the screen (12.5.3).
const UNSEEN_FLAGS: i64 = 0b10_0010;

/// An affine transformation, as in PDF.
#[derive(Clone, Copy)]
struct Matrix([f64; 6]);

impl Matrix {
    const IDENTITY: Self = Self([1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);

    const fn shift(x: f64, y: f64) -> Self {
        Self([1.0, 0.0, 0.0, 1.0, x, y])
    }

    /// First this one, then the other.
    fn then(self, other: Self) -> Self {
        let (Self([a, b, c, d, e, f]), Self([k, l, m, n, o, p])) = (self, other);
        Self([a * k + b * m, a * l + b * n, c * k + d * m, c * l + d * n, e * k + f * m + o, e * l + f * n + p])
    }

    fn point(self, x: f64, y: f64) -> (f64, f64) {
        let Self([a, b, c, d, e, f]) = self;
        (a * x + c * y + e, b * x + d * y + f)
    }

    fn area(self) -> f64 {
        let Self([a, b, c, d, ..]) = self;
        (a * d - b * c).abs()
    }

    fn of(numbers: [&Number; 6]) -> Self {
        Self(numbers.map(Number::as_f64))
    }

    fn read(dict: &Dict<'_>) -> Self {
        dict.get::<[f64; 6]>("Matrix").map_or(Self::IDENTITY, Self)
    }
}

/// Letters that stand beside each other.
pub(super) struct Fragment {
    pub(super) text: String,
    /// The direction of the line in degrees.
    pub(super) angle: i16,
    /// Where the fragment begins and ends along its line, and how high its line is, in points. With an angle all are as if the page were turned.
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) height: f64,
    /// The font's size in points.
    pub(super) size: f64,
    /// Whether nothing is drawn.
    pub(super) is_invisible: bool,
}

/// What was found on a page.
pub(super) struct Content {
    pub(super) fragments: Vec<Fragment>,
    pub(super) size: (f64, f64),
    pub(super) pictures_area: f64,
    /// Letters that nobody knows.
    pub(super) unknown: usize,
}

/// Reads the pages of a document, and counts what that takes.
pub(super) struct Interpreter<'a> {
    fonts: Fonts<'a>,
    steps: usize,
    bytes: usize,
}

impl<'a> Interpreter<'a> {
    pub(super) fn new() -> Self {
        Self { fonts: Fonts::new(), steps: STEPS_MAX, bytes: BYTES_MAX }
    }

    /// Whether nothing more is read.
    pub(super) const fn is_spent(&self) -> bool {
        self.steps == 0 || self.bytes == 0
    }

    fn step(&mut self) -> bool {
        self.steps = self.steps.saturating_sub(1);
        self.steps > 0
    }

    fn unpack(&mut self, stream: &Stream<'a>) -> Option<std::borrow::Cow<'a, [u8]>> {
        let bytes = unpacked(stream)?;
        self.bytes = self.bytes.saturating_sub(bytes.len());
        (self.bytes > 0).then_some(bytes)
    }

    pub(super) fn page(&mut self, page: &Page<'a>) -> Content {
        let (width, height) = page.render_dimensions();
        let size = (f64::from(width), f64::from(height));
        let content = Content { fragments: Vec::new(), size, pictures_area: 0.0, unknown: 0 };
        let mut drawing = Drawing { interpreter: self, content, marks: Vec::new() };
        let turned = Matrix(page.initial_transform(false).as_coeffs());
        let mut bytes = Vec::new();
        for stream in streams(page.raw()) {
            let Some(piece) = drawing.interpreter.unpack(&stream) else { break };
            bytes.extend_from_slice(&piece);
            // A stream's end is the end of a word.
            bytes.push(b' ');
        }
        drawing.read(&bytes, page.resources(), turned, 0);
        drop(bytes);
        drawing.annotations(page, turned);
        drawing.content
    }
}

/// The streams of a page, which are one drawing.
fn streams<'a>(page: &Dict<'a>) -> Vec<Stream<'a>> {
    match page.get::<Object<'_>>("Contents") {
        Some(Object::Stream(stream)) => vec![stream],
        Some(Object::Array(array)) => array.iter::<Stream<'_>>().collect(),
        _ => Vec::new(),
    }
}

/// Whether a page names a drawing that is not in the file.
pub(super) fn content_is_missing(page: &Page<'_>) -> bool {
    let content = page.raw().get::<Object<'_>>("Contents");
    page.raw().contains_key("Contents") && matches!(content, None | Some(Object::Null(_)))
}

/// The state of a drawing (8.4.1, 9.3.1).
#[derive(Clone)]
struct State<'a> {
    matrix: Matrix,
    font: Option<Rc<Letters<'a>>>,
    size: f64,
    letter_space: f64,
    word_space: f64,
    stretch: f64,
    leading: f64,
    rise: f64,
    mode: i64,
}

/// Text that stands for the letters that are drawn in it.
struct Mark {
    actual: Option<String>,
    /// The nearest mark around it that has text, or this one: each letter asks for it.
    speaker: Option<usize>,
}

struct Drawing<'i, 'a> {
    interpreter: &'i mut Interpreter<'a>,
    content: Content,
    marks: Vec<Mark>,
}

impl<'a> Drawing<'_, 'a> {
    fn read(&mut self, bytes: &[u8], resources: &Resources<'a>, matrix: Matrix, depth: usize) {
        let mut state = State {
            matrix,
            font: None,
            size: 0.0,
            letter_space: 0.0,
            word_space: 0.0,
            stretch: 1.0,
            leading: 0.0,
            rise: 0.0,
            mode: 0,
        };
        let mut states: Vec<State<'a>> = Vec::new();
        let (mut text, mut line) = (Matrix::IDENTITY, Matrix::IDENTITY);
        let mut fonts: HashMap<Vec<u8>, Option<Rc<Letters<'a>>>> = HashMap::new();
        let marks = self.marks.len();
        let mut operations = TypedIter::new(bytes);
        while let Some(operation) = operations.next() {
            if !self.interpreter.step() {
                return;
            }
            let mut next_line = |text: &mut Matrix, x: f64, y: f64| {
                line = Matrix::shift(x, y).then(line);
                *text = line;
            };
            match operation {
                TypedInstruction::SaveState(_) if states.len() < STATES_MAX => states.push(state.clone()),
                TypedInstruction::RestoreState(_) => state = states.pop().unwrap_or(state),
                TypedInstruction::Transform(to) => {
                    state.matrix = Matrix::of([&to.0, &to.1, &to.2, &to.3, &to.4, &to.5]).then(state.matrix);
                }
                TypedInstruction::BeginText(_) => {
                    text = Matrix::IDENTITY;
                    line = Matrix::IDENTITY;
                }
                TypedInstruction::SetTextMatrix(to) => {
                    line = Matrix::of([&to.0, &to.1, &to.2, &to.3, &to.4, &to.5]);
                    text = line;
                }
                TypedInstruction::NextLine(by) => next_line(&mut text, by.0.as_f64(), by.1.as_f64()),
                TypedInstruction::NextLineAndSetLeading(by) => {
                    state.leading = -by.1.as_f64();
                    next_line(&mut text, by.0.as_f64(), by.1.as_f64());
                }
                TypedInstruction::NextLineUsingLeading(_) => next_line(&mut text, 0.0, -state.leading),
                TypedInstruction::TextFont(to) => {
                    state.size = to.1.as_f64();
                    if let Some(found) = fonts.get(to.0.as_ref()) {
                        state.font = found.clone();
                    } else {
                        state.font = resources.get_font(to.0).and_then(|dict| self.interpreter.fonts.get(&dict));
                        fonts.insert(to.0.as_ref().to_vec(), state.font.clone());
                    }
                }
                TypedInstruction::CharacterSpacing(to) => state.letter_space = to.0.as_f64(),
                TypedInstruction::WordSpacing(to) => state.word_space = to.0.as_f64(),
                TypedInstruction::HorizontalScaling(to) => state.stretch = to.0.as_f64() / 100.0,
                TypedInstruction::TextLeading(to) => state.leading = to.0.as_f64(),
                TypedInstruction::TextRise(to) => state.rise = to.0.as_f64(),
                TypedInstruction::TextRenderingMode(to) => state.mode = to.0.as_i64(),
                TypedInstruction::ShowText(shown) => self.show(shown.0, &state, &mut text),
                TypedInstruction::NextLineAndShowText(shown) => {
                    next_line(&mut text, 0.0, -state.leading);
                    self.show(shown.0, &state, &mut text);
                }
                TypedInstruction::ShowTextWithParameters(shown) => {
                    state.word_space = shown.0.as_f64();
                    state.letter_space = shown.1.as_f64();
                    next_line(&mut text, 0.0, -state.leading);
                    self.show(shown.2, &state, &mut text);
                }
                TypedInstruction::ShowTexts(shown) => self.show_all(shown.0, &state, &mut text),
                TypedInstruction::XObject(named) => {
                    if let Some(stream) = resources.get_x_object(named.0) {
                        self.draw(&stream, resources, state.matrix, depth);
                    }
                }
                TypedInstruction::InlineImage(_) => self.picture(state.matrix),
                TypedInstruction::BeginMarkedContent(_) => self.mark(None),
                TypedInstruction::BeginMarkedContentWithProperties(mark) => {
                    let named = match mark.1 {
                        Object::Dict(dict) => dict.get::<PdfString<'_>>("ActualText").map(|text| super::string(&text)),
                        Object::Name(name) => {
                            let dict = resources.properties.get::<Dict<'_>>(name.as_ref());
                            dict.and_then(|dict| dict.get::<PdfString<'_>>("ActualText"))
                                .map(|text| super::string(&text))
                        }
                        _ => None,
                    };
                    let actual = named.filter(|text| text.chars().count() <= ACTUAL_MAX_CHARS);
                    self.mark(actual);
                }
                TypedInstruction::EndMarkedContent(_) if self.marks.len() > marks => {
                    self.marks.pop();
                }
                _ => {}
            }
            if self.marks.len() > marks.saturating_add(STATES_MAX) {
                self.marks.truncate(marks);
            }
        }
        self.marks.truncate(marks);
    }

    fn mark(&mut self, actual: Option<String>) {
        let around = self.marks.last().and_then(|mark| mark.speaker);
        let speaker = if actual.is_some() { Some(self.marks.len()) } else { around };
        self.marks.push(Mark { actual, speaker });
    }

    /// A picture, or a drawing of its own.
    fn draw(&mut self, stream: &Stream<'a>, around: &Resources<'a>, matrix: Matrix, depth: usize) {
        let dict = stream.dict();
        match dict.get::<Name<'_>>("Subtype").as_deref() {
            Some(b"Image") => self.picture(matrix),
            Some(b"Form") if depth < DEPTH_MAX => {
                let Some(bytes) = self.interpreter.unpack(stream) else { return };
                let own = dict.get::<Dict<'_>>("Resources").map(Resources::new);
                self.read(
                    &bytes,
                    own.as_ref().unwrap_or(around),
                    Matrix::read(dict).then(matrix),
                    depth.saturating_add(1),
                );
            }
            _ => {}
        }
    }

    /// A picture is a square of one that is stretched to its place.
    fn picture(&mut self, matrix: Matrix) {
        let area = matrix.area();
        if area.is_finite() {
            self.content.pictures_area += area;
        }
    }

    /// What stands on the page and is not of it: filled fields of forms, comments that are shown, stamps.
    fn annotations(&mut self, page: &Page<'a>, turned: Matrix) {
        let Some(list) = page.raw().get::<Array<'_>>("Annots") else { return };
        for dict in list.iter::<Dict<'_>>().take(ANNOTATIONS_MAX) {
            let kind = dict.get::<Name<'_>>("Subtype");
            if !matches!(kind.as_deref(), Some(b"Widget" | b"FreeText" | b"Stamp"))
                || dict.get::<Number>("F").is_some_and(|flags| flags.as_i64() & UNSEEN_FLAGS != 0)
            {
                continue;
            }
            let shown = dict.get::<Dict<'_>>("AP").and_then(|shown| match shown.get::<Object<'_>>("N")? {
                Object::Stream(stream) => Some(stream),
                Object::Dict(states) => states.get::<Stream<'_>>(dict.get::<Name<'_>>("AS")?.as_ref()),
                _ => None,
            });
            let (Some(stream), Some(place)) = (shown, dict.get::<Rect>("Rect")) else { continue };
            let own = stream.dict().get::<Rect>("BBox").unwrap_or(place);
            let matrix = Matrix::shift(place.x0 - own.x0, place.y0 - own.y0).then(turned);
            self.draw(&stream, page.resources(), matrix, 0);
        }
    }

    fn show_all(&mut self, texts: &Array<'_>, state: &State<'a>, text: &mut Matrix) {
        let is_horizontal = state.font.as_ref().is_none_or(|font| font.is_horizontal());
        for object in texts.iter::<Object<'_>>() {
            match object {
                Object::String(string) => self.show(&string, state, text),
                Object::Number(number) => {
                    let by = -number.as_f64() / 1000.0 * state.size;
                    let (x, y) = if is_horizontal { (by * state.stretch, 0.0) } else { (0.0, by) };
                    *text = Matrix::shift(x, y).then(*text);
                }
                _ => {}
            }
        }
    }

    fn show(&mut self, string: &PdfString<'_>, state: &State<'a>, text: &mut Matrix) {
        let Some(font) = &state.font else { return };
        let mut rest = string.as_bytes();
        while !rest.is_empty() {
            if !self.interpreter.step() {
                return;
            }
            let (code, length) = font.code(rest);
            rest = rest.get(length..).unwrap_or_default();
            let letter = font.letter(code);
            let space = if code == 32 && length == 1 { state.word_space } else { 0.0 };
            let scale = |advance: f64| advance / 1000.0 * state.size;
            let (own, step) = if font.is_horizontal() {
                let own = (scale(letter.advance.0) + state.letter_space) * state.stretch;
                ((own, 0.0), (own + space * state.stretch, 0.0))
            } else {
                let own = scale(letter.advance.1) + state.letter_space;
                ((0.0, own), (0.0, own + space))
            };
            let placed = Matrix([1.0, 0.0, 0.0, 1.0, 0.0, state.rise]).then(*text).then(state.matrix);
            self.place(&letter.text, placed, own, state);
            *text = Matrix::shift(step.0, step.1).then(*text);
        }
    }

    /// Puts a letter to the others.
    fn place(&mut self, letter: &str, placed: Matrix, own: (f64, f64), state: &State<'a>) {
        let (from, to) = (placed.point(0.0, 0.0), placed.point(own.0, own.1));
        let Matrix([a, b, c, d, ..]) = placed;
        let up = if own.1 == 0.0 { c.hypot(d) } else { a.hypot(b) };
        let size = (state.size * up).abs();
        let is_on_page = (-1.0..=self.content.size.0 + 1.0).contains(&from.0)
            && (-1.0..=self.content.size.1 + 1.0).contains(&from.1);
        if !is_on_page || !size.is_finite() || size <= 0.0 || self.content.fragments.len() >= FRAGMENTS_MAX {
            return;
        }
        if letter.is_empty() {
            self.content.unknown = self.content.unknown.saturating_add(1);
        }
        let (x, y) = (to.0 - from.0, to.1 - from.1);
        let angle = match self.content.fragments.last() {
            // A letter without a width has no direction of its own.
            Some(last) if x.hypot(y) < size * 0.001 => last.angle,
            _ => rounded(y.atan2(x).to_degrees()),
        };
        let (sin, cos) = f64::from(angle).to_radians().sin_cos();
        let along = |(x, y): (f64, f64)| x * cos + y * sin;
        let (start, end, height) = (along(from), along(to), from.1 * cos - from.0 * sin);
        let is_invisible = state.mode == 3;
        let mut text = letter;
        let speaker = self.marks.last().and_then(|mark| mark.speaker).and_then(|at| self.marks.get_mut(at));
        let actual = speaker.and_then(|mark| mark.actual.as_mut()).map(std::mem::take);
        if let Some(actual) = &actual {
            // The first letter is all of it; the others are none.
            text = actual;
        }
        if let Some(last) = self.content.fragments.last_mut()
            && last.angle == angle
            && last.is_invisible == is_invisible
            && (last.height - height).abs() <= RAISED * 0.6 * last.size.max(size)
            && start >= last.end - last.size.max(size) * RAISED
            && start <= last.end + last.size.max(size) * GAP
        {
            let is_spaced = last.text.ends_with(' ') || text.starts_with(' ') || last.text.is_empty();
            if start > last.end + size * SPACE && !is_spaced && !text.is_empty() {
                last.text.push(' ');
            }
            last.text.push_str(text);
            last.end = last.end.max(end);
            // Raised letters are small, and the line's are not.
            if size > last.size && !text.trim().is_empty() {
                last.size = size;
                last.height = height;
            }
            return;
        }
        self.content.fragments.push(Fragment { text: text.to_owned(), angle, start, end, height, size, is_invisible });
    }
}

/// Nearly straight is straight.
fn rounded(degrees: f64) -> i16 {
    let quarter = (degrees / 90.0).round() * 90.0;
    let degrees = if (degrees - quarter).abs() <= 3.0 { quarter } else { degrees.round() };
    #[allow(clippy::cast_possible_truncation, reason = "it is between -180 and 180")]
    let degrees = degrees as i16;
    if degrees == -180 { 180 } else { degrees }
}
