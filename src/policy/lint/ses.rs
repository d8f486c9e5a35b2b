//! What SES has: its actions and its types of resources. Service Authorization Reference for SES,
//! September 2026; the tests compare it with the npm package that follows it.

use std::sync::LazyLock;

use super::super::action::ActionPattern;
use super::super::words::nearest;

/// The action of mail over SMTP.
pub(super) const SMTP_ACTION: &str = "ses:SendRawEmail";

/// Actions of the API that send mail, which mail over SMTP is never authorized as.
const API_SENDING: [&str; 4] =
    ["ses:SendEmail", "ses:SendTemplatedEmail", "ses:SendBulkEmail", "ses:SendBulkTemplatedEmail"];

/// Actions that have `ses:Recipients`, `ses:FeedbackAddress` and `ses:FromDisplayName`.
const WITH_RECIPIENTS: [&str; 5] = [
    "ses:SendEmail",
    SMTP_ACTION,
    "ses:SendTemplatedEmail",
    "ses:SendBulkTemplatedEmail",
    "ses:SendCustomVerificationEmail",
];

/// Actions that have `ses:FromAddress` beside these.
const WITH_FROM: [&str; 3] = [
    "ses:AssociateEmailIdentityCertificate",
    "ses:DisassociateEmailIdentityCertificate",
    "ses:SendBounce",
];

/// Verbs of actions that change nothing.
const READING: [&str; 5] = ["Batch", "Describe", "Get", "List", "Test"];

/// Actions by their verbs that work on no resource of their own, so that only `*` matches.
const WITHOUT_RESOURCE: [(&str, &str); 13] = [
    ("Apply", "TrackingConfigurationOverrides"),
    ("Clone", "ReceiptRuleSet"),
    (
        "Create",
        "ConfigurationSetTrackingOptions ExportJob ImportJob MultiRegionEndpoint \
         ReceiptFilter ReceiptRule ReceiptRuleSet Template",
    ),
    (
        "Delete",
        "ConfigurationSetTrackingOptions Identity IdentityPolicy ReceiptFilter \
         ReceiptRule ReceiptRuleSet Template VerifiedEmailAddress",
    ),
    ("Describe", "ActiveReceiptRuleSet ConfigurationSet ReceiptRule ReceiptRuleSet"),
    (
        "Get",
        "Account AccountSendingEnabled BlacklistReports DedicatedIp \
         DeliverabilityDashboardOptions DomainDeliverabilityCampaign \
         EmailAddressInsights IdentityDkimAttributes IdentityMailFromDomainAttributes \
         IdentityNotificationAttributes IdentityPolicies IdentityVerificationAttributes \
         MessageInsights SendQuota SendStatistics Template",
    ),
    (
        "List",
        "AddonInstances AddonSubscriptions AddressLists ArchiveExports ArchiveSearches \
         Archives ConfigurationSets ContactLists CustomVerificationEmailTemplates \
         DedicatedIpPools DeliverabilityTestReports DomainDeliverabilityCampaigns \
         EmailIdentities EmailTemplates ExportJobs Identities IdentityPolicies \
         ImportJobs IngressPoints MultiRegionEndpoints ReceiptFilters ReceiptRuleSets \
         Relays RuleSets Templates Tenants TrafficPolicies VerifiedEmailAddresses",
    ),
    (
        "Put",
        "AccountDedicatedIpWarmupAttributes AccountDetails AccountPricingAttributes \
         AccountSendingAttributes AccountSuppressionAttributes AccountVdmAttributes \
         DedicatedIpWarmupAttributes DeliverabilityDashboardOption IdentityPolicy",
    ),
    ("Reorder", "ReceiptRuleSet"),
    (
        "Set",
        "ActiveReceiptRuleSet IdentityDkimEnabled IdentityFeedbackForwardingEnabled \
         IdentityHeadersInNotificationsEnabled IdentityMailFromDomain \
         IdentityNotificationTopic ReceiptRulePosition",
    ),
    ("Test", "RenderTemplate"),
    (
        "Update",
        "AccountSendingEnabled ConfigurationSetReputationMetricsEnabled \
         ConfigurationSetSendingEnabled ConfigurationSetTrackingOptions ReceiptRule \
         Template",
    ),
    ("Verify", "DomainDkim DomainIdentity EmailAddress EmailIdentity"),
];

