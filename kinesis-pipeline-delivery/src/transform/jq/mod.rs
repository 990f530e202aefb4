//! Partition keys by a jq query on the record: compiled once, bounded on each record.

mod bounds;

use std::sync::Arc;

use bounds::{DEPTH_MAX, Meter, Metered, QUERY, QUERY_BYTES_MAX, STEPS_MAX};
use jaq_core::{
    Compiler, Ctx, Vars,
    load::{
        Arena, File, Lexer, Loader, Parser,
        lex::Token,
        parse::{Def, Term},
    },
};
use jaq_json::{Val, read};
use kinesis_pipeline::firehose::PartitionKeys;

use crate::{InvalidDelivery, prefix::ValueError};

type Filter = jaq_core::Filter<Metered>;

/// A compiled jq query that makes partition keys.
#[derive(Clone)]
pub(crate) struct Query(Arc<Filter>);

impl Query {
    pub(crate) fn compile(query: &str) -> Result<Self, InvalidDelivery> {
        let invalid = |problem: String| InvalidDelivery::Query {
            query: query.chars().take(200).collect(),
            problem,
        };
        if query.len() > QUERY_BYTES_MAX {
            return Err(invalid(format!("it has more than {QUERY_BYTES_MAX} bytes")));
        }
        let body = parse(query).and_then(bounds::query).map_err(invalid)?;
        compile(body)
            .map(|filter| Self(Arc::new(filter)))
            .map_err(invalid)
    }

    /// Returns the partition keys of a JSON record: the query's first result, an object of texts, numbers and booleans.
    pub(crate) fn run(&self, data: &[u8]) -> Result<PartitionKeys, ValueError> {
        let failed = |problem: &str| ValueError::Query(problem.to_owned());
        if !bounds::is_shallow(data) {
            return Err(ValueError::Query(format!(
                "the record nests deeper than {DEPTH_MAX}"
            )));
        }
        let input = read::parse_single(data).map_err(|_| failed("the record is not JSON"))?;
        let meter = Meter::new(&self.0.lut);
        let context = Ctx::<Metered>::new(&meter, Vars::new([]));
        let first = self.0.id.run((context, input)).next();
        if meter.is_used_up() {
            return Err(ValueError::QuerySteps(STEPS_MAX));
        }
        let first = first.ok_or_else(|| failed("it has no result"))?;
        keys(first.map_err(|_| failed("it fails on the record"))?)
    }
}

