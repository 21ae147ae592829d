//! A policy that is there with cloakfs's statements in it: pure.
//!
//! Statements are known by their Sid. Those for the same place are replaced, also by nothing: a
//! requirement of an older mode or key would deny what the new one asks for. Everything else stays
//! as it is, word for word, in its order.

use serde_json::{Map, Value, json};

use super::{Policy, Sid};

/// What a policy becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    pub policy: Value,
    /// In the order of the statements; none where all of it is there already.
    pub changes: Vec<Change>,
    /// Statements of others.
    pub kept: usize,
}

/// What happens to one statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub sid: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// Why nothing can be merged into what is there. Each is a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    #[error(
        "the policy that is there cannot be read ({0}), so it is not touched: look at it with `aws s3api get-bucket-policy`"
    )]
    Unreadable(String),
    #[error(
        "the policy that is there has the version {0:?}, in which the prefix cannot be written, since it has a character that means something in policies: make it \"2012-10-17\" first"
    )]
    OldLanguage(String),
}

/// Puts `ours` in place of the statements whose Sid is one of `replaced`. `escapes` tells that
/// its texts need the newer version of the language.
///
/// # Errors
/// When the policy that is there has another form than AWS's.
pub fn merge(
    existing: Option<&str>,
    ours: &Policy,
    replaced: &[Sid],
    escapes: bool,
) -> Result<Merged, MergeError> {
    let mut document = match existing {
        Some(text) => read(text)?,
        None => Map::new(),
    };
    let version = document.entry("Version").or_insert_with(|| {
        // What AWS takes a policy for that does not say.
        json!(if existing.is_some() {
            "2008-10-17"
        } else {
            super::VERSION
        })
    });
    if escapes && version != super::VERSION {
        let version = version.as_str().unwrap_or_default().to_owned();
        return Err(MergeError::OldLanguage(version));
    }
    let there = match document.remove("Statement") {
        None => vec![],
        Some(Value::Array(statements)) => statements,
        Some(one) => vec![one],
    };
    let mut wanted: Vec<(&str, Value)> = ours
        .statement
        .iter()
        .map(|statement| {
            let value = serde_json::to_value(statement).expect("a statement is JSON");
            (statement.sid.as_str(), value)
        })
        .collect();
    let is_ours = |sid: &str| {
        let replaced = replaced.iter().any(|replaced| replaced.as_str() == sid);
        replaced || ours.statement.iter().any(|ours| ours.sid.as_str() == sid)
    };
    let (mut statements, mut changes, mut kept) = (vec![], vec![], 0);
    for before in there {
        let sid = before.get("Sid").and_then(Value::as_str).map(str::to_owned);
        let Some(sid) = sid.filter(|sid| is_ours(sid)) else {
            kept += 1;
            statements.push(before);
            continue;
        };
        let at = wanted.iter().position(|(wanted, _)| *wanted == sid);
        let after = at.map(|at| wanted.remove(at).1);
        match after {
            Some(after) if normal(&after) == normal(&before) => statements.push(before),
            after => {
                statements.extend(after.clone());
                changes.push(Change {
                    sid,
                    before: Some(before),
                    after,
                });
            }
        }
    }
    for (sid, after) in wanted {
        statements.push(after.clone());
        changes.push(Change {
            sid: sid.to_owned(),
            before: None,
            after: Some(after),
        });
    }
    document.insert("Statement".to_owned(), Value::Array(statements));
    Ok(Merged {
        policy: Value::Object(document),
        changes,
        kept,
    })
}

fn read(text: &str) -> Result<Map<String, Value>, MergeError> {
    match serde_json::from_str(text) {
        Ok(Value::Object(document)) => Ok(document),
        Ok(_other) => Err(MergeError::Unreadable("it is no JSON object".to_owned())),
        Err(error) => Err(MergeError::Unreadable(error.to_string())),
    }
}

/// Whether two texts are the same policy to AWS, as far as servers rewrite what they are given.
#[must_use]
pub fn is_same(one: &str, other: &str) -> bool {
    let parse = |text| serde_json::from_str::<Value>(text).ok();
    match (parse(one), parse(other)) {
        (Some(one), Some(other)) => normal(&one) == normal(&other),
        _ => false,
    }
}

/// A list of one is that one, order in lists means nothing, everybody has two spellings, and
/// `true` may be text.
fn normal(value: &Value) -> Value {
    match value {
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(normal).collect();
            list.sort_by_key(ToString::to_string);
            match <[Value; 1]>::try_from(list) {
                Ok([one]) => one,
                Err(list) => Value::Array(list),
            }
        }
        Value::Object(fields) => {
            let fields: Map<_, _> = fields
                .iter()
                .map(|(name, value)| (name.clone(), normal(value)))
                .collect();
            if fields.len() == 1 && fields.get("AWS") == Some(&json!("*")) {
                return json!("*");
            }
            Value::Object(fields)
        }
        Value::Bool(_) | Value::Number(_) => Value::String(value.to_string()),
        Value::Null | Value::String(_) => value.clone(),
    }
}

impl Merged {
    /// What changes, for a person: lines that go begin with `-`, lines that come with `+`.
    #[must_use]
    pub fn difference(&self) -> String {
        let mut lines = vec![];
        let mut show = |sign: char, statement: &Option<Value>| {
            if let Some(statement) = statement {
                let text = serde_json::to_string_pretty(statement).expect("JSON is JSON");
                lines.extend(text.lines().map(|line| format!("{sign} {line}")));
            }
        };
        for change in &self.changes {
            show('-', &change.before);
            show('+', &change.after);
        }
        lines.push(match self.kept {
            0 => "  there are no other statements".to_owned(),
            1 => "  1 other statement stays as it is".to_owned(),
            more => format!("  {more} other statements stay as they are"),
        });
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests;
