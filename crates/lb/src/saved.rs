//! What the process keeps on disk, so that it serves the moment it starts again, whether the server is there or not: the
//! last table and what was known of its targets' health.
//!
//! The table has the private keys of certificates, so the file is sealed, under a key in a file of its own that only its
//! owner reads. Whoever can read both has the machine.

use neargate_lb_api as api;
use prost::Message as _;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const SECRET: &str = "secret";
const TABLE: &str = "table.sealed";
const HEALTH: &str = "health.pb";
const SECRET_BYTES: usize = 32;

/// The process's directory.
pub struct Saved {
    dir: PathBuf,
    secret: [u8; SECRET_BYTES],
    random: SystemRandom,
}

#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    #[error("{path}: {source}")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{0} is not what this data directory's secret sealed")]
    Seal(PathBuf),
    #[error("the system gives no random bytes")]
    Random,
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> SavedError {
    move |source| SavedError::File {
        path: path.to_owned(),
        source,
    }
}

impl Saved {
    /// Opens the directory, and makes its secret the first time.
    pub fn open(dir: &Path) -> Result<Self, SavedError> {
        neargate_files::private::make_dir(dir).map_err(file_error(dir))?;
        let random = SystemRandom::new();
        let path = dir.join(SECRET);
        let known = read(&path)?.map(<[u8; SECRET_BYTES]>::try_from);
        let secret = match known {
            Some(Ok(secret)) => secret,
            lost_or_new => {
                if lost_or_new.is_some() {
                    tracing::warn!(path = %path.display(), "the secret cannot be read and is made anew: the server sends the table again, and sticky sessions begin anew");
                }
                let mut secret = [0; SECRET_BYTES];
                random.fill(&mut secret).map_err(|_| SavedError::Random)?;
                replace(&path, &secret)?;
                secret
            }
        };
        Ok(Self {
            dir: dir.to_owned(),
            secret,
            random,
        })
    }

    /// The secret that stickiness cookies are signed with: the same for the data directory's life.
    pub fn cookie_secret(&self) -> impl AsRef<[u8]> {
        self.derive(b"cookies")
    }

    /// The table that was in force last.
    pub fn table(&self) -> Result<Option<api::Table>, SavedError> {
        let path = self.dir.join(TABLE);
        let Some(mut sealed) = read(&path)? else {
            return Ok(None);
        };
        let broken = || SavedError::Seal(path.clone());
        let (nonce, content) = sealed.split_at_mut_checked(NONCE_LEN).ok_or_else(broken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| broken())?;
        let table = self
            .key()?
            .open_in_place(nonce, Aad::empty(), content)
            .map_err(|_| broken())?;
        api::Table::decode(&*table).map(Some).map_err(|_| broken())
    }

    pub fn save_table(&self, table: &api::Table) -> Result<(), SavedError> {
        let mut nonce = [0; NONCE_LEN];
        self.random
            .fill(&mut nonce)
            .map_err(|_| SavedError::Random)?;
        let mut content = table.encode_to_vec();
        self.key()?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::empty(),
                &mut content,
            )
            .map_err(|_| SavedError::Random)?;
        replace(&self.dir.join(TABLE), &[&nonce, &content[..]].concat())
    }

    /// What was known of the targets. Nothing is lost with it but the time of a few checks.
    pub fn health(&self) -> Vec<api::TargetObserved> {
        let bytes = read(&self.dir.join(HEALTH))
            .ok()
            .flatten()
            .unwrap_or_default();
        api::Observed::decode(&*bytes)
            .map(|observed| observed.targets)
            .unwrap_or_default()
    }

    pub fn save_health(&self, targets: Vec<api::TargetObserved>) -> Result<(), SavedError> {
        let observed = api::Observed {
            full: true,
            targets,
            ..api::Observed::default()
        };
        let path = self.dir.join(HEALTH);
        // Written every second, and soon known anew.
        neargate_files::replace_unsynced(&path, &observed.encode_to_vec())
            .map_err(file_error(&path))
    }

    fn derive(&self, purpose: &[u8]) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.secret), purpose)
    }

    fn key(&self) -> Result<LessSafeKey, SavedError> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, self.derive(b"table").as_ref())
            .map_err(|_| SavedError::Random)?;
        Ok(LessSafeKey::new(key))
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, SavedError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file_error(path)(error)),
    }
}

fn replace(path: &Path, content: &[u8]) -> Result<(), SavedError> {
    neargate_files::replace(path, content).map_err(file_error(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn table() -> api::Table {
        api::Table {
            version: 7,
            certificates: vec![api::Certificate {
                arn: "arn".into(),
                certificate_chain_pem: "chain".into(),
                private_key_pem: "-----BEGIN PRIVATE KEY-----".into(),
            }],
            ..api::Table::default()
        }
    }

    #[test]
    fn a_table_comes_back_and_its_keys_are_nowhere_in_clear() {
        let dir = tempfile::tempdir().expect("a directory");
        let saved = Saved::open(dir.path()).expect("a fresh directory");
        assert!(saved.table().expect("nothing yet").is_none());
        saved.save_table(&table()).expect("writable");
        saved
            .save_health(vec![api::TargetObserved::default()])
            .expect("writable");
        for file in fs::read_dir(dir.path()).expect("readable") {
            let path = file.expect("readable").path();
            let bytes = fs::read(&path).expect("readable");
            assert!(
                !bytes.windows(7).any(|window| window == b"PRIVATE"),
                "{}",
                path.display()
            );
            let mode = fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        }
        let again = Saved::open(dir.path()).expect("the same directory");
        assert!(again.table().expect("sealed by the same secret") == Some(table()));
        assert_eq!(again.health().len(), 1);
        assert_eq!(
            again.cookie_secret().as_ref(),
            saved.cookie_secret().as_ref()
        );
    }

    #[test]
    fn what_another_secret_sealed_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let saved = Saved::open(dir.path()).expect("a fresh directory");
        saved.save_table(&table()).expect("writable");
        fs::remove_file(dir.path().join(SECRET)).expect("there");
        let other = Saved::open(dir.path()).expect("a new secret");
        assert!(matches!(other.table(), Err(SavedError::Seal(_))));
        for damage in [&b""[..], b"short"] {
            fs::write(dir.path().join(SECRET), damage).expect("writable");
            let fresh = Saved::open(dir.path()).expect("a new secret");
            assert_eq!(
                fs::read(dir.path().join(SECRET)).expect("there").len(),
                SECRET_BYTES
            );
            assert!(matches!(fresh.table(), Err(SavedError::Seal(_))));
        }
        fs::write(dir.path().join(TABLE), b"short").expect("writable");
        assert!(matches!(other.table(), Err(SavedError::Seal(_))));
    }
}
