//! Imports that fail or end at each step, and are begun again: one key, its alias, its material.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloakfs::admin::import::Target;
use cloakfs::keys::kms::{Expiry, marker};

use crate::importing::{ALIAS, STEPS, by_alias, material, run, run_for};
use crate::own_kms::{Key, Meddle, OwnKms, arn};
use crate::world::{answer, error};

/// Long enough for one more look, and short enough to wait for silence.
const SHORT: Duration = Duration::from_millis(2500);

fn denied() -> String {
    error("AccessDeniedException", "no")
}

fn fault() -> String {
    answer(
        "500 Internal Server Error",
        &serde_json::json!({"__type": "KMSInternalException", "message": "oops"}),
    )
}

fn made_for_alias() -> Key {
    Key {
        description: marker(ALIAS),
        ..Key::default()
    }
}

/// The first request of `step` is meddled with, the others pass.
fn first(own: &OwnKms, step: &'static str, how: impl Fn() -> Meddle + Send + Sync + 'static) {
    let count = AtomicUsize::new(0);
    own.meddle(move |operation, _| {
        if operation == step && count.fetch_add(1, Ordering::Relaxed) == 0 {
            how()
        } else {
            Meddle::Pass
        }
    });
}

/// One key that has the material, and the alias leads to it.
fn assert_whole(own: &OwnKms, what: &str) {
    own.with(|state| {
        assert_eq!(state.keys.len(), 1, "{what}");
        let (id, key) = state.keys.first_key_value().unwrap();
        assert_eq!(key.material, Some(vec![7; 32]), "{what}");
        assert_eq!(state.aliases.get(ALIAS), Some(id), "{what}");
    });
}

