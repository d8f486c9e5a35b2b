//! One stored password: what a hash may look like, and comparing a password with it.

use std::time::SystemTime;

use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

/// A password hash that can be checked: argon2id (PHC string) or bcrypt.
#[derive(Clone)]
pub struct StoredPassword {
    format: Format,
    fingerprint: Fingerprint,
    expires: Option<SystemTime>,
}

/// Tells one stored password from another, salt included.
pub(crate) type Fingerprint = [u8; 32];

/// The work that a comparison takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Cost {
    Argon2 { memory_kib: u32, passes: u32, lanes: u32 },
    Bcrypt { cost: u32 },
}

#[derive(Clone)]
enum Format {
    Argon2(Box<PasswordHash>),
    Bcrypt(String),
}

/// Why a text is no usable password hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordHashError {
    /// Neither format.
    #[error(
        "is neither an argon2id hash (`$argon2id$…`) nor a bcrypt hash (`$2b$…`); \
         make one with `sesgate user hash-password`"
    )]
    Unknown,
    /// The format is right, its content is not.
    #[error("is damaged: {0}; make a new one with `sesgate user hash-password`")]
    Damaged(String),
    /// Checking it would take so much time or memory that it could be used to stall the relay.
    #[error(
        "asks for too much work: at most 256 MiB, 10 passes and 16 lanes (argon2id) or cost 14 \
         (bcrypt)"
    )]
    TooCostly,
}

const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 10;
const LANES_MAX: u32 = 16;
const BCRYPT_COST_MAX: u32 = 14;

/// What OWASP names as the least for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

impl StoredPassword {
    /// Reads a hash as the configuration holds it.
    ///
    /// # Errors
    /// When it is of neither format, damaged, or asks for an absurd amount of work.
    pub fn parse(text: &str) -> Result<Self, PasswordHashError> {
        if text.starts_with("$argon2id$") {
            let hash = PasswordHash::new(text)
                .map_err(|error| PasswordHashError::Damaged(error.to_string()))?;
            let params = Params::try_from(&hash)
                .map_err(|error| PasswordHashError::Damaged(error.to_string()))?;
            if hash.salt.is_none() || hash.hash.is_none() {
                return Err(PasswordHashError::Damaged("salt or hash is missing".to_owned()));
            }
            if params.m_cost() > MEMORY_KIB_MAX
                || params.t_cost() > PASSES_MAX
                || params.p_cost() > LANES_MAX
            {
                return Err(PasswordHashError::TooCostly);
            }
            Ok(Self::new(Format::Argon2(Box::new(hash)), text))
        } else if ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|form| text.starts_with(form)) {
            let parts: bcrypt::HashParts = text.parse().map_err(|error: bcrypt::BcryptError| {
                PasswordHashError::Damaged(error.to_string())
            })?;
            if parts.get_cost() > BCRYPT_COST_MAX {
                return Err(PasswordHashError::TooCostly);
            }
            Ok(Self::new(Format::Bcrypt(text.to_owned()), text))
        } else {
            Err(PasswordHashError::Unknown)
        }
    }

    fn new(format: Format, text: &str) -> Self {
        let mut fingerprint = Fingerprint::default();
        let digest = digest(&SHA256, text.as_bytes());
        for (to, from) in fingerprint.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self { format, fingerprint, expires: None }
    }

    pub(crate) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    pub(crate) fn cost(&self) -> Cost {
        match &self.format {
            Format::Argon2(hash) => {
                let params = Params::try_from(hash.as_ref()).unwrap_or_default();
                Cost::Argon2 {
                    memory_kib: params.m_cost(),
                    passes: params.t_cost(),
                    lanes: params.p_cost(),
                }
            }
            Format::Bcrypt(text) => {
                let cost = text.parse().map_or(0, |parts: bcrypt::HashParts| parts.get_cost());
                Cost::Bcrypt { cost }
            }
        }
    }

    /// Sets the moment from which it is good no more.
    #[must_use]
    pub fn expiring(self, expires: Option<SystemTime>) -> Self {
        Self { expires, ..self }
    }

    /// The moment from which it is good no more.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        self.expires
    }

    /// Whether it is still good.
    #[must_use]
    pub fn is_live(&self, now: SystemTime) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    /// Whether guessing it is cheaper than it should be (OWASP: argon2id with 19 MiB and two
    /// passes, bcrypt with cost 10).
    #[must_use]
    pub fn is_weak(&self) -> bool {
        match self.cost() {
            Cost::Argon2 { memory_kib, passes, .. } => memory_kib < MEMORY_KIB || passes < PASSES,
            Cost::Bcrypt { cost } => cost < 10,
        }
    }

    /// Compares a password with the hash; takes milliseconds of a processor.
    #[must_use]
    pub fn verify(&self, password: &str) -> bool {
        self.verify_within(password, &mut HashMemory::default())
    }

    /// As [`Self::verify`], with memory that earlier hashes have used.
    pub(crate) fn verify_within(&self, password: &str, memory: &mut HashMemory) -> bool {
        match &self.format {
            Format::Argon2(hash) => {
                let computed = memory.argon2(hash, password);
                // Not both `None`; outputs are compared in constant time.
                computed.is_ok_and(|output| hash.hash.is_some_and(|expected| expected == output))
            }
            Format::Bcrypt(text) => bcrypt::non_truncating_verify(password, text).unwrap_or(false),
        }
    }
}

/// The memory of one hash after the other. Allocated for each, it would come to lie in as many places
/// as there are threads, of which most allocators give nothing back.
#[derive(Default)]
pub(crate) struct HashMemory(Vec<Block>);

