//! Why an object of the Amazon S3 Encryption Client is not read.

/// Each message is what follows the object's name in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum S3ecError {
    #[error(
        "has metadata of more than one version of the Amazon S3 Encryption Client ({0}), so what it is cannot be told: restore an older version of the object"
    )]
    Mixed(&'static str),
    #[error(
        "has metadata of the Amazon S3 Encryption Client that was changed or cut: {0}; restore an older version of the object"
    )]
    Broken(&'static str),
    #[error(
        "is of the Amazon S3 Encryption Client, and its instruction file is missing: restore the object of the same name with .instruction at its end"
    )]
    NoInstructionFile,
    #[error(
        "is an instruction file of the Amazon S3 Encryption Client: it holds the wrapped key of the object of the same name without .instruction, and has no content of its own"
    )]
    IsInstructionFile,
    #[error(
        "is of the Amazon S3 Encryption Client, in a way that this cloakfs does not read: {0}; read it with that client, and store it again with its present version"
    )]
    Unknown(&'static str),
    #[error(
        "is of an old version of the Amazon S3 Encryption Client ({0}), which does not authenticate what this relies on: read it with --allow-legacy, only where you trust the bucket, and store it again"
    )]
    Legacy(&'static str),
    #[error(
        "is of the Amazon S3 Encryption Client, and its data key is wrapped with an RSA key: give its private half with --s3ec-rsa-key"
    )]
    NeedsRsaKey,
    #[error(
        "is of the Amazon S3 Encryption Client, and its data key is wrapped with an AES key: mount with --encryption cse-c and --key-file to read it"
    )]
    NeedsAesKey,
    #[error(
        "is of the Amazon S3 Encryption Client, and its data key is wrapped by KMS: mount with --encryption cse-kms and --kms-key to read it"
    )]
    NeedsKms,
    #[error(
        "is of the Amazon S3 Encryption Client, and was encrypted with another encryption context than the mount's: give its pairs with --kms-context"
    )]
    OtherContext,
    /// Not which check failed.
    #[error(
        "is of the Amazon S3 Encryption Client, and is not authentic under the keys of this mount: it was changed, or encrypted with another key; restore an older version of the object, or mount with its key"
    )]
    NotAuthentic,
    #[error(
        "is of the Amazon S3 Encryption Client and shorter or longer than its format allows: it was cut; restore an older version of the object"
    )]
    Length,
}
