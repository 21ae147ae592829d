//! Several processes and tasks on one directory.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_and_removers_of_one_directory_do_not_disturb_each_other() {
    let (_dir, store) = store();
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                let name = format!("deep/er/{task}");
                for _ in 0..40 {
                    put(&store, &name, "x").await.unwrap();
                    assert_eq!(body(&store, &name).await.unwrap(), "x");
                    store
                        .delete(&key(&name), DeleteOptions::default())
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Two stores on one directory are as two processes: flock knows no processes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_hold_between_two_openings_of_the_directory() {
    let (dir, first) = store();
    let second = DirStore::open(dir.path()).unwrap();
    put(&first, "counter", "").await.unwrap();
    let mut writers = vec![];
    for store in [first.clone(), second] {
        writers.push(tokio::spawn(async move {
            let mut wins = 0_u64;
            while wins < 50 {
                let now = store
                    .get(&key("counter"), GetOptions::default())
                    .await
                    .unwrap();
                let mut longer = now.body.to_vec();
                longer.push(b'x');
                let options = PutOptions {
                    condition: WriteCondition::IfMatch(now.info.etag),
                    ..PutOptions::default()
                };
                match store.put(&key("counter"), longer.into(), options).await {
                    Ok(_) => wins += 1,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Precondition),
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let counter = first
        .get(&key("counter"), GetOptions::default())
        .await
        .unwrap();
    assert_eq!(counter.body.len(), 100, "no update was lost");
}

#[tokio::test]
async fn what_a_dead_process_left_is_removed_and_what_a_living_one_has_is_not() {
    let (dir, living) = store();
    let pending = living
        .create_multipart(&key("k"), ObjectAttributes::default())
        .await
        .unwrap();
    let dead = dir.path().join(disk::PRIVATE).join("sessions/dead");
    fs::create_dir_all(dead.join("uploads/u")).unwrap();
    fs::write(dead.join("alive"), "").unwrap();
    fs::write(dead.join("draft-0"), "half an obj").unwrap();
    let other = DirStore::open(dir.path()).unwrap();
    assert!(!dead.exists());
    let listed = other.list_multipart("").await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].key.as_str(), &listed[0].upload), ("k", &pending));
    // Another process can end it.
    other.abort_multipart(&key("k"), &pending).await.unwrap();
    assert_eq!(living.list_multipart("").await.unwrap(), []);
    let session = unfinished(dir.path());
    assert_eq!(session, Vec::<String>::new());
    drop(living);
    drop(other);
    assert_eq!(
        paths(&dir.path().join(disk::PRIVATE).join("sessions")),
        Vec::<String>::new()
    );
}
