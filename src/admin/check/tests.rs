use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::state::Others;
use super::tree::Counts;
use super::*;
use crate::admin::fixture::{Ground, PREFIX, write};
use crate::store::{ObjectAttributes, ObjectKey, Store};
use crate::volume::lease::{self, Claimant, Gate, Life, Origin, Place, Presence, Term};
use crate::volume::{Volume, record};

const MOUNT: &str = "0123456789abcdef";
const ID: &str = "0123456789abcdef0123456789abcdef";

impl Ground {
    async fn plain(&self) -> Arc<Volume> {
        let options = self.options(false);
        let opened = Volume::open_as_it_is(self.store(), PREFIX, options, None).await;
        opened.unwrap_or_else(|error| panic!("{error}"))
    }

    fn place(&self) -> Place {
        Place {
            store: self.store(),
            prefix: PREFIX.to_owned(),
            server: String::new(),
            source: "mem:/p".to_owned(),
            locks: self.state.path().join("leases"),
        }
    }

    fn write_back(&self) -> PathBuf {
        self.state.path().join("write-back")
    }

    async fn others(&self) -> Others {
        let tenants = lease::tenants(&self.place(), &claimant()).await.unwrap();
        Others {
            tenants,
            alone: false,
        }
    }

    async fn state(&self, volume: &Volume, others: &Others) -> Vec<Finding> {
        let (store, write_back) = (self.store(), self.write_back());
        let found = state::survey(&store, PREFIX, volume, others, &write_back);
        found.await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn tree(&self, volume: &Volume) -> (Vec<Finding>, Counts) {
        let mut findings = Vec::new();
        let mut tell = |finding: Option<&Finding>, _: &Counts| findings.extend(finding.cloned());
        let counts = tree::survey(self.store(), PREFIX, volume, &mut tell).await;
        (findings, counts.unwrap())
    }

    async fn repair(&self, volume: &Arc<Volume>, others: &Others) {
        let failed = repair::repair(&self.store(), PREFIX, volume, others).await;
        assert_eq!(failed.unwrap_or_else(|error| panic!("{error}")), [""; 0]);
    }

    /// A registration or lease of a machine that nothing is known of.
    async fn register(&self, name: &str) {
        let record = format!(
            r#"{{"format":1,"mount":"{ID}","host":"far","boot":"b","pid":7,"since":1,"term_secs":180,"counter":1,"lock":1}}"#
        );
        self.put(&own(name), record).await;
    }
}

fn own(name: &str) -> String {
    format!("{PREFIX}.cloakfs/{name}")
}

fn claimant() -> Claimant {
    Claimant {
        origin: Origin::here("here".to_owned()),
        term: Term::new(None, Duration::from_mins(1)).unwrap(),
        waits: false,
    }
}

/// Name and class of each, by the object below the prefix.
fn told(findings: &[Finding]) -> Vec<(&str, &str, Class)> {
    let findings = findings.iter();
    findings
        .map(|found| {
            let object = found.object.strip_prefix(PREFIX).unwrap_or(&found.object);
            (object, found.finding.name(), found.class)
        })
        .collect()
}

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
