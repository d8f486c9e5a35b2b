//! JSON as people write it: members in their order, and on one line what fits there.

use std::fmt::{self, Write as _};

/// Longest line, in characters.
const WIDTH: usize = 118;

/// A value of a policy or a file of cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Json {
    Text(String),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Json::Text(text.into())
    }

    /// A list of texts.
    pub(super) fn texts<T: ToString>(texts: &[T]) -> Self {
        Json::List(texts.iter().map(|text| Json::Text(text.to_string())).collect())
    }

    /// All of it on one line.
    fn line(&self) -> String {
        let listed = |parts: Vec<String>| parts.join(", ");
        match self {
            Json::Text(text) => quoted(text),
            Json::List(list) => format!("[{}]", listed(list.iter().map(Json::line).collect())),
            Json::Object(members) => {
                let members = members.iter().map(|(name, it)| format!("\"{name}\": {}", it.line()));
                format!("{{ {} }}", listed(members.collect()))
            }
        }
    }

    /// Writes it behind `before` characters, with lines of its own that deep; `after` follow it.
    fn lay_out(&self, before: usize, depth: usize, after: usize, out: &mut String) {
        let line = self.line();
        // A document reads as one, however short it is.
        let is_document = depth == 0;
        if !is_document && before + line.chars().count() + after <= WIDTH {
            out.push_str(&line);
            return;
        }
        let parts: Vec<(String, &Json)> = match self {
            Json::Text(_) => {
                out.push_str(&line);
                return;
            }
            Json::List(list) => list.iter().map(|it| (String::new(), it)).collect(),
            Json::Object(members) => {
                members.iter().map(|(name, it)| (format!("\"{name}\": "), it)).collect()
            }
        };
        let (open, close) = if matches!(self, Json::List(_)) { ('[', ']') } else { ('{', '}') };
        let indent = 2 * (depth + 1);
        out.push(open);
        for (at, (name, part)) in parts.iter().enumerate() {
            let separator = if at == 0 { "" } else { "," };
            let _ = write!(out, "{separator}\n{:indent$}{name}", "");
            part.lay_out(indent + name.chars().count(), depth + 1, 1, out);
        }
        let _ = write!(out, "\n{:1$}{close}", "", 2 * depth);
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.lay_out(0, 0, 0, &mut out);
        f.write_str(&out)
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
