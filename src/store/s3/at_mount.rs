//! What the objects that are there are under, looked at when a prefix is mounted: a wrong key is
//! told at once, not by the first file that does not open.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::encryption::RequestedEncryption;
use super::opening::{Locked, passes};
use super::{CustomerKey, S3Store};
use crate::base::jitter::Jitter;
use crate::store::{HeadOptions, ListOptions, ObjectKey, Result, ServerEncryption, Store};

/// Most objects that are looked at.
const SAMPLE: usize = 8;

/// How often each request is made, with random pauses of up to 0.2, 0.4 and 0.8 s.
const TRIES: u32 = 4;
const FIRST_PAUSE_MAX: Duration = Duration::from_millis(200);

/// What one object of the sample is under.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    /// This mode, and it opens.
    Opens(&'static str),
    /// A customer's key that is none of those at hand.
    Locked,
    /// It could not be looked at; the reason in words.
    Unknown(String),
}

impl S3Store {
    /// Whether the objects below `prefix` can be read with the customer's keys that are given:
    /// looks at a few of them, spread over the first page of a listing.
    ///
    /// Gives notes, each a sentence, for what a mount goes on with.
    ///
    /// # Errors
    /// The sentence that refuses the mount: none of the objects under customer's keys opens, or
    /// such a key is what will be written under, and no object could be looked at.
    pub async fn check_keys(&self, prefix: &str) -> std::result::Result<Vec<String>, String> {
        let options = ListOptions {
            prefix: prefix.to_owned(),
            ..ListOptions::default()
        };
        let page = match patiently(|| self.list(options.clone())).await {
            Ok(page) => page,
            Err(error) => return Ok(vec![not_found_out(&error.to_string())]),
        };
        let keys: Vec<ObjectKey> = page
            .objects
            .into_iter()
            .filter_map(|listed| ObjectKey::new(listed.key).ok())
            .collect();
        let looked = spread(&keys, SAMPLE).map(async |key| {
            let found = patiently(|| self.head(key, HeadOptions::default())).await;
            (key, judge(found))
        });
        let sample = join_all(looked).await;
        judge_sample(&sample, &self.encryption, self.openers.ring().keys())
    }
}

/// Asks again where the server is only busy: nobody else does so at this point. Whoever mounts has
/// a deadline for all of it.
async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut pause_max = FIRST_PAUSE_MAX;
    for _ in 1..TRIES {
        match ask().await {
            Err(error) if passes(error.kind()) => {}
            answer => return answer,
        }
        tokio::time::sleep(Jitter::from_os().up_to(pause_max)).await;
        pause_max *= 2;
    }
    ask().await
}

/// At most `most` of them, first and last among them.
fn spread<T>(all: &[T], most: usize) -> impl Iterator<Item = &T> {
    let taken = all.len().min(most);
    (0..taken).map(move |at| match taken {
        1 => &all[0],
        _ => &all[at * (all.len() - 1) / (taken - 1)],
    })
}

fn judge(found: Result<crate::store::ObjectInfo>) -> Found {
    match found {
        Ok(info) => Found::Opens(mode_of(&info.encryption)),
        Err(error) if Locked::is_cause_of(&error) => Found::Locked,
        Err(error) => Found::Unknown(error.to_string()),
    }
}

fn mode_of(encryption: &ServerEncryption) -> &'static str {
    match encryption {
        ServerEncryption::None => "none",
        ServerEncryption::SseS3 => "sse-s3",
        ServerEncryption::SseKms { dsse: false, .. } => "sse-kms",
        ServerEncryption::SseKms { dsse: true, .. } => "sse-kms-dsse",
        ServerEncryption::SseC { .. } => "sse-c",
        ServerEncryption::Other(_) => "unknown",
    }
}

fn judge_sample(
    sample: &[(&ObjectKey, Found)],
    requested: &RequestedEncryption,
    keys: &[CustomerKey],
) -> std::result::Result<Vec<String>, String> {
    let mut notes = vec![];
    let mut locked = sample.iter().filter(|(_, found)| *found == Found::Locked);
    let opened = sample
        .iter()
        .filter(|(_, found)| *found == Found::Opens("sse-c"))
        .count();
    if let Some((first, _)) = locked.next() {
        let count = 1 + locked.count();
        match keys {
            [] => notes.push(format!(
                "{count} of {} objects looked at are encrypted under a customer's key (SSE-C) and cannot be read, \"{first}\" for one: give their key with --read-key-file",
                sample.len()
            )),
            keys if opened == 0 => return Err(wrong_key(first, requested, keys)),
            _ => notes.push(format!(
                "{count} of {} objects looked at are encrypted under a customer's key (SSE-C) that is none of those given and cannot be read, \"{first}\" for one: give their key with --read-key-file",
                sample.len()
            )),
        }
    }
    let unknown = |(_, found): &(&ObjectKey, Found)| matches!(found, Found::Unknown(_));
    if let (RequestedEncryption::SseC(_), Some((first, Found::Unknown(why)))) =
        (requested, sample.first())
        && sample.iter().all(unknown)
    {
        return Err(format!(
            "there are objects, \"{first}\" for one, and whether the key given opens them could not be found out: {why}; mount again once they can be looked at, so that nothing is written under a wrong key"
        ));
    }
    if let Some((_, Found::Unknown(why))) = sample.iter().find(|found| unknown(found)) {
        notes.push(not_found_out(why));
    }
    notes.extend(other_modes(sample, requested));
    Ok(notes)
}

fn not_found_out(why: &str) -> String {
    format!("what objects are encrypted under could not be found out for all of them: {why}")
}

