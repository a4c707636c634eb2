//! Lines as blocks: paragraphs, items, tables; and which of them are headings, by the sizes of all letters in the document.

use std::collections::HashMap;

use super::lines::Line;

/// A line that is this much farther below the one before than usual begins a paragraph.
const FARTHER: f64 = 1.25;
/// The distance of lines that most programs choose, and how many distances of a page say more.
const USUAL_DISTANCE: f64 = 1.2;
const DISTANCES_MIN: usize = 5;
/// Lines of a paragraph. A page has fewer, and each line is compared with all before it of its block.
const LINES_MAX: usize = 1_000;
/// Letters whose sizes differ less are of one text.
const SAME_SIZE: f64 = 0.08;
/// How far a paragraph's first line is set in, in parts of the font's size.
const INDENT: f64 = 0.9;
/// A line that ends this much before the others, in parts of the column's width, is a paragraph's last.
const SHORT: f64 = 0.15;
/// So many lines with cells are a table.
const TABLE_MIN_LINES: usize = 2;
/// Headings are larger than the text by this, and shorter than a paragraph.
const LARGER: f64 = 1.12;
const HEADING_MAX_CHARS: usize = 200;
/// Levels of headings that are told apart.
const LEVELS_MAX: usize = 6;
/// Sizes are compared in quarters of a point.
const QUARTERS: f64 = 4.0;

/// What a block is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Item,
    Table,
}

/// A block of a page.
pub(super) struct Block {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// The size of its letters, in quarters of a point.
    pub(super) size: i64,
    /// How high it stands on the page, in points.
    pub(super) top: i64,
}

/// The blocks of a page.
pub(super) fn of(lines: Vec<Line>) -> Vec<Block> {
    let usual = usual_distance(&lines);
    let mut blocks = Vec::new();
    let mut open: Vec<Line> = Vec::new();
    for line in lines {
        if open.last().is_some_and(|last| is_end(last, &line, &open, usual)) {
            blocks.extend(block(std::mem::take(&mut open)));
        }
        open.push(line);
    }
    blocks.extend(block(open));
    blocks
}

/// The distance between most lines, in parts of their size.
fn usual_distance(lines: &[Line]) -> f64 {
    let mut distances: Vec<f64> = lines
        .windows(2)
        .filter_map(|pair| match pair {
            [one, other] if one.angle == other.angle && is_same_size(one, other) => {
                Some((one.height - other.height) / one.size)
            }
            _ => None,
        })
        .filter(|distance| *distance > 0.5 && *distance < 3.0)
        .collect();
    distances.sort_by(f64::total_cmp);
    // A few lines say nothing.
    let usual = distances.get(distances.len() / 2).filter(|_| distances.len() >= DISTANCES_MIN);
    usual.copied().unwrap_or(USUAL_DISTANCE)
}

fn is_same_size(one: &Line, other: &Line) -> bool {
    (one.size - other.size).abs() <= SAME_SIZE * one.size.max(other.size)
}

/// Whether the block ends before this line.
fn is_end(last: &Line, line: &Line, open: &[Line], usual: f64) -> bool {
    let is_row = |line: &Line| line.cells.len() > 1;
    if last.angle != line.angle || is_row(last) != is_row(line) {
        return true;
    }
    let down = (last.height - line.height) / last.size;
    if is_row(line) {
        return !(-0.5..=4.0).contains(&down);
    }
    if open.len() >= LINES_MAX || !is_same_size(last, line) || is_marked(&line.text()) {
        return true;
    }
    let left = open.iter().map(Line::start).fold(f64::INFINITY, f64::min);
    let right = open.iter().map(Line::end).fold(line.end(), f64::max);
    let is_ended = last.text().ends_with(['.', '!', '?', ':', '。', '！', '？', '”', '"']);
    if down < 0.3 {
        // Another column. A sentence goes on there.
        return is_ended;
    }
    if down > (usual * FARTHER).max(1.2) {
        return true;
    }
    // A marked item's lines are set in, and its first is not.
    let is_item = open.first().is_some_and(|first| is_marked(&first.text()));
    let is_set_in = line.start() > left + INDENT * line.size && open.len() > 1;
    is_set_in && is_ended && !is_item || is_ended && last.end() < right - (right - left) * SHORT
}

/// A number of an item with its dot or brackets.
const MARK_MAX_CHARS: usize = 5;
/// The marks of lists.
const MARKS: [char; 14] = ['•', '◦', '▪', '▫', '■', '□', '●', '○', '‣', '⁃', '∙', '·', '–', '➢'];

