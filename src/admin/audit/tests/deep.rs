//! Everything is read; what fails; how much there may be.

use super::*;

#[tokio::test]
async fn content_that_was_changed_is_found_by_a_deep_audit_and_by_no_other() {
    let ground = Ground::with_volume(1).await;
    let volume = ground.mount(1).await;
    let mut large = Vec::new();
    for at in 0..(9_u32 << 20) {
        large.push(at.to_le_bytes()[1]);
    }
    let keys = [
        write(&ground, &volume, "large", large).await,
        write(&ground, &volume, "small", vec![1; 100]).await,
        write(&ground, &volume, "cut", vec![1; 100]).await,
        write(&ground, &volume, "whole", vec![1; 100]).await,
    ];
    ground.tamper(&keys[0], 100).await;
    ground.tamper(&keys[1], 3).await;
    let cut = ground.get(&keys[2]).await;
    ground.put_with(&keys[2], "", cut.info.attributes).await;
    let shallow = audit(&ground, CSE_C, Some(1), false).await;
    assert_eq!(shallow.names(), []);
    let deep = audit(&ground, CSE_C, Some(1), true).await;
    let mut found: Vec<_> = deep
        .findings
        .iter()
        .map(|found| (found.path.as_deref().unwrap(), found.finding.name()))
        .collect();
    found.sort_unstable();
    let bad = "not-authentic";
    assert_eq!(found, [("cut", bad), ("large", bad), ("small", bad)]);
    assert_eq!(deep.summary.bytes_read, 100);
}

#[tokio::test]
async fn what_a_server_cannot_decrypt_any_more_is_found_by_a_deep_audit() {
    let ground = Ground::new();
    ground.mem.encrypt_as(kms("k"));
    for name in ["a", "b", "empty"] {
        let body = if name == "empty" { "" } else { "x" };
        ground.put(&format!("p/{name}"), body).await;
    }
    let closed = Rule::new(Effect::RefuseKey)
        .on(Operation::GetObject)
        .exactly("p/b");
    ground.fault.inject(closed);
    assert_eq!(audit(&ground, of_kms("k"), None, false).await.names(), []);
    let deep = audit(&ground, of_kms("k"), None, true).await;
    assert_eq!(deep.names(), [("b", "unreadable")]);
    assert!(
        deep.findings[0]
            .text
            .starts_with("it cannot be read: GetObject of")
    );
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_found_and_a_server_that_is_gone_ends_the_audit() {
    let ground = Ground::new();
    for at in 0..40 {
        ground.put(&format!("p/{at:02}"), "x").await;
    }
    let deny = Rule::new(Effect::FailBefore(ErrorKind::Denied)).exactly("p/07");
    let ask = Rule::new(Effect::AskForKey).exactly("p/08");
    ground.fault.inject(deny);
    ground.fault.inject(ask);
    let none = Required::Default(None);
    let found = audit(&ground, none.clone(), None, false).await;
    assert_eq!(found.names(), [("07", "cannot-look"), ("08", "other-mode")]);
    let own = audit(&ground, of_customer("m"), None, false).await;
    assert!(
        own.names().contains(&("08", "other-key")),
        "{:?}",
        own.names()
    );

    let gone = Rule::new(Effect::FailBefore(ErrorKind::Unavailable)).on(Operation::HeadObject);
    ground.fault.inject(gone);
    let audit = Audit {
        store: ground.store(),
        prefix: PREFIX.to_owned(),
        required: none,
        reader: None,
        deep: false,
    };
    let mut findings = 0;
    let failed = audit.run(&mut |_| findings += 1).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    assert!(findings < 40, "it does not go on for ever: {findings}");
}

/// What was asked for lies at most two pages of the listing before what was told: nothing more can
/// be kept. The rows of a table are the caller's.
#[tokio::test]
async fn a_hundred_thousand_objects_take_the_memory_of_two_pages() {
    const OBJECTS: u64 = 100_000;
    let ground = Ground::new();
    for at in 0..OBJECTS {
        ground.put(&format!("p/{at:06}"), "").await;
    }
    let before = ground.fault.calls();
    let audit = Audit {
        store: ground.store(),
        prefix: PREFIX.to_owned(),
        required: Required::Server(ExpectedEncryption::SseS3),
        reader: None,
        deep: false,
    };
    let (fault, mut findings) = (Arc::clone(&ground.fault), 0_u64);
    let started = std::time::Instant::now();
    let mut tell = |event: Event<'_>| match event {
        Event::Finding(_) => findings += 1,
        Event::Progress(told) if told % 500 == 0 => {
            let calls = fault.calls().since(&before);
            let listed = calls.of(Operation::ListObjects) * 1_000;
            assert!(listed <= told + 2_000, "{told} told, {calls}");
            assert!(
                calls.of(Operation::HeadObject) <= told + 100,
                "{told} told, {calls}"
            );
        }
        Event::Progress(_) => {}
    };
    let summary = audit.run(&mut tell).await.unwrap();
    assert_eq!((summary.objects, findings), (OBJECTS, OBJECTS));
    let calls = ground.fault.calls().since(&before);
    assert_eq!(calls.of(Operation::ListObjects), OBJECTS / 1_000);
    assert_eq!(calls.of(Operation::HeadObject), OBJECTS);
    assert_eq!(calls.of(Operation::GetObject), 0, "nothing is read");
    assert!(started.elapsed() < Duration::from_mins(2));
}
