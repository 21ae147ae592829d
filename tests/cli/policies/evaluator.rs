//! Decides requests as AWS does ("Policy evaluation logic" and "IAM JSON policy elements:
//! Condition operators" in the IAM user guide): any Deny that matches denies, else any Allow that
//! matches allows, else it is denied. No server that can be run here does so for a bucket's policy.

use std::collections::BTreeMap;

use serde_json::Value;

/// A request, as policies see it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub action: String,
    pub resource: String,
    /// Condition keys; those that are missing are missing here.
    pub context: BTreeMap<String, String>,
}

impl Request {
    pub fn new(action: &str, resource: &str) -> Self {
        Self {
            action: action.to_owned(),
            resource: resource.to_owned(),
            context: BTreeMap::new(),
        }
    }

    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.context.insert(key.to_owned(), value.to_owned());
        self
    }
}

/// Whether all of these policies together allow the request, to whoever the statements are about.
pub fn allows(policies: &[&str], request: &Request) -> bool {
    let statements: Vec<Value> = policies
        .iter()
        .flat_map(|policy| {
            let policy: Value = serde_json::from_str(policy).expect("a policy is JSON");
            assert_eq!(policy["Version"], "2012-10-17");
            policy["Statement"].as_array().expect("statements").clone()
        })
        .collect();
    let any = |effect: &str| {
        let of_effect = |statement: &&Value| statement["Effect"] == effect;
        let mut statements = statements.iter().filter(of_effect);
        statements.any(|statement| matches(statement, request))
    };
    !any("Deny") && any("Allow")
}

fn matches(statement: &Value, request: &Request) -> bool {
    for field in statement.as_object().expect("a statement").keys() {
        let known = [
            "Sid",
            "Effect",
            "Principal",
            "Action",
            "Resource",
            "Condition",
        ];
        assert!(known.contains(&field.as_str()), "{field} is not known here");
    }
    let action = list(&statement["Action"]).iter().any(|pattern| {
        is_like(
            &pattern.to_ascii_lowercase(),
            &request.action.to_ascii_lowercase(),
        )
    });
    let resources = list(&statement["Resource"]);
    let resource = resources
        .iter()
        .any(|pattern| is_like(pattern, &request.resource));
    action && resource && conditions_hold(&statement["Condition"], request)
}

/// All of them; each by one of its values.
fn conditions_hold(conditions: &Value, request: &Request) -> bool {
    let Some(operators) = conditions.as_object() else {
        assert!(conditions.is_null(), "{conditions}");
        return true;
    };
    operators.iter().all(|(operator, keys)| {
        let keys = keys.as_object().expect("keys of a condition");
        keys.iter().all(|(key, values)| {
            let values = list(values);
            let found = request.context.get(key).map(String::as_str);
            match (operator.as_str(), found) {
                ("Null", found) => values.contains(&found.is_none().to_string()),
                // A negated operator holds where the key is missing.
                ("StringNotEquals", found) => {
                    found.is_none_or(|found| !values.iter().any(|value| plain(value) == found))
                }
                ("StringEquals", Some(found)) => values.iter().any(|value| plain(value) == found),
                ("Bool", Some(found)) => {
                    values.iter().any(|value| value.eq_ignore_ascii_case(found))
                }
                ("StringLike", Some(found)) => values.iter().any(|value| is_like(value, found)),
                ("StringEquals" | "Bool" | "StringLike", None) => false,
                (other, _) => panic!("{other} is not known here"),
            }
        })
    })
}

fn list(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    match value {
        Value::Array(values) => values.iter().map(text).collect(),
        one => vec![text(one)],
    }
}

/// A text without wildcards, in which `${*}`, `${?}` and `${$}` are characters.
fn plain(pattern: &str) -> String {
    pattern
        .replace("${*}", "*")
        .replace("${?}", "?")
        .replace("${$}", "$")
}

enum Piece {
    Any,
    One,
    Is(char),
}

fn fits(pieces: &[Piece], text: &[char]) -> bool {
    match (pieces, text) {
        ([], []) => true,
        ([Piece::Any, more @ ..], _) => {
            (0..=text.len()).any(|skipped| fits(more, &text[skipped..]))
        }
        ([Piece::One, more @ ..], [_, rest @ ..]) => fits(more, rest),
        ([Piece::Is(c), more @ ..], [first, rest @ ..]) => c == first && fits(more, rest),
        _ => false,
    }
}