/// The actions by their verbs.
const ACTIONS: [(&str, &str); 26] = [
    ("Allow", "VendedLogDeliveryForResource"),
    ("Apply", "TrackingConfigurationOverrides"),
    ("Associate", "EmailIdentityCertificate"),
    ("Batch", "GetMetricData"),
    ("Cancel", "ExportJob"),
    ("Clone", "ReceiptRuleSet"),
    (
        "Create",
        "AddonInstance AddonSubscription AddressList AddressListImportJob Archive ConfigurationSet \
         ConfigurationSetEventDestination ConfigurationSetTrackingOptions Contact ContactList \
         CustomVerificationEmailTemplate DedicatedIpPool DeliverabilityTestReport EmailIdentity \
         EmailIdentityPolicy EmailTemplate ExportJob ImportJob IngressPoint MultiRegionEndpoint \
         ReceiptFilter ReceiptRule ReceiptRuleSet Relay RuleSet Template Tenant \
         TenantResourceAssociation TrafficPolicy",
    ),
    (
        "Delete",
        "AddonInstance AddonSubscription AddressList Archive ConfigurationSet \
         ConfigurationSetEventDestination ConfigurationSetTrackingOptions Contact ContactList \
         CustomVerificationEmailTemplate DedicatedIpPool EmailIdentity EmailIdentityPolicy \
         EmailTemplate Identity IdentityPolicy IngressPoint MultiRegionEndpoint ReceiptFilter \
         ReceiptRule ReceiptRuleSet Relay RuleSet SuppressedDestination Template Tenant \
         TenantResourceAssociation TrafficPolicy VerifiedEmailAddress",
    ),
    ("Deregister", "MemberFromAddressList"),
    ("Describe", "ActiveReceiptRuleSet ConfigurationSet ReceiptRule ReceiptRuleSet"),
    ("Disassociate", "EmailIdentityCertificate"),
    (
        "Get",
        "Account AccountSendingEnabled AddonInstance AddonSubscription AddressList \
         AddressListImportJob Archive ArchiveExport ArchiveMessage ArchiveMessageContent \
         ArchiveSearch ArchiveSearchResults BlacklistReports ConfigurationSet \
         ConfigurationSetEventDestinations Contact ContactList CustomVerificationEmailTemplate \
         DedicatedIp DedicatedIpPool DedicatedIps DeliverabilityDashboardOptions \
         DeliverabilityTestReport DomainDeliverabilityCampaign DomainStatisticsReport \
         EmailAddressInsights EmailIdentity EmailIdentityPolicies EmailTemplate ExportJob \
         IdentityDkimAttributes IdentityMailFromDomainAttributes IdentityNotificationAttributes \
         IdentityPolicies IdentityVerificationAttributes ImportJob IngressPoint \
         MemberOfAddressList MessageInsights MultiRegionEndpoint Relay ReputationEntity RuleSet \
         SendQuota SendStatistics SuppressedDestination Template Tenant TrafficPolicy",
    ),
    (
        "List",
        "AddonInstances AddonSubscriptions AddressListImportJobs AddressLists ArchiveExports \
         ArchiveSearches Archives ConfigurationSets ContactLists Contacts \
         CustomVerificationEmailTemplates DedicatedIpPools DeliverabilityTestReports \
         DomainDeliverabilityCampaigns EmailIdentities EmailIdentityCertificates EmailTemplates \
         ExportJobs Identities IdentityPolicies ImportJobs IngressPoints MembersOfAddressList \
         MultiRegionEndpoints ReceiptFilters ReceiptRuleSets Recommendations Relays \
         ReputationEntities ResourceTenants RuleSets SuppressedDestinations TagsForResource \
         Templates TenantResources Tenants TrafficPolicies VerifiedEmailAddresses",
    ),
    (
        "Put",
        "AccountDedicatedIpWarmupAttributes AccountDetails AccountPricingAttributes \
         AccountSendingAttributes AccountSuppressionAttributes AccountVdmAttributes \
         ConfigurationSetArchivingOptions ConfigurationSetDeliveryOptions \
         ConfigurationSetReputationOptions ConfigurationSetSendingOptions \
         ConfigurationSetSuppressionOptions ConfigurationSetTrackingOptions \
         ConfigurationSetVdmOptions DedicatedIpInPool DedicatedIpPoolScalingAttributes \
         DedicatedIpWarmupAttributes DeliverabilityDashboardOption \
         EmailIdentityConfigurationSetAttributes EmailIdentityDkimAttributes \
         EmailIdentityDkimSigningAttributes EmailIdentityFeedbackAttributes \
         EmailIdentityMailFromAttributes IdentityPolicy SuppressedDestination \
         TenantSuppressionAttributes",
    ),
    ("Register", "MemberToAddressList"),
    ("Reorder", "ReceiptRuleSet"),
    ("Replicate", "EmailIdentityDkimSigningKey"),
    (
        "Send",
        "Bounce BulkEmail BulkTemplatedEmail CustomVerificationEmail Email RawEmail \
         TemplatedEmail",
    ),
    (
        "Set",
        "ActiveReceiptRuleSet IdentityDkimEnabled IdentityFeedbackForwardingEnabled \
         IdentityHeadersInNotificationsEnabled IdentityMailFromDomain IdentityNotificationTopic \
         ReceiptRulePosition",
    ),
    ("Start", "AddressListImportJob ArchiveExport ArchiveSearch"),
    ("Stop", "AddressListImportJob ArchiveExport ArchiveSearch"),
    ("Tag", "Resource"),
    ("Test", "RenderEmailTemplate RenderTemplate"),
    ("Untag", "Resource"),
    (
        "Update",
        "AccountSendingEnabled Archive ConfigurationSet ConfigurationSetEventDestination \
         ConfigurationSetReputationMetricsEnabled ConfigurationSetSendingEnabled \
         ConfigurationSetTrackingOptions Contact ContactList CustomVerificationEmailTemplate \
         EmailIdentityPolicy EmailTemplate IngressPoint ReceiptRule Relay \
         ReputationEntityCustomerManagedStatus ReputationEntityPolicy RuleSet Template \
         TrafficPolicy",
    ),
    ("Verify", "DomainDkim DomainIdentity EmailAddress EmailIdentity"),
];

