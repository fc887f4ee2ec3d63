//! `jq = "…"`: a value computed from the whole wire record, on reading only, for what no codec can say.
//!
//! A jq program may run for ever and jaq cannot be stopped from outside, so nothing that could is let in: no definitions, no
//! recursion, no folds, no updates, no multiplication (it repeats text), and of the library only [`CALLS`]. What is left has a
//! bound that is known before it runs: each iteration at most squares the size of a value, each copy at most doubles it. A record
//! for which that bound is too large is refused, the same way on every machine; there is no clock in it.

use jaq_core::{
    Compiler, Ctx, Vars, data,
    load::{
        Arena, File, Loader,
        lex::StrPart,
        parse::{BinaryOp, Pattern, Term},
    },
    ops::Math,
    path::Part,
};
use jaq_json::Val;
use serde_json::Value;

/// Longest program.
const CODE_MAX: usize = 400;
/// Largest result as JSON text.
const RESULT_MAX: usize = 4 << 10;
/// Most iterations (`.[]`, `map`, `any`, …) and most copies (`,`, `+`, `/`, members, interpolations) in a program.
const ITERATIONS_MAX: u32 = 2;
const COPIES_MAX: u32 = 8;
/// Largest bound on the size of any value on the way.
const SIZE_MAX: f64 = 2e7;
const TOO_LARGE: &str = "record small enough to compute a value from it";

const FREE: Cost = Cost { iterations: 0, copies: 0 };
/// What a program may call: name, arguments and what it costs. Text in text doubles its escapes; pieces of one letter are four
/// times as long as the text.
const CALLS: [(&str, usize, Cost); 27] = [
    ("empty", 0, FREE),
    ("not", 0, FREE),
    ("true", 0, FREE),
    ("false", 0, FREE),
    ("null", 0, FREE),
    ("select", 1, FREE),
    ("type", 0, FREE),
    ("length", 0, FREE),
    ("tostring", 0, Cost { iterations: 0, copies: 1 }),
    ("has", 1, FREE),
    ("floor", 0, FREE),
    ("round", 0, FREE),
    ("ascii_downcase", 0, FREE),
    ("ascii_upcase", 0, FREE),
    ("ltrimstr", 1, FREE),
    ("rtrimstr", 1, FREE),
    ("startswith", 1, FREE),
    ("endswith", 1, FREE),
    ("trim", 0, FREE),
    ("split", 1, Cost { iterations: 0, copies: 2 }),
    ("first", 0, FREE),
    ("last", 0, FREE),
    ("map", 1, Cost { iterations: 1, copies: 0 }),
    ("any", 1, Cost { iterations: 1, copies: 0 }),
    ("all", 1, Cost { iterations: 1, copies: 0 }),
    ("join", 1, Cost { iterations: 1, copies: 0 }),
    ("add", 0, Cost { iterations: 1, copies: 0 }),
];
/// Definitions that those are made of.
const INNER: [(&str, usize); 9] = [
    ("error", 1),
    ("isboolean", 0),
    ("isstring", 0),
    ("isnumber", 0),
    ("isarray", 0),
    ("isempty", 1),
    ("any", 2),
    ("all", 2),
    ("add", 1),
];

type Data = data::JustLut<Val>;

/// A compiled program.
pub(super) struct Program {
    filter: jaq_core::Filter<Data>,
    cost: Cost,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("cost", &self.cost).finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Cost {
    iterations: u32,
    copies: u32,
}

impl Program {
    /// Compiles a program that has a bound.
    pub(super) fn compile(code: &str) -> Result<Self, String> {
        if code.len() > CODE_MAX {
            return Err(format!("a jq program has {CODE_MAX} characters at most"));
        }
        let term = jaq_core::load::parse(code, |parser| parser.term()).ok_or("the jq program has a syntax error")?;
        let mut cost = Cost::default();
        cost.count(&term)?;
        if cost.iterations > ITERATIONS_MAX || cost.copies > COPIES_MAX {
            return Err(format!(
                "a jq program iterates {ITERATIONS_MAX} times at most and copies {COPIES_MAX} times at most"
            ));
        }
        let offered = |name: &str, arguments: usize| {
            CALLS.iter().any(|(call, n, _)| (*call, *n) == (name, arguments)) || INNER.contains(&(name, arguments))
        };
        let definitions = jaq_core::defs().chain(jaq_std::defs()).filter(|one| offered(one.name, one.args.len()));
        let natives = jaq_core::funs::<Data>().chain(jaq_std::base_funs()).chain(jaq_json::funs());
        let arena = Arena::default();
        let loaded = Loader::new(definitions).load(&arena, File { code, path: () });
        let modules = loaded.map_err(|_| "the jq program has a syntax error")?;
        let filter = Compiler::default().with_funs(natives).compile(modules);
        let filter = filter.map_err(|faults| {
            let names = faults.iter().flat_map(|(_, found)| found).map(|(name, _)| *name).collect::<Vec<_>>();
            format!("the jq program names what is not bound: {}", names.join(", "))
        })?;
        Ok(Self { filter, cost })
    }

