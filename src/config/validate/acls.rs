//! The ACLs of one frontend, which may use each other.

use std::collections::HashMap;
use std::sync::Arc;

use super::names::{Index, unknown};
use crate::acl::Condition;
use crate::acl::parse::Name;
use crate::acl::resolve::{Scope, resolve};
use crate::config::fields::Text;
use crate::config::raw::{RawAcl, RawCondition};
use crate::config::report::{Problem, Span};
use crate::id::{BackendId, FrontendId, ServerId};

/// How many ACLs may use each other in a row: conditions are evaluated recursively.
const DEEPEST: usize = 32;

/// How many tests one condition may come to, counting what its ACLs stand for wherever they are
/// used: a few lines could else cost minutes for each session.
const LARGEST: u64 = 10_000;

/// Definitions and what became of them.
pub(super) struct Acls<'c> {
    raw: &'c [RawAcl],
    index: &'c Index<'c>,
    positions: HashMap<&'c str, usize>,
    states: Vec<State>,
    /// Those being resolved now, each used by the one before.
    path: Vec<usize>,
}

#[derive(Clone)]
enum State {
    New,
    /// Being resolved: to meet it again is a cycle.
    Open,
    /// Wrong, which is recorded.
    Failed,
    /// What it says and how many ACLs in a row it takes.
    Known(Arc<Condition>, usize),
}

impl<'c> Acls<'c> {
    pub(super) fn new(raw: &'c [RawAcl], index: &'c Index<'c>) -> Self {
        let names = raw.iter().map(|acl| acl.name.value.as_str());
        Self {
            raw,
            index,
            positions: names.zip(0..).collect(),
            states: vec![State::New; raw.len()],
            path: Vec::new(),
        }
    }

    /// Resolves every ACL, so that mistakes in those that no rule uses are recorded too.
    pub(super) fn resolve_all(&mut self, problems: &mut Vec<Problem>) {
        for position in 0..self.raw.len() {
            if matches!(self.states[position], State::New) {
                self.define(position, problems);
            }
        }
    }

    /// A rule's condition.
    pub(super) fn resolve(
        &mut self,
        raw: &RawCondition,
        problems: &mut Vec<Problem>,
    ) -> Option<Condition> {
        self.resolve_depth(raw, problems)
            .map(|(condition, _)| condition)
    }

    fn resolve_depth(
        &mut self,
        raw: &RawCondition,
        problems: &mut Vec<Problem>,
    ) -> Option<(Condition, usize)> {
        let mut scope = InText {
            acls: self,
            text: &raw.text,
            problems,
            depth: 0,
        };
        let condition = resolve(&raw.expression, &mut scope)?;
        let depth = scope.depth;
        if condition.size() > LARGEST {
            let title = format!("this condition comes to more than {LARGEST} tests");
            let help = "each use of an ACL counts all that it stands for";
            problems.push(Problem::error(title).at(raw.text.span).help(help));
            return None;
        }
        Some((condition, depth))
    }

    fn define(&mut self, position: usize, problems: &mut Vec<Problem>) {
        self.states[position] = State::Open;
        self.path.push(position);
        let raw: &'c [RawAcl] = self.raw;
        let condition = raw[position].condition.as_ref();
        let resolved = condition.and_then(|raw| self.resolve_depth(raw, problems));
        self.path.pop();
        self.states[position] = match resolved {
            Some((condition, depth)) => State::Known(Arc::new(condition), depth + 1),
            None => State::Failed,
        };
    }

    /// What the ACL says and how many ACLs in a row it takes.
    fn get(
        &mut self,
        name: &Name,
        span: Span,
        problems: &mut Vec<Problem>,
    ) -> Option<(Arc<Condition>, usize)> {
        let Some(&position) = self.positions.get(name.text.as_str()) else {
            problems.push(self.undefined(name, span));
            return None;
        };
        if matches!(self.states[position], State::New) && self.path.len() < DEEPEST {
            self.define(position, problems);
        }
        match &self.states[position] {
            State::Known(condition, depth) if self.path.len() + depth <= DEEPEST => {
                Some((Arc::clone(condition), *depth))
            }
            State::Failed => None,
            State::Open => {
                problems.push(self.cycle(position, span));
                None
            }
            State::New | State::Known(..) => {
                let title = format!("more than {DEEPEST} ACLs use each other in a row");
                let help = "write one of the conditions out in place of its name";
                problems.push(Problem::error(title).at(span).help(help));
                None
            }
        }
    }

    fn undefined(&self, name: &Name, span: Span) -> Problem {
        let known = self.raw.iter().map(|acl| acl.name.value.as_str());
        let help = match name.text.as_str() {
            "TRUE" => "leave the condition out: a rule without one always matches".to_owned(),
            "LOCALHOST" => "write `src 127.0.0.0/8 ::1`".to_owned(),
            text => format!("add `acl.{text} = \"CONDITION\"` to this frontend"),
        };
        let title = format!("there is no ACL `{}` in this frontend", name.text);
        unknown(title, &name.text, span, known, || help)
    }

    fn cycle(&self, position: usize, span: Span) -> Problem {
        let start = self.path.iter().position(|&open| open == position);
        let around = self.path[start.unwrap_or(0)..].iter().chain([&position]);
        let names: Vec<_> = around
            .map(|&acl| self.raw[acl].name.value.as_str())
            .collect();
        let title = format!("ACL `{}` is defined by itself", names[0]);
        let problem = Problem::error(title).at(span);
        problem.help(format!("break the circle {}", names.join(" → ")))
    }
}

/// Looks up the names of one condition and puts carets under those that do not exist.
struct InText<'s, 'c> {
    acls: &'s mut Acls<'c>,
    text: &'s Text,
    problems: &'s mut Vec<Problem>,
    /// The most ACLs in a row that this condition takes.
    depth: usize,
}

impl Scope for InText<'_, '_> {
    fn backend(&mut self, name: &Name) -> Option<BackendId> {
        let span = self.text.part(&name.range);
        self.acls.index.backend(&name.text, span, self.problems)
    }

    fn server(&mut self, backend: BackendId, name: &Name) -> Option<ServerId> {
        let (index, span) = (self.acls.index, self.text.part(&name.range));
        index.server(backend, &name.text, span, self.problems)
    }

    fn frontend(&mut self, name: &Name) -> Option<FrontendId> {
        let span = self.text.part(&name.range);
        self.acls.index.frontend(&name.text, span, self.problems)
    }

    fn acl(&mut self, name: &Name) -> Option<Arc<Condition>> {
        let span = self.text.part(&name.range);
        let (condition, depth) = self.acls.get(name, span, self.problems)?;
        self.depth = self.depth.max(depth);
        Some(condition)
    }
}
