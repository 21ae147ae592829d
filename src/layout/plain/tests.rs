use proptest::prelude::*;

use super::*;

const DEFAULTS: Defaults = Defaults {
    uid: 1000,
    gid: 100,
    umask: 0o022,
};

fn at(secs: i64, nanos: u32) -> Timestamp {
    Timestamp::new(secs, nanos).unwrap()
}

fn facts(size: u64) -> ObjectFacts {
    ObjectFacts {
        size,
        last_modified: at(1_700_000_000, 0),
        is_marker: false,
    }
}

fn metadata(pairs: &[(&str, &str)]) -> Metadata {
    pairs
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn attributes() -> Attributes {
    Attributes {
        kind: FileKind::File,
        perm: 0o640,
        uid: 5,
        gid: 6,
        rdev: 0,
        atime: at(3, 30),
        mtime: at(1, 10),
        ctime: at(2, 0),
        xattrs: Xattrs::new(),
    }
}

fn decoded(pairs: &[(&str, &str)], size: u64) -> Attributes {
    decode(&metadata(pairs), None, facts(size), &DEFAULTS).attributes
}

#[test]
fn metadata_is_as_s3fs_writes_it() {
    let mut attributes = attributes();
    attributes.xattrs = [
        ("user.a".to_owned(), b"bar".to_vec()),
        ("user.empty".to_owned(), Vec::new()),
    ]
    .into();
    let encoded = encode(&attributes, &Metadata::new()).unwrap();
    let expected = metadata(&[
        ("atime", "3.000000030"),
        ("ctime", "2.000000000"),
        ("gid", "6"),
        ("mode", "33184"),
        ("mtime", "1.000000010"),
        ("uid", "5"),
        (
            "xattr",
            "%7B%22user.a%22%3A%22YmFy%22%2C%22user.empty%22%3A%22%22%7D",
        ),
    ]);
    assert_eq!(encoded, expected);
    assert_eq!(content_type(FileKind::Directory), "application/x-directory");
    assert_eq!(content_type(FileKind::Symlink), "application/octet-stream");
}

#[test]
fn attributes_of_s3fs_are_read() {
    // A link made by s3fs 1.95: times without a fraction when it is zero.
    let link = decoded(
        &[
            ("mode", "41471"),
            ("uid", "0"),
            ("mtime", "1717171717"),
            ("xattr", "%7B%7D"),
        ],
        12,
    );
    assert_eq!(
        (link.kind, link.perm, link.uid, link.gid),
        (FileKind::Symlink, 0o777, 0, 100)
    );
    assert_eq!(
        (link.mtime, link.atime, link.ctime),
        (
            at(1_717_171_717, 0),
            at(1_717_171_717, 0),
            at(1_700_000_000, 0)
        )
    );
    let acl = decoded(
        &[(
            "xattr",
            "%7b%22system.posix_acl_access%22:%22AgAAAA%3D%3D%22%7d",
        )],
        0,
    );
    assert_eq!(
        acl.xattrs.get("system.posix_acl_access"),
        Some(&vec![2, 0, 0, 0])
    );
}

#[test]
fn times_are_read_with_any_number_of_digits() {
    let cases = [
        ("7", Some(at(7, 0))),
        ("7.", Some(at(7, 0))),
        ("7.5", Some(at(7, 500_000_000))),
        ("7.000000005", Some(at(7, 5))),
        ("7.1234567899", Some(at(7, 123_456_789))),
        ("-2.250000000", Some(at(-2, 250_000_000))),
        ("", None),
        (".5", None),
        ("7.5s", None),
        ("7.-5", None),
        ("7.5.5", None),
        ("1e9", None),
        ("99999999999999999999", None),
        ("2024-01-01T00:00:00Z", None),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_time(text), expected, "{text:?}");
    }
}

