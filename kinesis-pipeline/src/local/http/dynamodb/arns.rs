//! ARNs of tables: dynoxide has a region of its own in them, and takes only names where the service takes both.

use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;

/// The beginning of the ARNs that dynoxide gives out.
const BEHIND: &str = "arn:aws:dynamodb:dynoxide:000000000000:";
/// The beginning of all ARNs of tables and their streams.
const ANY: &[u8] = b"arn:aws:dynamodb:";
/// The members that hold an ARN.
const ARN_MEMBERS: [&str; 4] = [
    "ResourceArn",
    "StreamArn",
    "ExclusiveStartStreamArn",
    "TableArn",
];

/// The ARNs of one region and account.
#[derive(Clone, Debug)]
pub(super) struct Arns {
    prefix: String,
}

impl Arns {
    pub(super) fn new(region: &str, account_id: &str) -> Self {
        Self {
            prefix: format!("arn:aws:dynamodb:{region}:{account_id}:"),
        }
    }

    /// Returns a request's body as dynoxide takes it: names in place of table ARNs, and its own region in the others.
    pub(super) fn inward(&self, body: Bytes) -> Bytes {
        if memmem::find(&body, ANY).is_none() {
            return body;
        }
        let Ok(mut request) = serde_json::from_slice::<Value>(&body) else {
            return body;
        };
        self.rewrite(&mut request);
        serde_json::to_vec(&request).map_or(body, Bytes::from)
    }

    /// Returns an answer's body with this region and account in its ARNs.
    pub(super) fn outward(&self, body: Bytes) -> Bytes {
        let mut places = memmem::find_iter(&body, BEHIND).peekable();
        if places.peek().is_none() {
            return body;
        }
        let mut mended = Vec::with_capacity(body.len() + self.prefix.len());
        let mut from = 0;
        for place in places {
            mended.extend_from_slice(&body[from..place]);
            mended.extend_from_slice(self.prefix.as_bytes());
            from = place + BEHIND.len();
        }
        mended.extend_from_slice(&body[from..]);
        mended.into()
    }

    /// Returns the name of the table with this ARN.
    fn table<'a>(&self, arn: &'a str) -> Option<&'a str> {
        let name = arn.strip_prefix(&*self.prefix)?.strip_prefix("table/")?;
        (!name.contains('/')).then_some(name)
    }

    /// Rewrites the members that name tables. An attribute of an item that has the name of such a member holds an
    /// object with its type, never a text, and stays.
    ///
    /// The depth is that of a JSON document that was read, which is at most 128.
    fn rewrite(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    self.rewrite_member(name, member);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.rewrite(item)),
            _ => {}
        }
    }

    fn rewrite_member(&self, name: &str, member: &mut Value) {
        match member {
            Value::String(text) if name == "TableName" => {
                if let Some(table) = self.table(text) {
                    *text = table.to_owned();
                }
            }
            Value::String(text) if ARN_MEMBERS.contains(&name) => {
                if let Some(resource) = text.strip_prefix(&*self.prefix) {
                    *text = format!("{BEHIND}{resource}");
                }
            }
            Value::Object(items) if name == "RequestItems" => {
                *items = std::mem::take(items)
                    .into_iter()
                    .map(|(key, mut item)| {
                        self.rewrite(&mut item);
                        let table = self.table(&key).map(str::to_owned);
                        (table.unwrap_or(key), item)
                    })
                    .collect();
            }
            other => self.rewrite(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn inward(request: &Value) -> Value {
        let arns = Arns::new("eu-west-1", "111111111111");
        let body = arns.inward(request.to_string().into());
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn a_tables_arn_becomes_its_name_wherever_a_table_is_named() {
        let arn = "arn:aws:dynamodb:eu-west-1:111111111111:table/leases";
        let found = inward(&json!({
            "TableName": arn,
            "TransactItems": [{"Put": {"TableName": arn, "Item": {}}}],
            "RequestItems": {arn: [{"PutRequest": {"Item": {}}}], "other": []},
        }));
        let wanted = json!({
            "TableName": "leases",
            "TransactItems": [{"Put": {"TableName": "leases", "Item": {}}}],
            "RequestItems": {"leases": [{"PutRequest": {"Item": {}}}], "other": []},
        });
        assert_eq!(found, wanted);
    }

    #[test]
    fn arns_of_resources_go_in_with_dynoxides_region_and_come_out_with_ours() {
        let arn = "arn:aws:dynamodb:eu-west-1:111111111111:table/leases";
        let found = inward(&json!({"ResourceArn": arn}));
        let behind = "arn:aws:dynamodb:dynoxide:000000000000:table/leases";
        assert_eq!(found, json!({"ResourceArn": behind}));
        let arns = Arns::new("eu-west-1", "111111111111");
        let twice = format!("{{\"a\":\"{behind}\",\"b\":\"{behind}\"}}");
        let out = arns.outward(twice.into());
        assert_eq!(out, format!("{{\"a\":\"{arn}\",\"b\":\"{arn}\"}}"));
    }

    #[test]
    fn items_and_arns_of_elsewhere_stay_as_they_are() {
        let here = "arn:aws:dynamodb:eu-west-1:111111111111:table/leases";
        let request = json!({
            "TableName": "arn:aws:dynamodb:us-east-1:111111111111:table/leases",
            "Item": {"TableName": {"S": here}, "RequestItems": {"M": {here: {"S": "x"}}}},
        });
        assert_eq!(inward(&request)["TableName"], request["TableName"]);
        assert_eq!(inward(&request)["Item"]["TableName"], json!({"S": here}));
        assert_eq!(
            inward(&request)["Item"]["RequestItems"],
            json!({"M": {here: {"S": "x"}}})
        );
    }
}
