//! Makes documents and requests from words (`words.json`) chosen to be mistaken for one another.
//!
//! Everything comes from one seed, so that every run asks the same questions in the same order.

use serde_json::{Map, Value, json};

use super::condition::BASES;
use super::words::{Random, family, words};
use super::{Documents, Question, Spelled, Who};

const OWN: &str = "111122223333";
const OTHER: &str = "444455556666";

/// Makes the documents of one round, and remembers what their conditions ask.
pub(crate) struct Maker<'a> {
    random: &'a mut Random,
    bases: Vec<&'static str>,
    operands: Vec<String>,
}

impl<'a> Maker<'a> {
    pub(crate) fn new(random: &'a mut Random) -> Self {
        Maker { random, bases: Vec::new(), operands: Vec::new() }
    }

    /// Either one document with conditions, or some of every layer.
    pub(crate) fn documents(&mut self) -> Documents {
        let mut documents = Documents::default();
        if self.random.percent(55) {
            let by_deny = self.random.percent(50);
            let effect = if by_deny { "Deny" } else { "Allow" };
            let mut statements = vec![self.statement(effect, false, 85)];
            statements[0]["Condition"] = self.condition();
            if by_deny {
                statements.push(json!({ "Effect": "Allow", "Action": "*", "Resource": "*" }));
            }
            documents.identity = vec![self.document(statements)];
            return documents;
        }
        documents.identity = self.some(0, false);
        documents.boundary = self.random.percent(30).then(|| self.some(0, false));
        documents.session = self.random.percent(20).then(|| self.some(0, false));
        if self.random.percent(25) {
            documents.scps = (0..=self.random.below(2)).map(|_| self.some(1, false)).collect();
        }
        if self.random.percent(15) {
            let mut statement = self.statement_of_some_effect(50);
            statement["Principal"] = json!("*");
            documents.rcps = vec![self.document(vec![statement])];
        }
        if self.random.percent(60) {
            documents.resource = self.some(1, true);
        }
        documents
    }

    fn some(&mut self, least: usize, is_of_resource: bool) -> Vec<Value> {
        let count = if self.random.percent(15) { least } else { 1 + self.random.below(2) };
        (0..count)
            .map(|_| {
                let statements = (0..=self.random.below(2))
                    .map(|_| {
                        let mut statement = self.statement_of_some_effect(65);
                        if is_of_resource {
                            self.add_principal(&mut statement);
                        }
                        statement
                    })
                    .collect();
                self.document(statements)
            })
            .collect()
    }

    fn document(&mut self, mut statements: Vec<Value>) -> Value {
        let sids = if self.random.percent(10) { 1 } else { 100 };
        for (at, statement) in statements.iter_mut().enumerate() {
            if self.random.percent(30) {
                statement["Sid"] = json!(format!("S{}", at % sids));
            }
        }
        if self.random.percent(2) {
            let at = self.random.below(statements.len());
            self.spoil(&mut statements[at]);
        }
        let mut document = json!({});
        match self.random.below(100) {
            0..10 => {}
            10..20 => document["Version"] = json!("2008-10-17"),
            20 => {
                let wrong = [Value::Null, json!("2012-10-18"), json!(2012), json!("")];
                document["Version"] = self.random.of(&wrong);
            }
            21 => document["Id"] = json!("any"),
            22 if self.random.percent(50) => document["statement"] = json!([]),
            _ => document["Version"] = json!("2012-10-17"),
        }
        document["Statement"] = match statements.len() {
            1 if self.random.percent(50) => statements.remove(0),
            _ if self.random.below(400) == 0 => json!([]),
            _ => Value::Array(statements),
        };
        document
    }

    fn statement_of_some_effect(&mut self, broad: usize) -> Value {
        let effect = if self.random.percent(80) { "Allow" } else { "Deny" };
        let mut statement = self.statement(effect, true, broad);
        if self.random.percent(if effect == "Deny" { 70 } else { 15 }) {
            statement["Condition"] = self.condition();
        }
        statement
    }

