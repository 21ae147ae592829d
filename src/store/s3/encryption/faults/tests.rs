use super::*;

const ARN: &str = "arn:aws:kms:us-east-1:000000000000:key/1234abcd";

#[test]
fn each_refusal_of_kms_has_its_kind_and_its_advice() {
    use ErrorKind::{Denied, Invalid, Throttled, Unavailable};
    let needs = "the credentials need kms:GenerateDataKey and kms:Decrypt on the KMS key k, both by their own policy and by the key's";
    for (code, message, kind, advice) in [
        (
            "KMS.DisabledException",
            "k is disabled.",
            Denied,
            "the KMS key k is disabled: enable it (`aws kms enable-key`), or import its material again if it has none",
        ),
        (
            "KMS.NotFoundException",
            "Invalid keyId 'k'",
            Denied,
            "the KMS key k is not known where the bucket is: check its id, its account and its region",
        ),
        (
            "kms:KeyNotFound",
            "key with given key ID does not exist",
            Denied,
            "the KMS key k is not known where the bucket is: check its id, its account and its region",
        ),
        (
            "KMS.NotFoundException",
            "Invalid arn eu-west-1",
            Denied,
            "the KMS key k is in another region than the bucket: S3 only uses keys of the bucket's region",
        ),
        (
            "KMS.InvalidArnException",
            "",
            Denied,
            "the KMS key k is in another region than the bucket: S3 only uses keys of the bucket's region",
        ),
        (
            "KMS.KMSInvalidStateException",
            "k is pending deletion.",
            Denied,
            "the KMS key k is about to be deleted or has no material: cancel its deletion (`aws kms cancel-key-deletion`) and enable it, or import its material again",
        ),
        (
            "KMS.InvalidKeyUsageException",
            "",
            Denied,
            "the KMS key k cannot be used for this: S3 needs a symmetric key for encryption and decryption",
        ),
        ("KMS.AccessDeniedException", "", Denied, needs),
        (
            "AccessDenied",
            "User: u is not authorized to perform: kms:Decrypt on resource: k",
            Denied,
            needs,
        ),
        (
            "KMS.InvalidCiphertextException",
            "",
            Denied,
            "what the object's key was encrypted with is not the KMS key k and its context any more",
        ),
        (
            "KMS.SomethingNewException",
            "",
            Denied,
            "the KMS key k cannot be used: look at its state and its policy",
        ),
        (
            "KMS.ThrottlingException",
            "",
            Throttled,
            "the account's quota of KMS requests is used up: a bucket key needs far fewer of them",
        ),
        (
            "KMS.KMSInternalException",
            "",
            Unavailable,
            "the KMS key k cannot be used at the moment: look at its state, and at its key store if it has one of its own",
        ),
        (
            "KMS.DependencyTimeoutException",
            "",
            Unavailable,
            "the KMS key k cannot be used at the moment: look at its state, and at its key store if it has one of its own",
        ),
        (
            "KMS.KeyUnavailableException",
            "",
            Unavailable,
            "the KMS key k cannot be used at the moment: look at its state, and at its key store if it has one of its own",
        ),
        (
            "InvalidArgument",
            "Invalid arguments provided for b/k: (The encryption method is not supported)",
            Invalid,
            "the server does not have this encryption (of others than Amazon S3, few have dsse): choose another",
        ),
        (
            "NotImplemented",
            "Server side encryption specified but KMS is not configured",
            Invalid,
            "the server has no KMS to encrypt with: configure one there, or choose another encryption",
        ),
        (
            "InvalidEncryptionAlgorithmError",
            "",
            Invalid,
            "the server does not know this encryption: choose another",
        ),
    ] {
        let fault = Fault::of(code, message, Some("k")).unwrap_or_else(|| panic!("{code}"));
        assert_eq!(
            (fault.kind, fault.advice.as_str()),
            (kind, advice),
            "{code}: {message}"
        );
        assert_eq!(fault.lasts(), matches!(kind, Denied | Invalid), "{code}");
    }
}

#[test]
fn refusals_of_another_sort_are_none_of_its_business() {
    for (code, message) in [
        ("AccessDenied", "Access Denied"),
        ("InvalidArgument", "part number must be positive"),
        (
            "NotImplemented",
            "A header you provided implies functionality that is not implemented",
        ),
        (
            "InvalidRequest",
            "The encryption parameters are not applicable to this object.",
        ),
        ("NoSuchKey", "kms:"),
    ] {
        assert_eq!(
            Fault::of(code, message, Some("k")),
            None,
            "{code}: {message}"
        );
    }
}

#[test]
fn the_key_is_named_from_the_words_where_nothing_else_names_it() {
    let named = |message: &str| {
        Fault::of("KMS.DisabledException", message, None)
            .unwrap()
            .advice
    };
    assert!(
        named(&format!("{ARN} is disabled."))
            .starts_with(&format!("the KMS key {ARN} is disabled: "))
    );
    assert!(named(&format!("Key '{ARN}'")).starts_with(&format!("the KMS key {ARN} is")));
    assert!(named("User: arn:aws:iam::1:user/u").starts_with("the KMS key is disabled: "));
    assert!(named("").starts_with("the KMS key is disabled: "));
}

/// Amazon's words name who asked first.
#[test]
fn the_arn_of_who_asked_is_not_taken_for_the_keys() {
    let message = format!(
        "User: arn:aws:sts::111122223333:assumed-role/kms:role/i-0abc is not authorized to perform: kms:Decrypt on resource: {ARN} because no identity-based policy allows the kms:Decrypt action"
    );
    let fault = Fault::of("AccessDenied", &message, None).unwrap();
    assert_eq!(
        fault.advice,
        format!(
            "the credentials need kms:GenerateDataKey and kms:Decrypt on the KMS key {ARN}, both by their own policy and by the key's"
        )
    );
    let of_s3 = "User: arn:aws:iam::111122223333:user/u is not authorized to perform: s3:GetObject on resource: \"arn:aws:s3:::bucket/kms:notes\"";
    assert_eq!(Fault::of("AccessDenied", of_s3, Some("k")), None);
}
