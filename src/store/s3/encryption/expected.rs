//! What the objects of a mount look like to whoever asks the server about them: told apart from
//! objects of other modes and keys. Pure, and without any key.

use super::RequestedEncryption;
use super::verify::{Verdict, names_key};
use crate::store::ServerEncryption;

/// The encryption that the objects a mount writes come back with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ExpectedEncryption {
    /// Nothing is asked for, so whatever the bucket's default gives is right: anything but a
    /// customer's key, which is no bucket's default.
    #[default]
    BucketDefault,
    SseS3,
    SseKms {
        /// As it is asked for; `None` is the AWS managed key, whose ARN nobody knows beforehand.
        key: Option<String>,
        dsse: bool,
    },
    SseC {
        /// Base64.
        key_md5: String,
    },
}

impl ExpectedEncryption {
    /// Whether an object that comes back so is one of the mount's own mode and key. A bucket key
    /// makes no difference: it only saves calls to KMS.
    #[must_use]
    pub fn matches(&self, answered: &ServerEncryption) -> bool {
        match (self, answered) {
            (Self::BucketDefault, answered) => !matches!(answered, ServerEncryption::SseC { .. }),
            (Self::SseS3, ServerEncryption::SseS3) => true,
            (
                Self::SseKms { key, dsse },
                ServerEncryption::SseKms {
                    key_id,
                    dsse: double,
                    ..
                },
            ) => {
                dsse == double
                    && names_key(key.as_deref(), key_id.as_deref(), *dsse) == Some(Verdict::Right)
            }
            (Self::SseC { key_md5 }, ServerEncryption::SseC { key_md5: answered }) => {
                key_md5 == answered
            }
            _ => false,
        }
    }
}

impl From<&RequestedEncryption> for ExpectedEncryption {
    fn from(requested: &RequestedEncryption) -> Self {
        match requested {
            RequestedEncryption::None => Self::BucketDefault,
            RequestedEncryption::SseS3 => Self::SseS3,
            RequestedEncryption::SseKms(kms) => Self::SseKms {
                key: kms.key.clone(),
                dsse: kms.dsse,
            },
            RequestedEncryption::SseC(key) => Self::SseC {
                key_md5: key.md5().to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kms(key_id: &str, dsse: bool, bucket_key: bool) -> ServerEncryption {
        ServerEncryption::SseKms {
            key_id: Some(key_id.to_owned()),
            bucket_key,
            dsse,
        }
    }

    fn expected(key: Option<&str>) -> ExpectedEncryption {
        ExpectedEncryption::SseKms {
            key: key.map(str::to_owned),
            dsse: false,
        }
    }

    fn any_answer() -> impl Strategy<Value = ServerEncryption> {
        prop_oneof![
            Just(ServerEncryption::None),
            Just(ServerEncryption::SseS3),
            ("[a-z]{1,3}", any::<bool>(), any::<bool>())
                .prop_map(|(key, dsse, bucket_key)| kms(&key, dsse, bucket_key)),
            "[a-z]{1,3}".prop_map(|key_md5| ServerEncryption::SseC { key_md5 }),
            "[a-z]{1,3}".prop_map(ServerEncryption::Other),
        ]
    }

    proptest! {
        #[test]
        fn at_most_one_mode_takes_an_object_for_its_own(answered in any_answer()) {
            let modes = [
                ExpectedEncryption::SseS3,
                expected(None),
                ExpectedEncryption::SseKms { key: None, dsse: true },
                ExpectedEncryption::SseC { key_md5: "a".to_owned() },
            ];
            let own = modes.iter().filter(|mode| mode.matches(&answered)).count();
            prop_assert!(own <= 1, "{:?}", answered);
            prop_assert_eq!(
                ExpectedEncryption::BucketDefault.matches(&answered),
                !matches!(answered, ServerEncryption::SseC { .. })
            );
        }
    }

    #[test]
    fn a_key_is_known_by_its_arn_and_by_its_id() {
        let arn = "arn:aws:kms:eu-west-1:111122223333:key/1234-ab";
        assert!(expected(Some(arn)).matches(&kms(arn, false, false)));
        assert!(expected(Some("1234-ab")).matches(&kms(arn, false, true)));
        assert!(expected(Some("my-key")).matches(&kms("arn:aws:kms:my-key", false, false)));
        assert!(expected(None).matches(&kms(arn, false, false)));
        let elsewhere = "arn:aws:kms:eu-west-2:111122223333:key/1234-ab";
        assert!(!expected(Some(arn)).matches(&kms(elsewhere, false, false)));
        assert!(!expected(Some("34-ab")).matches(&kms(arn, false, false)));
        assert!(!expected(Some(arn)).matches(&kms(arn, true, false)));
        let nameless = |dsse| ServerEncryption::SseKms {
            key_id: None,
            bucket_key: false,
            dsse,
        };
        assert!(!expected(Some(arn)).matches(&nameless(false)));
        assert!(expected(None).matches(&nameless(false)));
        let two_layers = ExpectedEncryption::SseKms {
            key: Some(arn.to_owned()),
            dsse: true,
        };
        assert!(two_layers.matches(&nameless(true)));
    }
}