#[test]
fn objects_of_other_tools_have_sensible_attributes() {
    let file = decoded(&[], 17);
    assert_eq!(
        (file.kind, file.perm, file.uid, file.gid, file.mtime),
        (FileKind::File, 0o644, 1000, 100, at(1_700_000_000, 0))
    );
    let marker = ObjectFacts {
        is_marker: true,
        ..facts(0)
    };
    let dir = decode(&metadata(&[("mode", "33188")]), None, marker, &DEFAULTS).attributes;
    assert_eq!((dir.kind, dir.perm), (FileKind::Directory, 0o755));
    let dir = decode(&Metadata::new(), None, marker, &DEFAULTS).attributes;
    assert_eq!((dir.kind, dir.perm), (FileKind::Directory, 0o755));
    for (content_type, size, kind) in [
        ("application/x-directory", 0, FileKind::Directory),
        (
            "httpd/unix-directory; charset=utf-8",
            0,
            FileKind::Directory,
        ),
        ("application/x-directory", 1, FileKind::File),
        ("text/plain", 0, FileKind::File),
    ] {
        let typed = decode(&Metadata::new(), Some(content_type), facts(size), &DEFAULTS);
        assert_eq!(
            typed.attributes.kind, kind,
            "{content_type} of {size} bytes"
        );
    }
    assert_eq!(
        decoded(&[("mode", "420")], 1).perm,
        0o644,
        "mode without a type"
    );
}

#[test]
fn a_type_does_not_hide_content() {
    for (mode, size, kind) in [
        ("16877", 0, FileKind::Directory),
        ("16877", 5, FileKind::File),
        ("41471", 4095, FileKind::Symlink),
        ("41471", 4096, FileKind::File),
        ("4516", 0, FileKind::Fifo),
        ("4516", 1, FileKind::File),
        ("49645", 0, FileKind::Socket),
        ("24996", 0, FileKind::BlockDevice),
        ("61440", 0, FileKind::File),
    ] {
        assert_eq!(
            decoded(&[("mode", mode)], size).kind,
            kind,
            "{mode} of {size} bytes"
        );
    }
    let device = decoded(&[("mode", "8612"), ("cloakfs-rdev", "1281")], 0);
    assert_eq!((device.kind, device.rdev), (FileKind::CharDevice, 1281));
    assert_eq!(decoded(&[("cloakfs-rdev", "1281")], 0).rdev, 0);
}

#[test]
fn metadata_of_others_is_kept_and_the_commit_id_is_not() {
    let theirs = metadata(&[
        ("author", "somebody"),
        ("cloakfs-commit", "00"),
        ("mode", "33188"),
        ("xattr", "not s3fs's"),
    ]);
    let kept = decode(&theirs, None, facts(1), &DEFAULTS);
    let foreign = metadata(&[("author", "somebody"), ("xattr", "not s3fs's")]);
    assert_eq!(kept.foreign, foreign);
    let mut attributes = kept.attributes;
    let encoded = encode(&attributes, &theirs).unwrap();
    assert_eq!(encoded.get("author"), Some(&"somebody".to_owned()));
    assert_eq!(encoded.get("xattr"), Some(&"not s3fs's".to_owned()));
    assert_eq!(encoded.get("cloakfs-commit"), None);
    attributes.xattrs.insert("user.a".to_owned(), vec![1]);
    let encoded = encode(&attributes, &foreign).unwrap();
    assert_eq!(
        encoded.get("xattr").unwrap(),
        "%7B%22user.a%22%3A%22AQ%3D%3D%22%7D"
    );
}

