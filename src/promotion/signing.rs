//! Ed25519 keys as OpenSSL writes them: private ones as PKCS#8, public ones as SubjectPublicKeyInfo, both in PEM (RFC 8410).

use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::{DecodePublicKey as _, EncodePublicKey as _};
use ed25519_dalek::pkcs8::{self, DecodePrivateKey as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::base::digest::Sha256Hex;
use crate::os::fs::{self, FsError};

/// An Ed25519 key in PEM has under 200 bytes; text around it is allowed for.
const KEY_LIMIT_BYTES: u64 = 16 * 1024;

/// Permission bits of anybody but the owner.
const OTHERS: u32 = 0o077;

/// Why a file is no usable key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the key")]
    Read(#[from] FsError),
    /// Others than its owner may read or change the private key.
    #[error("the private key {} has mode {mode:04o}: others than its owner may use it", path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not the kind of key that is asked for.
    #[error("{} is no Ed25519 {wanted}", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What is asked for.
        wanted: &'static str,
        /// What is wrong with it.
        source: pkcs8::Error,
    },
    /// It is not text.
    #[error("{} is no Ed25519 {wanted}: it is not text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// What is asked for.
        wanted: &'static str,
    },
    /// Signatures of such a key prove nothing.
    #[error("{} is a weak public key: signatures by it hold for messages that nobody signed", path.display())]
    Weak {
        /// The file.
        path: PathBuf,
    },
}

/// A private key.
pub struct SignKey(SigningKey);

impl std::fmt::Debug for SignKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignKey({})", self.public().id())
    }
}

impl SignKey {
    /// Reads a private key, as `openssl genpkey -algorithm ed25519` writes it. The file is no link, and nobody but its
    /// owner may read it.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let wanted = "private key (PKCS#8, PEM)";
        let file = fs::read_private(path, KEY_LIMIT_BYTES)?;
        if file.mode & OTHERS != 0 {
            return Err(KeyError::TooOpen { path: path.to_owned(), mode: file.mode });
        }
        let text = std::str::from_utf8(&file.bytes).map_err(|_| KeyError::NotText { path: path.to_owned(), wanted })?;
        let key = SigningKey::from_pkcs8_pem(text).map_err(|source| KeyError::NotAKey {
            path: path.to_owned(),
            wanted,
            source,
        })?;
        Ok(Self(key))
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs `message`: 64 bytes, the same every time (RFC 8032).
    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a public key, as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let wanted = "public key (SubjectPublicKeyInfo, PEM)";
        let bytes = fs::read_bounded(path, KEY_LIMIT_BYTES)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| KeyError::NotText { path: path.to_owned(), wanted })?;
        let key = VerifyingKey::from_public_key_pem(text).map_err(|source| KeyError::NotAKey {
            path: path.to_owned(),
            wanted,
            source: source.into(),
        })?;
        if key.is_weak() {
            return Err(KeyError::Weak { path: path.to_owned() });
        }
        Ok(Self(key))
    }

    /// Its name: the SHA-256 digest of its SubjectPublicKeyInfo in DER. A hint for finding keys, never a proof.
    #[must_use]
    pub fn id(&self) -> Sha256Hex {
        let der = self.0.to_public_key_der().expect("32 bytes always fit their structure");
        Sha256Hex::of(der.as_bytes())
    }

    /// Whether `signature` was made over `message` by the private half, by the strict rules: one signature, one meaning.
    pub(super) fn accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = Signature::from_slice(signature) else { return false };
        self.0.verify_strict(message, &signature).is_ok()
    }
}