fn is_marked(text: &str) -> bool {
    item(text).is_some()
}

/// Whether a text is the mark or the number of an item.
pub(super) fn is_mark(text: &str) -> bool {
    item(&format!("{text} x")).is_some() && text.chars().count() <= MARK_MAX_CHARS
}

/// An item's text without its mark. Numbers are kept: they mean something.
fn item(text: &str) -> Option<&str> {
    let marked = text.strip_prefix(MARKS).filter(|rest| rest.starts_with(' ') || !text.starts_with('–'));
    if let Some(rest) = marked {
        return Some(rest.trim_start());
    }
    let (number, rest) = text.split_once(' ')?;
    let digits = number.strip_suffix(['.', ')']).map(|digits| digits.trim_start_matches('('))?;
    let is_number = !digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !rest.is_empty()).then_some(text)
}

fn block(lines: Vec<Line>) -> Option<Block> {
    let first = lines.first()?;
    // Text across the page is no heading: it is a mark like "draft".
    let size = if first.angle % 90 == 0 { quarters(first.size) } else { 0 };
    let top = quarters(first.height / QUARTERS);
    if first.cells.len() > 1 {
        let rows: Vec<String> = lines.iter().map(row).collect();
        let kind = if rows.len() >= TABLE_MIN_LINES { Kind::Table } else { Kind::Text };
        return Some(Block { kind, text: rows.join("\n"), size, top });
    }
    let mut text = String::new();
    for line in &lines {
        join(&mut text, &line.text());
    }
    let (kind, text) = match item(&text) {
        Some(rest) => (Kind::Item, rest.to_owned()),
        None => (Kind::Text, text),
    };
    (!text.is_empty()).then_some(Block { kind, text, size, top })
}

fn row(line: &Line) -> String {
    let cells: Vec<&str> = line.cells.iter().map(|cell| cell.text.as_str()).collect();
    cells.join("\t")
}

/// Adds a line to a paragraph. A word that was parted at the line's end is one again.
fn join(text: &mut String, line: &str) {
    let is_lower = line.chars().next().is_some_and(char::is_lowercase);
    if text.ends_with('\u{ad}') {
        text.pop();
    } else if let Some(before) = text.strip_suffix(['-', '\u{2010}'])
        && before.chars().next_back().is_some_and(char::is_alphabetic)
        && is_lower
    {
        text.truncate(before.len());
    } else if !(text.is_empty() || is_unspaced(text.chars().next_back()) && is_unspaced(line.chars().next())) {
        text.push(' ');
    }
    text.push_str(line);
}

/// Chinese and Japanese have no spaces.
fn is_unspaced(letter: Option<char>) -> bool {
    letter.is_some_and(
        |letter| matches!(letter, '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}'),
    )
}

#[allow(clippy::cast_possible_truncation, reason = "sizes and places on pages are small")]
fn quarters(points: f64) -> i64 {
    (points * QUARTERS).round() as i64
}

/// The sizes of headings, the largest first: those larger than that of most letters.
pub(super) fn heading_levels<'b>(blocks: impl Iterator<Item = &'b Block>) -> Vec<i64> {
    let mut letters = HashMap::<i64, usize>::new();
    let mut headings = Vec::new();
    for block in blocks {
        let count = letters.entry(block.size).or_default();
        *count = count.saturating_add(block.text.len());
        if block.kind == Kind::Text && is_short(&block.text) {
            headings.push(block.size);
        }
    }
    let usual =
        letters.into_iter().max_by_key(|(size, count)| (*count, std::cmp::Reverse(*size))).map_or(0, |(size, _)| size);
    #[allow(clippy::cast_precision_loss, reason = "sizes are small")]
    let is_larger = |size: &i64| *size as f64 >= usual as f64 * LARGER;
    headings.retain(is_larger);
    headings.sort_unstable_by(|one, other| other.cmp(one));
    headings.dedup();
    headings
}

fn is_short(text: &str) -> bool {
    text.chars().any(char::is_alphabetic) && text.chars().count() <= HEADING_MAX_CHARS
}

/// The level of a block that is a heading.
pub(super) fn level(block: &Block, sizes: &[i64]) -> Option<u8> {
    if !is_short(&block.text) {
        return None;
    }
    let rank = sizes.iter().position(|size| *size == block.size)?;
    u8::try_from(rank.min(LEVELS_MAX.saturating_sub(1)).saturating_add(1)).ok()
}
