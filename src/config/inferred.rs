//! What follows from the rest where nothing says it, so that a sidecar needs few words: the region,
//! the account and the ARNs of users, and the listener.
//!
//! What is filled in has a place, and is read and checked like everything else.

use std::net::SocketAddr;

use toml_span::value::{Key, Table, ValueInner};
use toml_span::{Span, Value};

use super::diagnostics::Source;
use super::origin::Sources;
use super::overrides::Overlay;
use super::place::{Label, OriginKind};

/// Where a sidecar's app finds it.
const ADDRESS: &str = "127.0.0.1:2525";

/// Of mail that goes to no region.
const OUTBOX_REGION: &str = "us-east-1";

/// Fills in what follows.
pub(super) fn fill<'t>(
    source: &Source<'t>,
    sources: &Sources,
    overlay: &Overlay,
    root: &mut Table<'t>,
) {
    region(source, sources, root);
    account(root);
    arns(root);
    let default = source.say(Label { name: "default".to_owned(), by: OriginKind::Default });
    let kind = text(root, &["upstream", "kind"]);
    if kind.is_some_and(|(kind, _)| kind == "outbox") {
        insert(root, "region", OUTBOX_REGION.to_owned(), default);
    }
    let of = lone_user(root);
    if !root.contains_key("listeners") {
        let listener = Value::with_span(ValueInner::Table(Table::new()), default);
        let list = Value::with_span(ValueInner::Array(vec![listener]), default);
        root.insert(key("listeners", default), list);
    } else if !overlay.single.contains("listeners") {
        return;
    }
    each(root, "listeners", |listener| sidecar(listener, default, of.as_deref()));
}

/// Where no file and no variable of ours says it, the region of the task, pod or profile.
fn region<'t>(source: &Source<'t>, sources: &Sources, root: &mut Table<'t>) {
    let Some((name, region)) = sources.region() else { return };
    let account = root.get("account").and_then(|account| account.as_table());
    if !account.is_some_and(|account| account.contains_key("region")) {
        let span = source.say(Label { name: name.to_owned(), by: OriginKind::Variable });
        insert(root, "region", region, span);
    }
}

/// The account that all users are of.
fn account(root: &mut Table<'_>) {
    let mut accounts = Vec::new();
    each(root, "users", |user| {
        let arn = text(user, &["arn"]);
        let id = arn.and_then(|(arn, span)| Some((arn.split(':').nth(4)?.to_owned(), span)));
        accounts.push(id);
    });
    let [Some((id, span)), others @ ..] = accounts.as_slice() else { return };
    let is_one = others.iter().all(|it| it.as_ref().is_some_and(|(other, _)| other == id));
    if is_one && !id.is_empty() {
        insert(root, "id", id.clone(), *span);
    }
}

/// Adds a key to `[account]` that is not there.
fn insert<'t>(root: &mut Table<'t>, name: &'static str, value: String, span: Span) {
    let begin = Span::new(0, 0);
    let table = || Value::with_span(ValueInner::Table(Table::new()), begin);
    let account = root.entry(key("account", begin)).or_insert_with(table);
    let mut inner = account.take();
    if let ValueInner::Table(table) = &mut inner {
        add(table, name, value, span);
    }
    account.set(inner);
}

/// The ARN of the IAM user of that name.
fn arns(root: &mut Table<'_>) {
    let Some((id, _)) = text(root, &["account", "id"]) else { return };
    let partition = text(root, &["account", "partition"]);
    let partition = partition.map_or_else(|| "aws".to_owned(), |(partition, _)| partition);
    each(root, "users", |user| {
        // A slash would begin a path of IAM.
        if let Some((name, span)) = text(user, &["name"]).filter(|(name, _)| !name.contains('/')) {
            add(user, "arn", format!("arn:{partition}:iam::{id}:user/{name}"), span);
        }
    });
}

/// The name of the only user, if nobody could log in as it.
fn lone_user(root: &mut Table<'_>) -> Option<String> {
    let mut names = Vec::new();
    each(root, "users", |user| {
        let has = |name: &str| user.contains_key(name);
        let logs_in = has("password") || has("password_hash") || has("passwords");
        names.push(text(user, &["name"]).filter(|_| !logs_in));
    });
    match names.as_slice() {
        [Some((name, _))] => Some(name.clone()),
        _ => None,
    }
}

/// Completes the listener that an app beside it uses: without TLS, which would protect nothing on
/// loopback; with login, unless there is one user that cannot log in.
fn sidecar(listener: &mut Table<'_>, span: Span, user: Option<&str>) {
    add(listener, "address", ADDRESS.to_owned(), span);
    let address = text(listener, &["address"]).and_then(|(text, _)| text.parse().ok());
    if !address.is_some_and(|address: SocketAddr| address.ip().is_loopback()) {
        return;
    }
    if !listener.contains_key("certificate") && !listener.contains_key("key") {
        add(listener, "tls", "off".to_owned(), span);
    }
    let is_clear = text(listener, &["tls"]).is_some_and(|(tls, _)| tls == "off");
    let has = |name: &str| listener.contains_key(name);
    if is_clear && !has("user") && !has("clients") {
        match user.filter(|_| !has("auth_in_clear")) {
            Some(user) => add(listener, "user", user.to_owned(), span),
            None => add(listener, "auth_in_clear", "true".to_owned(), span),
        }
    }
}

fn key<'t>(name: &'static str, span: Span) -> Key<'t> {
    Key { name: name.into(), span }
}

/// Adds a value unless there is one.
fn add(table: &mut Table<'_>, name: &'static str, value: String, span: Span) {
    let value = || Value::with_span(ValueInner::String(value.into()), span);
    table.entry(key(name, span)).or_insert_with(value);
}

/// The string where keys lead, and its place.
fn text(table: &Table<'_>, keys: &[&str]) -> Option<(String, Span)> {
    let [name, rest @ ..] = keys else { return None };
    let value = table.get(*name)?;
    match rest {
        [] => Some((value.as_str()?.to_owned(), value.span)),
        rest => text(value.as_table()?, rest),
    }
}

/// Hands out each table of a list.
fn each<'t>(root: &mut Table<'t>, list: &str, mut change: impl FnMut(&mut Table<'t>)) {
    let Some(value) = root.get_mut(list) else { return };
    let mut inner = value.take();
    if let ValueInner::Array(entries) = &mut inner {
        for entry in entries {
            let mut inner = entry.take();
            if let ValueInner::Table(table) = &mut inner {
                change(table);
            }
            entry.set(inner);
        }
    }
    value.set(inner);
}