fn is_like(pattern: &str, text: &str) -> bool {
    let mut pieces = vec![];
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let escape = ["${*}", "${?}", "${$}"]
            .into_iter()
            .find(|it| rest.starts_with(it));
        let (piece, length) = match (escape, c) {
            (Some(escape), _) => (Piece::Is(escape.chars().nth(2).expect("4 characters")), 4),
            (None, '*') => (Piece::Any, 1),
            (None, '?') => (Piece::One, 1),
            (None, c) => (Piece::Is(c), c.len_utf8()),
        };
        pieces.push(piece);
        rest = &rest[length..];
    }
    let text: Vec<char> = text.chars().collect();
    fits(&pieces, &text)
}

/// Against examples of AWS's own pages.
mod tests {
    use super::*;

    /// "Example: restrict object uploads to objects with a specific AWS KMS key", and "Requiring
    /// server-side encryption" in the S3 user guide, with an Allow beside them.
    const EXAMPLE: &str = r#"{
        "Version": "2012-10-17",
        "Statement": [
            { "Sid": "All", "Effect": "Allow", "Action": "s3:*", "Resource": "*" },
            {
                "Sid": "DenyObjectsThatAreNotSSEKMS",
                "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
                "Resource": "arn:aws:s3:::b/*",
                "Condition": { "Null": { "s3:x-amz-server-side-encryption-aws-kms-key-id": "true" } }
            },
            {
                "Sid": "RestrictToTLSRequestsOnly",
                "Effect": "Deny", "Principal": "*", "Action": "s3:*",
                "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
                "Condition": { "Bool": { "aws:SecureTransport": "false" } }
            }
        ]
    }"#;

    #[test]
    fn documented_examples_decide_as_documented() {
        let put =
            Request::new("s3:PutObject", "arn:aws:s3:::b/k").with("aws:SecureTransport", "true");
        let with_key = put
            .clone()
            .with("s3:x-amz-server-side-encryption-aws-kms-key-id", "k");
        assert!(!allows(&[EXAMPLE], &put));
        assert!(allows(&[EXAMPLE], &with_key));
        assert!(!allows(
            &[EXAMPLE],
            &with_key.clone().with("aws:SecureTransport", "false")
        ));
        let read = Request {
            action: "S3:getobject".to_owned(),
            ..put
        };
        assert!(allows(&[EXAMPLE], &read));
        assert!(!allows(&[], &read), "what nothing allows is denied");
    }

    #[test]
    fn operators_treat_a_missing_key_as_documented() {
        let holds = |condition: &str, request: &Request| {
            conditions_hold(&serde_json::from_str(condition).expect("JSON"), request)
        };
        let (without, with) = (Request::default(), Request::default().with("k", "v"));
        for (condition, on_missing, on_value) in [
            (r#"{"StringEquals":{"k":"v"}}"#, false, true),
            (r#"{"StringNotEquals":{"k":"v"}}"#, true, false),
            (r#"{"StringNotEquals":{"k":["v","w"]}}"#, true, false),
            (r#"{"StringNotEquals":{"k":"w"}}"#, true, true),
            (r#"{"StringLike":{"k":"v*"}}"#, false, true),
            (r#"{"Null":{"k":"true"}}"#, true, false),
            (r#"{"Null":{"k":"false"}}"#, false, true),
            (
                r#"{"Null":{"k":"true"},"StringEquals":{"k":"v"}}"#,
                false,
                false,
            ),
        ] {
            assert_eq!(holds(condition, &without), on_missing, "{condition}");
            assert_eq!(holds(condition, &with), on_value, "{condition}");
        }
    }

    #[test]
    fn wildcards_and_escaped_ones() {
        for (pattern, text, like) in [
            ("a/*", "a/", true),
            ("a/*", "a", false),
            ("a?c", "abc", true),
            ("a${*}/*", "a*/x", true),
            ("a${*}/*", "ab/x", false),
            ("${$}{x}", "${x}", true),
        ] {
            assert_eq!(is_like(pattern, text), like, "{pattern} {text}");
        }
    }
}