/// Types of resources, as they begin the last field of an ARN.
pub(super) const RESOURCE_TYPES: [&str; 20] = [
    "identity",
    "configuration-set",
    "template",
    "custom-verification-email-template",
    "contact-list",
    "dedicated-ip-pool",
    "deliverability-test-report",
    "export-job",
    "import-job",
    "multi-region-endpoint",
    "reputation-policy",
    "tenant",
    "addon-instance",
    "addon-subscription",
    "mailmanager-address-list",
    "mailmanager-archive",
    "mailmanager-ingress-point",
    "mailmanager-rule-set",
    "mailmanager-smtp-relay",
    "mailmanager-traffic-policy",
];

/// An action of SES.
struct Action {
    name: String,
    /// Whether it works on a resource.
    has_resource: bool,
    /// Whether it changes nothing.
    reads: bool,
}

fn all() -> &'static [Action] {
    static ALL: LazyLock<Vec<Action>> = LazyLock::new(|| {
        let has = |verb: &str, noun: &str| {
            let nouns = WITHOUT_RESOURCE.iter().filter(|(other, _)| *other == verb);
            !nouns.into_iter().any(|(_, nouns)| nouns.split(' ').any(|other| other == noun))
        };
        let actions = ACTIONS.iter().flat_map(|(verb, nouns)| {
            nouns.split(' ').map(move |noun| Action {
                name: format!("ses:{verb}{noun}"),
                has_resource: has(verb, noun),
                reads: READING.contains(verb),
            })
        });
        actions.collect()
    });
    &ALL
}

/// Iterates over the actions of SES, with whether each works on a resource.
pub(super) fn actions() -> impl Iterator<Item = (&'static str, bool)> {
    all().iter().map(|action| (action.name.as_str(), action.has_resource))
}

/// Tells whether the pattern matches an action of SES.
pub(super) fn has_action(pattern: &ActionPattern) -> bool {
    all().iter().any(|action| pattern.matches(&action.name))
}

/// Returns the action of SES that was probably meant.
pub(super) fn nearest_action(written: &str) -> Option<&'static str> {
    nearest(written, actions().map(|(name, _)| name))
}

/// Tells whether the pattern matches an action of the API that sends mail.
pub(super) fn sends_by_api(pattern: &ActionPattern) -> bool {
    API_SENDING.iter().any(|action| pattern.matches(action))
}

/// Tells whether an action has the key, one of those that tell of a message.
fn has(action: &str, key: &str) -> bool {
    WITH_RECIPIENTS.contains(&action) || (key == "ses:FromAddress" && WITH_FROM.contains(&action))
}

/// Tells whether the pattern matches an action that has the key, one of those that tell of a message.
pub(super) fn may_have_key(pattern: &ActionPattern, key: &str) -> bool {
    all().iter().any(|action| has(&action.name, key) && pattern.matches(&action.name))
}

/// Returns an action that the pattern matches and that has no such key.
pub(super) fn action_without_key(pattern: &ActionPattern, key: &str) -> Option<&'static str> {
    // One that sends tells more than one that nobody thinks of.
    let all = API_SENDING.into_iter().chain(actions().map(|(name, _)| name));
    all.into_iter().find(|action| !has(action, key) && pattern.matches(action))
}

/// Tells whether the action, written in full, works on no resource.
pub(super) fn has_no_resource(written: &str) -> bool {
    all().iter().any(|action| !action.has_resource && action.name.eq_ignore_ascii_case(written))
}

/// Tells whether the pattern matches an action that changes or sends something of a resource.
pub(super) fn changes_resources(pattern: &ActionPattern) -> bool {
    let changing = all().iter().filter(|action| action.has_resource && !action.reads);
    changing.into_iter().any(|action| pattern.matches(&action.name))
}