/// Returns the partition keys in a query's result.
fn keys(result: Val) -> Result<PartitionKeys, ValueError> {
    let Val::Obj(members) = result else {
        return Err(ValueError::Query("its result is no object".to_owned()));
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let member = |(name, value): (&Val, &Val)| {
        let (Val::TStr(name) | Val::BStr(name)) = name else {
            return Err(ValueError::Query(
                "a name in its result is no text".to_owned(),
            ));
        };
        let name = text(name);
        match value {
            Val::TStr(value) | Val::BStr(value) => Ok((name, text(value))),
            Val::Num(_) | Val::Bool(_) => Ok((name, value.to_string())),
            Val::Null | Val::Arr(_) | Val::Obj(_) => Err(ValueError::Missing(name)),
        }
    };
    members.iter().map(member).collect()
}

fn parse(query: &str) -> Result<Term<&str>, String> {
    let tokens = Lexer::new(query).lex();
    let tokens = tokens.map_err(|errors| {
        let first = errors.first();
        first.map_or_else(String::new, |(expected, at)| {
            unexpected(expected.as_str(), at)
        })
    })?;
    let term = Parser::new(&tokens).parse(Parser::term);
    term.map_err(|errors| {
        let first = errors.first();
        first.map_or_else(String::new, |(expected, found)| {
            unexpected(expected.as_str(), Token::opt_as_str(*found, query))
        })
    })
}

/// Describes a syntax error. `rest` is the query from the error on, empty at its end.
fn unexpected(expected: &str, rest: &str) -> String {
    match rest {
        "" => format!("it ends where {expected} is expected"),
        _ => format!("{expected} is expected at `{rest}`"),
    }
}

fn compile(body: Term<&str>) -> Result<Filter, String> {
    let defs = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs());
    let query = Def {
        name: QUERY,
        args: Vec::new(),
        body,
    };
    let defs = defs.filter_map(|def| bounds::library(def)).chain([query]);
    let funs = jaq_core::funs()
        .chain(jaq_std::funs())
        .chain(jaq_json::funs());
    let funs = funs
        .filter(|(name, ..)| !bounds::is_refused(name))
        .chain(bounds::funs());
    let arena = Arena::default();
    let program = File {
        code: QUERY,
        path: (),
    };
    let modules = Loader::new(defs).load(&arena, program);
    let modules =
        modules.map_err(|errors| format!("{:?}", errors.first().map(|(_, error)| error)))?;
    let compiled = Compiler::default().with_funs(funs).compile(modules);
    compiled.map_err(|errors| {
        let first = errors.first().and_then(|(_, errors)| errors.first());
        first.map_or_else(String::new, |(name, kind)| {
            format!("there is no {} `{name}`", kind.as_str())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_makes_keys_of_a_record() {
        let query =
            Query::compile("{state: .address.state, year: (.at / 10000 | floor), old: (.at < 1)}")
                .unwrap();
        let keys = query
            .run(br#"{"address":{"state":"NY"},"at":20260309}"#)
            .unwrap();
        let expected = [("old", "false"), ("state", "NY"), ("year", "2026")];
        assert!(
            keys.iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .eq(expected)
        );
    }

    #[test]
    fn a_record_that_the_query_fails_on_has_no_keys() {
        let query = Query::compile("{a: (.b | ascii_downcase)}").unwrap();
        for data in ["no json", "{\"b\":1}", "[]"] {
            assert!(query.run(data.as_bytes()).is_err(), "{data}");
        }
        assert!(Query::compile(".a").unwrap().run(b"{\"a\":1}").is_err());
        assert!(Query::compile("empty").unwrap().run(b"{}").is_err());
    }

    #[test]
    fn a_query_that_is_none_or_depends_on_the_time_is_refused() {
        for query in [
            "{",
            "{a: nowhere(1)}",
            "{a: now}",
            "{a: (0 | localtime)}",
            &"1,".repeat(3_000),
        ] {
            assert!(
                matches!(Query::compile(query), Err(InvalidDelivery::Query { .. })),
                "{query}"
            );
        }
    }

    #[test]
    fn a_query_that_is_wrong_is_told_where() {
        for (query, problem) in [
            ("{k:", "it ends where closing brace is expected"),
            ("{k: }", "term is expected"),
            ("{k: .a} }", "expected at `}`"),
            ("{k: nowhere(1)}", "there is no filter `nowhere`"),
            ("{k: $x}", "there is no variable `$x`"),
        ] {
            let Err(error) = Query::compile(query) else {
                panic!("{query} is taken");
            };
            assert!(error.to_string().contains(problem), "{error}");
        }
    }

    #[test]
    fn a_query_that_may_not_end_is_refused_and_told_what_it_has() {
        for (query, name) in [
            ("{a: last(repeat(1))}", "repeat"),
            ("{a: [range(1e12)]}", "range"),
            ("def f: f; {a: f}", "def"),
            ("{a: (def f: [f]; f)}", "def"),
            ("{a: until(false; .)}", "until"),
            ("{a: [while(true; .)]}", "while"),
            ("{a: [recurse([.])]}", "recurse"),
            ("{a: (reduce .[] as $x (.; . + .))}", "reduce"),
            ("{a: (.[1e9] = 1)}", "an assignment"),
            ("{a: setpath([1e9]; 1)}", "setpath"),
            ("{a: if .b then (.c | map(range(.))) else 1 end}", "range"),
            ("{a: \"\\(range(9))\"}", "range"),
            ("{a: kinesis_pipeline_query}", "kinesis_pipeline_query"),
        ] {
            let Err(InvalidDelivery::Query { problem, .. }) = Query::compile(query) else {
                panic!("{query} is taken");
            };
            assert!(
                problem.starts_with(&format!("`{name}` is not allowed")),
                "{query}: {problem}"
            );
        }
    }

    #[test]
    fn a_query_that_takes_too_many_steps_on_a_record_ends_with_that_error() {
        let numbers: Vec<String> = (0..2_000).map(|number| number.to_string()).collect();
        let record = format!("[{}]", numbers.join(","));
        for query in [
            "{a: ([.[] as $x | .[] as $y | .[] as $z | $x] | length)}",
            "{a: ([.[] as $x | .[] as $y | try error(1) catch 1] | length)}",
            "{a: (map(tostring) | join(\"\") | . + . | . + . | . + . | . + . | . + . | . + . | . + . | . + . | . + . | . + . | . + . | . + . | . + . | length)}",
            "first(.[] as $x | .[] as $y | .[] as $z | select($x < 0))",
        ] {
            let query = Query::compile(query).unwrap();
            let ended = query.run(record.as_bytes());
            assert_eq!(ended, Err(ValueError::QuerySteps(STEPS_MAX)));
        }
    }

    #[test]
    fn values_of_any_size_are_not_made_of_numbers_in_a_record() {
        for query in [
            "{a: (.text * .n)}",
            "{a: (.n * .text)}",
            "{a: \"\\([.,.]|[.,.]|[.,.])\"}",
            "{a: ([.] | tostring)}",
        ] {
            let failed = Query::compile(query)
                .unwrap()
                .run(br#"{"text":"x","n":1000000000000}"#);
            assert!(
                matches!(failed, Err(ValueError::Query(_))),
                "{query}: {failed:?}"
            );
        }
        let deep = "[".repeat(1_000_000);
        assert!(matches!(
            Query::compile("{}").unwrap().run(deep.as_bytes()),
            Err(ValueError::Query(_))
        ));
    }

    #[test]
    fn what_people_write_for_partition_keys_works_within_the_bounds() {
        let record = br#"{"id":"a-17","items":[{"k":"x","n":2},{"k":"y","n":3}],"at":1767225600,"tags":["b","a"],"e":null,"t":"2026-01-01T00:00:00Z"}"#;
        for (query, value) in [
            ("{a: .id}", "a-17"),
            ("{a: (.id | split(\"-\") | .[1])}", "17"),
            ("{a: (.id | sub(\"-.*\"; \"\"))}", "a"),
            ("{a: ([.items[].n] | add * 2)}", "10"),
            ("{a: (.items | map(select(.n > 2)) | first | .k)}", "y"),
            ("{a: (.tags | sort | join(\"-\"))}", "a-b"),
            ("{a: (.e // \"none\")}", "none"),
            ("{a: (.at | strftime(\"%Y/%m\"))}", "2026/01"),
            ("{a: (.t | fromdateiso8601 | . / 3600 | floor)}", "490896"),
            (
                "{a: (if .items | any(.n == 3) then \"yes\" else \"no\" end)}",
                "yes",
            ),
            ("{a: \"\\(.id)-\\(.at)\"}", "a-17-1767225600"),
            ("{a: (.missing?.deep? // \"0\")}", "0"),
            ("{a: (.id | @base64)}", "YS0xNw=="),
            ("{a: (.items | max_by(.n) | .k | ascii_upcase)}", "Y"),
            ("{a: ([..|numbers] | length)}", "3"),
            ("{a: (to_entries | map(.key) | last)}", "t"),
            ("{a: (.id as $i | .tags | index(\"a\"))}", "1"),
            ("{a: (.id | capture(\"(?<l>[a-z])\") | .l)}", "a"),
            ("{a: (.id | test(\"^a\"))}", "true"),
            ("{a: ([limit(1; .tags[])] | length)}", "1"),
        ] {
            let keys = Query::compile(query).unwrap().run(record);
            let keys = keys.unwrap_or_else(|error| panic!("{query}: {error}"));
            assert_eq!(keys["a"], value, "{query}");
        }
    }
}
