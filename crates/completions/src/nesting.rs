//! Tells whether JSON that arrives in pieces is complete, without reading it again for every piece.

/// The state after the pieces so far.
#[derive(Clone, Default, Debug)]
pub(crate) struct Nesting {
    depth: u64,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

impl Nesting {
    pub(crate) fn read(&mut self, piece: &[u8]) {
        for byte in piece {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    self.begun = true;
                    self.depth += 1;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Whether everything that was opened is closed.
    pub(crate) const fn is_whole(&self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }
}
