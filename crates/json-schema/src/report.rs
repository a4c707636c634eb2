//! The problems of a value, limited in number and length, whatever texts the schema has.

use std::fmt;

use super::{Problem, shortened};

/// How many problems are reported. A model that must correct more should start again.
const MAX_PROBLEMS: usize = 5;
/// The longest problem. With nested forms, it includes the problems of every form.
const MAX_PROBLEM_CHARS: usize = 300;

/// The current place in the value.
#[derive(Clone, Copy)]
pub(super) enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut steps, mut path) = (Vec::new(), *self);
        loop {
            path = match path {
                Path::Root => break,
                Path::Key(parent, key) => {
                    steps.push(shortened(key).replace('~', "~0").replace('/', "~1"));
                    *parent
                }
                Path::Index(parent, index) => {
                    steps.push(index.to_string());
                    *parent
                }
            };
        }
        steps.iter().rev().try_for_each(|step| write!(f, "/{step}"))
    }
}

/// The first problems, and the number of all.
#[derive(Default)]
pub(super) struct Problems {
    first: Vec<Problem>,
    count: usize,
}

impl Problems {
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn into_first(self) -> Vec<Problem> {
        self.first
    }

    pub(super) fn push(&mut self, path: Path<'_>, what: impl FnOnce() -> String) {
        self.count = self.count.saturating_add(1);
        if self.first.len() < MAX_PROBLEMS {
            let mut what = what();
            if let Some((end, _)) = what.char_indices().nth(MAX_PROBLEM_CHARS) {
                what.truncate(end);
                what.push('…');
            }
            self.first.push(Problem { path: path.to_string(), what });
        }
    }
}

/// Reports the problems of the nearest forms: those whose first problem lies deepest in the value.
pub(super) fn none_fits(failures: &[Problems], path: Path<'_>, problems: &mut Problems) {
    problems.push(path, || {
        let first = failures.iter().filter_map(|failure| failure.first.first());
        let depth = |problem: &Problem| problem.path.matches('/').count();
        let Some(deepest) = first.clone().map(depth).max() else { return "fits none of the allowed forms".to_owned() };
        let mut nearest: Vec<String> = Vec::new();
        for problem in first.filter(|problem| depth(problem) == deepest).take(MAX_PROBLEMS) {
            let words = problem.to_string();
            if !nearest.contains(&words) {
                nearest.push(words);
            }
        }
        format!("fits none of the {} allowed forms ({})", failures.len(), nearest.join("; or "))
    });
}
