//! The policy of a key: read, put, and why KMS does not take one.

use std::sync::{Arc, Mutex};

use cloakfs::keys::kms::{KmsError, KmsErrorKind};
use serde_json::json;

use crate::fake::FakeKms;
use crate::importing::TIMEOUT;
use crate::world::{ARN, answer, body, error, operation};
use crate::{config, kms};

const POLICY: &str = "{\"Version\":\"2012-10-17\",\"Statement\":[]}";

#[tokio::test]
async fn the_one_policy_of_a_key_is_read_and_put() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let fake = FakeKms::start(move |request| {
        let operation = operation(request);
        let answered = match &*operation {
            "GetKeyPolicy" => json!({"Policy": POLICY, "PolicyName": "default"}),
            _ => json!({}),
        };
        seen.lock().unwrap().push((operation, body(request)));
        answer("200 OK", &answered)
    })
    .await;
    let kms = kms(&config(&fake.endpoint)).await;
    assert_eq!(kms.key_policy(ARN, TIMEOUT).await.unwrap(), POLICY);
    kms.put_key_policy(ARN, POLICY, TIMEOUT).await.unwrap();
    // KMS's own check against locking oneself out is not bypassed.
    assert_eq!(
        *asked.lock().unwrap(),
        [
            (
                "GetKeyPolicy".to_owned(),
                json!({"KeyId": ARN, "PolicyName": "default"})
            ),
            (
                "PutKeyPolicy".to_owned(),
                json!({"KeyId": ARN, "PolicyName": "default", "Policy": POLICY})
            ),
        ]
    );
}

async fn refused(code: &'static str, put: bool) -> (KmsErrorKind, String, usize) {
    let fake = FakeKms::start(move |_| error(code, "words.")).await;
    let kms = kms(&config(&fake.endpoint)).await;
    let refused: KmsError = if put {
        kms.put_key_policy(ARN, POLICY, TIMEOUT).await.unwrap_err()
    } else {
        kms.key_policy(ARN, TIMEOUT).await.unwrap_err()
    };
    let sentence = refused.to_string().replace(&fake.endpoint, "http://FAKE");
    (refused.kind(), sentence, fake.requests().len())
}

#[tokio::test]
async fn each_reason_has_its_sentence_and_is_told_at_once() {
    let key = format!("the KMS key \"{ARN}\"");
    for (code, put, kind, sentence) in [
        (
            "MalformedPolicyDocumentException",
            true,
            KmsErrorKind::Unsuitable,
            "keeps the policy that it has, since KMS does not take the new one (words): each --principal must be there, and these credentials must be able to change the policy afterwards, too",
        ),
        (
            "LimitExceededException",
            true,
            KmsErrorKind::Unsuitable,
            "keeps the policy that it has, since KMS does not take the new one (words): a key's policy has at most 32 KiB: take out what nobody needs",
        ),
        (
            "AccessDeniedException",
            true,
            KmsErrorKind::Denied,
            "keeps the policy that it has, since KMS at http://FAKE denies it (words): allow kms:PutKeyPolicy to these credentials, in the key's policy too",
        ),
        (
            "AccessDeniedException",
            false,
            KmsErrorKind::Denied,
            "does not tell its policy, since KMS at http://FAKE denies it (words): allow kms:GetKeyPolicy to these credentials, in the key's policy too",
        ),
        (
            "UnsupportedOperationException",
            true,
            KmsErrorKind::Unsuitable,
            "keeps the policy that it has, since keys of its kind do not have that (words)",
        ),
    ] {
        assert_eq!(
            refused(code, put).await,
            (kind, format!("{key} {sentence}"), 1),
            "{code}"
        );
    }
}
