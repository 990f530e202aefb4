//! The part of jq that ends on every record, and the meter that bounds its steps and its memory.
//!
//! A query decides where a record goes, and must decide the same after a crash: so the bound is a number of steps, not
//! a time. Constructs that could run or nest without end are refused when the query is compiled. The rest is rewritten
//! so that each value it makes is metered:
//!
//! ```text
//!   .items[] | .id * 2      becomes      (.items[] | metered) | ((.id | metered) * 2 | metered)
//! ```

use std::cell::Cell;

use jaq_core::{
    Cv, DataT, Error, Exn, Lut, Native, ValXs,
    data::HasLut,
    load::{
        lex::StrPart,
        parse::{BinaryOp, Def, Pattern, Term},
    },
    native::{Fun, bome, v},
    ops::Math,
    path::{Part, Path},
};
use jaq_json::{Num, Val};

/// The most steps of a query on one record: a step for each value that it makes, and one more for every
/// [`STEP_BYTES`] of a text, an array or an object. That is at most 16 MB of memory besides the record, and a fraction of
/// a second.
pub(super) const STEPS_MAX: u64 = 1_000_000;
/// The size of a value that costs one step more.
const STEP_BYTES: u64 = 16;
/// The most bytes of a query, which also bounds the nesting of its terms.
pub(super) const QUERY_BYTES_MAX: usize = 4 * 1024;
/// The deepest nesting of a record that is read. The JSON reader and the values recurse for each level.
pub(super) const DEPTH_MAX: usize = 128;

/// The name under which the user's query is compiled.
pub(super) const QUERY: &str = "kinesis_pipeline_query";
const METERED: &str = "!metered";
const METER_VARIABLE: &str = "$!metered";
const SCALAR: &str = "!scalar";
const NO_TEXT: &str = "!no_text";

/// Functions that are refused: they may run without end, make values of any size out of numbers, give another result
/// the next time, or have side effects.
const REFUSED: &[&str] = &[
    "combinations",
    "debug",
    "env",
    "halt",
    "halt_error",
    "input",
    "inputs",
    "input_line_number",
    "localtime",
    "now",
    "pick",
    "range",
    "repeat",
    "setpath",
    "stderr",
    "strflocaltime",
    "tojson",
    "@json",
    "until",
    "while",
    QUERY,
];
/// Functions of jq's standard library that are refused because they call refused ones.
const LIBRARY_REFUSED: &[&str] = &["transpose"];

/// Whether a function is refused, in queries and in the standard library.
pub(super) fn is_refused(name: &str) -> bool {
    REFUSED.contains(&name) || LIBRARY_REFUSED.contains(&name)
}

/// The data of a run: the compiled query's table, and the steps that are left.
pub(super) struct Meter<'a> {
    lut: &'a Lut<Metered>,
    left: Cell<u64>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(lut: &'a Lut<Metered>) -> Self {
        Self {
            lut,
            left: Cell::new(STEPS_MAX),
        }
    }

    /// Whether the run has used all of its steps.
    pub(super) fn is_used_up(&self) -> bool {
        self.left.get() == 0
    }
}

/// The type of the data that metered queries run with.
pub(super) struct Metered;

impl DataT for Metered {
    type V<'a> = Val;
    type Data<'a> = &'a Meter<'a>;
}

impl<'a> HasLut<'a, Metered> for &'a Meter<'a> {
    fn lut(&self) -> &'a Lut<Metered> {
        self.lut
    }
}

/// The functions that rewritten queries call.
pub(super) fn funs() -> [Fun<Metered>; 3] {
    [
        (METERED, v(0), Native::new(|cv| metered(cv))),
        (
            SCALAR,
            v(0),
            Native::new(|cv| {
                let is_scalar = !matches!(cv.1, Val::Arr(_) | Val::Obj(_));
                bome(if is_scalar {
                    Ok(cv.1)
                } else {
                    Err(Error::str("arrays and objects are no part of a text here"))
                })
            }),
        ),
        (
            NO_TEXT,
            v(0),
            Native::new(|cv| {
                let is_text = matches!(cv.1, Val::TStr(_) | Val::BStr(_));
                bome(if is_text {
                    Err(Error::str("texts are not repeated here"))
                } else {
                    Ok(cv.1)
                })
            }),
        ),
    ]
}

