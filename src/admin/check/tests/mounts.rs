//! Mounts that are dead, and their renames.

use super::*;

/// A mount of this machine that ends as kill -9 ends it: nothing of it is given back.
fn killed(ground: &Ground) {
    let (place, claimant) = (ground.place(), claimant());
    let registering = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let gate = Arc::new(Gate::default());
        let presence = runtime.block_on(Presence::shared(place, claimant, gate, |_| ()));
        drop((presence.unwrap(), runtime));
    });
    registering.join().unwrap();
}

#[tokio::test]
async fn a_dead_mount_of_this_machine_is_known_at_once() {
    let ground = Ground::new();
    killed(&ground);
    let mut others = ground.others().await;
    assert!(!others.may_live());
    let volume = ground.plain().await;
    let found = ground.state(&volume, &others).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].finding, found[0].class),
        (Trouble::Registration, Class::Repairable)
    );
    repair::evict(&ground.place(), &claimant(), &mut others)
        .await
        .unwrap();
    assert_eq!(ground.mem.keys(), [""; 0]);
    let locks = std::fs::read_dir(ground.state.path().join("leases")).unwrap();
    assert_eq!(locks.count(), 0, "its lock is forgotten");
}

#[tokio::test]
async fn a_rename_that_a_dead_mount_left_half_done_is_finished_and_a_living_ones_is_not() {
    let ground = Ground::with_volume(1).await;
    let volume = ground.mount(1).await;
    for path in ["old/", "old/a", "old/b"] {
        let content = if path.ends_with('/') {
            vec![]
        } else {
            vec![1; 10]
        };
        write(&ground, &volume, path, content).await;
    }
    let (from, to) = ("old".parse().unwrap(), "new".parse().unwrap());
    let intent = volume.intend_rename(&from, &to).await.unwrap();
    let other = ground.mount(1).await;
    let others = Others {
        tenants: Vec::new(),
        alone: false,
    };
    let living = ground.others_that_may_live().await;
    let found = ground.state(&other, &living).await;
    assert_eq!(found[1].class, Class::InUse, "{found:?}");
    assert!(
        found[1]
            .text
            .starts_with("\"old\" is half renamed to \"new\" by mount")
    );
    ground.repair(&other, &living).await;
    assert_eq!(
        ground.state(&other, &living).await.len(),
        2,
        "it is left to it"
    );

    drop(intent);
    drop(volume);
    let found = ground.state(&other, &others).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].finding, found[0].class),
        (Trouble::UnfinishedRename, Class::Repairable)
    );
    ground.repair(&other, &others).await;
    assert_eq!(told(&ground.state(&other, &others).await), []);
    let (findings, counts) = ground.tree(&other).await;
    assert_eq!(told(&findings), []);
    assert_eq!((counts.files, counts.directories), (2, 1));
    let names = other.list(&to, None).await.unwrap().entries;
    assert_eq!(names.len(), 2);
}

impl Ground {
    async fn others_that_may_live(&self) -> Others {
        self.register(&format!("mounts/{ID}")).await;
        let others = self.others().await;
        let key = ObjectKey::new(own(&format!("mounts/{ID}"))).unwrap();
        self.mem
            .delete(&key, crate::store::DeleteOptions::default())
            .await
            .unwrap();
        others
    }
}
