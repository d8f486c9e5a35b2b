//! Which documents are refused: what IAM does not store, and what cannot be read in one way.

use serde_json::Value;

use super::condition::{Operator, operand_texts};
use super::statement::{has_variables, list};
use super::variable::{self, Piece};
use super::{Kind, convert, network};

/// Says why the document is refused, if it is.
pub(crate) fn check(kind: Kind, document: &Value) -> Result<(), String> {
    let members = document.as_object().ok_or("not an object")?;
    for (name, value) in members {
        match name.as_str() {
            "Version" => {
                one_of(value, &["2012-10-17", "2008-10-17"])?;
            }
            "Id" if kind == Kind::Resource && value.is_string() => {}
            "Statement" => {}
            other => return Err(format!("member `{other}` of the document")),
        }
    }
    let statements = match members.get("Statement") {
        Some(Value::Array(statements)) => statements.clone(),
        Some(statement) => vec![statement.clone()],
        None => return Err("no statement".to_owned()),
    };
    if statements.is_empty() {
        return Err("no statement".to_owned());
    }
    let mut sids = Vec::new();
    for statement in &statements {
        check_statement(kind, has_variables(document), statement)?;
        let sid = statement["Sid"].as_str().unwrap_or_default();
        if kind != Kind::Resource && !sid.is_empty() && sids.contains(&sid) {
            return Err(format!("Sid `{sid}` twice"));
        }
        sids.push(sid);
    }
    Ok(())
}

fn one_of(value: &Value, texts: &[&str]) -> Result<(), String> {
    let is_one = value.as_str().is_some_and(|text| texts.contains(&text));
    if is_one { Ok(()) } else { Err(format!("`{value}` is none of {texts:?}")) }
}

fn check_statement(kind: Kind, is_2012: bool, statement: &Value) -> Result<(), String> {
    let members = statement.as_object().ok_or("a statement is an object")?;
    for (name, value) in members {
        match name.as_str() {
            "Sid" => check_sid(kind, value)?,
            "Effect" => one_of(value, &["Allow", "Deny"])?,
            "Action" | "NotAction" => {
                for action in strings(value)? {
                    check_action(is_2012, &action)?;
                }
            }
            "Resource" | "NotResource" => {
                for resource in strings(value)? {
                    check_resource(kind, is_2012, &resource)?;
                }
            }
            "Principal" => check_principal(value)?,
            "NotPrincipal" if kind == Kind::Resource => check_principal(value)?,
            "Condition" => check_condition(is_2012, value)?,
            other => return Err(format!("member `{other}` of a statement")),
        }
    }
    let given = |names: &[&str]| names.iter().filter(|it| members.contains_key(**it)).count();
    let has_principals = matches!(kind, Kind::Resource | Kind::ResourceControl);
    let wanted = [
        (["Effect", "Effect"].as_slice(), 2),
        (&["Action", "NotAction"], 1),
        (&["Resource", "NotResource"], 1),
        (&["Principal", "NotPrincipal"], usize::from(has_principals)),
    ];
    for (names, count) in wanted {
        if given(names) != count {
            return Err(format!("{} of {names:?}", given(names)));
        }
    }
    Ok(())
}

fn check_sid(kind: Kind, value: &Value) -> Result<(), String> {
    let sid = value.as_str().ok_or("a Sid is a string")?;
    let is_plain = sid.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_plain || kind == Kind::Resource { Ok(()) } else { Err(format!("Sid `{sid}`")) }
}

fn strings(value: &Value) -> Result<Vec<String>, String> {
    if value.is_null() {
        return Err("null".to_owned());
    }
    let texts = list(value);
    if texts.is_empty() {
        return Err("an empty list".to_owned());
    }
    let text = |text: &Value| text.as_str().map(str::to_owned).ok_or(format!("`{text}`"));
    texts.iter().map(text).collect()
}

fn check_action(is_2012: bool, action: &str) -> Result<(), String> {
    let is_vendor = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    match action.split_once(':') {
        None if action == "*" => Ok(()),
        Some((_, name)) if is_2012 && name.contains("${") => Err(format!("variable in `{action}`")),
        Some((vendor, name)) if is_vendor(vendor) && !name.contains(':') => Ok(()),
        _ => Err(format!("action `{action}`")),
    }
}

