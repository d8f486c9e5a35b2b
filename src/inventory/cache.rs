//! The copy on disk: what SES said last, so that a start without SES works at once.
//!
//! One file of JSON lines: the first says what it is, each other one is an identity. Reading it
//! takes a line at a time, so that no file, however made, costs more than its bounds.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::store::IDENTITIES;
use super::{AccountState, Details, InventorySettings, KnownIdentity, calls};

/// The name of the file in its directory.
const NAME: &str = "ses-identities.jsonl";
const VERSION: u64 = 1;
/// More than a hundred thousand policies take.
const FILE_BYTES: u64 = 256 * 1024 * 1024;
/// More than one identity takes.
const LINE_BYTES: u64 = 2 * 1024 * 1024;
/// Later than now by so much is a clock that was wrong, then or now.
const FUTURE: Duration = Duration::from_secs(24 * 3600);

/// Why a copy is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CacheError {
    #[error("it cannot be read")]
    Io(#[from] std::io::Error),
    #[error("it is no file")]
    NoFile,
    #[error("others than its owner may write it (mode {0:o})")]
    Exposed(u32),
    #[error("its {0} bytes are too many")]
    TooLarge(u64),
    #[error("line {0} is broken")]
    Broken(usize),
    #[error("it has another form than this version reads")]
    OtherForm,
    #[error("it is about account `{account}` in `{region}`")]
    Foreign { account: String, region: String },
    #[error("it is {} hours old", .0.as_secs() / 3600)]
    Stale(Duration),
    #[error("it is from the future: a clock is or was wrong")]
    Future,
}

/// One identity: what is known, what the list said, and when the details were read.
pub(super) type Kept = (Arc<KnownIdentity>, bool, Option<SystemTime>);

/// Everything that is kept.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) taken: SystemTime,
    pub(super) account: Option<AccountState>,
    pub(super) identities: Vec<Kept>,
}

/// Where the copy of one account and region is.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    pub(super) directory: PathBuf,
    pub(super) account: String,
    pub(super) region: String,
}

impl Cache {
    /// Returns where the settings have it kept, if they do.
    pub(super) fn of(settings: &InventorySettings) -> Option<Self> {
        let directory = settings.cache.clone()?;
        let (account, region) = (settings.account.clone(), settings.region.clone());
        Some(Self { directory, account, region })
    }

    pub(super) fn file(&self) -> PathBuf {
        self.directory.join(NAME)
    }

    /// Reads the copy; `None` when there is none.
    ///
    /// # Errors
    /// When it is not to be used.
    pub(super) fn load(
        &self,
        now: SystemTime,
        stale: Duration,
    ) -> Result<Option<Copy>, CacheError> {
        let path = self.file();
        // Looked at before it is opened: opening a pipe would wait for ever.
        let found = match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        if !found.is_file() {
            return Err(CacheError::NoFile);
        }
        if found.mode() & 0o022 != 0 {
            return Err(CacheError::Exposed(found.mode() & 0o777));
        }
        if found.len() > FILE_BYTES {
            return Err(CacheError::TooLarge(found.len()));
        }
        let file = File::open(&path)?.take(FILE_BYTES);
        let mut lines = Lines { file: BufReader::new(file), number: 0, line: Vec::new() };
        let head = lines.next()?.ok_or(CacheError::Broken(1))?;
        let (count, mut copy) = self.head(&head, now, stale)?;
        for _ in 0..count {
            let line = lines.next()?;
            let kept = line.as_ref().and_then(identity).ok_or(CacheError::Broken(lines.number))?;
            copy.identities.push(kept);
        }
        match lines.next()? {
            None => Ok(Some(copy)),
            Some(_) => Err(CacheError::Broken(lines.number)),
        }
    }

    fn head(
        &self,
        head: &Value,
        now: SystemTime,
        stale: Duration,
    ) -> Result<(usize, Copy), CacheError> {
        let broken = || CacheError::Broken(1);
        if head.get("version").and_then(Value::as_u64) != Some(VERSION) {
            return Err(CacheError::OtherForm);
        }
        let text = |key: &str| head.get(key).and_then(Value::as_str).ok_or_else(broken);
        let (account, region) = (text("account")?, text("region")?);
        if account != self.account || region != self.region {
            let short = |text: &str| text.chars().take(40).collect();
            return Err(CacheError::Foreign { account: short(account), region: short(region) });
        }
        let taken = time(head.get("taken")).ok_or_else(broken)?;
        match now.duration_since(taken) {
            Ok(age) if age > stale => return Err(CacheError::Stale(age)),
            Err(ahead) if ahead.duration() > FUTURE => return Err(CacheError::Future),
            _ => {}
        }
        let state = match head.get("state") {
            None | Some(Value::Null) => None,
            Some(state) => Some(account_state(state).ok_or_else(broken)?),
        };
        let count = head.get("identities").and_then(Value::as_u64).ok_or_else(broken)?;
        let count = usize::try_from(count).ok().filter(|count| *count <= IDENTITIES);
        let copy = Copy { taken, account: state, identities: Vec::new() };
        Ok((count.ok_or_else(broken)?, copy))
    }

