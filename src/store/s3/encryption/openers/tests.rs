use proptest::prelude::*;

use super::*;
use crate::base::secret::Secret;

fn key(fill: u8) -> CustomerKey {
    CustomerKey::new(&Secret::take(&mut [fill; 32]))
}

fn ring(own: Option<u8>, read: &[u8]) -> KeyRing {
    let requested = match own {
        Some(own) => RequestedEncryption::SseC(key(own)),
        None => RequestedEncryption::SseS3,
    };
    KeyRing::new(&requested, read.iter().copied().map(key).collect())
}

/// How Amazon S3 answers a request with `sent` on an object under `under`. `bare`: to a HEAD.
fn amazon(under: Option<u8>, sent: &Opener, bare: bool) -> Option<Refusal> {
    let refusal = match (under.map(key), sent.key()) {
        (None, None) => return None,
        (Some(under), Some(sent)) if under == *sent => return None,
        (Some(_), Some(_)) => Refusal::Forbidden,
        (Some(_), None) => Refusal::KeyNeeded,
        (None, Some(_)) => Refusal::KeyUnneeded,
    };
    Some(match refusal {
        Refusal::KeyNeeded | Refusal::KeyUnneeded if bare => Refusal::Unclear,
        other => other,
    })
}

/// The attempts of a search and its end.
fn run(
    mut search: Search,
    answer: impl Fn(&Opener) -> Option<Refusal>,
) -> (Vec<Opener>, Result<Opener, Refusal>) {
    let mut tried = vec![];
    loop {
        tried.push(search.current().clone());
        let Some(refusal) = answer(search.current()) else {
            let found = search.current().clone();
            return (tried, Ok(found));
        };
        if let Err(end) = search.refused(refusal) {
            return (tried, Err(end));
        }
    }
}

proptest! {
    /// Whatever the object is under, and whatever is guessed: what opens it is found if it is at
    /// hand, nothing is tried twice, and the end tells an unknown key from a denial.
    #[test]
    fn what_opens_an_object_is_found_if_it_is_at_hand(
        own in proptest::option::of(0..5_u8),
        read in proptest::collection::vec(0..5_u8, 0..4),
        under in proptest::option::of(0..5_u8),
        guess in proptest::option::of(0..9_usize),
        bare: bool,
    ) {
        let ring = ring(own, &read);
        let guess = guess.map(|at| ring.keys().get(at).cloned().map_or(Opener::NoKey, Opener::Key));
        let (tried, end) = run(ring.search(guess.clone()), |sent| amazon(under, sent, bare));
        if let Some(guess) = guess {
            prop_assert_eq!(&tried[0], &guess);
        }
        for (at, opener) in tried.iter().enumerate() {
            prop_assert!(!tried[..at].contains(opener), "tried twice: {:?}", tried);
        }
        prop_assert!(tried.len() <= ring.keys().len() + 1);
        let at_hand = under.is_none_or(|under| ring.keys().contains(&key(under)));
        prop_assert_eq!(end.is_ok(), at_hand);
        if !at_hand {
            prop_assert_eq!(end, Err(if bare { Refusal::Unclear } else { Refusal::KeyNeeded }));
        }
    }

    #[test]
    fn a_denial_ends_and_is_told_as_one(own in proptest::option::of(0..5_u8), read in proptest::collection::vec(0..5_u8, 0..4)) {
        let ring = ring(own, &read);
        let (tried, end) = run(ring.search([ring.own().clone()]), |_| Some(Refusal::Forbidden));
        prop_assert_eq!(tried.len(), ring.keys().len() + 1);
        prop_assert_eq!(end, Err(Refusal::Forbidden));
    }

    /// The common case: what the mount writes opens at once.
    #[test]
    fn own_objects_open_at_the_first_attempt(own in proptest::option::of(0..5_u8), read in proptest::collection::vec(0..5_u8, 0..4)) {
        let ring = ring(own, &read);
        let (tried, end) = run(ring.search([ring.own().clone()]), |sent| amazon(own, sent, true));
        prop_assert_eq!(tried.len(), 1);
        prop_assert_eq!(end.as_ref(), Ok(ring.own()));
    }
}

#[test]
fn an_object_without_a_key_is_found_at_the_second_attempt() {
    let ring = ring(Some(1), &[2, 3, 4]);
    for bare in [false, true] {
        let (tried, _) = run(ring.search([ring.own().clone()]), |sent| {
            amazon(None, sent, bare)
        });
        assert_eq!(tried, [Opener::Key(key(1)), Opener::NoKey]);
    }
}

#[test]
fn a_key_that_is_given_twice_is_tried_once() {
    let ring = ring(Some(1), &[2, 1, 2]);
    assert_eq!(ring.keys(), [key(1), key(2)]);
}

#[test]
fn a_mode_that_the_answer_names_tells_that_no_key_was_needed() {
    let ring = ring(Some(1), &[]);
    let used = Opener::Key(key(1));
    let key_md5 = key(1).md5().to_owned();
    assert_eq!(
        ring.opener_of(&ServerEncryption::SseC { key_md5 }, &used),
        used
    );
    assert_eq!(
        ring.opener_of(&ServerEncryption::SseS3, &used),
        Opener::NoKey
    );
    assert_eq!(
        ring.opener_of(&ServerEncryption::None, &Opener::NoKey),
        Opener::NoKey
    );
}

#[test]
fn the_answers_that_mean_keys_are_known() {
    let needed = "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.";
    let unneeded = "The encryption parameters are not applicable to this object.";
    for (status, code, message, sent_key, refusal) in [
        (
            400,
            Some("InvalidRequest"),
            Some(needed),
            false,
            Some(Refusal::KeyNeeded),
        ),
        (
            400,
            Some("InvalidRequest"),
            Some(needed),
            true,
            Some(Refusal::KeyUnneeded),
        ),
        (
            400,
            Some("InvalidRequest"),
            Some(unneeded),
            true,
            Some(Refusal::KeyUnneeded),
        ),
        (
            400,
            Some("InvalidArgument"),
            Some(
                "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
            ),
            true,
            Some(Refusal::KeyUnneeded),
        ),
        (
            400,
            Some("InvalidArgument"),
            Some(
                "Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm.",
            ),
            false,
            Some(Refusal::KeyNeeded),
        ),
        (
            400,
            Some("InvalidArgument"),
            Some("part number must be positive"),
            true,
            None,
        ),
        (
            400,
            Some("InvalidRequest"),
            Some("Missing required header"),
            true,
            None,
        ),
        (400, Some("InvalidRequest"), None, true, None),
        (
            403,
            Some("AccessDenied"),
            Some("Access Denied."),
            true,
            Some(Refusal::Forbidden),
        ),
        (403, Some("SignatureDoesNotMatch"), None, true, None),
        (403, None, None, false, Some(Refusal::Forbidden)),
        (400, None, None, true, Some(Refusal::Unclear)),
        (404, None, None, true, None),
        (404, Some("NoSuchKey"), None, true, None),
        (412, Some("PreconditionFailed"), None, true, None),
        (503, Some("SlowDown"), None, true, None),
        (416, Some("InvalidRange"), None, true, None),
    ] {
        assert_eq!(
            Refusal::of(status, code, message, sent_key),
            refusal,
            "{status} {code:?}"
        );
    }
}
