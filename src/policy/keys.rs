//! The one table of context keys, for the engine, the linter and whoever sets them. IAM user guide, global
//! condition context keys; Service Authorization Reference for SES.

use std::borrow::Cow;
use std::sync::LazyLock;

/// What the value of a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    /// A list, whose values are compared one by one.
    Texts,
    Date,
    /// A moment as a date or as seconds.
    Epoch,
    Number,
    Boolean,
    Address,
    Arn,
}

/// Whether a message over SMTP has the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Always,
    Sometimes,
    /// It belongs to other actions or services.
    Never,
}

/// What is known about a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Type,
    pub(super) presence: Presence,
}

const fn key(name: &'static str, kind: Type, presence: Presence) -> Key {
    Key { name, kind, presence }
}

use Presence::{Always, Never, Sometimes};
use Type::{Address, Arn, Boolean, Date, Epoch, Number, Text, Texts};

/// The keys; one that ends in a slash is followed by the key of a tag.
const KEYS: [Key; 76] = [
    // What a message tells.
    key("ses:ApiVersion", Text, Always),
    key("ses:FeedbackAddress", Text, Always),
    key("ses:FromAddress", Text, Always),
    key("ses:FromDisplayName", Text, Sometimes),
    key("ses:Recipients", Texts, Always),
    // What tells of other actions of SES.
    key("ses:AddonSubscriptionArn", Arn, Never),
    key("ses:ClickTrackingEnabled", Text, Never),
    key("ses:ConfigurationSetOptions", Texts, Never),
    key("ses:ExportSourceType", Text, Never),
    key("ses:MailManagerIngressPointType", Text, Never),
    key("ses:MailManagerRuleSetArn", Arn, Never),
    key("ses:MailManagerTrafficPolicyArn", Arn, Never),
    key("ses:MultiRegionEndpointId", Text, Never),
    key("ses:OpenTrackingEnabled", Text, Never),
    key("ses:ReplicaRegion", Texts, Never),
    key("ses:TenantName", Text, Sometimes),
    // What the relay tells of client, user, account and time.
    key("aws:CurrentTime", Date, Always),
    key("aws:EpochTime", Epoch, Always),
    key("aws:SecureTransport", Boolean, Always),
    key("aws:SourceIp", Address, Sometimes),
    key("aws:SourceVpc", Text, Sometimes),
    key("aws:SourceVpce", Text, Sometimes),
    key("aws:UserAgent", Text, Always),
    key("aws:VpcSourceIp", Address, Sometimes),
    key("aws:PrincipalAccount", Text, Always),
    key("aws:PrincipalArn", Arn, Always),
    key("aws:PrincipalIsAWSService", Boolean, Always),
    key("aws:PrincipalTag/", Text, Sometimes),
    key("aws:PrincipalType", Text, Always),
    key("aws:RequestedRegion", Text, Always),
    key("aws:ResourceAccount", Text, Always),
    key("aws:ResourceTag/", Text, Sometimes),
    key("aws:ViaAWSService", Boolean, Always),
    key("aws:userid", Text, Sometimes),
    key("aws:username", Text, Always),
    // What it never tells.
    key("aws:AssumedRoot", Boolean, Never),
    key("aws:CalledVia", Texts, Never),
    key("aws:CalledViaAWSMCP", Text, Never),
    key("aws:CalledViaFirst", Text, Never),
    key("aws:CalledViaLast", Text, Never),
    key("aws:ChatbotSourceArn", Arn, Never),
    key("aws:Ec2InstanceSourcePrivateIPv4", Address, Never),
    key("aws:Ec2InstanceSourceVpc", Text, Never),
    key("aws:FederatedProvider", Text, Never),
    key("aws:IsMcpServiceAction", Boolean, Never),
    key("aws:MultiFactorAuthAge", Number, Never),
    key("aws:MultiFactorAuthPresent", Boolean, Never),
    key("aws:PrincipalOrgID", Text, Sometimes),
    key("aws:PrincipalOrgPaths", Texts, Sometimes),
    key("aws:PrincipalServiceName", Text, Never),
    key("aws:PrincipalServiceNamesList", Texts, Never),
    key("aws:referer", Text, Never),
    key("aws:RequestTag/", Text, Never),
    key("aws:ResourceOrgID", Text, Sometimes),
    key("aws:ResourceOrgPaths", Texts, Sometimes),
    key("aws:SignInSessionArn", Arn, Never),
    key("aws:SourceAccount", Text, Never),
    key("aws:SourceArn", Arn, Never),
    key("aws:SourceIdentity", Text, Never),
    key("aws:SourceOrgID", Text, Never),
    key("aws:SourceOrgPaths", Texts, Never),
    key("aws:SourceOwner", Text, Never),
    key("aws:SourceVpcArn", Arn, Never),
    key("aws:TagKeys", Texts, Never),
    key("aws:TokenIssueTime", Date, Never),
    key("aws:ViaAWSMCPService", Boolean, Never),
    key("aws:VpceAccount", Text, Never),
    key("aws:VpceOrgID", Text, Never),
    key("aws:VpceOrgPaths", Texts, Never),
    key("ec2:RoleDelivery", Number, Never),
    key("ec2:SourceInstanceARN", Arn, Never),
    key("glue:CredentialIssuingService", Text, Never),
    key("glue:RoleAssumedBy", Text, Never),
    key("identitystore:UserId", Text, Never),
    key("lambda:SourceFunctionArn", Arn, Never),
    key("ssm:SourceInstanceArn", Arn, Never),
];