    /// Replaces the copy, whole or not at all.
    ///
    /// # Errors
    /// When the directory cannot be made or written.
    pub(super) fn save(&self, copy: &Copy) -> std::io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let draft = self.directory.join(format!(".{NAME}.new"));
        // One that an earlier process left behind.
        match std::fs::remove_file(&draft) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let written = self.write(&draft, copy).and_then(|()| std::fs::rename(&draft, self.file()));
        if written.is_err() {
            let _ = std::fs::remove_file(&draft);
        }
        written?;
        File::open(&self.directory)?.sync_all()
    }

    fn write(&self, draft: &Path, copy: &Copy) -> std::io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
        let mut file = BufWriter::new(file);
        let head = json!({
            "version": VERSION,
            "account": self.account,
            "region": self.region,
            "taken": seconds(copy.taken),
            "state": copy.account.as_ref().map(state_line),
            "identities": copy.identities.len(),
        });
        writeln!(file, "{head}")?;
        for kept in &copy.identities {
            writeln!(file, "{}", line(kept))?;
        }
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
    }
}

/// JSON, a line at a time.
struct Lines<R> {
    file: R,
    number: usize,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<Value>, CacheError> {
        self.number += 1;
        self.line.clear();
        let read = self.file.by_ref().take(LINE_BYTES).read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        let whole = self.line.ends_with(b"\n").then_some(&self.line);
        let value = whole.and_then(|line| serde_json::from_slice(line).ok());
        value.map(Some).ok_or(CacheError::Broken(self.number))
    }
}

fn line((known, listed, read): &Kept) -> Value {
    let mut line = Map::new();
    line.insert("name".to_owned(), json!(known.name));
    line.insert("verified".to_owned(), json!(known.verified_for_sending));
    line.insert("listed".to_owned(), json!(listed));
    if let Some(details) = &known.details {
        let tags: Vec<_> = details.tags.iter().map(|(key, value)| json!([key, value])).collect();
        let details = json!({
            "read": read.map(seconds),
            "configuration_set": details.configuration_set,
            "tags": tags,
            "policies": details.policies,
        });
        line.insert("details".to_owned(), details);
    }
    Value::Object(line)
}

fn identity(line: &Value) -> Option<Kept> {
    let name = line.get("name")?.as_str()?.to_owned();
    let verified_for_sending = line.get("verified")?.as_bool()?;
    let listed = line.get("listed")?.as_bool()?;
    let (details, read) = match line.get("details") {
        None => (None, None),
        Some(known) => (Some(details(known)?), Some(time(known.get("read"))?)),
    };
    calls::check_name(&name).then_some(())?;
    Some((Arc::new(KnownIdentity { name, verified_for_sending, details }), listed, read))
}

fn details(known: &Value) -> Option<Details> {
    let configuration_set = match known.get("configuration_set")? {
        Value::Null => None,
        set => Some(set.as_str()?.to_owned()),
    };
    let tag = |tag: &Value| match tag.as_array()?.as_slice() {
        [key, value] => Some((key.as_str()?.to_owned(), value.as_str()?.to_owned())),
        _ => None,
    };
    let tags = known.get("tags")?.as_array()?.iter().map(tag).collect::<Option<_>>()?;
    let policies = known.get("policies")?.as_object()?.iter();
    let policies = policies.map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned())));
    let policies = policies.collect::<Option<_>>()?;
    let details = Details { configuration_set, tags, policies, ..Details::default() };
    calls::check_details(&details).then_some(details)
}

fn state_line(state: &AccountState) -> Value {
    json!({
        "production_access": state.production_access,
        "sending_enabled": state.sending_enabled,
        "enforcement_status": state.enforcement_status,
        "max_24_hour_send": state.max_24_hour_send,
        "max_send_rate": state.max_send_rate,
        "sent_last_24_hours": state.sent_last_24_hours,
    })
}

fn account_state(state: &Value) -> Option<AccountState> {
    let state = AccountState {
        production_access: state.get("production_access")?.as_bool()?,
        sending_enabled: state.get("sending_enabled")?.as_bool()?,
        enforcement_status: state.get("enforcement_status")?.as_str()?.to_owned(),
        max_24_hour_send: state.get("max_24_hour_send")?.as_f64()?,
        max_send_rate: state.get("max_send_rate")?.as_f64()?,
        sent_last_24_hours: state.get("sent_last_24_hours")?.as_f64()?,
    };
    calls::check_account(&state).then_some(state)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn time(value: Option<&Value>) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(value?.as_u64()?))
}
