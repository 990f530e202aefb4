use std::sync::Arc;

use jaq_core::{
    Compiler, Ctx, Vars,
    data::JustLut,
    load::{Arena, File, Loader},
    unwrap_valr,
};
use jaq_json::{Val, read};
use kinesis_pipeline::firehose::PartitionKeys;
use serde_json::Value;

use crate::{InvalidDelivery, prefix::ValueError};

type Filter = jaq_core::Filter<JustLut<Val>>;

/// A function of jq that gives another result the next time.
const NOT_REPEATABLE: &str = "now";

/// A compiled jq query that makes partition keys.
#[derive(Clone)]
pub(crate) struct Query(Arc<Filter>);

impl Query {
    pub(crate) fn compile(query: &str) -> Result<Self, InvalidDelivery> {
        let invalid = |problem: String| InvalidDelivery::Query {
            query: query.to_owned(),
            problem,
        };
        let defs = jaq_core::defs()
            .chain(jaq_std::defs())
            .chain(jaq_json::defs());
        let funs = jaq_core::funs()
            .chain(jaq_std::funs())
            .chain(jaq_json::funs());
        let funs = funs.filter(|(name, ..)| *name != NOT_REPEATABLE);
        let arena = Arena::default();
        let program = File {
            code: query,
            path: (),
        };
        let modules = Loader::new(defs)
            .load(&arena, program)
            .map_err(|errors| invalid(format!("{:?}", errors.first())))?;
        let filter = Compiler::default()
            .with_funs(funs)
            .compile(modules)
            .map_err(|errors| invalid(format!("{:?}", errors.first().map(|(_, error)| error))))?;
        Ok(Self(Arc::new(filter)))
    }

    /// The partition keys of a JSON record: the query's first result, an object of texts, numbers and booleans.
    pub(crate) fn run(&self, data: &[u8]) -> Result<PartitionKeys, ValueError> {
        let failed = |problem: &str| ValueError::Query(problem.to_owned());
        let input = read::parse_single(data).map_err(|_| failed("the record is not JSON"))?;
        let context = Ctx::<JustLut<Val>>::new(&self.0.lut, Vars::new([]));
        let mut results = self.0.id.run((context, input)).map(unwrap_valr);
        let result = results.next().ok_or_else(|| failed("it has no result"))?;
        let result = result.map_err(|_| failed("it fails on the record"))?;
        let keys: serde_json::Map<String, Value> = serde_json::from_str(&result.to_string())
            .map_err(|_| failed("its result is no object"))?;
        keys.into_iter()
            .map(|(name, value)| {
                let value = match value {
                    Value::String(text) => text,
                    Value::Number(_) | Value::Bool(_) => value.to_string(),
                    _ => return Err(ValueError::Missing(name)),
                };
                Ok((name, value))
            })
            .collect()
    }
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
        for query in ["{", "{a: nowhere(1)}", "{a: now}"] {
            assert!(
                matches!(Query::compile(query), Err(InvalidDelivery::Query { .. })),
                "{query}"
            );
        }
    }
}
