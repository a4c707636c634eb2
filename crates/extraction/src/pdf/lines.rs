//! Fragments as lines, in the order in which they are read. Programs write text in that order nearly always, columns too; where they write two columns
//! line by line, this takes them apart.

use super::content::Fragment;

/// Space between two fragments of a line that makes columns or cells of them, in parts of the font's size. Words are nearer, also in lines that were
/// stretched.
const WIDE: f64 = 1.0;
/// Fragments on one line differ less in height, in parts of the font's size.
const LEVEL: f64 = 0.35;
/// So many lines with the same space in them are columns, if they are long enough on both sides to be text and no cells.
const COLUMN_MIN_LINES: usize = 4;
const COLUMN_MIN_CHARS: usize = 22;
/// Columns beside each other: each pass takes two apart.
const PASSES: usize = 3;

/// A line of a page.
pub(super) struct Line {
    /// The fragments from left to right.
    pub(super) cells: Vec<Cell>,
    pub(super) angle: i16,
    pub(super) height: f64,
    pub(super) size: f64,
}

/// A part of a line with wide space around it.
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) start: f64,
    pub(super) end: f64,
}

impl Line {
    pub(super) fn start(&self) -> f64 {
        self.cells.first().map_or(0.0, |cell| cell.start)
    }

    pub(super) fn end(&self) -> f64 {
        self.cells.last().map_or(0.0, |cell| cell.end)
    }

    pub(super) fn text(&self) -> String {
        let cells: Vec<&str> = self.cells.iter().map(|cell| cell.text.as_str()).collect();
        cells.join(" ")
    }
}

/// The lines of a page.
pub(super) fn of(fragments: Vec<Fragment>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut open: Vec<Fragment> = Vec::new();
    for fragment in fragments {
        if fragment.text.trim().is_empty() {
            continue;
        }
        let is_same = |other: &Fragment| {
            let size = other.size.max(fragment.size);
            other.angle == fragment.angle && (other.height - fragment.height).abs() <= LEVEL * size
        };
        // Some programs make letters bold by writing them twice.
        let is_double = |other: &Fragment| {
            is_same(other) && other.text == fragment.text && (other.start - fragment.start).abs() <= LEVEL * other.size
        };
        match open.last() {
            Some(last) if is_double(last) => {}
            Some(last) if is_same(last) => open.push(fragment),
            _ => {
                lines.extend(line(std::mem::take(&mut open)));
                open.push(fragment);
            }
        }
    }
    lines.extend(line(open));
    for _ in 0..PASSES {
        lines = without_columns(lines);
    }
    lines
}

/// A line of fragments at one height.
fn line(mut fragments: Vec<Fragment>) -> Option<Line> {
    fragments.sort_by(|one, other| one.start.total_cmp(&other.start));
    let first = fragments.first()?;
    let (angle, height) = (first.angle, first.height);
    let size = fragments.iter().fold(0.0, |size, fragment| fragment.size.max(size));
    let mut cells: Vec<Cell> = Vec::new();
    for Fragment { text, start, end, .. } in fragments {
        match cells.last_mut() {
            Some(last) if start - last.end <= WIDE * size => {
                if !last.text.ends_with(' ') {
                    last.text.push(' ');
                }
                last.text.push_str(&text);
                last.end = last.end.max(end);
            }
            _ => cells.push(Cell { text, start, end }),
        }
    }
    for cell in &mut cells {
        cell.text = letters(cell.text.trim());
    }
    // The mark or number of an item is no cell.
    if let [mark, _, ..] = cells.as_slice()
        && super::blocks::is_mark(&mark.text)
    {
        let mark = cells.remove(0);
        if let Some(first) = cells.first_mut() {
            first.text = format!("{} {}", mark.text, first.text);
            first.start = mark.start;
        }
    }
    Some(Line { cells, angle, height, size })
}

/// Letters that are drawn as one are several, and text that is read from the right was found from the left.
fn letters(text: &str) -> String {
    let mut letters = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            'ﬀ' => letters.push_str("ff"),
            'ﬁ' => letters.push_str("fi"),
            'ﬂ' => letters.push_str("fl"),
            'ﬃ' => letters.push_str("ffi"),
            'ﬄ' => letters.push_str("ffl"),
            'ﬅ' | 'ﬆ' => letters.push_str("st"),
            letter => letters.push(letter),
        }
    }
    let is_from_right =
        |letter: &char| matches!(letter, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}');
    let from_right = letters.chars().filter(is_from_right).count();
    if from_right.saturating_mul(2) > letters.chars().filter(|letter| letter.is_alphabetic()).count() && from_right > 0
    {
        return turned(&letters, is_from_right);
    }
    letters
}