    /// The value for a record; none where the program gives none or null.
    pub(super) fn run(&self, record: &Value) -> Result<Option<Value>, &'static str> {
        const EXPECTED: &str = "value that the jq program can compute";
        let text = record.to_string();
        let size = text.len() as f64 * 2f64.powi(self.cost.copies as i32);
        if size.powi(2i32.pow(self.cost.iterations)) > SIZE_MAX.max(size) || size > SIZE_MAX {
            return Err(TOO_LARGE);
        }
        let input = jaq_json::read::parse_single(text.as_bytes()).map_err(|_| EXPECTED)?;
        let context = Ctx::<Data>::new(&self.filter.lut, Vars::new([]));
        let mut results = self.filter.id.run((context, input)).map(jaq_core::unwrap_valr);
        let Some(first) = results.next() else { return Ok(None) };
        let text = first.map_err(|_| EXPECTED)?.to_string();
        if text.len() > RESULT_MAX || results.next().is_some() {
            return Err("one short value of the jq program");
        }
        let value: Value = serde_json::from_str(&text).map_err(|_| EXPECTED)?;
        Ok(Some(value).filter(|value| !value.is_null()))
    }
}

impl Cost {
    fn count(&mut self, term: &Term<&str>) -> Result<(), String> {
        match term {
            Term::Id | Term::Num(_) | Term::Var(_) => {}
            Term::Str(None, parts) => {
                for part in parts {
                    if let StrPart::Term(term) = part {
                        self.copies += 1;
                        self.count(term)?;
                    }
                }
            }
            Term::Arr(inner) => self.count_all(inner.as_deref())?,
            Term::Obj(members) => {
                self.copies += members.len().saturating_sub(1) as u32;
                for (key, value) in members {
                    self.count(key)?;
                    self.count_all(value.as_ref())?;
                }
            }
            Term::Neg(inner) => self.count(inner)?,
            Term::BinOp(left, operator, right) => {
                self.count(left)?;
                self.operator(operator)?;
                self.count(right)?;
            }
            Term::TryCatch(inner, otherwise) => {
                self.count(inner)?;
                self.count_all(otherwise.as_deref())?;
            }
            Term::IfThenElse(branches, otherwise) => {
                for (condition, then) in branches {
                    self.count(condition)?;
                    self.count(then)?;
                }
                self.count_all(otherwise.as_deref())?;
            }
            Term::Call(name, arguments) => {
                let known = CALLS.iter().find(|(call, n, _)| call == name && *n == arguments.len());
                let (.., cost) = known.ok_or_else(|| refused(&format!("{name}/{}", arguments.len())))?;
                self.iterations += cost.iterations;
                self.copies += cost.copies;
                self.count_all(arguments)?;
            }
            Term::Path(whole, path) => {
                self.count(whole)?;
                for (part, _) in &path.0 {
                    match part {
                        Part::Index(index) => self.count(index)?,
                        Part::Range(None, None) => self.iterations += 1,
                        Part::Range(from, to) => self.count_all(from.iter().chain(to))?,
                    }
                }
            }
            Term::Recurse => return Err(refused("..")),
            Term::Str(Some(format), _) => return Err(refused(format)),
            Term::Label(..) | Term::Break(_) => return Err(refused("label")),
            Term::Fold(name, ..) => return Err(refused(name)),
            Term::Def(..) => return Err(refused("def")),
        }
        Ok(())
    }