/// Memory beyond this is given back when nobody waits, in blocks of 1 KiB. Allocators map what is
/// larger than 32 MiB by itself, so that it goes back to the system.
const KEPT_BLOCKS: usize = 32 * 1024;

impl HashMemory {
    fn argon2(&mut self, hash: &PasswordHash, password: &str) -> Result<Output, HashFailed> {
        let algorithm = Algorithm::try_from(hash.algorithm.as_str())?;
        let version = hash.version.map(Version::try_from).transpose()?.unwrap_or_default();
        let params = Params::try_from(hash)?;
        let salt = hash.salt.as_ref().ok_or(HashFailed)?;
        let mut buffer = [0; Output::MAX_LENGTH];
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let output = buffer.get_mut(..length).ok_or(HashFailed)?;
        let blocks = params.block_count();
        if self.0.len() < blocks {
            // Nothing of the old is needed, and both together would be more than there should be.
            self.0 = Vec::new();
            self.0.resize(blocks, Block::new());
        }
        let hasher = Argon2::new(algorithm, version, params);
        let hashed =
            hasher.hash_password_into_with_memory(password.as_bytes(), salt, output, &mut self.0);
        // What it holds would let the password be guessed for less than a hash.
        self.0.iter_mut().take(blocks).for_each(|block| *block = Block::new());
        hashed?;
        Ok(Output::new(output)?)
    }

    /// Gives back what is too much to keep while nobody waits.
    pub(crate) fn rest(&mut self) {
        if self.0.len() > KEPT_BLOCKS {
            self.0 = Vec::new();
        }
    }

    /// Where it is and how much, in blocks.
    #[cfg(test)]
    pub(crate) fn place(&self) -> (usize, usize) {
        (self.0.as_ptr().addr(), self.0.len())
    }
}

/// Such a hash cannot be computed: nothing matches it.
struct HashFailed;

impl<E: std::error::Error> From<E> for HashFailed {
    fn from(_: E) -> Self {
        Self
    }
}

/// Makes an argon2id hash of a password, with the parameters that OWASP names.
///
/// # Errors
/// When the system gives no random bytes.
pub fn hash_password(password: &Zeroizing<String>) -> Result<String, argon2::password_hash::Error> {
    use argon2::password_hash::PasswordHasher;
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Ok(hasher.hash_password(password.as_bytes())?.to_string())
}

impl std::fmt::Debug for StoredPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredPassword")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use argon2::password_hash::PasswordHasher;

    use super::*;

    /// A hash that takes so much memory.
    pub(crate) fn argon2(password: &str, memory_kib: u32) -> String {
        let params = Params::new(memory_kib, 1, 1, None).unwrap();
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        hasher.hash_password(password.as_bytes()).unwrap().to_string()
    }

    #[test]
    fn a_made_hash_accepts_its_password_alone() {
        let text = hash_password(&Zeroizing::new("secret".to_owned())).unwrap();
        let stored = StoredPassword::parse(&text).unwrap();
        assert!(stored.verify("secret"));
        for wrong in ["", "Secret", "secret ", "secretsecret"] {
            assert!(!stored.verify(wrong), "{wrong:?}");
        }
        assert!(!stored.is_weak());
    }

    #[test]
    fn memory_of_other_hashes_changes_no_answer_and_nothing_is_left_in_it() {
        let mut memory = HashMemory::default();
        for memory_kib in [64, 256, 64, 8, 300, 255] {
            let stored = StoredPassword::parse(&argon2("secret", memory_kib)).unwrap();
            for (password, expected) in [("wrong", false), ("secret", true), ("Secret", false)] {
                assert_eq!(stored.verify_within(password, &mut memory), expected, "{memory_kib}");
                assert!(memory.0.iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
            }
        }
        assert_eq!(memory.place().1, 300, "as much as the largest took");
    }

    /// Hashes that other programs have made, of other versions, lengths and lanes.
    #[test]
    fn foreign_argon2_hashes_are_verified() {
        for hash in [
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
            "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
        ] {
            let stored = StoredPassword::parse(hash).unwrap();
            assert!(stored.verify("password"), "{hash}");
            assert!(!stored.verify("passwore"), "{hash}");
        }
    }

    #[test]
    fn bcrypt_is_read_and_never_truncates() {
        let long = "x".repeat(72);
        let stored = StoredPassword::parse(&bcrypt::hash(&long, 4).unwrap()).unwrap();
        assert!(stored.is_weak());
        assert!(!stored.verify(&format!("{long}y")), "73 bytes are not the first 72");
        let stored = StoredPassword::parse(&bcrypt::hash("secret", 4).unwrap()).unwrap();
        assert!(stored.verify("secret"));
    }

    #[test]
    fn what_is_no_usable_hash_is_refused() {
        let damaged =
            |text| matches!(StoredPassword::parse(text), Err(PasswordHashError::Damaged(_)));
        assert_eq!(StoredPassword::parse("secret").unwrap_err(), PasswordHashError::Unknown);
        assert_eq!(StoredPassword::parse("").unwrap_err(), PasswordHashError::Unknown);
        assert!(damaged("$argon2id$v=19$m=19456,t=2,p=1"));
        assert!(damaged("$2b$12$tooshort"));
        let costly = "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQxMjM0$\
                      AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(StoredPassword::parse(costly).unwrap_err(), PasswordHashError::TooCostly);
        let costly = bcrypt::hash("x", 4).unwrap().replacen("$04$", "$31$", 1);
        assert_eq!(StoredPassword::parse(&costly).unwrap_err(), PasswordHashError::TooCostly);
    }
}
