//! What a policy is asked: action, resource, principal and context keys.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::SystemTime;

use super::date;
use super::keys::{KeySet, both_forms, fold_key, is_list_key};
use super::text;

/// A question to the policies: may this principal do this to this resource?
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The action, such as `ses:SendRawEmail`.
    pub action: &'a str,
    /// The ARN of the resource, or `*` for an action that has none.
    pub resource: &'a str,
    /// ARNs of the identities of parent domains of the resource. Only `Resource` of a Deny sees
    /// them (decision 7).
    pub parents: &'a [String],
    /// The account that owns the resource, 12 digits.
    pub resource_account: &'a str,
    /// Who asks.
    pub principal: &'a Principal<'a>,
    /// The context keys.
    pub context: &'a Context<'a>,
}

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal<'a> {
    /// An IAM user, or a federated user by its `arn:aws:sts::…:federated-user/…`.
    User {
        /// The account of the user, 12 digits.
        account: &'a str,
        /// The ARN with path, such as `arn:aws:iam::111122223333:user/mail/app`.
        arn: &'a str,
    },
    /// A session of an IAM role.
    RoleSession {
        /// The account of the role, 12 digits.
        account: &'a str,
        /// The ARN of the role with path, such as `arn:aws:iam::111122223333:role/mail/app`.
        role_arn: &'a str,
        /// The ARN of the session, such as `arn:aws:sts::111122223333:assumed-role/app/session`.
        session_arn: &'a str,
    },
    /// The root user of an account, who may do everything that nothing denies.
    Root {
        /// The account, 12 digits.
        account: &'a str,
    },
}

impl<'a> Principal<'a> {
    /// Returns its ARN, or the account of a root user.
    pub fn shown(&self) -> &'a str {
        match *self {
            Principal::User { arn, .. } => arn,
            Principal::RoleSession { session_arn, .. } => session_arn,
            Principal::Root { account } => account,
        }
    }

    /// Returns the account of the principal.
    pub fn account(&self) -> &'a str {
        match *self {
            Principal::User { account, .. }
            | Principal::RoleSession { account, .. }
            | Principal::Root { account } => account,
        }
    }
}

/// A value of a context key, with other spellings of the same thing.
///
/// Only the positive String operators of a Deny see the spellings (decision 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spelled<'a> {
    text: Cow<'a, str>,
    spellings: Vec<Cow<'a, str>>,
    /// Text and spellings folded, each once; empty where letter case counts.
    folded: Vec<Cow<'a, str>>,
}

impl<'a> Spelled<'a> {
    /// Adds spellings to the value as written.
    pub fn with_spellings<S: Into<Cow<'a, str>>>(
        mut self,
        spellings: impl IntoIterator<Item = S>,
    ) -> Self {
        self.spellings.extend(spellings.into_iter().map(Into::into));
        if self.folded.is_empty() { self } else { self.in_any_case() }
    }

    /// Says that letter case tells nothing apart: text and spellings are compared with operands
    /// without regard to it.
    #[must_use]
    pub fn in_any_case(mut self) -> Self {
        self.folded.clear();
        for spelling in std::iter::once(&self.text).chain(&self.spellings) {
            let folded = match text::fold(spelling) {
                // Without a copy where it is borrowed.
                folded if folded == *spelling => spelling.clone(),
                folded => Cow::Owned(folded.into_owned()),
            };
            if !self.folded.contains(&folded) {
                self.folded.push(folded);
            }
        }
        self
    }

    /// Returns the value as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Iterates over the other spellings.
    pub fn spellings(&self) -> impl Iterator<Item = &str> {
        self.spellings.iter().map(AsRef::as_ref)
    }

    /// Iterates over text and spellings without letter case, where it does not count.
    pub(super) fn folded(&self) -> impl Iterator<Item = &str> {
        self.folded.iter().map(AsRef::as_ref)
    }
}

impl<'a> From<&'a str> for Spelled<'a> {
    fn from(text: &'a str) -> Self {
        Cow::Borrowed(text).into()
    }
}

impl From<String> for Spelled<'_> {
    fn from(text: String) -> Self {
        Cow::<str>::Owned(text).into()
    }
}

impl<'a> From<Cow<'a, str>> for Spelled<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Spelled { text, spellings: Vec::new(), folded: Vec::new() }
    }
}

/// The context keys of a request and their values. Keys are compared without regard to case.
#[derive(Debug, Clone, Default)]
pub struct Context<'a> {
    entries: Vec<Entry<'a>>,
    /// Contexts whose keys are here too.
    others: Vec<&'a Context<'a>>,
}

/// A context key with its values; never without one.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    folded_key: Cow<'static, str>,
    key: Cow<'static, str>,
    values: Values<'a>,
}

/// One value, as most keys have, takes no allocation.
#[derive(Debug, Clone)]
enum Values<'a> {
    One(Spelled<'a>),
    Several(Vec<Spelled<'a>>),
}

impl<'a> Values<'a> {
    fn as_slice(&self) -> &[Spelled<'a>] {
        match self {
            Values::One(value) => std::slice::from_ref(value),
            Values::Several(values) => values,
        }
    }
}

impl Entry<'_> {
    /// Tells whether the key holds a list, for which plain operators never hold.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.values, Values::Several(_)) || is_list_key(&self.folded_key)
    }

    /// Returns the value of a key that holds one.
    pub(super) fn single(&self) -> Option<&str> {
        match &self.values {
            Values::One(value) if !is_list_key(&self.folded_key) => Some(&value.text),
            _ => None,
        }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn values(&self) -> &[Spelled<'_>] {
        self.values.as_slice()
    }
}

