//! One request to KMS, until it is answered or the time is over.

use std::error::Error;
use std::time::Duration;

use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use tokio::time::Instant;

use super::error::{KmsError, KmsErrorKind, Subject, from_sdk};
use crate::base::jitter::Jitter;

/// Upper limit of the first pause; it doubles from there.
const FIRST_PAUSE_MAX: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Until when an answer is of use.
#[derive(Debug)]
pub(super) struct Deadline {
    timeout: Duration,
    at: Instant,
    jitter: Jitter,
}

impl Deadline {
    pub(super) fn after(timeout: Duration) -> Self {
        Self {
            timeout,
            at: Instant::now() + timeout,
            jitter: Jitter::from_os(),
        }
    }

    /// Asks until there is an answer or an error that does not pass by itself. At the deadline
    /// the last such error is told, or that there was no answer at all.
    pub(super) async fn run<T, E, F>(
        &self,
        subject: &Subject<'_>,
        ask: impl FnMut() -> F,
    ) -> Result<T, KmsError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        self.run_while(KmsErrorKind::passes, subject, ask).await
    }

    /// The same for a request that must not be carried out twice: it is asked again only where
    /// it was turned away.
    pub(super) async fn run_once<T, E, F>(
        &self,
        subject: &Subject<'_>,
        ask: impl FnMut() -> F,
    ) -> Result<T, KmsError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let turned_away = |kind| kind == KmsErrorKind::Throttled;
        self.run_while(turned_away, subject, ask).await
    }

    async fn run_while<T, E, F>(
        &self,
        passes: impl Fn(KmsErrorKind) -> bool,
        subject: &Subject<'_>,
        mut ask: impl FnMut() -> F,
    ) -> Result<T, KmsError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let mut pause_max = FIRST_PAUSE_MAX;
        let mut last = None;
        loop {
            let Ok(answer) = tokio::time::timeout_at(self.at, ask()).await else {
                return Err(KmsError::timed_out(subject, self.timeout, last));
            };
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => from_sdk(subject, error),
            };
            if !passes(error.kind()) {
                return Err(error);
            }
            let pause = self.jitter.up_to(pause_max);
            if self.at.duration_since(Instant::now()) <= pause {
                return Err(KmsError::timed_out(subject, self.timeout, Some(error)));
            }
            tokio::time::sleep(pause).await;
            pause_max = (pause_max * 2).min(PAUSE_MAX);
            last = Some(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use aws_sdk_kms::error::ErrorMetadata;
    use aws_sdk_kms::operation::describe_key::DescribeKeyError;
    use aws_smithy_types::body::SdkBody;

    use super::super::error::Operation;
    use super::super::key_name::KeyName;
    use super::*;
    use crate::aws::Endpoint;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn throttled() -> SdkError<DescribeKeyError, HttpResponse> {
        let meta = ErrorMetadata::builder()
            .code("ThrottlingException")
            .message("Rate exceeded.");
        let status = 400.try_into().expect("a status");
        SdkError::service_error(
            DescribeKeyError::generic(meta.build()),
            HttpResponse::new(status, SdkBody::empty()),
        )
    }

    /// What is told at the deadline where the first `answers` requests are throttled and the
    /// others are not answered, and how many there were.
    async fn told(answers: u32) -> (KmsErrorKind, String, u32) {
        let key = KeyName::parse("k");
        let subject = Subject {
            operation: Operation::DescribeKey,
            key: &key,
            endpoint: Endpoint {
                url: Some("https://kms".to_owned()),
                region: "us-east-1".to_owned(),
            },
        };
        let asked = Cell::new(0);
        let began = Instant::now();
        let ended = Deadline::after(TIMEOUT)
            .run::<(), _, _>(&subject, || {
                asked.set(asked.get() + 1);
                let is_answered = asked.get() <= answers;
                async move {
                    if !is_answered {
                        std::future::pending::<()>().await;
                    }
                    Err(throttled())
                }
            })
            .await;
        assert!(began.elapsed() <= TIMEOUT);
        let error = ended.unwrap_err();
        (error.kind(), error.to_string(), asked.get())
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_pass_until_the_deadline_is_told() {
        let sentence = "the KMS key \"k\" cannot be looked at: KMS at https://kms throttles this account's requests (Rate exceeded): try again later, or raise its quota of requests (asked again for 10 s)";
        let (kind, told_sentence, asked) = told(u32::MAX).await;
        assert_eq!((kind, &*told_sentence), (KmsErrorKind::Throttled, sentence));
        assert!(asked > 3, "{asked}");
        // Silence after that tells less than what came before.
        let (kind, told_sentence, asked) = told(2).await;
        assert_eq!(
            (kind, &*told_sentence, asked),
            (KmsErrorKind::Throttled, sentence, 3)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_told_at_the_deadline() {
        assert_eq!(
            told(0).await,
            (
                KmsErrorKind::TimedOut,
                "KMS at https://kms did not answer about the KMS key \"k\" within 10 s: check the endpoint of KMS and this machine's network".to_owned(),
                1
            )
        );
    }
}
