//! What is required, and what is not so.

use super::*;

#[tokio::test]
async fn each_mode_is_clean_for_its_own_objects_alone() {
    let ways = [
        (
            Required::Default(Some(ServerEncryption::None)),
            ServerEncryption::None,
        ),
        (
            Required::Server(ExpectedEncryption::SseS3),
            ServerEncryption::SseS3,
        ),
        (of_kms("k1"), kms("k1")),
        (of_kms("k2"), kms("k2")),
        (of_customer("m1"), customer("m1")),
        (of_customer("m2"), customer("m2")),
    ];
    let ground = Ground::new();
    for (at, (_, encryption)) in ways.iter().enumerate() {
        ground.mem.encrypt_as(encryption.clone());
        ground.put(&format!("p/{at}"), "x").await;
    }
    for (own, (required, _)) in ways.iter().enumerate() {
        let audited = audit(&ground, required.clone(), None, false).await;
        let flaw = |at: usize| match (own, at) {
            (_, 0) => "not-encrypted",
            (2, 3) | (3, 2) | (4, 5) | (5, 4) => "other-key",
            _ => "other-mode",
        };
        let names: Vec<_> = ["0", "1", "2", "3", "4", "5"]
            .into_iter()
            .enumerate()
            .collect();
        let expected: Vec<_> = names
            .iter()
            .filter(|(at, _)| *at != own)
            .map(|(at, name)| (*name, flaw(*at)))
            .collect();
        assert_eq!(audited.names(), expected, "{}", required.describe());
        assert_eq!(audited.summary.objects, 6);
        let counts = &audited.summary.modes;
        assert_eq!(counts.len(), 6, "{counts:?}");
        assert!(!audited.summary.is_clean());
    }
    let sentence = audit(&ground, of_kms("k1"), None, false).await.findings[2].clone();
    assert_eq!(
        sentence.text,
        "it is sse-kms under the key k2, and required is sse-kms under the key k1: what a mount of that mode writes, renames or changes anew is under it"
    );
    assert_eq!(
        (sentence.mode.as_deref(), sentence.key.as_deref()),
        (Some("sse-kms"), Some("k2"))
    );
}

/// MinIO lists uploads by no prefix alone, so that there are two questions.
#[tokio::test]
async fn uploads_that_may_be_there_are_a_finding() {
    let ground = Ground::new();
    ground.put("p/a", "x").await;
    let uploads = Rule::new(Effect::FailBefore(ErrorKind::Unavailable));
    let second = ground
        .fault
        .inject(uploads.on(Operation::ListMultipartUploads).after(1));
    let none = Required::Default(None);
    let audited = audit(&ground, none.clone(), None, false).await;
    assert_eq!(audited.names(), [("", "cannot-look")]);
    let text = &audited.findings[0].text;
    let words = "incomplete uploads cannot be listed, and there may be some: ";
    assert!(text.starts_with(words), "{text}");
    ground.fault.remove(second);
    let denied = Rule::new(Effect::FailBefore(ErrorKind::Denied));
    ground
        .fault
        .inject(denied.on(Operation::ListMultipartUploads).after(1));
    let audited = audit(&ground, none, None, false).await;
    assert_eq!(
        audited.names(),
        [],
        "it may be allowed for the prefix alone"
    );
}

#[tokio::test]
async fn older_versions_are_said_not_to_be_looked_at() {
    let ground = Ground::new();
    ground.put("p/a", "x").await;
    let audited = audit(&ground, Required::Default(None), None, false).await;
    assert_eq!(audited.summary.notes, [""; 0]);
    let mut inspector = Inspector::new(ground.store(), PREFIX).objects();
    let mut inspected = inspector.next().await.unwrap().unwrap();
    let Seen::Looked(looked) = &mut inspected.seen else {
        panic!("{inspected:?}");
    };
    let mut summary = Summary::default();
    looked.info.version = Some(VersionId::new("1"));
    summary.count(&inspected, 0);
    assert!(summary.has_versions);
}

#[tokio::test]
async fn where_the_default_is_not_known_anything_that_one_can_be_will_do() {
    let ground = Ground::new();
    for (name, encryption) in [
        ("a", ServerEncryption::None),
        ("b", ServerEncryption::SseS3),
        ("c", kms("k")),
        ("d", customer("m")),
    ] {
        ground.mem.encrypt_as(encryption);
        ground.put(&format!("p/{name}"), "x").await;
    }
    let unknown = audit(&ground, Required::Default(None), None, false).await;
    assert_eq!(unknown.names(), [("d", "other-mode")]);
    let default = Required::Default(Some(kms("k")));
    let known = audit(&ground, default, None, false).await;
    assert_eq!(
        known.names(),
        [
            ("a", "not-encrypted"),
            ("b", "other-mode"),
            ("d", "other-mode")
        ]
    );
}

