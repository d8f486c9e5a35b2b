//! The catalogue: every finding that the linter knows.

use std::fmt;

use super::words::{nearest, quoted};

/// How grave a finding is; the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Could be written better; the decisions stay the same.
    Suggestion,
    /// Probably does not do what was meant.
    Warning,
    /// Probably permits more than was meant.
    SecurityWarning,
    /// Refused by IAM or by sesgate, or can never do anything.
    Error,
}

impl Severity {
    /// Returns the word for it, such as `security-warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Suggestion => "suggestion",
            Severity::Warning => "warning",
            Severity::SecurityWarning => "security-warning",
            Severity::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The stable name, such as `missing-qualifier`.
    pub code: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// What it is about, in one line.
    pub about: &'static str,
}

impl Rule {
    /// Returns the rule of a code whose findings may be left out.
    ///
    /// # Errors
    /// When there is none, with what may have been meant; and for findings for which a policy is
    /// refused, which remain whoever looks.
    pub fn to_allow(code: &str) -> Result<&'static Rule, String> {
        let place = RULES.iter().position(|rule| rule.code == code);
        let Some(place) = place else {
            let near = nearest(code, RULES.iter().map(|rule| rule.code));
            let near = near.map_or_else(
                || "`sesgate policy lint --rules` lists them".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(format!("there is no kind of finding {}; {near}", quoted(code)));
        };
        let refusing = RULES.iter().take_while(|rule| rule.code != INVALID_ACTION.code).count();
        match RULES.get(place) {
            Some(rule) if place >= refusing => Ok(rule),
            _ => Err(format!("{} cannot be allowed: such a policy is refused", quoted(code))),
        }
    }
}

macro_rules! rules {
    ($($name:ident $severity:ident $code:literal $about:literal)*) => {
        $(pub(super) const $name: Rule =
            Rule { code: $code, severity: Severity::$severity, about: $about };)*

        /// Every kind of finding.
        pub const RULES: &[Rule] = &[$($name),*];
    };
}