#[test]
fn metadata_beyond_the_limit_is_refused_with_a_sentence() {
    let with_value = |len: usize| {
        let mut attributes = attributes();
        attributes.xattrs.insert("user.a".to_owned(), vec![0; len]);
        encode(&attributes, &Metadata::new())
    };
    let largest = (0..2048)
        .rev()
        .find(|&len| with_value(len).is_ok())
        .unwrap();
    assert!(largest > 1100, "room for {largest} bytes of one attribute");
    let mut fits = with_value(largest).unwrap();
    fits.insert(
        CommitId::METADATA_NAME.to_owned(),
        CommitId::random().to_string(),
    );
    let sent: usize = fits
        .iter()
        .map(|(name, value)| "x-amz-meta-".len() + name.len() + value.len())
        .sum();
    assert!(
        sent <= METADATA_BYTES_MAX,
        "{sent} bytes with the commit id"
    );
    assert_eq!(
        with_value(1800).unwrap_err().to_string(),
        "the object's metadata would have 2631 bytes, and S3 keeps at most 2048 with an object; remove extended attributes or make them shorter"
    );
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    (any::<i64>(), 0..1_000_000_000u32).prop_map(|(secs, nanos)| at(secs, nanos))
}

fn any_attributes() -> impl Strategy<Value = Attributes> {
    let kind = prop::sample::select(vec![
        FileKind::File,
        FileKind::Directory,
        FileKind::Symlink,
        FileKind::Fifo,
        FileKind::CharDevice,
        FileKind::BlockDevice,
        FileKind::Socket,
    ]);
    let xattrs = prop::collection::btree_map(
        "\\PC{1,8}|user\\.[a-z,:\"{}%\\\\]{1,8}",
        prop::collection::vec(any::<u8>(), 0..20),
        0..4,
    );
    (
        (
            kind,
            0..0o10000u16,
            any::<u32>(),
            any::<u32>(),
            any::<u32>(),
        ),
        (any_time(), any_time(), any_time(), xattrs),
    )
        .prop_map(
            |((kind, perm, uid, gid, rdev), (atime, mtime, ctime, xattrs))| Attributes {
                kind,
                perm,
                uid,
                gid,
                rdev: match kind {
                    FileKind::CharDevice | FileKind::BlockDevice => rdev,
                    _ => 0,
                },
                atime,
                mtime,
                ctime,
                xattrs,
            },
        )
}

proptest! {
    #[test]
    fn attributes_survive_the_way_there_and_back(
        attributes in any_attributes(), foreign in prop::collection::btree_map("x-[a-z]{1,8}", "[ -~]{0,20}", 0..4)
    ) {
        let Ok(metadata) = encode(&attributes, &foreign) else { return Ok(()) };
        prop_assert!(metadata.iter().all(|(name, value)| name.is_ascii() && value.is_ascii()));
        let facts = ObjectFacts { is_marker: attributes.kind == FileKind::Directory, ..facts(0) };
        let decoded = decode(&metadata, None, facts, &DEFAULTS);
        prop_assert_eq!(decoded.attributes, attributes);
        prop_assert_eq!(decoded.foreign, foreign);
    }

    #[test]
    fn any_metadata_is_decoded_and_what_is_foreign_survives_a_rewrite(
        metadata in prop::collection::btree_map(
            "mode|uid|gid|mtime|ctime|atime|xattr|cloakfs-rdev|cloakfs-commit|[a-z]{1,4}",
            "-?[0-9]{0,22}(\\.[0-9]{0,12})?|%7B%22a%22%3A%22[A-Za-z0-9%]{0,8}%22%7D|\\PC{0,30}",
            0..9,
        ),
        content_type in prop::option::of("\\PC{0,20}"),
        size in prop_oneof![Just(0u64), any::<u64>()],
        is_marker in any::<bool>(),
    ) {
        let facts = ObjectFacts { is_marker, ..facts(size) };
        let decoded = decode(&metadata, content_type.as_deref(), facts, &DEFAULTS);
        prop_assert!(decoded.attributes.perm <= 0o7777);
        if let Ok(rewritten) = encode(&decoded.attributes, &decoded.foreign) {
            let again = decode(&rewritten, content_type.as_deref(), facts, &DEFAULTS);
            prop_assert_eq!(again, decoded);
        }
    }
}
