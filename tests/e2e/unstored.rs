//! Unmounting after a close that failed: no file is open then, and yet not all is stored.

/// Mounting takes root.
mod as_root {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::time::Duration;

    use crate::fstab::as_root::{arguments, local_unmounted};
    use crate::fstab_machine::Machine;
    use crate::process::run;
    use crate::wait::until;

    const DEADLINE: Duration = Duration::from_mins(1);

    /// A store that is full until [`make_room`], and a close that failed for that.
    fn with_a_failed_close(options: &str) -> (Machine, PathBuf, PathBuf) {
        let (machine, at, store) = local_unmounted(options);
        let script = "
            mount -t tmpfs -o size=1M tmpfs $2
            CLOAKFS_STATE_DIR=$3 mount $1
            cat /dev/zero > $2/filler 2> /dev/null || true
            # Not cp: it asks for a new file, which the store makes at once.
            cat /etc/hostname > $1/file && exit 1
            test -s $1/file";
        machine.sh(script, &[&at, &store, &machine.directory("state")]);
        (machine, at, store)
    }

    fn make_room(machine: &Machine, store: &Path) {
        machine.sh("rm $1/filler", &[store]);
    }

    /// Its daemon has another state directory, as a user's has. No file is open, and yet not
    /// all is stored.
    #[test]
    fn root_unmounts_what_others_mounted_when_it_is_stored() {
        let (machine, at, store) = with_a_failed_close("_netdev,timeout=5s");
        let refused = machine.finish("umount", &[at.as_os_str()]);
        assert_eq!(refused.status.code(), Some(32), "{refused:?}");
        let reason = "cloakfs: not everything could be uploaded: ";
        assert!(refused.stderr.contains(reason), "{refused:?}");
        assert_eq!(machine.findmnt("FSTYPE", &at), "fuse.cloakfs");
        make_room(&machine, &store);
        machine.run("umount", &[at.as_os_str()]);
        assert_eq!(machine.findmnt("FSTYPE", &at), "");
        machine.sh("grep -rqaf /etc/hostname $1", &[&store]);
    }

    /// Its daemon listens nowhere that root could find, and is stopped: a look at the mount would
    /// wait for it.
    #[test]
    fn root_does_not_unmount_what_cannot_be_asked() {
        let (machine, at, _) = local_unmounted("_netdev");
        let state = machine.directory("state");
        machine.sh("CLOAKFS_STATE_DIR=$2 mount $1", &[&at, &state]);
        // Root finds it before that.
        let pid = machine.status(&at)["pid"].to_string();
        machine.sh("rm $1/run/*.sock", &[&state]);
        let signal = |name: &str| run(Command::new("kill").args([name, &pid]));
        signal("-STOP");
        // umount(8) itself looks at the mount before it starts the helper.
        let refused = machine.finish("umount.fuse.cloakfs", &[at.as_os_str()]);
        signal("-CONT");
        assert_eq!(refused.status.code(), Some(32), "{refused:?}");
        let reason = format!(
            "but no daemon of it answers here, to say whether all is stored; it was mounted by user 0 or with another CLOAKFS_STATE_DIR: ask as that user or as root, or unmount without asking: umount -l {}\n",
            at.display()
        );
        assert!(refused.stderr.ends_with(&reason), "{refused:?}");
        assert_eq!(machine.findmnt("FSTYPE", &at), "fuse.cloakfs");
        machine.run("umount", &arguments(&["-l"], &at));
    }

    /// Without _netdev nobody asks the daemon.
    #[test]
    fn what_umount_8_leaves_unstored_is_tried_again_and_named_when_it_is_lost() {
        for heals in [true, false] {
            let timeout = if heals { "1m" } else { "2s" };
            let place = tempfile::tempdir().expect("a directory");
            let log = place.path().join("log");
            let options = format!("noauto,timeout={timeout},log_file={}", log.display());
            let (machine, at, store) = with_a_failed_close(&options);
            machine.run("umount", &[at.as_os_str()]);
            let logged = |words: &str| {
                let found = until(DEADLINE, || {
                    let log = fs::read_to_string(&log).unwrap_or_default();
                    log.contains(words).then_some(log)
                });
                found.unwrap_or_else(|| panic!("{words:?} is not in {log:?}"))
            };
            logged("; trying again for ");
            if heals {
                make_room(&machine, &store);
                logged("everything is stored, after ");
                machine.sh("grep -rqaf /etc/hostname $1", &[&store]);
            } else {
                let lost = "what was last written to \"file\" is not stored, and is lost now";
                let log = logged(lost);
                let line = log.lines().find(|line| line.contains(lost));
                assert!(line.is_some_and(|line| line.contains("ERROR")), "{log}");
            }
        }
    }
}
