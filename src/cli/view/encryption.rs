//! How a mount encrypts, in a line for people. Pure.

use serde::Deserialize;

use super::count;
use crate::mount::control::protocol::Encryption;

/// Requests for data keys.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct KmsCalls {
    generate_data_key: u64,
    decrypt: u64,
}

impl KmsCalls {
    pub(super) fn words(&self) -> String {
        let made = count(self.generate_data_key, "data key", "data keys");
        format!("{made}, and to unwrap {}", self.decrypt)
    }
}

/// The mode, and what belongs to it.
pub(super) fn words(encryption: &Encryption) -> String {
    let mut words = encryption.mode.clone();
    if encryption.mode.starts_with("sse-kms") {
        words.push_str(" under ");
        words.push_str(encryption.kms_key.as_deref().unwrap_or("S3's own key"));
    }
    if let Some(md5) = &encryption.key_md5 {
        words.push_str(" under the key with MD5 ");
        words.push_str(md5);
    }
    if encryption.mode == "cse-kms" {
        words.push_str(" under ");
        words.push_str(encryption.kms_key.as_deref().unwrap_or("a key of KMS"));
    }
    if let Some(check) = &encryption.key_check {
        words.push_str(" under the key with check value ");
        words.push_str(check);
    }
    if !encryption.kms_context.is_empty() {
        let pairs: Vec<String> = encryption
            .kms_context
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        words.push_str(" with context ");
        words.push_str(&pairs.join(", "));
    }
    if encryption.bucket_key == Some(true) {
        words.push_str(", bucket key");
    }
    if let Some(names) = &encryption.names {
        words.push_str(", names ");
        words.push_str(names);
    }
    if let Some(volume) = &encryption.volume {
        words.push_str(", volume ");
        words.push_str(volume);
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_mode_is_shown_with_all_that_belongs_to_it() {
        let mut kms = Encryption {
            kms_key: Some("arn:aws:kms:eu-west-1:1:key/k".to_owned()),
            kms_context: [("tenant", "a"), ("app", "b")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            bucket_key: Some(true),
            ..Encryption::of_mode("sse-kms")
        };
        assert_eq!(
            words(&kms),
            "sse-kms under arn:aws:kms:eu-west-1:1:key/k with context app=b, tenant=a, bucket key"
        );
        assert_eq!(
            serde_json::to_value(&kms).unwrap(),
            json!({
                "mode": "sse-kms",
                "kms_key": "arn:aws:kms:eu-west-1:1:key/k",
                "kms_context": {"app": "b", "tenant": "a"},
                "bucket_key": true,
            })
        );
        kms.bucket_key = Some(false);
        kms.kms_key = None;
        kms.kms_context.clear();
        assert_eq!(words(&kms), "sse-kms under S3's own key");
        let customer = Encryption {
            key_md5: Some("abc=".to_owned()),
            ..Encryption::of_mode("sse-c")
        };
        assert_eq!(words(&customer), "sse-c under the key with MD5 abc=");
        assert_eq!(words(&Encryption::of_mode("none")), "none");
    }

    #[test]
    fn data_keys_are_counted() {
        let calls: KmsCalls =
            serde_json::from_value(json!({"generate_data_key": 1, "decrypt": 12})).unwrap();
        assert_eq!(calls.words(), "1 data key, and to unwrap 12");
    }

    #[test]
    fn a_volumes_id_and_names_are_shown() {
        let sealed = Encryption {
            key_check: Some("0123456789abcdef".to_owned()),
            names: Some("encrypted".to_owned()),
            volume: Some("00ff".to_owned()),
            ..Encryption::of_mode("cse-c")
        };
        assert_eq!(
            words(&sealed),
            "cse-c under the key with check value 0123456789abcdef, names encrypted, volume 00ff"
        );
        assert_eq!(
            serde_json::to_value(&sealed).unwrap(),
            json!({"mode": "cse-c", "key_check": "0123456789abcdef", "names": "encrypted", "volume": "00ff"})
        );
        let kms = Encryption {
            kms_key: Some("arn:aws:kms:eu-west-1:1:key/k".to_owned()),
            kms_context: [("tenant".to_owned(), "a".to_owned())].into(),
            names: Some("plain".to_owned()),
            ..Encryption::of_mode("cse-kms")
        };
        assert_eq!(
            words(&kms),
            "cse-kms under arn:aws:kms:eu-west-1:1:key/k with context tenant=a, names plain"
        );
    }
}
