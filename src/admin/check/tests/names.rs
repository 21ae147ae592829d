//! The record, names, and what a check costs.

use super::*;

#[tokio::test]
async fn a_copy_of_the_record_that_is_gone_is_written_anew_from_the_other() {
    let ground = Ground::with_volume(1).await;
    let key = ObjectKey::new(own("volume-b")).unwrap();
    ground
        .mem
        .delete(&key, crate::store::DeleteOptions::default())
        .await
        .unwrap();
    let damaged = async |read_only: bool| {
        let record = record::find(&ground.store(), PREFIX)
            .await
            .unwrap()
            .unwrap();
        let master = crate::base::secret::Secret::take(&mut [1; 32]);
        let root = crate::keys::root::Root::Master(crate::crypto::MasterKey::from_secret(master));
        let opened = record.open(root, read_only).await.ok().unwrap();
        state::of_record(&opened.damaged)
    };
    let found = damaged(true).await;
    assert_eq!(
        told(&found),
        [(".cloakfs/volume-b", "volume-record", Class::Repairable)]
    );
    assert_eq!(found[0].text, "this copy of the volume record is missing");
    assert!(found[0].is_flaw());
    assert!(!damaged(false).await[0].is_flaw(), "it was repaired");
    assert_eq!(damaged(true).await, []);
    assert_eq!(
        ground.get(&own("volume-a")).await.body,
        ground.get(&own("volume-b")).await.body
    );
}

#[tokio::test]
async fn names_that_cannot_be_seen_and_conflict_copies_are_told_and_stay() {
    let ground = Ground::new();
    for name in [
        "a",
        "a-",
        "a.txt.conflict-host_example-20251121T080000Z",
        "a/b",
        "a/c",
        "d/",
        "d/e",
        "dir/sub/f",
        "dir/sub/g",
        "h//i",
        "j/..",
    ] {
        ground.put(&format!("p/{name}"), "x").await;
    }
    let volume = ground.plain().await;
    let (findings, counts) = ground.tree(&volume).await;
    assert_eq!(
        told(&findings),
        [
            (
                "a.txt.conflict-host_example-20251121T080000Z",
                "conflict-copy",
                Class::NeedsYou
            ),
            ("a", "name-twice", Class::NeedsYou),
            ("h//i", "hidden-object", Class::NeedsYou),
            ("j/..", "hidden-object", Class::NeedsYou),
        ]
    );
    assert!(findings[0].remedy.ends_with("--repair never removes it"));
    assert!(
        findings[1]
            .text
            .starts_with("has the same name as a directory")
    );
    assert!(findings[2].text.contains("has an empty component"));
    // a, dir, dir/sub, h, h/ and j
    assert_eq!(
        counts,
        Counts {
            files: 10,
            directories: 1,
            implicit_directories: 6,
            bytes: 11
        }
    );
    let keys = ground.mem.keys();
    let alone = Others {
        alone: true,
        ..Others::default()
    };
    ground.repair(&volume, &alone).await;
    assert_eq!(ground.mem.keys(), keys);
}

#[tokio::test]
async fn in_a_volume_with_encrypted_names_findings_have_the_names_that_a_mount_shows() {
    let ground = Ground::with_volume(1).await;
    let volume = ground.mount(1).await;
    let conflict = "a.conflict-h-20251121T080000Z-2";
    write(&ground, &volume, conflict, vec![1]).await;
    let twice = write(&ground, &volume, "twice", vec![1]).await;
    write(&ground, &volume, "other", vec![1]).await;
    write(&ground, &volume, "twice/below", vec![1]).await;
    ground.put("p/in clear", "x").await;
    let (findings, counts) = ground.tree(&volume).await;
    let mut told: Vec<_> = findings
        .iter()
        .map(|found| (found.path.as_deref(), found.finding.name()))
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            (None, "undecryptable-name"),
            (Some(conflict), "conflict-copy"),
            (Some("twice"), "name-twice"),
        ]
    );
    assert!(findings.iter().any(|found| found.object == twice));
    assert_eq!((counts.files, counts.implicit_directories), (5, 1));
}

/// What is asked is a listing of the files, and a few of cloakfs's own.
#[tokio::test]
async fn a_check_lists_and_looks_at_no_file() {
    let ground = Ground::new();
    for at in 0..2_500 {
        ground.put(&format!("p/{at:04}"), "x").await;
    }
    let volume = ground.plain().await;
    let before = ground.fault.calls();
    let others = ground.others().await;
    assert_eq!(told(&ground.state(&volume, &others).await), []);
    let (findings, counts) = ground.tree(&volume).await;
    assert_eq!((findings.len(), counts.files), (0, 2_500));
    let calls = ground.fault.calls().since(&before);
    let lists = calls.of(crate::store::Operation::ListObjects);
    assert_eq!(
        lists,
        3 + 3,
        "three pages, and three folders of cloakfs's own: {calls}"
    );
    assert_eq!(calls.of(crate::store::Operation::HeadObject), 0, "{calls}");
    assert_eq!(
        calls.of(crate::store::Operation::GetObject),
        1,
        "the lease: {calls}"
    );
}
