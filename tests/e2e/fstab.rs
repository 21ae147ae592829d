//! /etc/fstab: mount(8) and umount(8) find cloakfs by their helpers. All in a mount namespace
//! with a table of its own.

/// Mounting takes root.
pub mod as_root {
    use std::ffi::OsStr;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::time::Duration;

    use crate::customer_key::CustomerKey;
    use crate::fstab_machine::Machine;
    use crate::minio::Minio;
    use crate::process::run;
    use crate::wait::until;

    const DEADLINE: Duration = Duration::from_mins(1);
    /// What systemd and mount(8) read themselves.
    const FOR_OTHERS: &str = "_netdev,x-systemd.automount,x-systemd.mount-timeout=15min,nofail";
    /// Above what one request uploads.
    const LARGE_MIB: usize = 80;

    pub fn arguments<'a>(options: &'a [&'a str], path: &'a Path) -> Vec<&'a OsStr> {
        let options = options.iter().map(OsStr::new);
        options.chain([path.as_os_str()]).collect()
    }

    #[test]
    fn a_table_of_every_mode_is_mounted_and_unmounted() {
        let machine = Machine::new();
        let server = Minio::shared();
        machine.configure(&server);
        let (s3, kms, customer) = (
            server.bucket("fstab_s3"),
            server.bucket("fstab_kms"),
            server.bucket("fstab_customer"),
        );
        let key = CustomerKey::new(11);
        let key_file = key.file(&machine.path("home"));
        let store = machine.directory("store");
        let at = ["local dir", "s3", "kms", "customer"].map(|name| machine.directory(name));
        let options =
            |bucket, more: &str| format!("{FOR_OTHERS},{},{more}", Machine::reach(bucket));
        machine.fstab(&[
            (
                &format!("dir:{}", store.display()),
                &at[0],
                &format!("{FOR_OTHERS},encryption_mode=none,uid=7,gid=8,umask=077,allow_other"),
            ),
            (
                &format!("s3://{}/below", s3.name),
                &at[1],
                &options(&s3, "encryption_mode=sse-s3"),
            ),
            (
                &format!("s3://{}", kms.name),
                &at[2],
                &options(
                    &kms,
                    "encryption_mode=sse-kms,kms_key=my-key,kms_context=tenant=a,kms_context=note=b\\,c",
                ),
            ),
            (
                &format!("s3://{}", customer.name),
                &at[3],
                &options(
                    &customer,
                    &format!("encryption_mode=sse-c,key_file={}", key_file.display()),
                ),
            ),
        ]);

        machine.run("mount", &["-a".as_ref()]);
        let types: Vec<String> = at
            .iter()
            .map(|at| machine.findmnt("FSTYPE,SOURCE", at))
            .collect();
        assert_eq!(
            types,
            [
                format!("fuse.cloakfs dir:{}", store.display()),
                format!("fuse.cloakfs s3://{}/below", s3.name),
                format!("fuse.cloakfs s3://{}", kms.name),
                format!("fuse.cloakfs s3://{}", customer.name),
            ]
        );
        let shown = machine.run("df", &arguments(&["--output=source,fstype"], &at[1]));
        assert!(shown.contains("fuse.cloakfs"), "{shown}");
        // A second time finds nothing to do.
        machine.run("mount", &["-a".as_ref()]);
        assert_eq!(machine.findmnt("FSTYPE", &at[1]), "fuse.cloakfs");

        for at in &at {
            machine.sh("echo small > \"$1/small\"", &[at]);
        }
        machine.sh(
            &format!("head -c {} /dev/zero > $1/large", LARGE_MIB << 20),
            &[&at[1]],
        );
        assert_eq!(
            machine.sh("stat -c %u:%g:%a \"$1\"", &[&at[0]]),
            "7:8:700\n"
        );
        let status = machine.status(&at[2]);
        assert_eq!(status["mode"], "sse-kms", "{status}");
        assert_eq!(status["kms_key"], "my-key", "{status}");
        assert_eq!(
            status["kms_context"],
            serde_json::json!({"tenant": "a", "note": "b,c"}),
            "{status}"
        );
        assert_eq!(status["bucket_key"], false, "{status}");
        let status = machine.status(&at[3]);
        assert_eq!(status["mode"], "sse-c", "{status}");
        assert_eq!(status["key_md5"], key.md5(), "{status}");

        for at in &at {
            machine.run("umount", &[at.as_os_str()]);
            assert_eq!(machine.findmnt("FSTYPE", at), "");
        }
        assert_eq!(s3.client.read("below/large"), vec![0; LARGE_MIB << 20]);
        assert_eq!(
            s3.client.head("below/small").encryption.as_deref(),
            Some("AES256")
        );
        let stored = kms.client.head("small");
        assert_eq!(stored.encryption.as_deref(), Some("aws:kms"));
        assert_eq!(stored.kms_key.as_deref(), Some("arn:aws:kms:my-key"));
        assert_eq!(
            customer.client.with([]).read("small").unwrap_err().status,
            400,
            "the server gave it without the key"
        );
        let read = customer.client.with(key.headers()).read("small");
        assert_eq!(read.unwrap(), b"small\n");

        // One of the table by its mountpoint, and what was written is there.
        machine.run("mount", &[at[3].as_os_str()]);
        assert_eq!(machine.sh("cat $1/small", &[&at[3]]), "small\n");
        machine.run("umount", &[at[3].as_os_str()]);
    }

    #[test]
    fn umount_uploads_first_and_refuses_where_a_program_still_writes() {
        let (machine, at, store) = local();
        let script = "
            exec 3> $1/open
            printf 'not closed' >&3
            code=0; umount $1 || code=$?
            grep --recursive --no-filename --text --only-matching 'not closed' $2
            exec 3>&-
            umount $1
            exit $code";
        let finished = machine.finish(
            "bash",
            &arguments(&["-euc", script, "bash", at.to_str().unwrap()], &store),
        );
        assert_eq!(finished.status.code(), Some(32), "{finished:?}");
        assert_eq!(
            finished.stderr,
            format!(
                "cloakfs: {0} is in use by a program; everything is stored, and it stays mounted until you close what uses it (see: fuser -vm {0})\n",
                at.display()
            )
        );
        assert!(finished.stdout.contains("not closed"), "{finished:?}");
        assert_eq!(machine.findmnt("FSTYPE", &at), "");
    }

    #[test]
    fn a_lazy_umount_waits_for_nobody_and_loses_nothing() {
        let (machine, at, store) = local();
        let script = "
            exec 3> $1/open
            umount -l $1
            mountpoint -q $1 && exit 1
            printf later >&3
            exec 3>&-";
        machine.sh(script, &[&at]);
        let stored = until(DEADLINE, || {
            let look = ["--recursive", "--quiet", "--text", "later"];
            let found = machine.finish("grep", &arguments(&look, &store));
            found.status.success().then_some(())
        });
        assert!(stored.is_some(), "it did not get into the store");
    }

    /// A stopped daemon answers nobody.
    #[test]
    fn a_forced_umount_does_not_wait_for_the_daemon() {
        let (machine, at, _) = local();
        let pid = machine.status(&at)["pid"].to_string();
        let signal = |name: &str| run(Command::new("kill").args([name, &pid]));
        signal("-STOP");
        let unmounted = machine.finish("umount", &arguments(&["-f"], &at));
        signal("-CONT");
        assert!(unmounted.status.success(), "{unmounted:?}");
        assert_eq!(machine.findmnt("FSTYPE", &at), "");
        let gone = until(DEADLINE, || {
            let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            (state.is_empty() || state.contains(") Z ")).then_some(())
        });
        assert!(gone.is_some(), "the daemon still runs");
    }

    #[test]
    fn what_is_wrong_in_a_line_is_said_and_becomes_the_exit_code() {
        let (machine, at, store) = local_unmounted("turbo,ro,_netdev");
        let source = format!("dir:{}", store.display());
        let refused = machine.finish("mount", &[at.as_os_str()]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(
            refused
                .stderr
                .starts_with("cloakfs: -o does not know \"turbo\"; it knows: nonempty, ro, rw, "),
            "{refused:?}"
        );
        machine.fstab(&[(&source, &at, "encryption_mode=none,timeout=soon")]);
        let refused = machine.finish("mount", &[at.as_os_str()]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert_eq!(
            refused.stderr,
            "cloakfs: invalid value 'soon' for '--timeout <DURATION>': write a whole number of seconds, at least 1, or one with s, m or h, as in 90s\n"
        );
        machine.fstab(&[("dir:/no/such", &at, "encryption_mode=none")]);
        let refused = machine.finish("mount", &["-a".as_ref()]);
        assert_eq!(refused.status.code(), Some(32), "{refused:?}");
        assert!(
            refused
                .stderr
                .starts_with("cloakfs: the directory \"/no/such\" does not exist"),
            "{refused:?}"
        );
        machine.fstab(&[(
            "s3://bucket",
            &at,
            "encryption_mode=sse-c,key_file=/no/such,endpoint_url=https://127.0.0.1:1",
        )]);
        let refused = machine.finish("mount", &[at.as_os_str()]);
        assert_eq!(refused.status.code(), Some(32), "{refused:?}");
        assert_eq!(
            refused.stderr,
            "cloakfs: the key file /no/such does not exist: check its path\n"
        );
        // mount(8) drops `encryption=`, which it knows from encrypted loop devices.
        for (source, options) in [
            ("s3://bucket", "encryption=sse-s3"),
            ("s3://bucket", "defaults"),
            (&source, "encryption=cse-c,key_file=/key"),
        ] {
            machine.fstab(&[(source, &at, options)]);
            let refused = machine.finish("mount", &[at.as_os_str()]);
            assert_eq!(refused.status.code(), Some(1), "{refused:?}");
            assert_eq!(
                refused.stderr,
                "cloakfs: no encryption_mode was given, and mount(8) keeps an option encryption= for itself; write encryption_mode=sse-s3 (or sse-kms, sse-c, cse-kms, cse-c), or encryption_mode=none to leave it to the bucket's default, or a local directory in clear\n"
            );
        }
        assert_eq!(machine.findmnt("FSTYPE", &at), "");
    }

    #[test]
    fn mounts_own_switches_mean_what_they_mean() {
        let (machine, at, _) = local_unmounted("turbo,ro,_netdev");
        let mount = |switch| machine.finish("mount", &arguments(&[switch], &at));
        let done = mount("-fsv");
        assert!(done.status.success(), "{done:?}");
        assert!(done.stderr.contains(" could be mounted at "), "{done:?}");
        assert_eq!(machine.findmnt("FSTYPE", &at), "");

        let done = mount("-s");
        assert!(done.status.success(), "{done:?}");
        assert!(
            done.stderr
                .contains("cloakfs: note: options that are not known are ignored (-s): turbo\n"),
            "{done:?}"
        );
        let options = machine.findmnt("OPTIONS", &at);
        assert!(options.starts_with("ro,nosuid,nodev"), "{options}");

        let remounted = machine.finish("mount", &arguments(&["-s", "-o", "remount,rw"], &at));
        assert_eq!(remounted.status.code(), Some(1), "{remounted:?}");
        assert_eq!(
            remounted.stderr.lines().last(),
            Some(
                "cloakfs: -o remount is not possible: the options of a mount are fixed while it is there; unmount it and mount it again"
            )
        );
        machine.run("umount", &[at.as_os_str()]);
    }

    /// mount(8) finds the helper in its own namespace and names the other to it.
    #[test]
    fn another_namespace_is_mounted_in() {
        let (machine, at, _) = local_unmounted("_netdev");
        let script = r#"
            coproc other { unshare --mount --propagation private bash -c 'echo ready; read -r _'; }
            read -r _ <&"${other[0]}"
            mount --namespace "$other_PID" "$1"
            grep -F " $1 fuse.cloakfs " "/proc/$other_PID/mounts"
            ! grep -F " $1 " /proc/self/mounts
            umount --namespace "$other_PID" "$1"
            ! grep -F " $1 " "/proc/$other_PID/mounts"
            echo >&"${other[1]}""#;
        machine.sh(script, &[&at]);
    }

    /// Whoever may not use `-T` uses the table itself; the helper has that user's rights.
    #[test]
    fn an_ordinary_user_mounts_and_unmounts_a_line_that_allows_it() {
        let (machine, at, _) = local_unmounted("user,noauto");
        let script = r#"
            chown -R 65534:65534 "$1" "$2" "$3"
            setpriv --reuid=65534 --regid=65534 --clear-groups env CLOAKFS_STATE_DIR="$3" bash -euc '
                mount "$0"
                findmnt --noheadings --output FSTYPE,OPTIONS --mountpoint "$0"
                echo mine > "$0/file"
                umount "$0"' "$1"
            ! mountpoint -q "$1"
            find "$2" -type f -name '*file*' -printf '%U\n'"#;
        let state = machine.directory("state");
        let shown = machine.sh(script, &[&at, &machine.path("store"), &state]);
        assert!(shown.starts_with("fuse.cloakfs"), "{shown}");
        assert!(shown.contains("noexec"), "{shown}");
        assert!(shown.ends_with("\n65534\n"), "{shown}");
    }

    #[test]
    fn another_table_is_read() {
        let (machine, at, _) = local_unmounted("_netdev");
        let table = machine.path("table");
        fs::copy(machine.path("fstab"), &table).expect("a copy of the table");
        machine.fstab(&[]);
        machine.run("mount", &["-a".as_ref()]);
        assert_eq!(machine.findmnt("FSTYPE", &at), "");
        machine.run("mount", &arguments(&["-a", "-T"], &table));
        assert_eq!(machine.findmnt("FSTYPE", &at), "fuse.cloakfs");
        machine.run("umount", &[at.as_os_str()]);
    }

    /// A machine with one line: a local directory as the store.
    pub fn local_unmounted(options: &str) -> (Machine, PathBuf, PathBuf) {
        let machine = Machine::new();
        let (store, at) = (machine.directory("store"), machine.directory("mnt"));
        let options = format!("encryption_mode=none,{options}");
        machine.fstab(&[(&format!("dir:{}", store.display()), &at, &options)]);
        (machine, at, store)
    }

    /// The same, mounted.
    fn local() -> (Machine, PathBuf, PathBuf) {
        let (machine, at, store) = local_unmounted("_netdev");
        machine.run("mount", &[at.as_os_str()]);
        (machine, at, store)
    }
}
