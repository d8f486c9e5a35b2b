//! What is known about context keys. IAM user guide, global condition context keys; Service
//! Authorization Reference for SES.

use super::super::error::{nearest, quoted};
use super::Findings;
use super::rules;

/// What the value of a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
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
use Type::{Address, Arn, Boolean, Date, Epoch, Number, Text};

/// The keys; one that ends in a slash is followed by the key of a tag.
const KEYS: [Key; 64] = [
    key("ses:ApiVersion", Text, Always),
    key("ses:FeedbackAddress", Text, Always),
    key("ses:FromAddress", Text, Always),
    key("ses:FromDisplayName", Text, Sometimes),
    key("ses:Recipients", Text, Always),
    key("ses:AddonSubscriptionArn", Arn, Never),
    key("ses:ExportSourceType", Text, Never),
    key("ses:MailManagerIngressPointType", Text, Never),
    key("ses:MailManagerRuleSetArn", Arn, Never),
    key("ses:MailManagerTrafficPolicyArn", Arn, Never),
    key("ses:MultiRegionEndpointId", Text, Never),
    key("ses:ReplicaRegion", Text, Never),
    key("ses:TenantName", Text, Sometimes),
    key("aws:CurrentTime", Date, Always),
    key("aws:EpochTime", Epoch, Always),
    key("aws:SecureTransport", Boolean, Always),
    key("aws:SourceIp", Address, Sometimes),
    key("aws:SourceVpc", Text, Sometimes),
    key("aws:SourceVpce", Text, Sometimes),
    key("aws:UserAgent", Text, Always),
    key("aws:VpcSourceIp", Address, Sometimes),
    key("aws:AssumedRoot", Boolean, Sometimes),
    key("aws:CalledVia", Text, Never),
    key("aws:CalledViaFirst", Text, Never),
    key("aws:CalledViaLast", Text, Never),
    key("aws:ChatbotSourceArn", Arn, Never),
    key("aws:Ec2InstanceSourcePrivateIPv4", Address, Sometimes),
    key("aws:Ec2InstanceSourceVpc", Text, Sometimes),
    key("aws:FederatedProvider", Text, Sometimes),
    key("aws:MultiFactorAuthAge", Number, Sometimes),
    key("aws:MultiFactorAuthPresent", Boolean, Sometimes),
    key("aws:PrincipalAccount", Text, Always),
    key("aws:PrincipalArn", Arn, Always),
    key("aws:PrincipalIsAWSService", Boolean, Always),
    key("aws:PrincipalOrgID", Text, Sometimes),
    key("aws:PrincipalOrgPaths", Text, Sometimes),
    key("aws:PrincipalServiceName", Text, Sometimes),
    key("aws:PrincipalServiceNamesList", Text, Sometimes),
    key("aws:PrincipalTag/", Text, Sometimes),
    key("aws:PrincipalType", Text, Always),
    key("aws:RequestTag/", Text, Never),
    key("aws:RequestedRegion", Text, Always),
    key("aws:ResourceAccount", Text, Always),
    key("aws:ResourceOrgID", Text, Sometimes),
    key("aws:ResourceOrgPaths", Text, Sometimes),
    key("aws:ResourceTag/", Text, Sometimes),
    key("aws:SignInSessionArn", Arn, Sometimes),
    key("aws:SourceAccount", Text, Never),
    key("aws:SourceArn", Arn, Never),
    key("aws:SourceIdentity", Text, Sometimes),
    key("aws:SourceOrgID", Text, Never),
    key("aws:SourceOrgPaths", Text, Never),
    key("aws:SourceOwner", Text, Never),
    key("aws:SourceVpcArn", Arn, Sometimes),
    key("aws:TagKeys", Text, Never),
    key("aws:TokenIssueTime", Date, Sometimes),
    key("aws:ViaAWSService", Boolean, Always),
    key("aws:VpceAccount", Text, Sometimes),
    key("aws:VpceOrgID", Text, Sometimes),
    key("aws:VpceOrgPaths", Text, Sometimes),
    key("aws:referer", Text, Never),
    key("aws:userid", Text, Sometimes),
    key("aws:username", Text, Sometimes),
    key("ec2:SourceInstanceARN", Arn, Sometimes),
];

/// The `aws:` keys that the SES guide names as implemented by SES.
const IMPLEMENTED: [&str; 8] = [
    "aws:CurrentTime",
    "aws:EpochTime",
    "aws:SecureTransport",
    "aws:SourceIp",
    "aws:SourceVpc",
    "aws:SourceVpce",
    "aws:UserAgent",
    "aws:VpcSourceIp",
];

impl Key {
    /// Returns what is known about a key, whose case does not count.
    pub(super) fn find(name: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| {
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

    /// Tells whether the SES guide names it among the keys that SES implements.
    pub(super) fn is_implemented(&self) -> bool {
        !self.name.starts_with("aws:") || IMPLEMENTED.contains(&self.name)
    }
}

/// Checks that a key exists, in a condition or in a variable.
pub(super) fn check_name(name: &str, at: usize, findings: &mut Findings<'_>) {
    if Key::find(name).is_some() || findings.is_full(rules::INVALID_KEY.severity) {
        return;
    }
    let shown = quoted(name);
    let Some((service, _)) = name.split_once(':') else {
        let fix = match near(name) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write a key such as `ses:FromAddress`".to_owned(),
        };
        findings.add(rules::INVALID_KEY, at, format!("context key {shown} has no service"), fix);
        return;
    };
    if name.contains(['*', '?']) {
        findings.add(
            rules::INVALID_KEY,
            at,
            format!("wildcard in context key {shown}, where it is literal text"),
            "name the key in full",
        );
        return;
    }
    let tag = KEYS.iter().find(|key| {
        key.name
            .strip_suffix('/')
            .is_some_and(|bare| name.trim_end_matches('/').eq_ignore_ascii_case(bare))
    });
    if let Some(tag) = tag {
        let message = format!("context key {shown} names no tag");
        let fix = format!("write `{}` and the key of the tag", tag.name);
        findings.add(rules::MISSING_TAG_KEY, at, message, fix);
        return;
    }
    let (rule, whose) = if service.eq_ignore_ascii_case("aws") {
        (rules::INVALID_GLOBAL_KEY, "AWS")
    } else if service.eq_ignore_ascii_case("ses") {
        (rules::INVALID_SERVICE_KEY, "SES")
    } else {
        let message = format!("context key {shown} is of another service, so mail has no such key");
        findings.add(
            rules::NOT_AVAILABLE,
            at,
            message,
            "use a key beginning with `ses:` or `aws:`",
        );
        return;
    };
    let fix = match near(name) {
        // Many write it, and AWS has never had it.
        _ if name.eq_ignore_ascii_case("ses:ConfigurationSetName") => {
            "name `arn:aws:ses:REGION:ACCOUNT:configuration-set/NAME` as a resource".to_owned()
        }
        Some(near) => format!("did you mean `{near}`?"),
        None => "it is absent from every request; leave the condition out".to_owned(),
    };
    findings.add(rule, at, format!("{whose} has no context key {shown}"), fix);
}

fn near(name: &str) -> Option<&'static str> {
    let names = KEYS.iter().map(|key| key.name);
    // Without its service a key is near to what follows the colon.
    nearest(name, names.clone()).or_else(|| {
        let bare = |full: &'static str| full.split_once(':').map_or(full, |(_, bare)| bare);
        let near = nearest(name, names.clone().map(bare))?;
        names.clone().find(|full| bare(full) == near)
    })
}
