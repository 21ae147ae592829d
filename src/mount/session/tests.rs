use std::cell::Cell;

use super::*;

fn broken() -> SessionError {
    SessionError::Connection {
        mountpoint: "/mnt".into(),
        source: io::Error::other("it broke"),
    }
}

/// What [`finish`] makes of it, and whether it settled.
async fn finished(
    ended: Result<(), SessionError>,
    settled: Result<(), SessionError>,
) -> (String, bool) {
    let ran = Cell::new(false);
    let outcome = finish(ended, async {
        ran.set(true);
        settled
    })
    .await;
    let words = outcome.map_or_else(|error| error.to_string(), |()| "all is stored".to_owned());
    (words, ran.get())
}

#[tokio::test]
async fn a_broken_connection_does_not_keep_what_is_unwritten_from_being_stored() {
    let broke = "the kernel's FUSE connection for /mnt failed: it broke";
    let lost = || SessionError::Uncommitted {
        files: vec!["a".to_owned(), "b\nc".to_owned()],
    };
    assert_eq!(
        finished(Ok(()), Ok(())).await,
        ("all is stored".to_owned(), true)
    );
    assert_eq!(
        finished(Err(broken()), Ok(())).await,
        (broke.to_owned(), true)
    );
    assert_eq!(
        finished(Err(broken()), Err(lost())).await,
        (
            format!(
                "{broke}; then 2 files have changes that are not stored and are lost: \"a\", \"b\\nc\""
            ),
            true
        )
    );
}

#[tokio::test]
async fn a_second_signal_stores_nothing_more() {
    let (words, settled) = finished(Err(SessionError::Interrupted), Ok(())).await;
    assert!(words.starts_with("a second signal"), "{words}");
    assert!(!settled);
}
