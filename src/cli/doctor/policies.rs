//! The policy that the relay's own role needs, and sending authorization policies side by side.

use serde_json::{Value, json};

use crate::config::Document;

/// What sesgate reads of SES.
const READS: [&str; 3] = ["ses:GetAccount", "ses:ListEmailIdentities", "ses:GetEmailIdentity"];

/// What lets the role read.
pub(super) fn reading() -> String {
    format!("add this statement to the policy of the relay's role:\n{:#}", reads())
}

/// What lets the role read and send with these resources; the command when the role is known.
pub(super) fn sending(resources: &[String], caller_arn: Option<&str>) -> String {
    let document = json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["ses:SendRawEmail", "ses:SendEmail"],
                "Resource": resources,
            },
            reads(),
        ],
    });
    let file = "file://sesgate-policy.json";
    let put = match caller_arn.and_then(owner) {
        Some((option, command, name)) => format!(
            "`aws iam {command} --{option} {name} --policy-name sesgate --policy-document {file}`"
        ),
        None => "put it into the policy of the relay's role".to_owned(),
    };
    format!("save this as sesgate-policy.json, then {put}:\n{document:#}")
}

fn reads() -> Value {
    json!({ "Effect": "Allow", "Action": READS, "Resource": "*" })
}

/// Option, command and name for the role or user behind the caller.
fn owner(arn: &str) -> Option<(&'static str, &'static str, &str)> {
    let resource = arn.splitn(6, ':').nth(5)?;
    if let Some(session) = resource.strip_prefix("assumed-role/") {
        return Some(("role-name", "put-role-policy", session.split('/').next()?));
    }
    let user = resource.strip_prefix("user/")?;
    Some(("user-name", "put-user-policy", user.rsplit('/').next()?))
}

/// Whether two documents say the same to the letter, but for blanks, the order of members and one
/// value instead of a list of one.
pub(super) fn is_same(theirs: &str, ours: &Document) -> bool {
    let Ok(ours) = ours.read() else { return false };
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok().map(plain);
    matches!((parse(theirs), parse(&ours)), (Some(theirs), Some(ours)) if theirs == ours)
}

/// A list of one becomes its value. Recursion ends with the depth that `serde_json` allows.
fn plain(value: Value) -> Value {
    match value {
        Value::Array(mut list) if list.len() == 1 => list.pop().map_or(Value::Null, plain),
        Value::Array(list) => list.into_iter().map(plain).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, plain(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_credentials_is_found_in_the_arn() {
        let cases = [
            ("arn:aws:sts::1:assumed-role/relay/i-0123", Some(("role-name", "relay"))),
            ("arn:aws:iam::1:user/team/relay", Some(("user-name", "relay"))),
            ("arn:aws:iam::1:root", None),
            ("", None),
        ];
        for (arn, expected) in cases {
            let found = owner(arn).map(|(option, _, name)| (option, name));
            assert_eq!(found, expected, "{arn}");
        }
    }
}