    fn count_all<'t>(&mut self, terms: impl IntoIterator<Item = &'t Term<&'t str>>) -> Result<(), String> {
        terms.into_iter().try_for_each(|term| self.count(term))
    }

    fn operator(&mut self, operator: &BinaryOp<&str>) -> Result<(), String> {
        match operator {
            BinaryOp::Pipe(Some(pattern)) => self.pattern(pattern)?,
            BinaryOp::Pipe(None) | BinaryOp::Alt | BinaryOp::Or | BinaryOp::And | BinaryOp::Cmp(_) => {}
            BinaryOp::Comma | BinaryOp::Math(Math::Add) => self.copies += 1,
            BinaryOp::Math(Math::Sub) => self.iterations += 1,
            // Of texts it splits.
            BinaryOp::Math(Math::Div) => self.copies += 2,
            BinaryOp::Math(Math::Rem) => {}
            BinaryOp::Math(Math::Mul) => return Err(refused("*")),
            BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => {
                return Err(refused("="));
            }
        }
        Ok(())
    }

    fn pattern(&mut self, pattern: &Pattern<&str>) -> Result<(), String> {
        match pattern {
            Pattern::Var(_) => Ok(()),
            Pattern::Arr(inner) => inner.iter().try_for_each(|one| self.pattern(one)),
            Pattern::Obj(members) => members.iter().try_for_each(|(key, one)| {
                self.count(key)?;
                self.pattern(one)
            }),
        }
    }
}

fn refused(what: &str) -> String {
    let calls: Vec<String> = CALLS.iter().map(|(name, arguments, _)| format!("{name}/{arguments}")).collect();
    format!("{what} is not offered to jq programs here, which must end; offered are {}", calls.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(code: &str, record: &Value) -> Result<Option<Value>, &'static str> {
        Program::compile(code).unwrap_or_else(|fault| panic!("{code}: {fault}")).run(record)
    }

    #[test]
    fn a_program_computes_one_value_from_the_record() {
        let record = json!({"a": "x-7", "parts": ["DEWI", "AYU"], "n": 3, "none": null, "t": [1, 2]});
        assert_eq!(run(".a | split(\"-\") | last", &record), Ok(Some(json!("7"))));
        assert_eq!(run(".parts | join(\" \")", &record), Ok(Some(json!("DEWI AYU"))));
        assert_eq!(run("if .n > 2 then \"MANY\" else \"FEW\" end", &record), Ok(Some(json!("MANY"))));
        assert_eq!(run(".none // .missing // \"-\"", &record), Ok(Some(json!("-"))));
        assert_eq!(run("{value: .a[0:1], n: (.n + 1)}", &record), Ok(Some(json!({"value": "x", "n": 4}))));
        assert_eq!(run("\"\\(.a)/\\(.n)\"", &record), Ok(Some(json!("x-7/3"))));
        assert_eq!(run(".missing", &record), Ok(None));
        assert_eq!(run(".t | any(. == 2)", &record), Ok(Some(json!(true))));
        assert!(run(".a | .[\"b\"]", &record).is_err());
        assert!(run(".t[]", &record).is_err(), "two values");
    }

    #[test]
    fn what_might_not_end_or_might_grow_is_not_compiled() {
        for code in [
            "def f: f; f",
            "repeat(.)",
            "range(1000000000)",
            "[recurse]",
            "..",
            "reduce .[] as $x (0; . + $x)",
            "foreach .[] as $x (0; . + $x)",
            "\"a\" * 1000000000",
            ".a |= 1",
            "label $x | .",
            "input",
            "env",
            "$ENV",
            "$x",
            "tonumber",
            "@base64",
            ".[] | .[] | .[]",
            ".,.,.,.,.,.,.,.,.,.",
            "[.]|tostring|[.]|tostring|[.]|tostring|[.]|tostring|[.]|tostring|[.]|tostring|[.]|tostring|[.]|tostring|[.]|tostring",
            "split(\"\")|tostring|split(\"\")|tostring|split(\"\")|tostring",
            "./.|./.|./.|./.|./.",
            "until(false; .)",
            "while(true; .)",
            "limit(1; repeat(1))",
            "import \"a\" as a; .",
            ".a | (",
            "",
        ] {
            assert!(Program::compile(code).is_err(), "{code}");
        }
        let large = json!({"a": "x".repeat(10_000)});
        assert_eq!(run("map(. as $x | $x)", &large), Err(TOO_LARGE));
        assert_eq!(run(".a[0:3]", &large), Ok(Some(json!("xxx"))));
        assert!(run(".a", &large).is_err(), "a long result");
    }
}