#[tokio::test]
async fn a_volume_is_clean_with_its_key_and_for_no_other_mode() {
    let ground = Ground::with_volume(1).await;
    let volume = ground.mount(1).await;
    let mut keys = Vec::new();
    for path in ["dir/", "dir/a", "b"] {
        let content = if path == "dir/" { vec![] } else { vec![1; 100] };
        keys.push(write(&ground, &volume, path, content).await);
    }
    for deep in [false, true] {
        let clean = audit(&ground, CSE_C, Some(1), deep).await;
        assert_eq!(clean.names(), [], "{deep}");
        let counts: Vec<_> = clean
            .summary
            .modes
            .iter()
            .map(|count| &*count.mode)
            .collect();
        assert_eq!(counts, ["cse-c"]);
        assert_eq!(clean.summary.modes[0].objects, 3);
        assert_eq!(clean.summary.own_objects, 2, "the record's copies");
        assert_eq!(clean.summary.bytes_read, if deep { 200 } else { 0 });
    }
    let without_key = audit(&ground, CSE_C, None, false).await;
    assert_eq!(without_key.names(), []);
    for required in [
        Required::Default(None),
        Required::Server(ExpectedEncryption::SseS3),
        Required::Client {
            root: RootKind::Kms,
        },
    ] {
        let other = audit(&ground, required.clone(), None, false).await;
        let sealed = other.names();
        let sealed = sealed
            .iter()
            .filter(|(object, _)| !object.contains(".cloakfs"));
        assert_eq!(sealed.clone().count(), 3, "{}", required.describe());
        assert!(sealed.clone().all(|(_, flaw)| *flaw == "other-mode"));
    }
}

#[tokio::test]
async fn each_thing_that_can_be_wrong_in_a_volume_is_found_and_has_a_name() {
    let ground = Ground::with_volume(1).await;
    let volume = ground.mount(1).await;
    let file = write(&ground, &volume, "file", vec![1; 100]).await;
    let moved = write(&ground, &volume, "moved", vec![2; 100]).await;
    ground.copy(&moved, &file).await;
    let newer = write(&ground, &volume, "newer", vec![3; 100]).await;
    let changed = |key: String, name: &'static str, value: Option<&'static str>| {
        let ground = &ground;
        async move {
            let mut object = ground.get(&key).await;
            let metadata = &mut object.info.attributes.metadata;
            match value {
                Some(value) => drop(metadata.insert(name.to_owned(), value.to_owned())),
                None => drop(metadata.remove(name)),
            }
            let attributes = object.info.attributes;
            ground.put_with(&key, object.body, attributes).await;
        }
    };
    changed(newer.clone(), "cloakfs-format", Some("2")).await;
    let broken = write(&ground, &volume, "broken", vec![4; 100]).await;
    changed(broken.clone(), "cloakfs-record", None).await;
    let bare = write(&ground, &volume, "bare", vec![5; 100]).await;
    ground.put(&bare, "in clear").await;
    ground.put("p/named in clear", "in clear").await;
    let s3ec: Metadata = [("x-amz-3", ""), ("x-amz-d", ""), ("x-amz-i", "")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let foreign = write(&ground, &volume, "foreign", vec![6; 100]).await;
    let attributes = ObjectAttributes {
        metadata: s3ec,
        content_type: None,
    };
    ground.put_with(&foreign, "ciphertext", attributes).await;
    let other = Ground::with_volume(2).await;
    let elsewhere = write(&other, &*other.mount(2).await, "of another", vec![7; 100]).await;
    let stray = write(&ground, &volume, "stray", vec![8; 100]).await;
    let object = other.get(&elsewhere).await;
    ground
        .put_with(&stray, object.body, object.info.attributes)
        .await;
    ground.put("p/.cloakfs/mine", "in clear").await;
    let id = "0123456789abcdef0123456789abcdef";
    ground
        .put(&format!("p/.cloakfs/mounts/{id}"), "a registration")
        .await;
    // Longer than any registration is.
    ground
        .put(&format!("p/.cloakfs/probe/{id}"), vec![9; 8193])
        .await;
    let upload = ObjectKey::new("p/upload").unwrap();
    let begun = ground
        .mem
        .create_multipart(&upload, ObjectAttributes::default())
        .await;
    begun.unwrap();

    let audited = audit(&ground, CSE_C, Some(1), false).await;
    let mut found: Vec<_> = audited
        .findings
        .iter()
        .map(|found| {
            let name = found.path.as_deref().unwrap_or(&found.object);
            (name, found.finding.name())
        })
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("bare", "not-encrypted"),
            ("broken", "broken-metadata"),
            ("file", "not-authentic"),
            ("foreign", "foreign-format"),
            ("newer", "other-format"),
            ("p/.cloakfs/mine", "not-encrypted"),
            (
                "p/.cloakfs/probe/0123456789abcdef0123456789abcdef",
                "not-encrypted"
            ),
            ("p/named in clear", "not-encrypted"),
            ("p/named in clear", "undecryptable-name"),
            ("p/upload", "incomplete-upload"),
            ("stray", "other-key"),
        ]
    );
    let summary = &audited.summary;
    assert_eq!(summary.findings[&Flaw::NotEncrypted], 4);
    assert_eq!(summary.findings.values().sum::<u64>(), 11);
    let text = |flaw: Flaw| {
        let found = audited.findings.iter().find(|found| found.finding == flaw);
        found.unwrap().text.clone()
    };
    assert_eq!(
        text(Flaw::NotEncrypted).as_str(),
        "it is not encrypted, and required is cse-c: copy it in through a mount, and delete it here"
    );
    assert!(text(Flaw::NotAuthentic).contains("is not authentic: it was changed, moved here"));
}
