//! Parts of an upload under a policy that wants the mode on every request.
//!
//! Amazon S3 judges a part by how its upload was begun, and refuses the headers of SSE-S3 and
//! SSE-KMS on it. MinIO judges it by itself, so that a policy which denies `s3:PutObject` without
//! the headers denies every part and every completion, and takes the headers there. So on servers
//! that are not Amazon's a request that is denied is sent once more with the mode, and if that is
//! what was missing, all that follow carry it at once.
//!
//! MinIO does not take the headers of SSE-KMS on a part that is copied: it is read and uploaded
//! instead, few and small ones at a time. So under SSE-KMS no part of more than [`CARRIED_BYTES_MAX`]
//! is asked for there ([`Limits::copied_part_bytes_max`](crate::store::Limits)), whether or not
//! there is such a policy: that shows when the first part is on its way. Longer ones are left of
//! files of more than 120 GiB most of which changes, whose own parts are longer from there on, and
//! of changes and renames of more than 625 GiB, for lack of part numbers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::encryption::{RequestKind, RequestedEncryption};
use super::errors::Failed;
use super::{S3Store, invalid};
use crate::base::{limits, progress};
use crate::store::{
    CopySource, ErrorKind, GetOptions, GetRange, ObjectKey, Operation, PartNumber, PartReceipt,
    Result, StoreError, UploadId,
};

/// Largest copied part that goes through this machine's memory.
const CARRIED_BYTES_MAX: u64 = 64 << 20;
/// How many of them at once.
const CARRIED_AT_ONCE: usize = 2;
/// How often one that waits for its turn says that it is not stuck; shorter than any deadline.
const WAITING_BEAT: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Parts {
    /// A part was denied without the mode and taken with it.
    carry_mode: AtomicBool,
    carried: Semaphore,
}

impl Parts {
    pub(super) fn new() -> Self {
        Self {
            carry_mode: AtomicBool::new(false),
            carried: Semaphore::new(CARRIED_AT_ONCE),
        }
    }

    /// A turn to carry a part. Waiting for it is no silence of the server's: those who have one
    /// have a deadline each.
    async fn turn(&self) -> SemaphorePermit<'_> {
        let turn = self.carried.acquire();
        tokio::pin!(turn);
        loop {
            match tokio::time::timeout(WAITING_BEAT, &mut turn).await {
                Ok(turn) => return turn.expect("the semaphore is never closed"),
                Err(_not_yet) => progress::touch(),
            }
        }
    }
}

impl S3Store {
    /// Sends a request that goes on with an upload, without the mode's headers or with them.
    pub(super) async fn send_on<T, F>(
        &self,
        kind: RequestKind,
        send: impl Fn(bool) -> F,
    ) -> std::result::Result<T, Failed>
    where
        F: Future<Output = std::result::Result<T, Failed>>,
    {
        let with_mode = self.parts.carry_mode.load(Ordering::Relaxed);
        let denied = match send(with_mode).await {
            Err(failed) if !with_mode && self.mode_may_help(kind, &failed.error) => failed,
            outcome => return outcome,
        };
        match send(true).await {
            Ok(output) => {
                self.parts.carry_mode.store(true, Ordering::Relaxed);
                Ok(output)
            }
            // It was not the mode that was missing, or the server does not take it here.
            Err(again) if matches!(again.error.kind(), ErrorKind::Denied | ErrorKind::Invalid) => {
                Err(denied)
            }
            Err(again) => Err(again),
        }
    }

    fn mode_may_help(&self, kind: RequestKind, error: &StoreError) -> bool {
        self.encryption.goes_on_parts(kind) && self.may_want_mode(error)
    }

    /// Whether it is what a policy that misses the mode gives, on a server that takes the mode.
    fn may_want_mode(&self, error: &StoreError) -> bool {
        !self.endpoint.is_amazon()
            && error.kind() == ErrorKind::Denied
            && error.code() == Some("AccessDenied")
            && !error.concerns_encryption()
    }

    /// Longest part copy that this server is sure to take, if it has to be carried.
    pub(super) fn copied_part_bytes_max(&self) -> u64 {
        if matches!(self.encryption, RequestedEncryption::SseKms(_)) && !self.endpoint.is_amazon() {
            CARRIED_BYTES_MAX
        } else {
            limits::PART_BYTES_MAX
        }
    }

    /// Whether a copied part has to go through this machine, as far as is known before it is
    /// tried.
    pub(super) fn carries_copies(&self) -> bool {
        matches!(self.encryption, RequestedEncryption::SseKms(_))
            && self.parts.carry_mode.load(Ordering::Relaxed)
    }

    /// Whether reading and uploading may do what the refused copy did not.
    pub(super) fn may_carry(&self, refused: &StoreError) -> bool {
        matches!(self.encryption, RequestedEncryption::SseKms(_)) && self.may_want_mode(refused)
    }

