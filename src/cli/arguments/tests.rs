use clap::CommandFactory;

use super::mount::parse_umask;
use super::*;
use crate::base::size::ByteSize;

fn read(line: &str) -> Result<MountArguments, UsageError> {
    let typed: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    Arguments::read(&typed).map(|arguments| match arguments.command {
        Command::Mount(mount) => *mount,
        other => panic!("{other:?}"),
    })
}

#[test]
fn the_table_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn an_option_list_says_what_long_options_say_and_they_win() {
    let mount = read(
        "cloakfs mount dir:/s /m -o ro,noexec,noatime,timeout=5,allow_other,_netdev --timeout 2m -o memory=64M",
    )
    .unwrap();
    assert_eq!(mount.timeout, Duration::from_mins(2));
    assert_eq!(mount.memory, ByteSize(64 << 20));
    assert!(mount.allow_other);
    assert_eq!(mount.options, ["ro", "noexec"]);
}

#[test]
fn what_may_be_repeated_adds_up_over_both_ways_to_say_it() {
    let mount = read(
        "cloakfs mount s3://bucket /m -o kms_context=a=b,read_key_file=/1 --kms-context c=d -o kms-context=e=f=g --read-key-file /2",
    )
    .unwrap();
    assert_eq!(mount.keys.kms_context, ["a=b", "e=f=g", "c=d"]);
    assert_eq!(mount.read_key_file, [PathBuf::from("/1"), "/2".into()]);
}

#[test]
fn durations_and_masks_are_read() {
    assert_eq!(parse_duration("60"), Ok(Duration::from_mins(1)));
    assert_eq!(parse_duration("60s"), Ok(Duration::from_mins(1)));
    assert_eq!(parse_duration("2m"), Ok(Duration::from_mins(2)));
    for wrong in ["", "0", "s", "-1", "1.5", "1d", "99999999999h"] {
        assert!(parse_duration(wrong).is_err(), "{wrong}");
    }
    assert_eq!(parse_umask("027"), Ok(0o027));
    assert!(parse_umask("8").is_err());
    assert!(parse_umask("1777").is_err());
}
