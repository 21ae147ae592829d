//! One request to KMS, until it is answered or the time is over.

use std::error::Error;
use std::time::Duration;

use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use tokio::time::Instant;

use super::error::{KmsError, Subject, from_sdk};
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
            if !error.kind().passes() {
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