fn check_resource(kind: Kind, is_2012: bool, resource: &str) -> Result<(), String> {
    if resource == "*" {
        return Ok(());
    }
    if !resource.starts_with("arn:") {
        return Err(format!("resource `{resource}`"));
    }
    let pieces = variable::pieces(resource, is_2012)?;
    let fields: Vec<&[Piece]> = pieces.splitn(6, |piece| *piece == Piece::Text(':')).collect();
    let is_empty = |at: usize| fields.get(at).is_none_or(|field| field.is_empty());
    if is_empty(1) || is_empty(2) {
        return Err(format!("no partition or service in `{resource}`"));
    }
    if fields[2].iter().any(|piece| [Piece::Text('*'), Piece::Text('?')].contains(piece)) {
        return Err(format!("wildcard in the service of `{resource}`"));
    }
    if kind == Kind::Session && fields.len() < 6 {
        return Err(format!("short ARN `{resource}` in a session policy"));
    }
    Ok(())
}

fn check_principal(value: &Value) -> Result<(), String> {
    if *value == "*" {
        return Ok(());
    }
    for (name, entries) in value.as_object().ok_or("a principal is an object")? {
        for entry in strings(entries)? {
            let is_fine = match name.as_str() {
                "AWS" => entry == "*" || is_aws_principal(&entry),
                "Service" | "Federated" | "CanonicalUser" => {
                    !entry.is_empty() && !entry.contains(['*', '?'])
                }
                _ => false,
            };
            if !is_fine {
                return Err(format!("principal `{entry}` under `{name}`"));
            }
        }
    }
    Ok(())
}

fn is_aws_principal(entry: &str) -> bool {
    let is_account =
        |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_id = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
            && (text.starts_with("AIDA") || text.starts_with("AROA"))
    };
    if entry.contains(['*', '?']) {
        return false;
    }
    if is_account(entry) || is_id(entry) {
        return true;
    }
    let fields: Vec<&str> = entry.splitn(6, ':').collect();
    let ["arn", partition, service, "", account, name] = fields[..] else { return false };
    let parts: Vec<&str> = name.split('/').collect();
    let is_name = match (service, &parts[..]) {
        ("iam", ["root"]) => true,
        ("iam", ["user" | "role", names @ ..]) => !names.is_empty() && !names.contains(&""),
        ("sts", ["assumed-role", role, session]) => !role.is_empty() && !session.is_empty(),
        ("sts", ["federated-user", name]) => !name.is_empty(),
        _ => false,
    };
    !partition.is_empty() && is_account(account) && is_name
}

fn check_condition(is_2012: bool, value: &Value) -> Result<(), String> {
    for (name, keys) in value.as_object().ok_or("a condition is an object")? {
        let operator = Operator::read(name).ok_or(format!("operator `{name}`"))?;
        let mut folded = Vec::new();
        for (key, operands) in keys.as_object().ok_or("an operator takes an object")? {
            if key.contains("${") || folded.contains(&key.to_lowercase()) {
                return Err(format!("key `{key}`"));
            }
            folded.push(key.to_lowercase());
            let is_wrong = |it: &Value| it.is_null() || it.is_object() || it.is_array();
            if operands.is_null() || list(operands).iter().any(is_wrong) {
                return Err(format!("values of `{key}`"));
            }
            for operand in operand_texts(operands) {
                check_operand(operator, is_2012, &operand)?;
            }
        }
    }
    Ok(())
}

fn check_operand(operator: Operator<'_>, is_2012: bool, operand: &str) -> Result<(), String> {
    let base = operator.base;
    if !operator.takes_variables() && is_2012 && operand.contains("${") {
        return Err(format!("variable in `{operand}` of {base}"));
    }
    let is_fine = match base {
        "Bool" | "Null" => true,
        "BinaryEquals" => convert::base64(operand).is_some(),
        "IpAddress" | "NotIpAddress" => network::network(operand).is_some(),
        _ if base.starts_with("Numeric") => convert::decimal(operand).is_some(),
        _ if base.starts_with("Date") => convert::date(operand).is_some(),
        _ => {
            let pieces = variable::pieces(operand, is_2012)?;
            base.starts_with("String") || may_be_arn(operand, &pieces)
        }
    };
    if is_fine { Ok(()) } else { Err(format!("`{operand}` of {base}")) }
}

/// With a variable, only its value tells whether it is an ARN.
fn may_be_arn(operand: &str, pieces: &[Piece]) -> bool {
    let has_variable = pieces.iter().any(|piece| matches!(piece, Piece::Variable { .. }));
    let colons = pieces.iter().filter(|piece| **piece == Piece::Text(':')).count();
    operand == "*" || has_variable || (operand.starts_with("arn:") && colons >= 5)
}
