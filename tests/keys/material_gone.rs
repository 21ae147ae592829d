//! A client-side volume whose KMS key loses its imported material: what needs KMS fails with the
//! reason, what does not goes on, and after the same bytes were imported again all is readable.

use cloakfs::keys::kms::Expiry;
use cloakfs::store::ErrorKind;

use crate::importing::{ALIAS, TIMEOUT, by_alias, material, run, way};
use crate::own_kms::{OwnKms, arn};
use crate::world::{World, read, write};

#[tokio::test]
async fn all_is_readable_again_after_the_same_material_was_imported() {
    let own = OwnKms::start().await;
    run(&own, &by_alias(), material(7), Expiry::Never)
        .await
        .1
        .unwrap();
    let id = own.with(|state| state.keys.first_key_value().unwrap().0.clone());
    let world = World::on(own.fake.clone(), arn(&id)).await;
    // Each file under a data key of its own.
    let writer = world.mount(1, TIMEOUT).await;
    for index in 0..3 {
        write(&writer, index).await.unwrap();
    }
    let reader = world.mount(1, TIMEOUT).await;
    read(&reader, 0).await.unwrap();

    let way = way(&own).await;
    let key = way.facts(ALIAS, TIMEOUT).await.unwrap();
    way.delete_material(&key, TIMEOUT).await.unwrap();
    let reason = format!(
        "since its state does not allow it ({} is pending import): look at it with `aws kms describe-key`, cancel its deletion, import its material or connect its key store",
        arn(&id)
    );
    for (what, done) in [
        ("reading", read(&reader, 1).await),
        ("writing", write(&writer, 3).await),
    ] {
        let failed = done.expect_err(what);
        assert_eq!(failed.kind(), ErrorKind::Denied, "{what}: {failed}");
        assert!(failed.concerns_encryption(), "{what}: {failed}");
        assert!(failed.to_string().ends_with(&reason), "{what}: {failed}");
    }
    // Its data key is known.
    read(&reader, 0).await.unwrap();

    // Other material opens nothing, and is not taken.
    let (_, other) = run(&own, &by_alias(), material(8), Expiry::Never).await;
    other.unwrap_err();
    read(&reader, 1).await.unwrap_err();
    run(&own, &by_alias(), material(7), Expiry::Never)
        .await
        .1
        .unwrap();
    for index in 0..3 {
        read(&reader, index).await.unwrap();
    }
    write(&writer, 3).await.unwrap();
    read(&reader, 3).await.unwrap();
}
