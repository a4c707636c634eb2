//! What is wrong, and where: bounded in number and in length, whatever the schema's texts are.

use std::fmt;

use super::{Problem, shortened};

/// How many problems are reported; a model that has to mend more should begin anew.
const MAX_PROBLEMS: usize = 5;
/// The longest one; a form among forms among forms says all of theirs.
const MAX_PROBLEM_CHARS: usize = 300;

/// Where in the value we are.
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

/// The first problems, and how many there are.
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

/// Says what is wrong with the form that came nearest, which is the one whose problem lies deepest.
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
