//! What is told of a key is what KMS says.

use cloakfs::keys::kms::{Expires, Holds, PastRotation, Rotation, rfc3339};
use serde_json::json;

use crate::importing::{TIMEOUT, way};
use crate::own_kms::{Key, Meddle, OwnKms, arn};
use crate::world::answer;

#[tokio::test]
async fn what_kms_tells_of_a_key_is_told() {
    let own = OwnKms::start().await;
    let id = own.add(Key {
        description: "of the team".to_owned(),
        material: Some(vec![7; 32]),
        valid_to: Some(1_800_000_000),
        ..Key::default()
    });
    let target = id.clone();
    own.with(|state| {
        for alias in ["alias/b", "alias/a"] {
            state.aliases.insert(alias.to_owned(), target.clone());
        }
    });
    let way = way(&own).await;
    let key = way.facts("alias/a", TIMEOUT).await.unwrap();
    let Some(Expires::At(at)) = key.expires() else {
        panic!("{key:?}")
    };
    assert_eq!(rfc3339(at), "2027-01-15T08:00:00Z");
    assert_eq!(rfc3339(key.created().unwrap()), "2026-01-31T12:00:00Z");
    assert_eq!(
        [
            key.arn(),
            key.id(),
            key.called(),
            key.state(),
            key.origin(),
            key.spec(),
            key.usage(),
            key.manager(),
            key.description(),
        ],
        [
            &*arn(&id),
            &id,
            &format!("the KMS alias \"alias/a\" (now {})", arn(&id)),
            "Enabled",
            "EXTERNAL",
            "SYMMETRIC_DEFAULT",
            "ENCRYPT_DECRYPT",
            "CUSTOMER",
            "of the team",
        ]
    );
    assert_eq!(
        way.aliases(&key, TIMEOUT).await.unwrap(),
        ["alias/a", "alias/b"]
    );
    own.meddle(|operation, asked| match operation {
        "GetKeyRotationStatus" => Meddle::Instead(answer(
            "200 OK",
            &json!({"KeyRotationEnabled": true, "RotationPeriodInDays": 180, "NextRotationDate": 1_800_000_000}),
        )),
        // Two pages.
        "ListKeyRotations" => {
            let rotation = |at: i64, kind| json!([{"RotationDate": at, "RotationType": kind}]);
            let page = if asked["Marker"] == "more" {
                json!({"Rotations": rotation(1_770_000_000, "ON_DEMAND"), "Truncated": false})
            } else {
                json!({"Rotations": rotation(1_769_860_800, "AUTOMATIC"), "Truncated": true, "NextMarker": "more"})
            };
            Meddle::Instead(answer("200 OK", &page))
        }
        _ => Meddle::Pass,
    });
    assert_eq!(
        way.rotation(&key, TIMEOUT).await.unwrap(),
        Rotation {
            is_automatic: true,
            period_days: Some(180),
            next: Some(at),
            under_way_since: None,
        }
    );
    let rotated: Vec<String> = way
        .rotations(&key, TIMEOUT)
        .await
        .unwrap()
        .into_iter()
        .map(|PastRotation { at, kind }| format!("{} {}", rfc3339(at.unwrap()), kind.unwrap()))
        .collect();
    assert_eq!(
        rotated,
        [
            "2026-01-31T12:00:00Z AUTOMATIC",
            "2026-02-02T02:40:00Z ON_DEMAND"
        ]
    );
}

#[tokio::test]
async fn material_that_was_not_imported_is_not_deleted() {
    let own = OwnKms::start().await;
    let way = way(&own).await;
    let look = async |key: Key| {
        let id = own.add(key);
        let key = way.facts(&id, TIMEOUT).await.unwrap();
        key.deletable()
            .map_err(|error| error.to_string().replace(&id, "ID"))
    };
    let with = |state| Key {
        state,
        material: Some(vec![7; 32]),
        ..Key::default()
    };
    assert_eq!(look(Key::default()).await, Ok(Holds::Nothing));
    for state in ["Enabled", "Disabled"] {
        assert_eq!(look(with(state)).await, Ok(Holds::Material(Expires::Never)));
    }
    assert_eq!(
        look(Key {
            origin: "AWS_KMS",
            ..Key::default()
        })
        .await
        .unwrap_err(),
        "the KMS key \"ID\" has material that was not imported (origin AWS_KMS), and such material cannot be deleted: disable the key with `aws kms disable-key`, which can be undone, or schedule its deletion"
    );
    assert!(
        look(with("PendingDeletion"))
            .await
            .unwrap_err()
            .starts_with("the KMS key \"ID\" is to be deleted")
    );
}