/// The letters of a line in the order in which they are read. Numbers and words of other scripts keep theirs.
fn turned(text: &str, is_from_right: impl Fn(&char) -> bool) -> String {
    let mut turned = String::with_capacity(text.len());
    let mut kept = String::new();
    for letter in text.chars().rev() {
        let is_kept = letter.is_alphanumeric() && !is_from_right(&letter)
            || matches!(letter, '.' | ',' | ':' | '/' | '-') && !kept.is_empty();
        if is_kept {
            kept.push(letter);
            continue;
        }
        turned.extend(kept.chars().rev());
        kept.clear();
        turned.push(match letter {
            '(' => ')',
            ')' => '(',
            '[' => ']',
            ']' => '[',
            letter => letter,
        });
    }
    turned.extend(kept.chars().rev());
    turned
}

/// Lines that are two columns written line by line: the left column, then the right one.
fn without_columns(lines: Vec<Line>) -> Vec<Line> {
    let mut read = Vec::with_capacity(lines.len());
    let mut run: Vec<Line> = Vec::new();
    let mut between: Option<(f64, f64)> = None;
    for line in lines {
        let is_next = run.last().is_none_or(|last| {
            last.angle == line.angle
                && last.height > line.height
                && last.height - line.height < 4.0 * last.size.max(line.size)
        });
        let narrowed = if is_next { narrowed(between, &line) } else { None };
        if narrowed.is_none() {
            end_run(&mut run, between, &mut read);
        }
        between = narrowed.or_else(|| self::narrowed(None, &line));
        if between.is_some() {
            run.push(line);
        } else {
            read.push(line);
        }
    }
    end_run(&mut run, between, &mut read);
    read
}

/// The space that this line and those before it have in common. A line on one side of it leaves it as it is.
fn narrowed(between: Option<(f64, f64)>, line: &Line) -> Option<(f64, f64)> {
    let spaces = line.cells.windows(2).filter_map(|pair| match pair {
        [left, right] => Some((left.end, right.start)),
        _ => None,
    });
    let Some((from, to)) = between else {
        // The widest is the likeliest.
        return spaces.max_by(|one, other| (one.1 - one.0).total_cmp(&(other.1 - other.0)));
    };
    if line.end() <= to && line.cells.len() == 1 && line.end() > from - line.size * 40.0 && line.start() < from {
        return Some((from.max(line.end()), to)).filter(|(from, to)| to - from > line.size * 0.8);
    }
    if line.start() >= from && line.cells.len() == 1 {
        return Some((from, to.min(line.start()))).filter(|(from, to)| to - from > line.size * 0.8);
    }
    let common = spaces.map(|(left, right)| (from.max(left), to.min(right)));
    common
        .max_by(|one, other| (one.1 - one.0).total_cmp(&(other.1 - other.0)))
        .filter(|(from, to)| to - from > line.size * 0.8)
}

fn end_run(run: &mut Vec<Line>, between: Option<(f64, f64)>, read: &mut Vec<Line>) {
    let run = std::mem::take(run);
    let Some((from, to)) = between else {
        read.extend(run);
        return;
    };
    let middle = f64::midpoint(from, to);
    let (mut both, mut left_chars, mut right_chars) = (0_usize, 0_usize, 0_usize);
    for line in run.iter().filter(|line| line.start() < middle && line.end() > middle) {
        let chars = |is_left: bool| {
            let cells = line.cells.iter().filter(|cell| (cell.start < middle) == is_left);
            cells.map(|cell| cell.text.chars().count()).fold(0_usize, usize::saturating_add)
        };
        both = both.saturating_add(1);
        left_chars = left_chars.saturating_add(chars(true));
        right_chars = right_chars.saturating_add(chars(false));
    }
    let enough = both.saturating_mul(COLUMN_MIN_CHARS);
    if both < COLUMN_MIN_LINES || left_chars < enough || right_chars < enough {
        read.extend(run);
        return;
    }
    let mut right = Vec::new();
    for Line { cells, angle, height, size } in run {
        let (lefts, rights): (Vec<Cell>, Vec<Cell>) = cells.into_iter().partition(|cell| cell.start < middle);
        if !lefts.is_empty() {
            read.push(Line { cells: lefts, angle, height, size });
        }
        if !rights.is_empty() {
            right.push(Line { cells: rights, angle, height, size });
        }
    }
    read.extend(right);
}
