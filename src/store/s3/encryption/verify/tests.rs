use proptest::prelude::*;

use super::*;
use crate::base::context::EncryptionContext;
use crate::base::secret::Secret;
use crate::store::s3::CustomerKey;

const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd";

fn any_kind() -> impl Strategy<Value = RequestKind> {
    prop_oneof![
        Just(RequestKind::Get),
        Just(RequestKind::Head),
        Just(RequestKind::Put),
        Just(RequestKind::CreateMultipart),
        Just(RequestKind::UploadPart),
        Just(RequestKind::CopyPart),
        Just(RequestKind::CompleteMultipart),
        Just(RequestKind::Copy),
    ]
}

fn customer_key(fill: u8) -> CustomerKey {
    CustomerKey::new(&Secret::take(&mut [fill; 32]))
}

fn kms(key: Option<&str>, dsse: bool) -> KmsRequest {
    KmsRequest {
        key: key.map(str::to_owned),
        dsse,
        ..KmsRequest::default()
    }
}

/// A mode, and the answer that is right for it.
fn any_mode() -> impl Strategy<Value = (RequestedEncryption, ServerEncryption)> {
    prop_oneof![
        Just((RequestedEncryption::SseS3, ServerEncryption::SseS3)),
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(named, dsse, bucket_key)| (
            RequestedEncryption::SseKms(kms(named.then_some(ARN), dsse)),
            ServerEncryption::SseKms {
                key_id: Some(ARN.to_owned()),
                bucket_key,
                dsse
            },
        )),
        any::<u8>().prop_map(|fill| {
            let key = customer_key(fill);
            let key_md5 = key.md5().to_owned();
            (
                RequestedEncryption::SseC(key),
                ServerEncryption::SseC { key_md5 },
            )
        }),
    ]
}

fn any_answer() -> impl Strategy<Value = ServerEncryption> {
    prop_oneof![
        Just(ServerEncryption::None),
        any_mode().prop_map(|(_, answer)| answer),
        "[a-z]{1,9}".prop_map(ServerEncryption::Other),
    ]
}

/// Bucket keys aside, which are not asked about.
fn same(one: &ServerEncryption, other: &ServerEncryption) -> bool {
    let plain = |answer: &ServerEncryption| match answer.clone() {
        ServerEncryption::SseKms { key_id, dsse, .. } => ServerEncryption::SseKms {
            key_id,
            dsse,
            bucket_key: false,
        },
        other => other,
    };
    plain(one) == plain(other)
}

proptest! {
    #[test]
    fn a_write_passes_only_with_the_answer_that_is_right(
        (mode, right) in any_mode(),
        kind in any_kind(),
        answered in any_answer(),
    ) {
        let reads = matches!(kind, RequestKind::Get | RequestKind::Head);
        let silent = answered == ServerEncryption::None
            && !matches!(kind, RequestKind::Put | RequestKind::UploadPart);
        let named = reads || same(&answered, &right);
        let verdict = match (named, silent) {
            (true, _) => Some(Verdict::Right),
            (false, true) => Some(Verdict::Open),
            (false, false) => None,
        };
        prop_assert_eq!(verify(&mode, kind, &answered, None).ok(), verdict);
        prop_assert_eq!(verify_stored(&mode, &answered).is_ok(), same(&answered, &right));
    }

    #[test]
    fn nothing_asked_accepts_the_bucket_default(kind in any_kind(), answered in any_answer()) {
        let verdict = verify(&RequestedEncryption::None, kind, &answered, None);
        prop_assert_eq!(verdict, Ok(Verdict::Right));
        prop_assert!(verify_stored(&RequestedEncryption::None, &answered).is_ok());
    }

    #[test]
    fn no_answered_context_makes_it_panic(context in ".*") {
        let asked = RequestedEncryption::SseKms(KmsRequest {
            context: Some(EncryptionContext::parse(["a=1"]).unwrap()),
            ..KmsRequest::default()
        });
        let answered = AnsweredHeaders { server_side_encryption: Some("aws:kms"), ..AnsweredHeaders::default() }.parse();
        prop_assert!(verify(&asked, RequestKind::Put, &answered, Some(&context)).is_err());
    }
}