fn wrong_key(object: &ObjectKey, requested: &RequestedEncryption, keys: &[CustomerKey]) -> String {
    let md5s: Vec<&str> = keys.iter().map(CustomerKey::md5).collect();
    let given = match md5s.as_slice() {
        [md5] => format!("not the one given (MD5 {md5})"),
        md5s => format!("none of those given (MD5 {})", md5s.join(", ")),
    };
    let advice = match requested {
        RequestedEncryption::SseC(_) => {
            "give the right key with --key-file, or the older key with --read-key-file"
        }
        _ => "give the right key with --read-key-file",
    };
    format!("\"{object}\" is encrypted under a customer's key (SSE-C) that is {given}: {advice}")
}

/// A note of the objects that are under another mode than what will be written. Where no mode is
/// asked for there is none that they could differ from.
fn other_modes(sample: &[(&ObjectKey, Found)], requested: &RequestedEncryption) -> Option<String> {
    if *requested == RequestedEncryption::None {
        return None;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, found) in sample {
        if let Found::Opens(mode) = found
            && *mode != requested.mode()
        {
            *counts.entry(mode).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return None;
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(mode, count)| format!("{count} {mode}"))
        .collect();
    Some(format!(
        "the prefix holds objects of other modes than {}: {} of {} looked at; they stay as they are until they are written",
        requested.mode(),
        counts.join(", "),
        sample.len()
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::secret::Secret;

    fn key(fill: u8) -> CustomerKey {
        CustomerKey::new(&Secret::take(&mut [fill; 32]))
    }

    fn judged(
        found: &[Found],
        requested: &RequestedEncryption,
        keys: &[CustomerKey],
    ) -> std::result::Result<Vec<String>, String> {
        let names: Vec<ObjectKey> = (0..found.len())
            .map(|at| ObjectKey::new(format!("k{at}")).unwrap())
            .collect();
        let sample: Vec<_> = names.iter().zip(found.iter().cloned()).collect();
        judge_sample(&sample, requested, keys)
    }

    proptest! {
        #[test]
        fn a_sample_is_spread_over_all(len in 0..50_usize, most in 1..9_usize) {
            let all: Vec<usize> = (0..len).collect();
            let taken: Vec<usize> = spread(&all, most).copied().collect();
            prop_assert_eq!(taken.len(), len.min(most));
            prop_assert!(taken.windows(2).all(|pair| pair[0] < pair[1]));
            if most > 1 {
                prop_assert_eq!(taken.last(), all.last());
            }
            prop_assert_eq!(taken.first(), all.first());
        }
    }

    #[test]
    fn a_key_that_opens_nothing_refuses_the_mount() {
        let sse_c = RequestedEncryption::SseC(key(0));
        let sample = [Found::Opens("none"), Found::Locked, Found::Locked];
        assert_eq!(
            judged(&sample, &sse_c, &[key(0)]).unwrap_err(),
            "\"k1\" is encrypted under a customer's key (SSE-C) that is not the one given (MD5 cLyPS3KoaSFGi/joRB3OUQ==): give the right key with --key-file, or the older key with --read-key-file"
        );
        let refused = judged(&sample, &RequestedEncryption::SseS3, &[key(0), key(1)]).unwrap_err();
        assert!(refused.contains(key(1).md5()), "{refused}");
        assert!(refused.ends_with(": give the right key with --read-key-file"));
    }

    #[test]
    fn a_key_that_nothing_can_be_tried_with_is_not_written_with() {
        let sample = [
            Found::Unknown("why".to_owned()),
            Found::Unknown("other".to_owned()),
        ];
        let sse_c = RequestedEncryption::SseC(key(0));
        assert_eq!(
            judged(&sample, &sse_c, &[key(0)]).unwrap_err(),
            "there are objects, \"k0\" for one, and whether the key given opens them could not be found out: why; mount again once they can be looked at, so that nothing is written under a wrong key"
        );
        assert_eq!(
            judged(&sample, &RequestedEncryption::SseS3, &[])
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn what_a_mount_can_live_with_is_noted() {
        let sse_c = RequestedEncryption::SseC(key(0));
        let opens = Found::Opens("sse-c");
        assert_eq!(
            judged(
                &[Found::Locked, opens.clone(), Found::Opens("none"), Found::Opens("sse-s3"), Found::Opens("none")],
                &sse_c,
                &[key(0)]
            ),
            Ok(vec![
                "1 of 5 objects looked at are encrypted under a customer's key (SSE-C) that is none of those given and cannot be read, \"k0\" for one: give their key with --read-key-file".to_owned(),
                "the prefix holds objects of other modes than sse-c: 2 none, 1 sse-s3 of 5 looked at; they stay as they are until they are written".to_owned(),
            ])
        );
        assert_eq!(
            judged(&[Found::Locked], &RequestedEncryption::SseS3, &[]),
            Ok(vec![
                "1 of 1 objects looked at are encrypted under a customer's key (SSE-C) and cannot be read, \"k0\" for one: give their key with --read-key-file".to_owned()
            ])
        );
        assert_eq!(
            judged(&[opens.clone(), opens], &sse_c, &[key(0)]),
            Ok(vec![])
        );
        assert_eq!(judged(&[], &sse_c, &[key(0)]), Ok(vec![]));
        assert_eq!(
            judged(&[Found::Opens("sse-s3")], &RequestedEncryption::None, &[]),
            Ok(vec![])
        );
        assert_eq!(
            judged(
                &[Found::Unknown("why".to_owned()), Found::Opens("sse-c")],
                &sse_c,
                &[key(0)]
            ),
            Ok(vec![
                "what objects are encrypted under could not be found out for all of them: why"
                    .to_owned()
            ])
        );
    }
}
