//! What mounts keep for themselves.

use super::*;

/// What mounts keep for themselves, of one that nothing is known of.
async fn plant(ground: &Ground) {
    for purpose in ["open", "staging"] {
        ground
            .put(&own(&format!("{purpose}/{MOUNT}/{ID}")), "kept")
            .await;
    }
    ground.put(&own(&format!("probe/{ID}")), "probe").await;
    ground.put(&own("mine"), "mine").await;
    ground.put(&own("staging/my own/file"), "mine").await;
    for key in [own(&format!("staging/{MOUNT}/{ID}")), "p/file".to_owned()] {
        let key = ObjectKey::new(key).unwrap();
        let begun = ground
            .mem
            .create_multipart(&key, ObjectAttributes::default());
        begun.await.unwrap();
    }
}

fn planted(class: Class) -> Vec<(&'static str, &'static str, Class)> {
    vec![
        (".cloakfs/mine", "unknown-object", Class::NeedsYou),
        (
            ".cloakfs/probe/0123456789abcdef0123456789abcdef",
            "probe",
            class,
        ),
        (
            ".cloakfs/staging/my own/file",
            "unknown-object",
            Class::NeedsYou,
        ),
        (".cloakfs/open/0123456789abcdef/", "orphaned-content", class),
        (
            ".cloakfs/staging/0123456789abcdef/",
            "orphaned-content",
            class,
        ),
        (
            ".cloakfs/staging/0123456789abcdef/0123456789abcdef0123456789abcdef",
            "orphaned-upload",
            class,
        ),
        (
            "file",
            "unfinished-upload",
            match class {
                Class::InUse => Class::InUse,
                _ => Class::NeedsYou,
            },
        ),
    ]
}

