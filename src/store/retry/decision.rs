//! Whether a failed attempt is made again: pure.

use std::time::Duration;

use super::RetryPolicy;
use crate::store::ErrorKind;

/// What is known when an attempt has failed.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    pub kind: ErrorKind,
    /// Attempts made so far, at least 1.
    pub attempts: u32,
    /// Time without progress so far: the silence at the end of each attempt and the pauses.
    pub idle: Duration,
    /// A write under a condition: not repeated while its fate is open.
    pub conditional_write: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The error is the answer.
    Fail,
    /// The error would pass, but the deadline has.
    GiveUp,
    /// Again, after a pause of up to this long.
    Again { pause_max: Duration },
}

/// Decides from the kind of the error, the time and the attempts.
#[must_use]
pub fn decide(situation: Situation, policy: &RetryPolicy) -> Decision {
    let again = match situation.kind {
        ErrorKind::Throttled => true,
        ErrorKind::TimedOut | ErrorKind::Unavailable => !situation.conditional_write,
        ErrorKind::Conflict => situation.attempts < policy.conflict_attempts_max,
        ErrorKind::NotFound
        | ErrorKind::Precondition
        | ErrorKind::Denied
        | ErrorKind::Corrupt
        | ErrorKind::Invalid => false,
    };
    if !again {
        return Decision::Fail;
    }
    if situation.idle >= policy.timeout {
        return Decision::GiveUp;
    }
    let doublings = situation.attempts.saturating_sub(1).min(31);
    let ceiling = policy.first_pause_max.saturating_mul(1 << doublings);
    Decision::Again {
        pause_max: ceiling
            .min(policy.pause_max)
            .min(policy.timeout.saturating_sub(situation.idle)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [ErrorKind; 9] = [
        ErrorKind::NotFound,
        ErrorKind::Precondition,
        ErrorKind::Conflict,
        ErrorKind::Throttled,
        ErrorKind::Denied,
        ErrorKind::TimedOut,
        ErrorKind::Unavailable,
        ErrorKind::Corrupt,
        ErrorKind::Invalid,
    ];

    proptest! {
        #[test]
        fn only_what_passes_is_repeated_and_never_beyond_the_deadline(
            kind in proptest::sample::select(&KINDS[..]), attempts in 1u32..100,
            idle_ms in 0u64..120_000, conditional_write: bool,
        ) {
            let policy = RetryPolicy::default();
            let idle = Duration::from_millis(idle_ms);
            let situation = Situation { kind, attempts, idle, conditional_write };
            let open = matches!(kind, ErrorKind::TimedOut | ErrorKind::Unavailable);
            let passes = open || matches!(kind, ErrorKind::Throttled | ErrorKind::Conflict);
            match decide(situation, &policy) {
                Decision::Fail => prop_assert!(
                    !passes || (open && conditional_write) || kind == ErrorKind::Conflict
                ),
                Decision::GiveUp => prop_assert!(passes && idle >= policy.timeout),
                Decision::Again { pause_max } => {
                    prop_assert!(passes && !(open && conditional_write));
                    prop_assert!(idle + pause_max <= policy.timeout);
                    prop_assert!(pause_max <= policy.pause_max);
                }
            }
        }
    }

    #[test]
    fn a_conflict_is_repeated_briefly() {
        let policy = RetryPolicy::default();
        let decision = |attempts| {
            let situation = Situation {
                kind: ErrorKind::Conflict,
                attempts,
                idle: Duration::ZERO,
                conditional_write: true,
            };
            decide(situation, &policy)
        };
        assert_eq!(
            decision(1),
            Decision::Again {
                pause_max: policy.first_pause_max
            }
        );
        assert_eq!(decision(policy.conflict_attempts_max), Decision::Fail);
    }
}