/// Takes the steps of a value, and halts when none are left: no `try` catches a halt.
fn metered((context, value): Cv<'_, Metered>) -> ValXs<'_, Val> {
    let size = match &value {
        Val::TStr(text) | Val::BStr(text) => text.len() as u64,
        Val::Arr(elements) => elements.len() as u64 * STEP_BYTES,
        Val::Obj(members) => members.len() as u64 * STEP_BYTES,
        Val::Num(Num::BigInt(number)) => number.bits() / 8,
        _ => 0,
    };
    let left = &context.data().left;
    left.set(left.get().saturating_sub(1 + size / STEP_BYTES));
    let result = if left.get() == 0 {
        Err(Exn::halt(1))
    } else {
        Ok(value)
    };
    Box::new(std::iter::once(result))
}

/// Returns a definition of the standard library with metered values; `None` if it is refused.
pub(super) fn library(def: Def<&str>) -> Option<Def<&str>> {
    if is_refused(def.name) {
        return None;
    }
    // The library's loops run over the values of a record; all other loops are refused by name.
    let body = rewrite(def.body, false).ok()?;
    Some(Def { body, ..def })
}

/// Returns the user's query, metered.
///
/// # Errors
/// The construct that is refused.
pub(super) fn query(term: Term<&str>) -> Result<Term<&str>, String> {
    rewrite(term, true)
}

/// Meters a term. The user's query is also checked for refused constructs.
fn rewrite<'s>(term: Term<&'s str>, is_users: bool) -> Result<Term<&'s str>, String> {
    let one = |term: Box<Term<&'s str>>| rewrite(*term, is_users).map(Box::new);
    let all = |terms: Vec<Term<&'s str>>| -> Result<Vec<_>, String> {
        terms
            .into_iter()
            .map(|term| rewrite(term, is_users))
            .collect()
    };
    let maybe = |term: Option<Box<Term<&'s str>>>| term.map(one).transpose();
    Ok(match term {
        Term::Id | Term::Num(_) | Term::Var(_) | Term::Break(_) => term,
        Term::Recurse => meter(Term::Recurse),
        Term::Str(format, parts) => meter(Term::Str(format, rewrite_parts(parts, is_users)?)),
        Term::Arr(inner) => meter(Term::Arr(maybe(inner)?)),
        Term::Obj(members) => meter(Term::Obj(rewrite_members(members, is_users)?)),
        Term::Neg(inner) => meter(Term::Neg(one(inner)?)),
        Term::BinOp(left, op, right) => rewrite_binary(one(left)?, op, one(right)?, is_users)?,
        Term::Label(name, inner) => Term::Label(name, one(inner)?),
        Term::Fold(name, ..) if is_users => return refused(name),
        Term::Fold(name, over, pattern, terms) => Term::Fold(
            name,
            one(over)?,
            rewrite_pattern(pattern, is_users)?,
            all(terms)?,
        ),
        Term::TryCatch(tried, caught) => Term::TryCatch(one(tried)?, maybe(caught)?),
        Term::IfThenElse(branches, last) => {
            let branch =
                |(condition, then)| Ok((rewrite(condition, is_users)?, rewrite(then, is_users)?));
            let branches: Result<Vec<_>, String> = branches.into_iter().map(branch).collect();
            Term::IfThenElse(branches?, maybe(last)?)
        }
        Term::Def(..) if is_users => return refused("def"),
        Term::Def(defs, inner) => {
            let def = |def: Def<&'s str>| {
                Ok(Def {
                    body: rewrite(def.body, is_users)?,
                    ..def
                })
            };
            let defs: Result<Vec<_>, String> = defs.into_iter().map(def).collect();
            Term::Def(defs?, one(inner)?)
        }
        Term::Call(name, arguments) => {
            let is_refused = is_refused(name) || (name == "recurse" && !arguments.is_empty());
            if is_users && is_refused {
                return refused(name);
            }
            meter(Term::Call(name, all(arguments)?))
        }
        Term::Path(inner, path) => meter(Term::Path(one(inner)?, rewrite_path(path, is_users)?)),
    })
}

fn refused<T>(name: &str) -> Result<T, String> {
    Err(format!(
        "`{name}` is not allowed: a query of partition keys must end on every record, with the same result each time"
    ))
}

/// Returns `term | (metered as $ignored | .)`, which is a path where the term is one.
fn meter(term: Term<&str>) -> Term<&str> {
    let call = Term::Call(METERED, Vec::new());
    let bound = BinaryOp::Pipe(Some(Pattern::Var(METER_VARIABLE)));
    let metered = Term::BinOp(Box::new(call), bound, Box::new(Term::Id));
    pipe(term, metered)
}

