//! Lines of a text that comes in pieces, which may end anywhere, and what stands in them that says where one is.

/// A longer line is taken in parts: without line ends, a whole text would be one.
const MAX_LINE_BYTES: usize = 16 * 1024;
/// The words with which the line of a part begins.
const PARTS: [&str; 5] = ["Page", "Sheet", "Slide", "Chapter", "Message"];

/// Takes pieces, gives lines with their ends.
#[derive(Default, Debug)]
pub(crate) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes the next piece. Bytes that are no text are replaced.
    pub(crate) fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&str)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in part.chunks(MAX_LINE_BYTES) {
                self.rest.extend_from_slice(part);
                if self.rest.ends_with(b"\n") {
                    take(&String::from_utf8_lossy(&self.rest));
                    self.rest.clear();
                } else if self.rest.len() >= MAX_LINE_BYTES {
                    let end = whole_characters(&self.rest);
                    let (whole, begun) = self.rest.split_at_checked(end).unwrap_or((&self.rest, &[]));
                    take(&String::from_utf8_lossy(whole));
                    self.rest = begun.to_vec();
                }
            }
        }
    }

    /// What is left at the end.
    pub(crate) fn end(&mut self, take: impl FnOnce(&str)) {
        if !self.rest.is_empty() {
            take(&String::from_utf8_lossy(&self.rest));
            self.rest.clear();
        }
    }
}

/// Where the last whole character ends: the last one may have begun only.
fn whole_characters(bytes: &[u8]) -> usize {
    // The first byte of a character in UTF-8, which has at most four.
    let first = bytes.iter().rev().take(4).position(|byte| byte & 0b1100_0000 != 0b1000_0000);
    match first.and_then(|behind| bytes.len().checked_sub(behind.saturating_add(1))) {
        Some(at) if at > 0 && bytes.get(at).is_some_and(|byte| *byte >= 0b1100_0000) => at,
        _ => bytes.len(),
    }
}

/// The number of the part that begins with this line, and the line without its end: `[Page 7]`, `[Sheet 2: Costs]`.
pub(crate) fn part(line: &str) -> Option<(u32, &str)> {
    let line = line.trim_end();
    let inside = line.strip_prefix('[')?.strip_suffix(']')?;
    let number = PARTS.iter().find_map(|kind| inside.strip_prefix(kind)?.strip_prefix(' '))?;
    let number = number.split([':', ',']).next()?;
    Some((number.parse().ok()?, line))
}

/// The words of a heading.
pub(crate) fn heading(line: &str) -> Option<&str> {
    let words = line.trim_start_matches('#');
    let marks = line.len().saturating_sub(words.len());
    let words = words.strip_prefix(' ')?.trim();
    ((1..=6).contains(&marks) && !words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut taken) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.push(piece, |line| taken.push(line.to_owned()));
        }
        lines.end(|line| taken.push(line.to_owned()));
        taken
    }

    #[test]
    fn lines_are_whole_wherever_pieces_end() {
        let text = "Größe\n\n日本 \u{1f600}\nend".as_bytes();
        for cut in 0..=text.len() {
            let (one, other) = text.split_at(cut);
            assert_eq!(lines(&[one, other]), ["Größe\n", "\n", "日本 \u{1f600}\n", "end"]);
        }
    }

    #[test]
    fn a_text_without_line_ends_comes_in_parts_of_whole_characters() {
        for text in
            ["ä".repeat(40_000), format!("a{}", "日".repeat(30_000)), format!("ab{}", "\u{1f600}".repeat(20_000))]
        {
            let parts = lines(&[text.as_bytes()]);
            assert!(parts.len() > 2 && parts.iter().all(|part| part.len() <= 2 * MAX_LINE_BYTES));
            assert_eq!(parts.concat(), text);
        }
        assert_eq!(lines(&[&[0x80; 40_000]]).concat().chars().count(), 40_000, "what is no text is replaced");
    }

    #[test]
    fn parts_and_headings_are_told_from_other_lines() {
        assert_eq!(part("[Page 7]\n"), Some((7, "[Page 7]")));
        assert_eq!(part("[Sheet 2: Costs, [all]]"), Some((2, "[Sheet 2: Costs, [all]]")));
        assert_eq!(part("[Page 3, a picture of text]\n"), Some((3, "[Page 3, a picture of text]")));
        assert!(["[Page]", "[Page x]", "Page 7", "[page 7]", "[Page 7] and"].iter().all(|line| part(line).is_none()));
        assert_eq!(heading("## Costs \n"), Some("Costs"));
        assert!(["#Costs", "####### Costs", "Costs", "# \n"].iter().all(|line| heading(line).is_none()));
    }
}
