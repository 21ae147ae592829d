//! What a refusal for the encryption's sake means: KMS speaks through S3.
//!
//! Amazon S3 passes KMS's exceptions on as `KMS.` and their name, LocalStack does the same, MinIO
//! has `kms:KeyNotFound`; some refusals only show in the words ("Error responses" in the S3 API
//! reference; "Errors" of GenerateDataKey and Decrypt in that of KMS).

use crate::store::ErrorKind;

/// A refusal that has to do with the encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: ErrorKind,
    /// The end of a sentence: what is the matter with the key, and what to do.
    pub advice: String,
}

impl Fault {
    /// Reads S3's code and words. The key is the one that they name, else `key`, which was
    /// asked for.
    #[must_use]
    pub fn of(code: &str, message: &str, key: Option<&str>) -> Option<Self> {
        let key = match find_arn(message).or(key) {
            Some(key) => format!("the KMS key {key}"),
            None => "the KMS key".to_owned(),
        };
        let denied = |advice: String| {
            Some(Self {
                kind: ErrorKind::Denied,
                advice,
            })
        };
        if let Some(exception) = kms_exception(code) {
            return Some(Self::of_kms(exception, message, &key));
        }
        match code {
            "AccessDenied" | "AccessDeniedException" if message.contains("perform: kms:") => denied(format!(
                "the credentials need kms:GenerateDataKey and kms:Decrypt on {key}, both by their own policy and by the key's"
            )),
            "InvalidArgument" if message.contains("encryption method is not supported") => {
                Some(Self {
                    kind: ErrorKind::Invalid,
                    advice: "the server does not have this encryption (of others than Amazon S3, few have dsse): choose another".to_owned(),
                })
            }
            "NotImplemented" if message.contains("KMS is not configured") => Some(Self {
                kind: ErrorKind::Invalid,
                advice: "the server has no KMS to encrypt with: configure one there, or choose another encryption".to_owned(),
            }),
            "InvalidEncryptionAlgorithmError" => Some(Self {
                kind: ErrorKind::Invalid,
                advice: "the server does not know this encryption: choose another".to_owned(),
            }),
            _ => None,
        }
    }

    fn of_kms(exception: &str, message: &str, key: &str) -> Self {
        let advice = match exception {
            "Throttling" | "LimitExceeded" | "RequestLimitExceeded" => {
                return Self {
                    kind: ErrorKind::Throttled,
                    advice: "the account's quota of KMS requests is used up: a bucket key needs far fewer of them".to_owned(),
                };
            }
            "KMSInternal" | "Internal" | "InternalService" | "DependencyTimeout"
            | "KeyUnavailable" => {
                return Self {
                    kind: ErrorKind::Unavailable,
                    advice: format!(
                        "{key} cannot be used at the moment: look at its state, and at its key store if it has one of its own"
                    ),
                };
            }
            "Disabled" => format!(
                "{key} is disabled: enable it (`aws kms enable-key`), or import its material again if it has none"
            ),
            "NotFound" | "KeyNotFound" if names_a_region(message) => another_region(key),
            "InvalidArn" => another_region(key),
            "NotFound" | "KeyNotFound" => format!(
                "{key} is not known where the bucket is: check its id, its account and its region"
            ),
            "KMSInvalidState" | "InvalidState" => format!(
                "{key} is about to be deleted or has no material: cancel its deletion (`aws kms cancel-key-deletion`) and enable it, or import its material again"
            ),
            "InvalidKeyUsage" | "UnsupportedOperation" => format!(
                "{key} cannot be used for this: S3 needs a symmetric key for encryption and decryption"
            ),
            "AccessDenied" => format!(
                "the credentials need kms:GenerateDataKey and kms:Decrypt on {key}, both by their own policy and by the key's"
            ),
            "InvalidCiphertext" | "IncorrectKey" => format!(
                "what the object's key was encrypted with is not {key} and its context any more"
            ),
            _ => format!("{key} cannot be used: look at its state and its policy"),
        };
        Self {
            kind: ErrorKind::Denied,
            advice,
        }
    }

    /// Whether it stays until somebody does something about the key or the mode.
    #[must_use]
    pub const fn lasts(&self) -> bool {
        matches!(self.kind, ErrorKind::Denied | ErrorKind::Invalid)
    }
}

/// `Disabled` of `KMS.DisabledException`.
fn kms_exception(code: &str) -> Option<&str> {
    let name = code
        .strip_prefix("KMS.")
        .or_else(|| code.strip_prefix("kms:"))?;
    Some(name.strip_suffix("Exception").unwrap_or(name))
}

/// KMS says `Invalid arn eu-west-1` to a key's ARN of another region than its own.
fn names_a_region(message: &str) -> bool {
    message.starts_with("Invalid arn ")
}

fn another_region(key: &str) -> String {
    format!("{key} is in another region than the bucket: S3 only uses keys of the bucket's region")
}

/// The first ARN of a key in the server's words.
fn find_arn(message: &str) -> Option<&str> {
    let begins = message.match_indices("arn:aws").map(|(begin, _)| begin);
    let mut arns = begins.map(|begin| {
        let arn = &message[begin..];
        let end = arn.find(|c: char| !(c.is_ascii_alphanumeric() || ":/-_".contains(c)));
        &arn[..end.unwrap_or(arn.len())]
    });
    // The partition, `aws` or `aws-cn`, and then the service: others are of who asks.
    arns.find(|arn| arn.split(':').nth(2) == Some("kms"))
}

#[cfg(test)]
mod tests;