    /// A statement without principal; broad ones cover every action and resource.
    fn statement(&mut self, effect: &str, may_be_list: bool, broad: usize) -> Value {
        let mut statement = json!({ "Effect": effect });
        let (action, resource) = (self.random.percent(broad), self.random.percent(broad));
        if action {
            statement["Action"] = json!("*");
        } else {
            let name = if self.random.percent(25) { "NotAction" } else { "Action" };
            let bad = self.random.percent(2);
            let words = if bad { "bad_actions" } else { "action_patterns" };
            statement[name] = self.words(words, may_be_list);
        }
        if resource {
            statement["Resource"] = json!("*");
        } else {
            let name = if self.random.percent(25) { "NotResource" } else { "Resource" };
            let bad = self.random.percent(2);
            let words = if bad { "bad_resources" } else { "resource_patterns" };
            statement[name] = self.words(words, may_be_list);
        }
        statement
    }

    fn words(&mut self, list: &str, may_be_list: bool) -> Value {
        if may_be_list && self.random.percent(30) {
            json!([self.random.word(list), self.random.word(list)])
        } else {
            json!(self.random.word(list))
        }
    }

    fn add_principal(&mut self, statement: &mut Value) {
        let name = if self.random.percent(20) { "NotPrincipal" } else { "Principal" };
        let bad = self.random.percent(2);
        let words = if bad { "bad_principals" } else { "principals" };
        statement[name] = match self.random.below(20) {
            0..2 => json!("*"),
            2 => json!({ "Service": "ses.amazonaws.com" }),
            3 => json!({}),
            4 => json!({ "Federated": "example.com", "AWS": self.words(words, true) }),
            _ => json!({ "AWS": self.words(words, true) }),
        };
    }

    fn condition(&mut self) -> Value {
        let mut condition = json!({});
        let several = self.random.percent(20);
        for _ in 0..=usize::from(several) {
            let base = self.random.of(&BASES);
            self.bases.push(base);
            let qualifier = self.random.of(&["", "", "ForAllValues:", "ForAnyValue:"]);
            let suffix = if self.random.percent(35) { "IfExists" } else { "" };
            let suffix = if base == "Null" && !self.random.percent(2) { "" } else { suffix };
            let mut operator = format!("{qualifier}{base}{suffix}");
            if self.random.percent(1) {
                operator = self.random.word("bad_operators");
            }
            let mut keys = Map::new();
            for _ in 0..1 + usize::from(self.random.percent(10)) {
                let key = match self.random.below(10) {
                    0 => self.random.word("keys_otherwise"),
                    1..5 => self.random.word("list_keys"),
                    _ => self.random.word("keys"),
                };
                keys.insert(key, self.operands(base));
            }
            if self.random.percent(2) {
                keys.clear();
            }
            condition[operator] = Value::Object(keys);
        }
        condition
    }

    fn operands(&mut self, base: &str) -> Value {
        match self.random.below(50) {
            0 => json!([]),
            1 => self.random.of(&[json!(1), json!(true), json!(1.5), json!(2018)]),
            2 if self.random.percent(20) => Value::Null,
            3 if self.random.percent(20) => json!([["a"]]),
            4..32 => json!(self.operand(base)),
            _ => (0..1 + self.random.below(3)).map(|_| json!(self.operand(base))).collect(),
        }
    }

    fn operand(&mut self, base: &str) -> String {
        let family = family(base);
        let operand = if self.random.percent(3) {
            self.random.word(family.bad_operands)
        } else if base.starts_with("String") {
            match self.random.below(3) {
                0 => self.random.word("texts"),
                1 => self.random.concatenation("pattern_atoms"),
                _ => self.random.word(family.operands),
            }
        } else {
            self.random.word(family.operands)
        };
        self.operands.push(operand.clone());
        operand
    }

    /// Breaks a rule about statements.
    fn spoil(&mut self, statement: &mut Value) {
        let members = statement.as_object_mut().unwrap();
        match self.random.below(14) {
            12 => drop(members.insert("Principal".to_owned(), json!("*"))),
            13 => drop(members.insert("NotPrincipal".to_owned(), json!("*"))),
            0 => drop(members.insert("Effect".to_owned(), json!("allow"))),
            1 => drop(members.remove("Effect")),
            2 => drop(members.insert("Effect".to_owned(), json!(["Allow"]))),
            3 => {
                members.insert("NotAction".to_owned(), json!("ses:*"));
                members.insert("Action".to_owned(), json!("ses:*"));
            }
            4 => {
                members.remove("Action");
                members.remove("NotAction");
            }
            5 => drop(members.insert("Action".to_owned(), json!([]))),
            6 => {
                members.remove("Resource");
                members.insert("NotResource".to_owned(), Value::Null);
            }
            7 => drop(members.insert("Sid".to_owned(), json!("a-b"))),
            8 => drop(members.insert("action".to_owned(), json!("*"))),
            9 => drop(members.insert("Condition".to_owned(), json!([]))),
            10 => {
                let keys = json!({ "ses:FromAddress": "a", "SES:fromaddress": "b" });
                members.insert("Condition".to_owned(), json!({ "StringLike": keys }));
            }
            _ => {
                let keys = json!({ "aws:PrincipalTag/${aws:username}": "a" });
                members.insert("Condition".to_owned(), json!({ "StringLike": keys }));
            }
        }
    }