#[tokio::test]
async fn after_a_failure_at_each_step_the_same_again_goes_on() {
    for step in &STEPS[..8] {
        type Way = (&'static str, fn() -> Meddle);
        let ways: [Way; 3] = [
            ("is denied", || Meddle::Instead(denied())),
            ("fails before", || Meddle::Instead(fault())),
            ("fails after", || Meddle::After(fault())),
        ];
        for (way, how) in ways {
            let what = format!("{step} {way}");
            let own = OwnKms::start().await;
            first(&own, step, how);
            let (_, done) = run(&own, &by_alias(), material(7), Expiry::Never).await;
            // What may be asked twice is; the making of a key is not.
            let ends = way == "is denied" || *step == "CreateKey";
            assert_eq!(done.is_err(), ends, "{what}");
            let (told, done) = run(&own, &by_alias(), material(7), Expiry::Never).await;
            assert!(done.is_ok(), "{what}: {done:?}, {told:?}");
            assert_whole(&own, &what);
        }
    }
}

/// The answer to the making of a key is lost.
#[tokio::test]
async fn a_key_of_which_nobody_heard_is_found() {
    let own = OwnKms::start().await;
    first(&own, "CreateKey", || Meddle::After(String::new()));
    let (told, done) = run_for(&own, &by_alias(), material(7), Expiry::Never, SHORT).await;
    let endpoint = &own.fake.endpoint;
    assert_eq!(
        done.unwrap_err().to_string(),
        format!(
            "KMS at {endpoint} did not answer about the KMS alias \"alias/mine\" within 2.5 s: check the endpoint of KMS and this machine's network; whether a key was made for alias/mine is not known: run the same again in a minute, which looks for it first"
        )
    );
    assert_eq!(told, [""; 0]);
    let id = own.with(|state| state.keys.first_key_value().unwrap().0.clone());
    let (told, done) = run(&own, &by_alias(), material(7), Expiry::Never).await;
    done.unwrap();
    assert_eq!(
        told[..2],
        [
            format!(
                "the key {0} was made for alias/mine by an earlier run that did not end, and is taken",
                arn(&id)
            ),
            format!("alias/mine now leads to the key {}", arn(&id)),
        ]
    );
    assert_whole(&own, "a lost answer");
}

/// Behind pages of other keys, some of which may not be looked at.
#[tokio::test]
async fn it_is_found_among_many_keys() {
    let own = OwnKms::start().await;
    let mut others = Vec::new();
    for _ in 0..7 {
        others.push(own.add(Key::default()));
    }
    let gone = Key {
        state: "PendingDeletion",
        ..made_for_alias()
    };
    let elsewhere = Key {
        description: marker("alias/other"),
        ..Key::default()
    };
    let kms_made = Key {
        origin: "AWS_KMS",
        ..made_for_alias()
    };
    for other in [gone, elsewhere, kms_made] {
        own.add(other);
    }
    let own_key = own.add(made_for_alias());
    own.meddle(move |operation, asked| {
        let is_denied = asked["KeyId"] == *arn(&others[3]);
        if operation == "DescribeKey" && is_denied {
            Meddle::Instead(denied())
        } else {
            Meddle::Pass
        }
    });
    run(&own, &by_alias(), material(7), Expiry::Never)
        .await
        .1
        .unwrap();
    own.with(|state| {
        assert_eq!(state.aliases[ALIAS], own_key);
        assert_eq!(state.keys.len(), 11);
    });
}

#[tokio::test]
async fn where_more_than_one_key_could_be_meant_a_person_says_which() {
    let sentence = async |own: &OwnKms, target: &Target| {
        let (_, done) = run(own, target, material(7), Expiry::Never).await;
        done.unwrap_err().to_string()
    };
    // Two wait.
    let own = OwnKms::start().await;
    let (one, two) = (own.add(made_for_alias()), own.add(made_for_alias()));
    assert_eq!(
        sentence(&own, &by_alias()).await,
        format!(
            "alias/mine does not exist, and 2 keys wait for material that were made for it: {}, {}; give one of them with --kms-key as well, and delete the others with `aws kms schedule-key-deletion`",
            arn(&one),
            arn(&two)
        )
    );
    let named = |id: &str| Target::alias(ALIAS.to_owned(), Some(id.to_owned())).unwrap();
    run(&own, &named(&two), material(7), Expiry::Never)
        .await
        .1
        .unwrap();
    own.with(|state| {
        assert_eq!(state.aliases[ALIAS], two);
        assert_eq!((state.keys.len(), &state.keys[&one].material), (2, &None));
    });
    // The alias leads elsewhere.
    assert_eq!(
        sentence(&own, &named(&one)).await,
        format!(
            "alias/mine leads to the key {}, and not to {}: give one of them, or another --alias",
            arn(&two),
            arn(&one)
        )
    );
    // One has material, and somebody took its alias away.
    let own = OwnKms::start().await;
    let used = own.add(Key {
        material: Some(vec![7; 32]),
        first: Some(vec![7; 32]),
        ..made_for_alias()
    });
    let arn = arn(&used);
    assert_eq!(
        sentence(&own, &by_alias()).await,
        format!(
            "alias/mine does not exist, and the key {arn} was made for it before and has material: give --kms-key {arn} as well to have the alias made for that key, or another --alias for a new one"
        )
    );
    own.with(|state| assert_eq!(state.keys.len(), 1));
    run(&own, &named(&used), material(7), Expiry::Never)
        .await
        .1
        .unwrap();
    assert_whole(&own, "named again");
}

#[tokio::test]
async fn whether_there_is_a_key_must_be_known_before_one_is_made() {
    let own = OwnKms::start().await;
    first(&own, "ListKeys", || Meddle::Instead(denied()));
    let (_, done) = run(&own, &by_alias(), material(7), Expiry::Never).await;
    let endpoint = &own.fake.endpoint;
    assert_eq!(
        done.unwrap_err().to_string(),
        format!(
            "the KMS alias \"alias/mine\" may have a key of an earlier run, which cannot be looked for, since KMS at {endpoint} denies it (no): allow kms:ListKeys to these credentials"
        )
    );
    own.with(|state| assert!(state.keys.is_empty()));
}

/// Between the look and the making of the alias.
#[tokio::test]
async fn an_alias_that_somebody_else_makes_meanwhile_is_theirs() {
    let own = OwnKms::start().await;
    let theirs = own.add(Key::default());
    let (state, other) = (own.shared(), theirs.clone());
    own.meddle(move |operation, _| {
        if operation == "CreateAlias" {
            let mut state = state.lock().unwrap();
            state.aliases.insert(ALIAS.to_owned(), other.clone());
        }
        Meddle::Pass
    });
    let (_, done) = run(&own, &by_alias(), material(7), Expiry::Never).await;
    let own_key = own.with(|state| state.keys.keys().find(|id| **id != theirs).unwrap().clone());
    let (theirs, ours) = (arn(&theirs), arn(&own_key));
    assert_eq!(
        done.unwrap_err().to_string(),
        format!(
            "alias/mine was made by somebody else at this moment and leads to the key {theirs}; the key {ours}, which was just made for it, has no use: delete it with `aws kms schedule-key-deletion --key-id {ours}`"
        )
    );
    own.with(|state| assert!(state.keys.values().all(|key| key.material.is_none())));
}

/// All of KMS knows of a change after a moment only.
#[tokio::test]
async fn what_was_just_made_is_asked_for_again() {
    let own = OwnKms::start().await;
    let counts: Arc<[AtomicUsize; 3]> = Arc::default();
    own.meddle(move |operation, _| {
        let late = ["CreateAlias", "GetParametersForImport", "Encrypt"];
        let Some(index) = late.iter().position(|late| *late == operation) else {
            return Meddle::Pass;
        };
        if counts[index].fetch_add(1, Ordering::Relaxed) > 0 {
            return Meddle::Pass;
        }
        Meddle::Instead(if operation == "Encrypt" {
            error("KMSInvalidStateException", "it is pending import.")
        } else {
            error("NotFoundException", "not yet")
        })
    });
    run(&own, &by_alias(), material(7), Expiry::Never)
        .await
        .1
        .unwrap();
    assert_whole(&own, "late");
    // What stays so is told.
    let own = OwnKms::start().await;
    own.meddle(|operation, _| match operation {
        "CreateAlias" => Meddle::Instead(error("NotFoundException", "never")),
        _ => Meddle::Pass,
    });
    let (_, done) = run_for(&own, &by_alias(), material(7), Expiry::Never, SHORT).await;
    assert!(
        done.unwrap_err()
            .to_string()
            .starts_with("the KMS alias \"alias/mine\" is not known to ")
    );
}