fn pipe<'s>(left: Term<&'s str>, right: Term<&'s str>) -> Term<&'s str> {
    Term::BinOp(Box::new(left), BinaryOp::Pipe(None), Box::new(right))
}

fn rewrite_binary<'s>(
    left: Box<Term<&'s str>>,
    op: BinaryOp<&'s str>,
    right: Box<Term<&'s str>>,
    is_users: bool,
) -> Result<Term<&'s str>, String> {
    Ok(match op {
        BinaryOp::Pipe(Some(pattern)) => {
            let pattern = rewrite_pattern(pattern, is_users)?;
            Term::BinOp(left, BinaryOp::Pipe(Some(pattern)), right)
        }
        // A text times a number of the record may have any size.
        BinaryOp::Math(Math::Mul) => {
            let number =
                |term: Box<Term<&'s str>>| Box::new(pipe(*term, Term::Call(NO_TEXT, Vec::new())));
            meter(Term::BinOp(number(left), op, number(right)))
        }
        BinaryOp::Math(_) => meter(Term::BinOp(left, op, right)),
        // An assignment to an index of the record may make an array of any size.
        BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt
            if is_users =>
        {
            return refused("an assignment");
        }
        _ => Term::BinOp(left, op, right),
    })
}

fn rewrite_parts<'s>(
    parts: Vec<StrPart<&'s str, Term<&'s str>>>,
    is_users: bool,
) -> Result<Vec<StrPart<&'s str, Term<&'s str>>>, String> {
    let part = |part| match part {
        StrPart::Term(term) => {
            let term = rewrite(term, is_users)?;
            Ok(StrPart::Term(pipe(term, Term::Call(SCALAR, Vec::new()))))
        }
        part => Ok(part),
    };
    parts.into_iter().map(part).collect()
}

type Member<'s> = (Term<&'s str>, Option<Term<&'s str>>);

/// Meters the members of an object. A key without a value, as in `{a}`, and a key that is a text stay as they are.
fn rewrite_members(members: Vec<Member<'_>>, is_users: bool) -> Result<Vec<Member<'_>>, String> {
    members
        .into_iter()
        .map(|(key, value)| {
            let key = match (key, &value) {
                (key @ (Term::Str(..) | Term::Var(_)), _) | (key, None) => key,
                (key, Some(_)) => rewrite(key, is_users)?,
            };
            let value = value.map(|value| rewrite(value, is_users)).transpose()?;
            Ok((key, value))
        })
        .collect()
}

fn rewrite_pattern<'s>(
    pattern: Pattern<&'s str>,
    is_users: bool,
) -> Result<Pattern<&'s str>, String> {
    Ok(match pattern {
        Pattern::Var(name) => Pattern::Var(name),
        Pattern::Arr(parts) => {
            let parts = parts
                .into_iter()
                .map(|part| rewrite_pattern(part, is_users));
            Pattern::Arr(parts.collect::<Result<_, _>>()?)
        }
        Pattern::Obj(parts) => {
            let part = |(key, part): (Term<&'s str>, Pattern<&'s str>)| {
                let key = match key {
                    Term::Str(..) | Term::Var(_) => key,
                    key => rewrite(key, is_users)?,
                };
                Ok((key, rewrite_pattern(part, is_users)?))
            };
            Pattern::Obj(parts.into_iter().map(part).collect::<Result<_, String>>()?)
        }
    })
}

fn rewrite_path<'s>(
    path: Path<Term<&'s str>>,
    is_users: bool,
) -> Result<Path<Term<&'s str>>, String> {
    let term = |term: Option<Term<&'s str>>| term.map(|term| rewrite(term, is_users)).transpose();
    let part = |(part, opt)| {
        let part = match part {
            Part::Index(index) => Part::Index(rewrite(index, is_users)?),
            Part::Range(from, to) => Part::Range(term(from)?, term(to)?),
        };
        Ok((part, opt))
    };
    Ok(Path(
        path.0
            .into_iter()
            .map(part)
            .collect::<Result<_, String>>()?,
    ))
}

/// Whether a JSON text nests no deeper than the reader can take.
pub(super) fn is_shallow(json: &[u8]) -> bool {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return false;
                }
            }
            b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}