    /// A request whose context has words that the conditions of this round know.
    pub(crate) fn question(&mut self) -> Question {
        let who = self.who();
        let resource = self.random.word("resources");
        let resource_account = match resource.split(':').nth(4) {
            Some(account) if account == OTHER => OTHER,
            _ if self.random.percent(10) => OTHER,
            _ => OWN,
        };
        let parents = if self.random.percent(15) {
            (0..=self.random.below(2)).map(|_| self.random.word("resources")).collect()
        } else {
            Vec::new()
        };
        let action = if self.random.percent(75) {
            "ses:SendRawEmail".to_owned()
        } else {
            self.random.word("actions")
        };
        let mut context = Vec::new();
        for key in words("keys") {
            if !self.random.percent(30) {
                context.push((key.to_owned(), vec![self.value(key)]));
            }
        }
        for key in words("list_keys") {
            if !self.random.percent(30) {
                let count = 1 + self.random.below(3);
                context.push((key.to_owned(), (0..count).map(|_| self.value(key)).collect()));
            }
        }
        Question {
            action,
            resource,
            parents,
            resource_account: resource_account.to_owned(),
            who,
            context,
        }
    }

    fn who(&mut self) -> Who {
        let user = |arn: &str| Who::User { arn: arn.to_owned() };
        let session = |role: &str, session: &str| Who::Session {
            role: role.to_owned(),
            session: session.to_owned(),
        };
        match self.random.below(20) {
            0..9 => user("arn:aws:iam::111122223333:user/app"),
            9 => user("arn:aws:iam::111122223333:user/mail/app"),
            10 => user("arn:aws:sts::111122223333:federated-user/app"),
            11..15 => session(
                "arn:aws:iam::111122223333:role/mail/app",
                "arn:aws:sts::111122223333:assumed-role/app/run",
            ),
            15 => session(
                "arn:aws:iam::444455556666:role/app",
                "arn:aws:sts::444455556666:assumed-role/app/run",
            ),
            16 => Who::Root { account: OWN.to_owned() },
            17 => Who::Root { account: OTHER.to_owned() },
            _ => user("arn:aws:iam::444455556666:user/app"),
        }
    }

    fn value(&mut self, key: &str) -> Spelled {
        let text = self.value_text(key);
        let spellings = if key.starts_with("ses:") && self.random.percent(15) {
            (0..=self.random.below(2)).map(|_| self.value_text(key)).collect()
        } else {
            Vec::new()
        };
        let in_any_case = key.starts_with("ses:") && self.random.percent(30);
        Spelled { text, spellings, in_any_case }
    }

    fn value_text(&mut self, key: &str) -> String {
        // What variables stand for is mostly a name.
        let is_name = ["aws:username", "aws:PrincipalTag/team"].contains(&key);
        if is_name && self.random.percent(50) {
            return self.random.word("names");
        }
        if self.bases.is_empty() || self.random.percent(5) {
            return self.random.word("texts");
        }
        let base = self.random.of(&self.bases.clone());
        let verbatim = if base.starts_with("String") { 30 } else { 15 };
        if !self.operands.is_empty() && self.random.percent(verbatim) {
            let operand = self.random.of(&self.operands);
            return match self.random.below(6) {
                0 if base.starts_with("String") => operand.to_uppercase(),
                1 if base.starts_with("String") => operand.to_lowercase(),
                _ => operand,
            };
        }
        let family = family(base);
        match self.random.below(10) {
            0 => self.random.word(family.bad_values),
            1..4 if base.starts_with("String") => self.random.concatenation("text_atoms"),
            _ => self.random.word(family.values),
        }
    }
}
