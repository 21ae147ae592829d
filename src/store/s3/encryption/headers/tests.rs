use proptest::prelude::*;

use super::*;
use crate::base::context::EncryptionContext;
use crate::base::secret::Secret;

const KINDS: [RequestKind; 8] = [
    RequestKind::Get,
    RequestKind::Head,
    RequestKind::Put,
    RequestKind::CreateMultipart,
    RequestKind::UploadPart,
    RequestKind::CopyPart,
    RequestKind::CompleteMultipart,
    RequestKind::Copy,
];

fn customer_key(fill: u8) -> CustomerKey {
    CustomerKey::new(&Secret::take(&mut [fill; 32]))
}

prop_compose! {
    fn any_kms()(
        key in proptest::option::of("[a-z0-9-]{1,36}"),
        pairs in proptest::option::of(proptest::collection::btree_map("[b-z]{1,5}", "[ -~]{1,9}", 0..4)),
        bucket_key: bool,
        dsse: bool,
    ) -> KmsRequest {
        let context = pairs.map(|pairs| {
            EncryptionContext::parse(pairs.iter().map(|(name, value)| format!("{name}={value}"))).unwrap()
        });
        KmsRequest { key, context, bucket_key, dsse }
    }
}

fn any_mode() -> impl Strategy<Value = RequestedEncryption> {
    prop_oneof![
        Just(RequestedEncryption::None),
        Just(RequestedEncryption::SseS3),
        any_kms().prop_map(RequestedEncryption::SseKms),
        any::<u8>().prop_map(|fill| RequestedEncryption::SseC(customer_key(fill))),
    ]
}

/// What S3's reference lists for the request, as an independent table: the headers of SSE-S3 and
/// SSE-KMS, those of a customer's key, those of a copy source's.
fn reference(kind: RequestKind) -> (bool, bool, bool) {
    match kind {
        RequestKind::Put | RequestKind::CreateMultipart => (true, true, false),
        RequestKind::Copy => (true, true, true),
        RequestKind::UploadPart
        | RequestKind::CompleteMultipart
        | RequestKind::Get
        | RequestKind::Head => (false, true, false),
        RequestKind::CopyPart => (false, true, true),
    }
}

fn value<'a>(sent: &'a EncryptionHeaders, name: &str) -> Option<&'a str> {
    let mut named = sent.iter().filter(|(sent, _)| *sent == name);
    let value = named.next().map(|(_, value)| value.expose());
    assert!(named.next().is_none(), "{name} is sent once");
    value
}

fn assert_customer(sent: &EncryptionHeaders, prefix: &str, key: Option<&CustomerKey>) {
    let header = |end: &str| value(sent, &format!("{prefix}-customer-{end}")).map(str::to_owned);
    assert_eq!(header("algorithm"), key.map(|_| "AES256".to_owned()));
    assert_eq!(header("key"), key.map(|key| key.expose_base64().to_owned()));
    assert_eq!(header("key-md5"), key.map(|key| key.md5().to_owned()));
}

proptest! {
    /// Over all kinds, modes and openers: each header is where the reference has it, with the
    /// value of the mode, and nowhere else.
    #[test]
    fn each_request_carries_what_s3_lists_for_it_and_nothing_else(
        mode in any_mode(),
        kind in proptest::sample::select(&KINDS[..]),
        opener in proptest::option::of(any::<u8>()),
        parts_carry_mode: bool,
    ) {
        let (mut takes_mode, takes_customer, takes_source) = reference(kind);
        // What MinIO takes beyond that.
        takes_mode |= parts_carry_mode && match kind {
            RequestKind::UploadPart | RequestKind::CompleteMultipart => true,
            RequestKind::CopyPart => mode == RequestedEncryption::SseS3,
            _ => false,
        };
        let reads = matches!(kind, RequestKind::Get | RequestKind::Head);
        let opener = opener.filter(|_| reads || takes_source).map(customer_key);
        let sent = headers(&mode, kind, opener.as_ref(), parts_carry_mode);

        let named = match &mode {
            RequestedEncryption::SseS3 if takes_mode => Some("AES256"),
            RequestedEncryption::SseKms(kms) if takes_mode => Some(if kms.dsse { "aws:kms:dsse" } else { "aws:kms" }),
            _ => None,
        };
        prop_assert_eq!(value(&sent, "x-amz-server-side-encryption"), named);
        let kms = match &mode {
            RequestedEncryption::SseKms(kms) if takes_mode => kms.clone(),
            _ => KmsRequest::default(),
        };
        prop_assert_eq!(value(&sent, "x-amz-server-side-encryption-aws-kms-key-id"), kms.key.as_deref());
        prop_assert_eq!(
            value(&sent, "x-amz-server-side-encryption-bucket-key-enabled"),
            kms.bucket_key.then_some("true")
        );
        let context = value(&sent, "x-amz-server-side-encryption-context").map(|base64| {
            let json = BASE64.decode(base64).unwrap();
            serde_json::from_slice::<std::collections::BTreeMap<String, String>>(&json).unwrap()
        });
        let asked = kms.context.as_ref().filter(|context| !context.is_empty());
        prop_assert_eq!(context.as_ref(), asked.map(EncryptionContext::pairs));

        let target = match &mode {
            RequestedEncryption::SseC(key) if takes_customer && !reads => Some(key),
            _ => opener.as_ref().filter(|_| reads),
        };
        assert_customer(&sent, "x-amz-server-side-encryption", target);
        let source = opener.as_ref().filter(|_| takes_source);
        assert_customer(&sent, "x-amz-copy-source-server-side-encryption", source);
        let counted = usize::from(named.is_some())
            + usize::from(kms.key.is_some())
            + usize::from(kms.bucket_key)
            + usize::from(context.is_some())
            + 3 * usize::from(target.is_some())
            + 3 * usize::from(source.is_some());
        prop_assert_eq!(sent.len(), counted);
    }

    #[test]
    fn no_key_is_in_what_is_shown_of_headers(fill: u8, kind in proptest::sample::select(&KINDS[..])) {
        let key = customer_key(fill);
        let opener = (kind.reads() || kind.copies()).then_some(&key);
        let sent = headers(&RequestedEncryption::SseC(key.clone()), kind, opener, true);
        prop_assert!(sent.iter().any(|(_, value)| value.expose() == key.expose_base64()));
        let shown = format!("{sent:?}");
        prop_assert!(!shown.contains(key.expose_base64()), "{}", shown);
    }
}