    /// Makes a part of an object's range by reading it and uploading what was read. `refused` is
    /// what the copy was answered, if it was tried.
    pub(super) async fn carry_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: PartNumber,
        source: CopySource,
        refused: Option<StoreError>,
    ) -> Result<PartReceipt> {
        let operation = Operation::UploadPartCopy;
        let range = source
            .range
            .filter(|range| range.len() <= CARRIED_BYTES_MAX)
            .ok_or_else(|| too_large(key, refused.as_ref()))?;
        let _turn = self.parts.turn().await;
        progress::touch();
        let options = GetOptions {
            range: Some(GetRange::Bytes(range)),
            if_match: source.if_match,
            version: source.version,
        };
        let object = match (self.get_object(&source.key, options).await, refused) {
            (Ok(object), _) => object,
            (Err(error), Some(refused)) if error.kind() == ErrorKind::Denied => {
                return Err(refused);
            }
            (Err(error), _) => return Err(error.of(operation)),
        };
        if object.body.len() as u64 != range.len() {
            return Err(invalid(operation, key.as_str())(
                "the range to copy ends behind the object".to_owned(),
            ));
        }
        self.upload_one_part(key, upload, number, object.body).await
    }
}

fn too_large(key: &ObjectKey, refused: Option<&StoreError>) -> StoreError {
    let words = format!(
        "{}, or want the encryption on every part, which this server does not take with a copied one, and only parts of at most {} MiB are read and uploaded instead: let the bucket's default encryption require the mode in place of the policy",
        refused.map_or("a policy may deny it", StoreError::message),
        CARRIED_BYTES_MAX >> 20
    );
    let operation = Operation::UploadPartCopy;
    StoreError::new(ErrorKind::Denied, operation, key.as_str(), words).with_code("AccessDenied")
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;

    use super::*;
    use crate::aws::{Aws, AwsConfig};
    use crate::base::progress::Progress;
    use crate::store::Store;
    use crate::store::s3::{KmsRequest, S3Config};

    #[tokio::test(start_paused = true)]
    async fn a_part_that_waits_for_its_turn_is_not_taken_for_a_stuck_one() {
        let parts = Parts::new();
        let mut turns = Vec::new();
        for _ in 0..CARRIED_AT_ONCE {
            turns.push(parts.turn().await);
        }
        let progress = Progress::start();
        let waiting = progress.scope(parts.turn());
        tokio::pin!(waiting);
        for _ in 0..60 {
            let second = Duration::from_secs(1);
            let turn = tokio::time::timeout(second, &mut waiting).await;
            assert!(turn.is_err(), "there was no turn left");
            assert!(progress.idle() <= WAITING_BEAT, "{:?}", progress.idle());
        }
        turns.pop();
        drop(waiting.await);
    }

    async fn store(url: &str, encryption: RequestedEncryption) -> S3Store {
        let aws = AwsConfig {
            endpoint_url: Some(url.to_owned()),
            region: Some("eu-west-1".to_owned()),
            credentials: Some(SharedCredentialsProvider::new(Credentials::for_tests())),
            ..AwsConfig::default()
        };
        let config = S3Config {
            encryption,
            ..S3Config::new("bucket")
        };
        S3Store::new(&Aws::find(&aws).await.unwrap(), config).unwrap()
    }

    const AMAZON: &str = "https://s3.eu-west-1.amazonaws.com";
    const OTHER: &str = "https://s3.example.org";

    #[tokio::test]
    async fn no_part_is_copied_that_could_not_be_carried() {
        let kms = || RequestedEncryption::SseKms(KmsRequest::default());
        for (url, encryption, longest) in [
            (AMAZON, kms(), limits::PART_BYTES_MAX),
            (OTHER, kms(), CARRIED_BYTES_MAX),
            (OTHER, RequestedEncryption::SseS3, limits::PART_BYTES_MAX),
        ] {
            let limits = store(url, encryption).await.limits();
            assert_eq!(limits.copied_part_bytes_max, longest, "{url}");
        }
    }

    /// Amazon S3 judges a part by its upload, and refuses the headers.
    #[tokio::test]
    async fn amazon_is_never_sent_the_mode_with_a_part() {
        for (url, takes) in [(AMAZON, false), (OTHER, true)] {
            let store = store(url, RequestedEncryption::SseS3).await;
            let denied = |kind| {
                let (operation, words) = (Operation::UploadPart, "Access Denied");
                StoreError::new(kind, operation, "k", words).with_code("AccessDenied")
            };
            let helps = |kind, error: &StoreError| store.mode_may_help(kind, error);
            let part = RequestKind::UploadPart;
            assert_eq!(helps(part, &denied(ErrorKind::Denied)), takes, "{url}");
            assert!(!helps(part, &denied(ErrorKind::Denied).about_encryption()));
            assert!(!helps(part, &denied(ErrorKind::Unavailable)));
            assert!(!helps(RequestKind::Put, &denied(ErrorKind::Denied)));
        }
    }
}
