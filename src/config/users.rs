//! Users and groups: who may log in, and what is attached to whom.

use super::reader::Reader;
use super::{Group, Password, Placed, Secret, User, XSes};

pub(super) fn user(mut table: Reader<'_, '_>) -> User {
    let name = table.required("name");
    let is_plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_graphic());
    table.must("name", "be printable ASCII without blanks", &name, is_plain);
    let only = secret(&mut table);
    let mut passwords: Vec<_> = table.sections("passwords").into_iter().map(password).collect();
    if let Some(secret) = only {
        if passwords.is_empty() {
            passwords.push(Password { secret, expires: None });
        } else {
            table.report_at(secret.place, "write `password_hash` or `passwords`, not both");
        }
    }
    let user = User {
        name,
        passwords,
        arn: table.required_or("arn", "it follows from `id` in `[account]`"),
        user_id: table.string("user_id").map(|id| id.value),
        tags: table.tags(),
        x_ses: x_ses(table.section("x_ses")),
        policies: table.policies(),
        policies_candidate: table.candidate(),
        groups: table.strings("groups"),
        boundary: table.document("boundary"),
        recipients_per_second: table.rate("recipients_per_second"),
        recipients_per_day: table.number("recipients_per_day", 1..=u64::MAX),
        delegated: table.strings("delegated"),
        envelope_recipients_only: table.choice(
            "recipients",
            ("envelope-and-header", false),
            &[("envelope", true)],
        ),
    };
    table.finish();
    user
}

/// The only password of a user: its hash, or in the environment the password itself.
fn secret(table: &mut Reader<'_, '_>) -> Option<Placed<Secret>> {
    let hash = table.secret("password_hash");
    let clear = table.secret("password");
    match (hash, clear) {
        (Some(_), Some(clear)) => {
            table.wrong(clear.place, "write `password_hash` or `password`, not both");
            None
        }
        (hash, None) => {
            hash.map(|hash| Placed { value: Secret::Hash(hash.value), place: hash.place })
        }
        (None, Some(clear)) => {
            let Placed { value, place } = clear;
            if place.is_in_file() {
                let message = "a password in clear does not belong in a file that many read; \
                               write `password_hash`, which `sesgate user hash-password` makes";
                table.wrong(place, message);
            } else if value.chars().any(char::is_control) {
                // What AUTH can carry: a client could never send a control character.
                table.wrong(place, "the password has control characters");
            }
            Some(Placed { value: Secret::Clear(value.into()), place })
        }
    }
}

fn x_ses(mut table: Reader<'_, '_>) -> XSes {
    let rules = XSes {
        allow: table.strings("allow"),
        forbid: table.strings("forbid"),
        force: table.string_table("force"),
    };
    table.finish();
    rules
}

fn password(mut table: Reader<'_, '_>) -> Password {
    let hash = table.required_secret("hash");
    let password = Password {
        secret: Placed { value: Secret::Hash(hash.value), place: hash.place },
        expires: table.moment("expires").map(|expires| expires.value),
    };
    table.finish();
    password
}

pub(super) fn group(mut table: Reader<'_, '_>) -> Group {
    let group = Group {
        name: table.required("name"),
        policies: table.policies(),
        policies_candidate: table.candidate(),
    };
    table.finish();
    group
}
