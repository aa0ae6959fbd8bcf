//! DSSE, the envelope of signed statements: a payload, its type, and signatures over both.
//!
//! <https://github.com/secure-systems-lab/dsse>: `protocol.md` (what is signed) and `envelope.md` (its JSON).

use base64ct::{Base64, Base64Url, Encoding as _};
use serde::{Deserialize, Serialize};

use super::signing::{PublicKey, SignKey};

/// The type of a payload that is an in-toto statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// An envelope as its JSON has it. Keys nobody knows are skipped, as the protocol asks of readers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The payload in Base64.
    pub payload: String,
    /// What the payload is.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// Signatures.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeSignature {
    /// Which key it is said to be of; nothing follows from it.
    #[serde(default)]
    pub keyid: String,
    /// The signature in Base64.
    pub sig: String,
}

impl Envelope {
    /// An envelope around `payload` with one signature.
    #[must_use]
    pub fn sign(payload: &[u8], key: &SignKey) -> Self {
        let signature = key.sign(&pre_authentication_encoding(PAYLOAD_TYPE, payload));
        Self {
            payload: Base64::encode_string(payload),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: vec![EnvelopeSignature {
                keyid: key.public().id().to_string(),
                sig: Base64::encode_string(&signature),
            }],
        }
    }

    /// The payload's bytes; `None` when it is not Base64.
    #[must_use]
    pub fn payload_bytes(&self) -> Option<Vec<u8>> {
        base64(&self.payload)
    }

    /// Whether one of the signatures is `key`'s, over this payload and this type.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let Some(payload) = self.payload_bytes() else { return false };
        let message = pre_authentication_encoding(&self.payload_type, &payload);
        self.signatures.iter().filter_map(|signature| base64(&signature.sig)).any(|sig| key.accepts(&message, &sig))
    }
}

/// What is signed: type and payload, each with its length, so that neither can pass for a part of the other.
fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}

/// Base64 in either alphabet: writers may use both.
fn base64(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).or_else(|_| Base64Url::decode_vec(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_the_protocol() {
        // The example of protocol.md.
        let message = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(message, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }
}
