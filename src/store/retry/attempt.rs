//! One request: its attempts, its pauses and its deadline.

use std::time::Duration;

use super::{Decision, Retry, Situation, decide};
use crate::base::progress::Progress;
use crate::store::{ErrorKind, Operation, Result, StoreError};

/// The request, for the decision and for the words of its failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub operation: Operation,
    pub object: &'a str,
    pub conditional_write: bool,
}

/// An answer, and whether an attempt before it may have been carried out.
pub(super) struct Answer<T> {
    pub result: Result<T>,
    pub doubtful_attempt: bool,
}

impl Retry {
    pub(super) async fn run<T, F: Future<Output = Result<T>>>(
        &self,
        request: Request<'_>,
        attempt: impl Fn() -> F,
    ) -> Answer<T> {
        let mut attempts = 0;
        let mut idle = Duration::ZERO;
        let mut last = None;
        let mut doubtful_attempt = false;
        let answer = |result, doubtful_attempt| Answer {
            result,
            doubtful_attempt,
        };
        loop {
            let progress = Progress::start();
            let remaining = self.policy.timeout.saturating_sub(idle);
            let Some(result) = unless_idle(&progress, remaining, attempt()).await else {
                return answer(Err(self.give_up(request, last)), true);
            };
            let error = match result {
                Ok(value) => return answer(Ok(value), doubtful_attempt),
                Err(error) => error,
            };
            attempts += 1;
            idle += progress.idle();
            let situation = Situation {
                kind: error.kind(),
                attempts,
                idle,
                conditional_write: request.conditional_write,
            };
            doubtful_attempt |=
                matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Unavailable);
            match decide(situation, &self.policy) {
                Decision::Fail => return answer(Err(error), doubtful_attempt),
                Decision::GiveUp => {
                    return answer(Err(self.give_up(request, Some(error))), doubtful_attempt);
                }
                Decision::Again { pause_max } => {
                    tracing::debug!(object = request.object, attempts, "trying again: {error}");
                    self.record(|history| history.counters.count(error.kind()));
                    last = Some(error);
                    let pause = self.jitter.up_to(pause_max);
                    tokio::time::sleep(pause).await;
                    idle += pause;
                }
            }
        }
    }

    fn give_up(&self, request: Request<'_>, last: Option<StoreError>) -> StoreError {
        self.record(|history| history.counters.gave_up += 1);
        let seconds = self.policy.timeout.as_secs_f64();
        let gave_up = |words: &str| {
            StoreError::new(
                ErrorKind::TimedOut,
                request.operation,
                request.object,
                format!("gave up after {seconds} s without progress; {words}"),
            )
        };
        match last {
            None => gave_up("there was no answer"),
            Some(last) => {
                let code = last.code().map(|code| format!("{code}: "));
                let code = code.unwrap_or_default();
                let words = format!("the last answer was: {code}{}", last.message());
                gave_up(&words).with_source(last)
            }
        }
    }
}

/// Runs `future` until it ends, or until nothing has moved for `limit`.
async fn unless_idle<F: Future>(
    progress: &Progress,
    limit: Duration,
    future: F,
) -> Option<F::Output> {
    let future = progress.scope(future);
    tokio::pin!(future);
    loop {
        tokio::select! {
            biased;
            output = &mut future => return Some(output),
            () = tokio::time::sleep_until(progress.last() + limit) => {
                if progress.idle() >= limit {
                    return None;
                }
            }
        }
    }
}
