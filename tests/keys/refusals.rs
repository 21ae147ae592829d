//! Each error of KMS about keys and their material has its own sentence.

use std::time::Duration;

use cloakfs::keys::kms::{Expiry, KmsError, KmsErrorKind};
use serde_json::json;

use crate::importing::{ALIAS, TIMEOUT, WRAPPING, way};
use crate::own_kms::{Key, Meddle, OwnKms, arn};
use crate::world::{answer, error};

/// For what is asked again.
const SHORT: Duration = Duration::from_millis(300);

/// Everything that is asked of a key, by operation.
async fn ask(own: &OwnKms, id: &str, operation: &str) -> Result<(), KmsError> {
    let way = way(own).await;
    let key = way.facts(id, TIMEOUT).await?;
    match operation {
        "CreateKey" => way.create_for(ALIAS, SHORT).await.map(drop),
        "ListKeys" => way.made_for(ALIAS, SHORT).await.map(drop),
        "CreateAlias" => way.create_alias(ALIAS, &key, SHORT).await,
        "ListAliases" => way.aliases(&key, SHORT).await.map(drop),
        "GetKeyRotationStatus" => way.rotation(&key, SHORT).await.map(drop),
        "ListKeyRotations" => way.rotations(&key, SHORT).await.map(drop),
        "GetParametersForImport" => way.import_parameters(&key, WRAPPING, SHORT).await.map(drop),
        "ImportKeyMaterial" => {
            way.import_material(&key, &[1; 256], &[2], Expiry::Never, SHORT)
                .await
        }
        "DeleteImportedKeyMaterial" => way.delete_material(&key, SHORT).await,
        "Encrypt" => way.probe(&key, SHORT).await.map(drop),
        "Decrypt" => {
            let probe = way.probe(&key, TIMEOUT).await?;
            way.opens(&key, &probe, SHORT).await
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_error_has_a_sentence_of_its_own() {
    use KmsErrorKind::{
        Denied, Exists, NotFound, NotWrapped, OtherMaterial, State, Throttled, Unsuitable,
    };
    let own = OwnKms::start().await;
    let id = own.add(Key {
        material: Some(vec![7; 32]),
        ..Key::default()
    });
    let key = format!("the KMS key \"{}\"", arn(&id));
    let alias = "the KMS alias \"alias/mine\"";
    let anew = "get both anew with `cloakfs keys import --wrap-only`, and wrap the material again for them";
    let cases: Vec<(&str, &str, KmsErrorKind, String)> = vec![
        (
            "ImportKeyMaterial",
            "IncorrectKeyMaterialException",
            OtherMaterial,
            format!(
                "{key} takes no other material than it had (words): give the same 32 bytes that were imported into it first, and for others make another key"
            ),
        ),
        (
            "ImportKeyMaterial",
            "ExpiredImportTokenException",
            Unsuitable,
            format!(
                "{key} takes no material, since the import token has expired (words): it is good for 24 hours, as is the wrapping key that came with it; {anew}"
            ),
        ),
        (
            "ImportKeyMaterial",
            "InvalidImportTokenException",
            Unsuitable,
            format!(
                "{key} takes no material, since the import token is damaged or another key's (words): give the token and what was wrapped with the key that came with it, or {anew}"
            ),
        ),
        (
            "ImportKeyMaterial",
            "InvalidCiphertextException",
            NotWrapped,
            format!(
                "{key} takes no material, since the wrapped material does not open (words): it was wrapped with another wrapping key than the one that came with the token, or with another algorithm (openssl's own choice is OAEP with SHA-1); wrap it again"
            ),
        ),
        (
            "ImportKeyMaterial",
            "KMSInvalidStateException",
            State,
            format!(
                "{key} takes no material, since its state does not allow it (words): look at it with `aws kms describe-key`, cancel its deletion, import its material or connect its key store"
            ),
        ),
        (
            "ImportKeyMaterial",
            "UnsupportedOperationException",
            Unsuitable,
            format!(
                "{key} takes no material, since its material is not imported (words): that is for keys that were made for it, with the origin EXTERNAL"
            ),
        ),
        (
            "ImportKeyMaterial",
            "NotFoundException",
            NotFound,
            format!(
                "{key} is not known to KMS at http://FAKE: check the key, its account and its region"
            ),
        ),
        (
            "GetParametersForImport",
            "UnsupportedOperationException",
            Unsuitable,
            format!(
                "{key} gives no wrapping key and no import token, since its material is not imported (words): that is for keys that were made for it, with the origin EXTERNAL"
            ),
        ),
        (
            "DeleteImportedKeyMaterial",
            "UnsupportedOperationException",
            Unsuitable,
            format!(
                "{key} keeps its material, since its material is not imported (words): that is for keys that were made for it, with the origin EXTERNAL"
            ),
        ),
        (
            "DeleteImportedKeyMaterial",
            "AccessDeniedException",
            Denied,
            format!(
                "{key} keeps its material, since KMS at http://FAKE denies it (words): allow kms:DeleteImportedKeyMaterial to these credentials, in the key's policy too"
            ),
        ),
        (
            "Encrypt",
            "DisabledException",
            State,
            format!("{key} is disabled: enable it with `aws kms enable-key`"),
        ),
        (
            "Encrypt",
            "KMSInvalidStateException",
            State,
            format!(
                "{key} does not encrypt, since its state does not allow it (words): look at it with `aws kms describe-key`, cancel its deletion, import its material or connect its key store"
            ),
        ),
        (
            "Decrypt",
            "IncorrectKeyException",
            NotWrapped,
            format!(
                "{key} does not decrypt what it has encrypted: it was wrapped under another key"
            ),
        ),
        (
            "Decrypt",
            "InvalidCiphertextException",
            NotWrapped,
            format!(
                "{key} does not decrypt what it has encrypted: it was wrapped with another encryption context, or is none of KMS"
            ),
        ),
        (
            "Decrypt",
            "KeyUnavailableException",
            State,
            format!(
                "{key} does not decrypt what it has encrypted, since it is not available at the moment (words): try again, and connect its key store if it is in one of yours"
            ),
        ),
        (
            "Decrypt",
            "AccessDeniedException",
            Denied,
            format!(
                "{key} does not decrypt what it has encrypted, since KMS at http://FAKE denies it (words): allow kms:Decrypt to these credentials, in the key's policy too"
            ),
        ),
        (
            "Decrypt",
            "ThrottlingException",
            Throttled,
            format!(
                "{key} does not decrypt what it has encrypted: KMS at http://FAKE throttles this account's requests (words): try again later, or raise its quota of requests (asked again for 0.3 s)"
            ),
        ),
        (
            "CreateKey",
            "AccessDeniedException",
            Denied,
            format!(
                "{alias} gets no new key, since KMS at http://FAKE denies it (words): allow kms:CreateKey to these credentials"
            ),
        ),
        (
            "CreateKey",
            "LimitExceededException",
            Unsuitable,
            format!(
                "{alias} gets no new key, since this account has as many as its quota allows (words): raise the quota, or delete what nobody needs"
            ),
        ),
        (
            "CreateKey",
            "ThrottlingException",
            Throttled,
            format!(
                "{alias} gets no new key: KMS at http://FAKE throttles this account's requests (words): try again later, or raise its quota of requests (asked again for 0.3 s)"
            ),
        ),
        (
            "CreateAlias",
            "AlreadyExistsException",
            Exists,
            format!("{alias} cannot be made, since there is one of that name (words)"),
        ),
        (
            "CreateAlias",
            "InvalidAliasNameException",
            Unsuitable,
            format!(
                "{alias} is not a name that KMS takes (words): give a key's id or ARN, or an alias as alias/NAME"
            ),
        ),
        (
            "CreateAlias",
            "LimitExceededException",
            Unsuitable,
            format!(
                "{alias} cannot be made, since this account has as many as its quota allows (words): raise the quota, or delete what nobody needs"
            ),
        ),
        (
            "ListKeys",
            "AccessDeniedException",
            Denied,
            format!(
                "{alias} may have a key of an earlier run, which cannot be looked for, since KMS at http://FAKE denies it (words): allow kms:ListKeys to these credentials"
            ),
        ),
        (
            "ListAliases",
            "AccessDeniedException",
            Denied,
            format!(
                "{key} does not tell its aliases, since KMS at http://FAKE denies it (words): allow kms:ListAliases to these credentials"
            ),
        ),
        (
            "GetKeyRotationStatus",
            "UnsupportedOperationException",
            Unsuitable,
            format!(
                "{key} does not tell whether it is rotated, since keys of its kind do not have that (words)"
            ),
        ),
        (
            "ListKeyRotations",
            "AccessDeniedException",
            Denied,
            format!(
                "{key} does not tell its rotations, since KMS at http://FAKE denies it (words): allow kms:ListKeyRotations to these credentials, in the key's policy too"
            ),
        ),
    ];
    let mut sentences = std::collections::BTreeSet::new();
    for (operation, code, kind, sentence) in cases {
        own.meddle(move |asked, _| {
            if asked == operation {
                Meddle::Instead(error(code, "words"))
            } else {
                Meddle::Pass
            }
        });
        let failed = ask(&own, &id, operation).await.unwrap_err();
        let told = failed
            .to_string()
            .replace(&own.fake.endpoint, "http://FAKE");
        assert_eq!(
            (failed.kind(), &told),
            (kind, &sentence),
            "{operation} {code}"
        );
        assert!(sentences.insert(told), "{operation} {code}: told twice");
    }
}

/// As LocalStack answers requests that it does not know: nobody waits for another answer.
#[tokio::test]
async fn what_a_server_does_not_know_is_asked_once() {
    let own = OwnKms::start().await;
    let id = own.add(Key::default());
    own.meddle(|operation, _| match operation {
        "ListKeyRotations" => Meddle::Instead(answer(
            "501 Not Implemented",
            &json!({"__type": "InternalFailure", "message": "not emulated"}),
        )),
        _ => Meddle::Pass,
    });
    let mut seen = 0;
    let failed = ask(&own, &id, "ListKeyRotations").await.unwrap_err();
    assert_eq!(own.asked(&mut seen), ["DescribeKey", "ListKeyRotations"]);
    let endpoint = &own.fake.endpoint;
    assert_eq!(
        failed.to_string(),
        format!(
            "the KMS key \"{}\" does not tell its rotations: KMS at {endpoint} does not know this request (not emulated)",
            arn(&id)
        )
    );
}
