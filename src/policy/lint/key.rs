//! What is known about context keys. IAM user guide, global condition context keys; Service
//! Authorization Reference for SES.

use super::super::request::is_list_key;
use super::super::words::{nearest, quoted};
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
const KEYS: [Key; 76] = [
    // What a message tells.
    key("ses:ApiVersion", Text, Always),
    key("ses:FeedbackAddress", Text, Always),
    key("ses:FromAddress", Text, Always),
    key("ses:FromDisplayName", Text, Sometimes),
    key("ses:Recipients", Text, Always),
    // What tells of other actions of SES.
    key("ses:AddonSubscriptionArn", Arn, Never),
    key("ses:ClickTrackingEnabled", Text, Never),
    key("ses:ConfigurationSetOptions", Text, Never),
    key("ses:ExportSourceType", Text, Never),
    key("ses:MailManagerIngressPointType", Text, Never),
    key("ses:MailManagerRuleSetArn", Arn, Never),
    key("ses:MailManagerTrafficPolicyArn", Arn, Never),
    key("ses:MultiRegionEndpointId", Text, Never),
    key("ses:OpenTrackingEnabled", Text, Never),
    key("ses:ReplicaRegion", Text, Never),
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
    key("aws:CalledVia", Text, Never),
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
    key("aws:PrincipalOrgPaths", Text, Sometimes),
    key("aws:PrincipalServiceName", Text, Never),
    key("aws:PrincipalServiceNamesList", Text, Never),
    key("aws:referer", Text, Never),
    key("aws:RequestTag/", Text, Never),
    key("aws:ResourceOrgID", Text, Sometimes),
    key("aws:ResourceOrgPaths", Text, Sometimes),
    key("aws:SignInSessionArn", Arn, Never),
    key("aws:SourceAccount", Text, Never),
    key("aws:SourceArn", Arn, Never),
    key("aws:SourceIdentity", Text, Never),
    key("aws:SourceOrgID", Text, Never),
    key("aws:SourceOrgPaths", Text, Never),
    key("aws:SourceOwner", Text, Never),
    key("aws:SourceVpcArn", Arn, Never),
    key("aws:TagKeys", Text, Never),
    key("aws:TokenIssueTime", Date, Never),
    key("aws:ViaAWSMCPService", Boolean, Never),
    key("aws:VpceAccount", Text, Never),
    key("aws:VpceOrgID", Text, Never),
    key("aws:VpceOrgPaths", Text, Never),
    key("ec2:RoleDelivery", Number, Never),
    key("ec2:SourceInstanceARN", Arn, Never),
    key("glue:CredentialIssuingService", Text, Never),
    key("glue:RoleAssumedBy", Text, Never),
    key("identitystore:UserId", Text, Never),
    key("lambda:SourceFunctionArn", Arn, Never),
    key("ssm:SourceInstanceArn", Arn, Never),
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

    /// Tells whether it is one of those that tell of a message.
    pub(super) fn is_of_mail(&self) -> bool {
        self.name.starts_with("ses:") && self.presence != Never
    }
}

/// Tells whether the key holds addresses, in the form in which keys are compared.
pub(super) fn is_address_key(folded_key: &str) -> bool {
    matches!(folded_key, "ses:fromaddress" | "ses:feedbackaddress" | "ses:recipients")
}

/// Iterates over the keys, each with what AWS calls its type.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    KEYS.iter().map(|key| {
        let kind = match key.kind {
            Text if is_list_key(key.name) => "ArrayOfString",
            Text => "String",
            Date | Epoch => "Date",
            Number => "Numeric",
            Boolean => "Bool",
            Address => "IPAddress",
            Arn => "ARN",
        };
        (key.name, kind)
    })
}

/// Checks that a key exists, in a condition or in a variable.
pub(super) fn check_name(name: &str, at: usize, findings: &mut Findings<'_>) {
    let is_full = [rules::INVALID_KEY, rules::UNKNOWN_KEY].map(|it| findings.is_full(it.severity));
    if Key::find(name).is_some() || is_full == [true; 2] {
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
    let is_of = |other: &str| service.eq_ignore_ascii_case(other);
    if !is_of("aws") && !is_of("ses") {
        let message = format!("context key {shown} is of another service, so mail has no such key");
        findings.add(
            rules::NOT_AVAILABLE,
            at,
            message,
            "use a key beginning with `ses:` or `aws:`",
        );
        return;
    }
    let rule = if is_of("aws") { rules::UNKNOWN_GLOBAL_KEY } else { rules::UNKNOWN_KEY };
    let fix = match near(name) {
        // Many write it, and AWS has never had it.
        _ if name.eq_ignore_ascii_case("ses:ConfigurationSetName") => {
            "name `arn:aws:ses:REGION:ACCOUNT:configuration-set/NAME` as a resource".to_owned()
        }
        _ if is_time_of_day(name) => TIME_OF_DAY.to_owned(),
        Some(near) => format!("did you mean `{near}`?"),
        None => "no mail has it; name a key that mail has, such as `ses:FromAddress`".to_owned(),
    };
    let message = format!("context key {shown} is not among those that are known here");
    findings.add(rule, at, message, fix);
}

/// What to do where hours were meant.
pub(super) const TIME_OF_DAY: &str = "IAM knows moments, and neither times of the day nor days of the \
                                      week: leave these to what sends, or replace policies by a timer";

fn is_time_of_day(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["hour", "timeofday", "dayofweek", "weekday", "currentday"].iter().any(|it| name.contains(it))
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