impl<'a> Context<'a> {
    /// Returns a context without keys.
    pub fn new() -> Self {
        Context::default()
    }

    /// Returns a context with the keys of all these; where two have the same, that of the first.
    pub fn joined(others: impl IntoIterator<Item = &'a Context<'a>>) -> Self {
        Context { entries: Vec::new(), others: others.into_iter().collect() }
    }

    /// Sets a key to one value, in place of what it had.
    pub fn set(&mut self, key: &str, value: impl Into<Cow<'a, str>>) {
        self.set_spelled(key, Spelled::from(value.into()));
    }

    /// Sets a key to one value with other spellings, in place of what it had.
    pub fn set_spelled(&mut self, key: &str, value: Spelled<'a>) {
        self.put(key, Values::One(value));
    }

    /// Sets a key to several values, in place of what it had.
    ///
    /// Meant for the keys of [`is_list_key`]. No values at all is the same as an absent key; several values of any
    /// other key make that a list too.
    pub fn set_list(&mut self, key: &str, mut values: Vec<Spelled<'a>>) {
        match (values.len(), values.pop()) {
            (1, Some(value)) => self.put(key, Values::One(value)),
            (_, Some(last)) => {
                values.push(last);
                self.put(key, Values::Several(values));
            }
            (_, None) => self.remove(key),
        }
    }

    fn put(&mut self, key: &str, values: Values<'a>) {
        let (key, folded_key) = both_forms(key);
        match self.place(&folded_key) {
            Ok(at) => {
                if let Some(old) = self.entries.get_mut(at) {
                    *old = Entry { folded_key, key, values };
                }
            }
            Err(at) => self.entries.insert(at, Entry { folded_key, key, values }),
        }
    }

    fn place(&self, folded_key: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.folded_key.as_ref().cmp(folded_key))
    }

    /// Removes a key that was set here.
    pub fn remove(&mut self, key: &str) {
        if let Ok(at) = self.place(&fold_key(key)) {
            self.entries.remove(at);
        }
    }

    /// Sets `aws:CurrentTime` (ISO 8601 in UTC with milliseconds) and `aws:EpochTime` (whole
    /// seconds).
    ///
    /// Times outside the years 0 to 9999 become the nearest moment of these years.
    pub fn set_time(&mut self, now: SystemTime) {
        let millis = date::millis(now);
        self.set("aws:CurrentTime", date::format(millis));
        self.set("aws:EpochTime", millis.div_euclid(1000).to_string());
    }

    /// Iterates over the keys, as they were spelled when set, with their values; sorted by key in
    /// lower case.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Spelled<'a>])> {
        let mut all = BTreeMap::new();
        self.collect(&mut all);
        all.into_values().map(|entry| (entry.key.as_ref(), entry.values.as_slice()))
    }

    fn collect<'s>(&'s self, all: &mut BTreeMap<&'s str, &'s Entry<'a>>) {
        for entry in &self.entries {
            all.entry(entry.folded_key.as_ref()).or_insert(entry);
        }
        self.others.iter().for_each(|other| other.collect(all));
    }

    /// Finds a key given in the form of [`fold_key`].
    pub(super) fn find(&self, folded_key: &str) -> Option<&Entry<'a>> {
        match self.place(folded_key) {
            Ok(at) => self.entries.get(at),
            Err(_) => self.others.iter().find_map(|other| other.find(folded_key)),
        }
    }

    /// All keys, those of joined contexts too.
    pub(super) fn key_set(&self) -> KeySet {
        let own = self.own_keys().collect();
        self.others.iter().map(|other| other.key_set()).fold(own, KeySet::with)
    }

    /// Iterates over the keys that were set here, in the form of [`fold_key`].
    pub(super) fn own_keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.folded_key.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn keys_are_one_in_any_case() {
        let mut context = Context::new();
        context.set("aws:PrincipalTag/Équipe", "a");
        context.set("AWS:principaltag/éQUIPE", "b");
        assert_eq!(context.iter().count(), 1);
        let entry = context.find("aws:principaltag/équipe").unwrap();
        assert_eq!((entry.key(), entry.single()), ("AWS:principaltag/éQUIPE", Some("b")));
        context.remove("aws:PrincipalTag/équipe");
        assert_eq!(context.iter().count(), 0);
    }

    #[test]
    fn time_is_told_twice() {
        let mut context = Context::new();
        context.set_time(SystemTime::UNIX_EPOCH + Duration::from_millis(1_535_716_800_001));
        let value = |key| context.find(key).and_then(Entry::single);
        assert_eq!(value("aws:currenttime"), Some("2018-08-31T12:00:00.001Z"));
        assert_eq!(value("aws:epochtime"), Some("1535716800"));
    }

    #[test]
    fn a_list_is_declared() {
        let mut context = Context::new();
        context.set("SES:RECIPIENTS", "a@example.com");
        context.set_list("ses:FromAddress", vec!["a@example.com".into()]);
        assert!(context.find("ses:recipients").unwrap().is_list());
        assert!(!context.find("ses:fromaddress").unwrap().is_list());
    }
}