impl Key {
    /// Iterates over the keys.
    pub(super) fn all() -> impl Iterator<Item = &'static Key> + Clone {
        KEYS.iter()
    }

    /// Returns what is known about a key, whose case does not count.
    pub(super) fn find(name: &str) -> Option<&'static Key> {
        Key::all().find(|key| {
            if key.name.ends_with('/') {
                name.len() > key.name.len()
                    && name
                        .get(..key.name.len())
                        .is_some_and(|start| start.eq_ignore_ascii_case(key.name))
            } else {
                key.name.eq_ignore_ascii_case(name)
            }
        })
    }

    /// Tells whether it is one of those that tell of a message.
    pub(super) fn is_of_mail(&self) -> bool {
        self.name.starts_with("ses:") && self.presence != Never
    }
}

/// The keys that AWS declares as lists. All others hold one value.
static LISTS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| KEYS.iter().filter(|key| key.kind == Texts).map(|key| key.name).collect());

/// The keys that messages have, with the form in which they are compared: sorted.
static FORMS: LazyLock<Vec<(&'static str, String)>> = LazyLock::new(|| {
    let of_messages = KEYS.iter().filter(|key| key.presence != Never);
    let mut forms: Vec<_> =
        of_messages.map(|key| (key.name, fold_key(key.name).into_owned())).collect();
    forms.sort_unstable();
    forms
});

/// Tells whether AWS declares the context key as a list, in any case of letters.
///
/// The declaration counts, not the number of values: `ses:Recipients` is a list with one recipient
/// too.
pub fn is_list_key(key: &str) -> bool {
    LISTS.iter().any(|list_key| list_key.eq_ignore_ascii_case(key))
}

/// Tells whether the key, in lower case, says when the request is made.
pub(super) fn is_time_key(folded: &str) -> bool {
    matches!(folded, "aws:currenttime" | "aws:epochtime")
}

/// Tells whether the key holds addresses, in the form in which keys are compared.
pub(super) fn is_address_key(folded_key: &str) -> bool {
    matches!(folded_key, "ses:fromaddress" | "ses:feedbackaddress" | "ses:recipients")
}

/// Brings a context key to the form in which keys are compared; IAM ignores their case.
pub(super) fn fold_key(key: &str) -> Cow<'_, str> {
    if key.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        Cow::Borrowed(key)
    } else {
        Cow::Owned(key.to_lowercase())
    }
}

/// Returns the key and its folded form, without allocating for the keys of every message.
pub(super) fn both_forms(key: &str) -> (Cow<'static, str>, Cow<'static, str>) {
    let forms = &*FORMS;
    match forms.binary_search_by(|(known, _)| (*known).cmp(key)) {
        Ok(at) => forms
            .get(at)
            .map_or_else(Default::default, |(key, folded)| ((*key).into(), folded.as_str().into())),
        Err(_) => (key.to_owned().into(), fold_key(key).into_owned().into()),
    }
}

/// A set of context keys as a bit for each, of 64: it may seem to hold a key that was never put in, but
/// never lacks one that was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct KeySet(u64);

impl KeySet {
    /// Those of both sets.
    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether none of these is certainly missing in the other set.
    pub(super) fn may_be_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
}

impl<'k> FromIterator<&'k str> for KeySet {
    /// Of keys in the form of [`fold_key`].
    fn from_iter<I: IntoIterator<Item = &'k str>>(keys: I) -> Self {
        // FNV-1a, of which the upper bits are the mixed ones.
        let hash = |key: &str| {
            key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            })
        };
        Self(keys.into_iter().fold(0, |bits, key| bits | 1 << (hash(key) >> 58)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_key_is_the_same_key_as_an_unknown_one() {
        for key in KEYS {
            let folded = fold_key(key.name);
            assert_eq!(both_forms(key.name), (key.name.into(), folded.to_string().into()));
            let is_copied = matches!(both_forms(key.name).0, Cow::Owned(_));
            assert_eq!(is_copied, key.presence == Never, "{}", key.name);
        }
    }
}