#[tokio::test]
async fn what_nobody_uses_goes_and_what_nobody_can_account_for_stays() {
    let ground = Ground::new();
    plant(&ground).await;
    let volume = ground.plain().await;
    let alone = Others {
        alone: true,
        ..Others::default()
    };
    let before = ground.state(&volume, &alone).await;
    assert_eq!(told(&before), planted(Class::Repairable));
    ground.repair(&volume, &alone).await;
    let after = ground.state(&volume, &alone).await;
    let left: Vec<_> = planted(Class::Repairable)
        .into_iter()
        .filter(|(.., class)| *class == Class::NeedsYou)
        .collect();
    assert_eq!(told(&after), left);
    assert_eq!(
        ground.mem.keys(),
        ["p/.cloakfs/mine", "p/.cloakfs/staging/my own/file"]
    );
    let uploads = ground.mem.list_multipart(PREFIX).await.unwrap();
    assert_eq!(uploads.len(), 1);
    assert_eq!(uploads[0].key, "p/file", "any program may be at it");
    let settled = repair::settle(before, &after);
    for finding in &settled {
        assert_eq!(
            finding.repaired,
            finding.class == Class::Repairable,
            "{finding:?}"
        );
        assert_eq!(finding.is_flaw(), finding.class == Class::NeedsYou);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_that_a_mount_may_be_using_is_touched_until_it_stood_still_for_two_terms() {
    let ground = Ground::new();
    plant(&ground).await;
    ground.register(&format!("mounts/{ID}")).await;
    let (place, claimant) = (ground.place(), claimant());
    let volume = ground.plain().await;
    let mut others = ground.others().await;
    assert!(others.may_live());
    let before = ground.state(&volume, &others).await;
    let registration = (
        ".cloakfs/mounts/0123456789abcdef0123456789abcdef",
        "registration",
        Class::InUse,
    );
    let mut expected = planted(Class::InUse);
    expected.insert(0, registration);
    assert_eq!(told(&before), expected);
    assert!(
        before[0]
            .remedy
            .contains("give --wait: what does not change for 360 s"),
        "{:?}",
        before[0]
    );
    let keys = ground.mem.keys();
    repair::evict(&place, &claimant, &mut others).await.unwrap();
    ground.repair(&volume, &others).await;
    assert_eq!(ground.mem.keys(), keys);

    let began = tokio::time::Instant::now();
    lease::outlast(&place, &claimant, &mut others.tenants)
        .await
        .unwrap();
    assert!(
        began.elapsed() >= Duration::from_mins(6),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(others.tenants[0].life, Life::Dead);
    let dead = ground.state(&volume, &others).await;
    let mut expected = planted(Class::Repairable);
    expected.insert(0, (registration.0, registration.1, Class::Repairable));
    assert_eq!(told(&dead), expected);
    repair::evict(&place, &claimant, &mut others).await.unwrap();
    assert!(others.tenants.is_empty());
    assert!(!ground.mem.keys().contains(&own(&format!("mounts/{ID}"))));
}

#[tokio::test(start_paused = true)]
async fn no_upload_is_aborted_once_another_mount_has_the_volume() {
    let ground = Ground::new();
    plant(&ground).await;
    let volume = ground.plain().await;
    let gate = Arc::new(Gate::default());
    let alone = Presence::exclusive(ground.place(), claimant(), Arc::clone(&gate), |_| ());
    let presence = alone.await.unwrap();
    // As after a sleep of this machine.
    ground.register("lease").await;
    gate.lost().await;
    let others = Others {
        alone: true,
        ..Others::default()
    };
    let done = repair::repair(&ground.store(), PREFIX, &volume, &others, &gate).await;
    assert_eq!(
        done.unwrap_err().to_string(),
        "the lease of this process ended before all was repaired, so that another mount may have the source by now: run it again"
    );
    assert_eq!(ground.mem.list_multipart(PREFIX).await.unwrap().len(), 2);
    presence.leave().await;
}

#[tokio::test]
async fn a_journal_of_closed_files_that_cannot_be_read_is_told() {
    let ground = Ground::new();
    let volume = ground.plain().await;
    let journal = ground.write_back().join("0123");
    std::fs::create_dir_all(&journal).unwrap();
    std::fs::write(journal.join("header"), "no header").unwrap();
    let found = ground.state(&volume, &Others::default()).await;
    let path = journal.display().to_string();
    assert_eq!(told(&found), [(&*path, "unsent-files", Class::NeedsYou)]);
    let words = "files that were closed on this machine may be in a journal that cannot be read, of this source or another: ";
    assert!(found[0].text.starts_with(words), "{:?}", found[0]);
}

/// Whose creation the dead mount was not told of: another mount may be at it.
#[tokio::test]
async fn an_upload_that_only_its_time_tells_stays_while_others_may_live() {
    for alone in [false, true] {
        let ground = Ground::new();
        let volume = ground.plain().await;
        let (file, private) = ("p/file".to_owned(), own(&format!("staging/{MOUNT}/{ID}")));
        for key in [&file, &private] {
            let key = ObjectKey::new(key.as_str()).unwrap();
            let begun = ground
                .mem
                .create_multipart(&key, ObjectAttributes::default());
            begun.await.unwrap();
        }
        let pending = ground.mem.list_multipart("p/").await.unwrap();
        let at = pending[0].initiated.secs();
        let mut lines =
            vec![serde_json::json!({"event": "mount", "source": volume.source(), "mount": MOUNT})];
        lines.extend(
            [&file, &private].map(
                |key| serde_json::json!({"event": "begin", "ticket": key, "key": key, "at": at}),
            ),
        );
        let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
        let journal = ground.options(false).journal_dir;
        let journal = journal.join(format!("{MOUNT}.uploads"));
        std::fs::write(&journal, lines.join("\n")).unwrap();
        let others = Others {
            alone,
            ..Others::default()
        };
        ground.repair(&volume, &others).await;
        let left = ground.mem.list_multipart("p/").await.unwrap();
        let left: Vec<_> = left.iter().map(|upload| &*upload.key).collect();
        let expected: &[&str] = if alone { &[] } else { &["p/file"] };
        assert_eq!(left, expected);
        assert!(!journal.exists());
    }
}

/// In the folders of a mount that is known to be dead, too.
#[tokio::test]
async fn what_a_dead_mount_did_not_name_stays() {
    let ground = Ground::new();
    let volume = ground.plain().await;
    let (mine, upper) = (own(&format!("open/{MOUNT}/mine")), ID.to_uppercase());
    let upper = own(&format!("staging/{MOUNT}/{upper}"));
    let below = own(&format!("staging/{MOUNT}/{ID}/{ID}"));
    let theirs = [mine, upper, below];
    for key in &theirs {
        ground.put(key, "mine").await;
    }
    for purpose in ["open", "staging"] {
        ground
            .put(&own(&format!("{purpose}/{MOUNT}/{ID}")), "kept")
            .await;
    }
    let line = serde_json::json!({"event": "mount", "source": volume.source(), "mount": MOUNT});
    let left = serde_json::json!({"event": "left", "name": format!("open/{MOUNT}/{ID}")});
    let journals = ground.options(false).journal_dir;
    std::fs::write(
        journals.join(format!("{MOUNT}.uploads")),
        format!("{line}\n{left}\n"),
    )
    .unwrap();
    ground.repair(&volume, &Others::default()).await;
    let mut left = ground.mem.keys();
    left.sort_unstable();
    let mut expected = theirs.to_vec();
    expected.sort_unstable();
    assert_eq!(left, expected);
    let found = ground.state(&volume, &Others::default()).await;
    assert_eq!(found.len(), 3, "{found:?}");
    let unknown = |finding: &Finding| finding.finding == Trouble::UnknownObject;
    assert!(found.iter().all(unknown), "{found:?}");
}

#[test]
fn what_is_left_is_told_as_it_was_seen_last() {
    let probe = |class| Finding::new(Trouble::Probe, class, "probe", "", "");
    for (before, after) in [
        (Class::Repairable, Class::InUse),
        (Class::InUse, Class::Repairable),
        (Class::Repairable, Class::Repairable),
    ] {
        let settled = repair::settle(vec![probe(before)], &[probe(after)]);
        assert_eq!(settled, [probe(after)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_mount_that_renews_while_it_is_watched_lives() {
    let ground = Ground::new();
    ground.register("lease").await;
    let (place, claimant) = (ground.place(), claimant());
    let mut tenants = ground.others().await.tenants;
    assert!(tenants[0].is_lease);
    let renewed = async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        ground.register("lease").await;
    };
    let watched = lease::outlast(&place, &claimant, &mut tenants);
    let (watched, ()) = tokio::join!(watched, renewed);
    watched.unwrap();
    assert_eq!(tenants[0].life, Life::Lives);
    // One that was taken for dead, and renews at the last moment.
    let mut late = ground.others().await;
    lease::outlast(&place, &claimant, &mut late.tenants)
        .await
        .unwrap();
    ground.register("lease").await;
    let keys = ground.mem.keys();
    repair::evict(&place, &claimant, &mut late).await.unwrap();
    assert_eq!(ground.mem.keys(), keys, "its lease stays");
}