#[test]
fn a_key_is_the_same_by_its_arn_or_its_id() {
    for (asked, answered, same) in [
        (ARN, ARN, true),
        ("1234abcd", ARN, true),
        (ARN, "1234abcd", true),
        ("my-key", "arn:aws:kms:my-key", true),
        ("arn:aws:kms:my-key", "arn:aws:kms:my-key", true),
        ("1234abcd", "1234abcd", true),
        ("1234", ARN, false),
        ("34abcd", ARN, false),
        ("key/1234abcd", ARN, false),
        ("", ARN, false),
        ("alias/mine", ARN, false),
        (
            "alias/mine",
            "arn:aws:kms:eu-west-1:111122223333:alias/mine",
            false,
        ),
        (
            ARN,
            "arn:aws:kms:us-east-1:111122223333:key/1234abcd",
            false,
        ),
        ("1234abcd", "5678abcd", false),
    ] {
        assert_eq!(is_same_key(asked, answered), same, "{asked} {answered}");
    }
}

#[test]
fn the_pairs_that_were_asked_for_are_among_the_answered() {
    let asked = KmsRequest {
        context: Some(EncryptionContext::parse(["tenant=a", "use=x"]).unwrap()),
        ..KmsRequest::default()
    };
    for (json, right) in [
        (r#"{"tenant":"a","use":"x"}"#, true),
        (
            r#"{"aws:s3:arn":"arn:aws:s3:::b/k","tenant":"a","use":"x"}"#,
            true,
        ),
        (r#"{"tenant":"a"}"#, false),
        (r#"{"tenant":"b","use":"x"}"#, false),
        ("{}", false),
        ("[]", false),
    ] {
        assert_eq!(has_context(&asked, &BASE64.encode(json)), right, "{json}");
    }
    assert!(has_context(&KmsRequest::default(), "anything"));
}

#[test]
fn a_mismatch_names_both_modes_keys_and_contexts_and_what_is_stored() {
    let default = ": the bucket's default encryption or something between this host and the bucket overrides it; use that mode, or correct the bucket";
    let stored = "; the object is stored as answered until it is written again";
    let asked_kms = |key: Option<&str>, dsse| RequestedEncryption::SseKms(kms(key, dsse));
    let sse_kms = ServerEncryption::SseKms {
        key_id: Some("arn:aws:kms:my-key".to_owned()),
        bucket_key: false,
        dsse: false,
    };
    let with_context = RequestedEncryption::SseKms(KmsRequest {
        context: Some(EncryptionContext::parse(["tenant=a"]).unwrap()),
        ..kms(Some("my-key"), false)
    });
    let answered_context = BASE64.encode(r#"{"tenant":"b"}"#);
    for (asked, kind, answered, context, words) in [
        (
            RequestedEncryption::SseS3,
            RequestKind::Put,
            sse_kms.clone(),
            None,
            format!(
                "asked for sse-s3 (AES256), but the server answered with sse-kms under key arn:aws:kms:my-key{default}{stored}"
            ),
        ),
        (
            asked_kms(Some("other"), false),
            RequestKind::Copy,
            sse_kms.clone(),
            None,
            format!(
                "asked for sse-kms under key other, but the server answered with sse-kms under key arn:aws:kms:my-key{default}{stored}"
            ),
        ),
        (
            asked_kms(None, true),
            RequestKind::CreateMultipart,
            sse_kms.clone(),
            None,
            format!(
                "asked for sse-kms (dsse) under the AWS managed key, but the server answered with sse-kms under key arn:aws:kms:my-key{default}"
            ),
        ),
        (
            RequestedEncryption::SseC(customer_key(0)),
            RequestKind::CompleteMultipart,
            ServerEncryption::SseS3,
            None,
            format!(
                "asked for sse-c under the key with MD5 cLyPS3KoaSFGi/joRB3OUQ==, but the server answered with sse-s3 (AES256){default}{stored}"
            ),
        ),
        (
            with_context,
            RequestKind::Put,
            sse_kms,
            Some(answered_context.as_str()),
            format!(
                "asked for sse-kms under key my-key with context tenant=a, but the server answered with sse-kms under key arn:aws:kms:my-key with context tenant=b{default}{stored}"
            ),
        ),
    ] {
        assert_eq!(
            verify(&asked, kind, &answered, context)
                .unwrap_err()
                .to_string(),
            words
        );
    }
}

/// A mode without a key is not the key that was asked for.
#[test]
fn an_answer_that_names_no_key_leaves_it_open_and_a_head_that_names_none_is_wrong() {
    let nameless = |dsse| ServerEncryption::SseKms {
        key_id: None,
        bucket_key: false,
        dsse,
    };
    for (key, dsse, verdict) in [
        (Some(ARN), false, Verdict::Open),
        (Some(ARN), true, Verdict::Right),
        (None, false, Verdict::Right),
    ] {
        let requested = RequestedEncryption::SseKms(kms(key, dsse));
        for kind in [RequestKind::Put, RequestKind::UploadPart, RequestKind::Copy] {
            let found = verify(&requested, kind, &nameless(dsse), None);
            assert_eq!(found, Ok(verdict), "{requested}");
        }
        let stored = verify_stored(&requested, &nameless(dsse));
        assert_eq!(stored.is_ok(), verdict == Verdict::Right);
        if let Err(mismatch) = stored {
            let words = mismatch.to_string();
            assert!(
                words.contains("the server answered with sse-kms: "),
                "{words}"
            );
            assert!(words.contains("stored as answered"), "{words}");
        }
    }
}

#[test]
fn a_bucket_key_is_missed_only_where_it_was_asked_for() {
    let answered = |bucket_key| ServerEncryption::SseKms {
        key_id: Some(ARN.to_owned()),
        bucket_key,
        dsse: false,
    };
    for (asked, given, lacks) in [
        (true, true, false),
        (true, false, true),
        (false, false, false),
        (false, true, false),
    ] {
        let requested = RequestedEncryption::SseKms(KmsRequest {
            bucket_key: asked,
            ..kms(Some(ARN), false)
        });
        let answered = answered(given);
        assert_eq!(lacks_bucket_key(&requested, &answered), lacks);
        let verdict = verify(&requested, RequestKind::Put, &answered, None);
        assert_eq!(verdict, Ok(Verdict::Right), "it is no fault");
    }
    let sse_s3 = RequestedEncryption::SseS3;
    assert!(!lacks_bucket_key(&sse_s3, &ServerEncryption::SseS3));
}

#[test]
fn every_header_value_is_read() {
    let parse = |mode, md5| {
        AnsweredHeaders {
            server_side_encryption: mode,
            customer_key_md5: md5,
            ..AnsweredHeaders::default()
        }
        .parse()
    };
    let customer = ServerEncryption::SseC {
        key_md5: "abc=".to_owned(),
    };
    assert_eq!(parse(None, None), ServerEncryption::None);
    assert_eq!(parse(Some("AES256"), None), ServerEncryption::SseS3);
    assert_eq!(parse(Some("AES256"), Some("abc=")), ServerEncryption::SseS3);
    assert_eq!(parse(None, Some("abc=")), customer);
    assert!(matches!(
        parse(Some("aws:kms:dsse"), None),
        ServerEncryption::SseKms { dsse: true, .. }
    ));
    assert_eq!(
        parse(Some("rot13"), None),
        ServerEncryption::Other("rot13".to_owned())
    );
}