rules! {
    // Findings for which a policy is refused.
    SYNTAX Error "json-syntax" "the text is not JSON as RFC 8259 has it"
    LIMIT Error "document-limit" "the document is larger or deeper than is read"
    DUPLICATE_MEMBER Error "duplicate-member" "an object has a member twice"
    INVALID_ELEMENT Error "invalid-element" "a member that the policy language does not have"
    MISSING_STATEMENT Error "missing-statement" "no statement"
    MISSING_EFFECT Error "missing-effect" "a statement without effect"
    MISSING_ACTION Error "missing-action" "a statement without actions"
    MISSING_RESOURCE Error "missing-resource" "a statement without resources"
    MISSING_PRINCIPAL Error "missing-principal" "a statement of a resource policy without principal"
    UNSUPPORTED_COMBINATION Error "unsupported-combination" "members that exclude each other, or that this kind of policy does not take"
    UNSUPPORTED_PRINCIPAL Error "unsupported-principal" "a principal that this kind of policy does not take"
    INVALID_EFFECT Error "invalid-effect" "an effect other than Allow and Deny"
    INVALID_VERSION Error "invalid-version" "a version that does not exist"
    INVALID_SID Error "invalid-sid" "a Sid with characters that it may not hold"
    DUPLICATE_SID Error "duplicate-sid" "two statements with one Sid"
    INVALID_TYPE Error "invalid-data-type" "a value of the wrong JSON type"
    EMPTY_LIST Error "empty-list" "an empty list of actions, resources or principals"
    WILDCARD_IN_SERVICE Error "wildcard-in-service" "a wildcard in the service of an action or ARN"
    INVALID_ARN Error "invalid-arn" "a resource that is no ARN"
    INVALID_OPERATOR Error "invalid-operator" "a condition operator that does not exist"
    NULL_IF_EXISTS Error "null-if-exists" "Null together with IfExists"
    TYPE_OF_VALUE Error "data-type-mismatch" "a condition value that the operator cannot read"
    DUPLICATE_KEY Error "duplicate-key" "a context key twice, in different case"
    INVALID_VARIABLE Error "invalid-variable" "a variable with characters that it may not hold"
    MISSING_BRACE Error "missing-brace" "a variable without closing brace"
    MISSING_QUOTE Error "missing-quote" "the default of a variable without quotes"
    EMPTY_VARIABLE Error "empty-variable" "a variable without name"
    SPACE_IN_VARIABLE Error "space-in-variable" "a variable with a blank"
    VARIABLE_FOR_OPERATOR Error "variable-for-operator" "a variable where the operator takes none"
    VARIABLE_IN_ELEMENT Error "variable-in-element" "a variable in an action or a context key"
    INVALID_PRINCIPAL Error "invalid-principal" "a principal that cannot be read"
    WILDCARD_IN_PRINCIPAL Error "wildcard-in-principal" "a wildcard within a principal"
    REFUSED Error "refused" "refused for more reasons than are listed"

    // Findings in policies that load, and can never do what they say.
    INVALID_ACTION Error "invalid-action" "an action that cannot be read, or whose name no action has"
    INVALID_SERVICE Error "invalid-service" "an action of a service that does not exist"
    MISSING_ARN_FIELD Error "missing-arn-field" "an ARN with fewer than six fields that matches nothing"
    INVALID_REGION Error "invalid-region" "an ARN with something else than a region"
    INVALID_ACCOUNT Error "invalid-account" "an ARN with something else than an account id"
    SERVICE_CASE Error "service-case" "the service of an ARN not in lower case"
    INVALID_KEY Error "invalid-key-format" "a context key without colon or with a wildcard"
    MISSING_TAG_KEY Error "missing-tag-key" "a tag key without the name of the tag"
    MISSING_QUALIFIER Error "missing-qualifier" "a list key without ForAllValues or ForAnyValue never holds"
    MULTIPLE_BOOLEANS Error "multiple-booleans" "Bool or Null with both values"
    OLD_VARIABLE Error "variable-in-old-version" "a variable where the version has none"
    INVALID_VPC Error "invalid-vpc-format" "something else than the id of a VPC or VPC endpoint"
    NETWORKS_TOGETHER Error "source-ip-with-vpc" "aws:SourceIp together with a VPC, which no request has"

    // Findings of what probably does something else than was meant.
    API_ALONE Warning "send-email-alone" "sending by the API alone, where mail over SMTP is ses:SendRawEmail"
    DENIES_ALL Warning "denies-all-mail" "a Deny without condition over everything that is allowed"
    UNKNOWN_ACTION Warning "unknown-action" "an action that SES did not have when this was built"
    UNKNOWN_KEY Warning "unknown-service-key" "a context key beginning with ses: that SES did not have when this was built"
    UNKNOWN_GLOBAL_KEY Warning "unknown-global-key" "a context key beginning with aws: that AWS did not have when this was built"
    UNKNOWN_RESOURCE Warning "unknown-resource" "a type of resource that SES did not have when this was built"
    UNKNOWN_PARTITION Warning "unknown-partition" "a partition that AWS did not have when this was built"
    IDENTITY_NAME Warning "identity-name" "a name that no identity has: a slash, or capitals in a domain"
    IDENTITY_OF_ADDRESS Warning "identity-of-address" "identities of single addresses, where a domain is verified"
    AUTHORIZATION_RESOURCE Warning "authorization-resource" "a sending authorization policy that names something else than its identity"
    SERVICE_PRINCIPAL Warning "service-principal" "SES as a principal, which sends nothing itself"
    ADDRESS_FORM Warning "address-form" "an address as no request has it: with a name, several at once, without @"
    TIME_OF_DAY Warning "time-of-day" "a time of the day, which IAM does not have"
    POLICY_SIZE Warning "policy-size" "larger than the quota of AWS"
    MISSING_VERSION Warning "missing-version" "no version, which means the old one"
    OLD_VERSION Warning "old-version" "version 2008-10-17"
    INVALID_DATE Warning "invalid-date" "a date that is probably meant otherwise"
    TYPE_MISMATCH Warning "type-mismatch" "an operator that does not fit the type of the key"
    WILDCARD_WITHOUT_LIKE Warning "wildcard-without-like" "a wildcard where it is literal text"
    REGULAR_EXPRESSION Warning "regular-expression" "a regular expression where wildcards are meant"
    NOT_SUPPLIED Warning "key-not-supplied" "a context key that no mail through the relay has"
    NOT_AVAILABLE Warning "key-not-available" "a context key that the action does not have"
    LIST_KEY_IN_VARIABLE Warning "list-key-in-variable" "a variable of a list key, which has no value"
    API_VERSION Warning "api-version-excludes-smtp" "ses:ApiVersion without 2, which mail over SMTP has"
    EMPTY_WINDOW Warning "time-window-empty" "dates between which there is no time"
    WILDCARD_IN_TYPE Warning "wildcard-in-resource-type" "a wildcard in the type of a resource"
    SHORT_ARN Warning "short-arn" "an ARN with fewer than six fields, completed with wildcards"
    EARLY_VARIABLE Warning "variable-before-resource" "a variable before the fifth colon of an ARN"
    RESOURCE_MISMATCH Warning "resource-mismatch" "actions that do not work on these resources"
    EVERY_ACTION Warning "every-action" "every action of every service is allowed"
    NULL_QUALIFIED Warning "null-with-qualifier" "Null with a set qualifier, which does not ask whether the key is absent"
    DENY_NOT_PRINCIPAL Warning "deny-with-not-principal" "Deny with NotPrincipal, which denies whoever has a permissions boundary"

    // Findings of what probably permits too much.
    ANY_VALUE_IN_ALLOW SecurityWarning "any-recipient-in-allow" "ForAnyValue in Allow, where one recipient opens the way to all"
    ALL_VALUES_IN_DENY SecurityWarning "all-recipients-in-deny" "ForAllValues in Deny, which one more recipient lifts"
    DENY_NEEDS_BOTH SecurityWarning "deny-needs-both" "a Deny with two negated keys, which either of them lifts"
    OPEN_IDENTITY SecurityWarning "open-identity-pattern" "a pattern of identities that matches other domains"
    OPEN_ADDRESS SecurityWarning "open-address-pattern" "an address pattern that matches foreign domains"
    SINGLE_VALUED SecurityWarning "single-valued-qualifier" "a set qualifier for a key with one value"
    ALL_VALUES_WITHOUT_NULL SecurityWarning "for-all-values-without-null" "ForAllValues in Allow, which holds for an absent key"
    NEGATED_ABSENT SecurityWarning "negated-absent-key" "a negated operator in Allow, which holds for an absent key"
    CALLER_CHOSEN SecurityWarning "caller-chosen-key" "a decision by what the client says of itself"
    ALLOW_NOT_PRINCIPAL SecurityWarning "allow-with-not-principal" "Allow with NotPrincipal"
    ALLOW_NOT_ACTION SecurityWarning "allow-with-not-action" "Allow with NotAction"
    ALLOW_NOT_RESOURCE SecurityWarning "allow-with-not-resource" "Allow with NotResource"
    PUBLIC_PRINCIPAL SecurityWarning "public-principal" "everybody is allowed, without condition"

    // Findings of what could be written better.
    DENY_ABSENT Suggestion "deny-absent-key" "a Deny by an address that clients in a VPC do not have"
    HOLDS_FOR_OTHERS Suggestion "holds-for-other-actions" "a condition that also holds for actions without its key"
    CALLER_CHOSEN_NAME Suggestion "display-name-alone" "Allow by a display name, whatever the address is"
    PRIVATE_ADDRESS Suggestion "private-address" "a private address where AWS sees public ones"
    PAST_WINDOW Suggestion "time-window-past" "a time that is over"
    LIKE_WITHOUT_WILDCARD Suggestion "like-without-wildcard" "StringLike without a wildcard"
    LITERAL_DOT Suggestion "literal-dot" "a dot before a wildcard, where any label seems to be meant"
    IRRELEVANT Suggestion "irrelevant-for-smtp" "a statement that cannot concern mail over SMTP"
    CASE_SENSITIVE Suggestion "case-sensitive-address" "upper case in an address, compared by case"
    BROAD_ACTION Suggestion "broad-action" "every action of SES is allowed"
    BROAD_RESOURCE Suggestion "broad-resource" "every resource is allowed"
    EMPTY_ARRAY Suggestion "empty-array" "an empty list of condition values"
    EMPTY_OBJECT Suggestion "empty-object" "an empty condition or principal"
    EMPTY_SID Suggestion "empty-sid" "an empty Sid"
    REDUNDANT_ACTION Suggestion "redundant-action" "an action that another one covers"
    REDUNDANT_RESOURCE Suggestion "redundant-resource" "a resource that another one covers"
    REDUNDANT_VALUE Suggestion "redundant-value" "a condition value that another one covers"
    REDUNDANT_STATEMENT Suggestion "redundant-statement" "a statement that another one covers"
    SHADOWED_ALLOW Suggestion "shadowed-allow" "an Allow that a Deny without condition covers"
    IP_RANGE Suggestion "improve-ip-range" "host bits in a network"
    NON_LATIN Suggestion "non-latin-1" "characters that IAM stores only as escapes"
}
