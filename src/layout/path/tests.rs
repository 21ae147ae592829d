use std::os::unix::ffi::OsStrExt;

use proptest::prelude::*;

use super::*;

fn name(text: &str) -> PlainName {
    PlainName::new(OsStr::new(text)).unwrap()
}

fn path(text: &str) -> VolumePath {
    text.parse().unwrap()
}

fn mapper(prefix: &str) -> KeyMapper {
    KeyMapper::new(prefix).unwrap()
}

fn encrypted(prefix: &str) -> KeyMapper {
    let key = crate::crypto::NameKey::random();
    KeyMapper::with_names(
        prefix,
        crate::layout::sealed::Names::Encrypted(Box::new(key)),
    )
    .unwrap()
}

/// Components that trip naive code, and any others.
fn component() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a".to_owned()),
        Just("ab".to_owned()),
        Just(".cloakfs".to_owned()),
        Just("...".to_owned()),
        Just("a\nb%2F+ \u{fc}".to_owned()),
        "[^/\0]{1,40}".prop_filter("a name", |text| flaw(text).is_none()),
    ]
}

fn any_path() -> impl Strategy<Value = VolumePath> {
    prop::collection::vec(component(), 0..5).prop_map(|components| path(&components.join("/")))
}

fn any_prefix() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("p/".to_owned()),
        Just("a/b/".to_owned())
    ]
}

#[test]
fn names_that_no_file_can_have_are_refused_each_with_its_kind() {
    for text in ["", ".", "..", "a/b", "/", "a\0b"] {
        assert_eq!(
            PlainName::new(OsStr::new(text)),
            Err(NameError::Invalid),
            "{text:?}"
        );
    }
    assert_eq!(
        PlainName::new(OsStr::from_bytes(b"caf\xe9")),
        Err(NameError::NotUtf8)
    );
    assert_eq!(
        PlainName::new(OsStr::new(&"x".repeat(256))),
        Err(NameError::TooLong)
    );
    assert_eq!(name(&"x".repeat(255)).as_str().len(), 255);
    assert_eq!(
        PlainName::new(OsStr::new(&"\u{fc}".repeat(128))),
        Err(NameError::TooLong),
        "bytes count, not characters"
    );
}

#[test]
fn the_errors_say_what_to_do() {
    assert_eq!(
        NameError::TooLong.to_string(),
        "the name is too long: a component has at most 255 bytes (175 where names are encrypted), and the whole object key, with the volume's prefix, at most 1024; use shorter names or fewer directories"
    );
    assert_eq!(
        NameError::NotUtf8.to_string(),
        "the name is not valid UTF-8, and S3 has no other keys; rename it to UTF-8 before copying it here"
    );
    assert_eq!(
        KeyMapper::new("photos").unwrap_err().to_string(),
        "the prefix \"photos\" does not end in \"/\": a volume's prefix is empty or a directory"
    );
    assert_eq!(
        HiddenReason::EmptyComponent.to_string(),
        "has an empty component (\"//\", or \"/\" at the start), which no path can name; rename it with an S3 tool to see it here"
    );
    assert_eq!(
        HiddenReason::ShadowedByDirectory.to_string(),
        "has the same name as a directory, and a path can name only one of them; rename one of them with an S3 tool to see both"
    );
}

#[test]
fn paths_go_down_and_up() {
    let root = VolumePath::root();
    assert!(root.is_root());
    assert_eq!((root.parent(), root.name()), (None, None));
    let file = root.join(&name("a")).join(&name("b"));
    assert_eq!(file.as_str(), "a/b");
    assert_eq!(file.name(), Some("b"));
    assert_eq!(file.parent(), Some(path("a")));
    assert_eq!(path("a").parent(), Some(root));
    assert_eq!("a//b".parse::<VolumePath>(), Err(NameError::Invalid));
    assert_eq!("/a".parse::<VolumePath>(), Err(NameError::Invalid));
}

#[test]
fn a_name_that_only_begins_like_a_directory_is_not_in_it() {
    assert!(path("a/b").starts_with(&path("a")));
    assert!(path("a").starts_with(&path("a")));
    assert!(path("a").starts_with(&VolumePath::root()));
    assert!(!path("ab/c").starts_with(&path("a")));
    assert!(!path("a").starts_with(&path("a/b")));
    assert_eq!(path("ab").rebase(&path("a"), &path("z")), None);
    assert_eq!(
        path("a/b/c").rebase(&path("a"), &path("x/y")),
        Some(path("x/y/b/c"))
    );
}

#[test]
fn keys_lie_below_the_prefix() {
    let mapper = mapper("team/");
    assert_eq!(mapper.file_key(&path("a/b")).unwrap(), "team/a/b");
    assert_eq!(mapper.dir_key(&path("a")).unwrap(), "team/a/");
    assert_eq!(mapper.dir_key(&VolumePath::root()).unwrap(), "team/");
    assert_eq!(mapper.dir_prefix(&VolumePath::root()).unwrap(), "team/");
    assert_eq!(mapper.reserved("staging/17"), "team/.cloakfs/staging/17");
    assert_eq!(
        mapper.file_key(&VolumePath::root()),
        Err(NameError::Invalid)
    );
    assert_eq!(
        KeyMapper::new("").unwrap().dir_key(&VolumePath::root()),
        Err(NameError::Invalid)
    );
}

#[test]
fn a_key_has_at_most_1024_bytes_with_its_prefix_and_slash() {
    let deep = path(&["x".repeat(255), "y".repeat(255), "z".repeat(255)].join("/"));
    let longest = deep.join(&name(&"w".repeat(1024 - "p/".len() - 3 * 256)));
    assert_eq!(mapper("p/").file_key(&longest).unwrap().len(), 1024);
    assert_eq!(mapper("p/").dir_key(&longest), Err(NameError::TooLong));
    assert_eq!(mapper("pp/").file_key(&longest), Err(NameError::TooLong));
}

#[test]
fn what_no_path_can_name_is_hidden_with_its_reason() {
    let mapper = mapper("p/");
    let dir = path("d");
    let hidden = |reason| Listed::Hidden(reason);
    assert_eq!(
        mapper.directory(&dir).unwrap().common_prefix("p/d//"),
        hidden(HiddenReason::EmptyComponent)
    );
    assert_eq!(
        mapper
            .directory(&VolumePath::root())
            .unwrap()
            .common_prefix("p//"),
        hidden(HiddenReason::EmptyComponent)
    );
    assert_eq!(
        mapper.directory(&dir).unwrap().common_prefix("p/d/../"),
        hidden(HiddenReason::DotComponent)
    );
    assert_eq!(
        mapper.directory(&dir).unwrap().object("p/d/."),
        hidden(HiddenReason::DotComponent)
    );
    assert_eq!(
        mapper
            .directory(&dir)
            .unwrap()
            .object(&format!("p/d/{}", "x".repeat(256))),
        hidden(HiddenReason::NameTooLong)
    );
    assert_eq!(
        mapper.directory(&dir).unwrap().object("p/d/a\0"),
        hidden(HiddenReason::NulByte)
    );
    for elsewhere in ["p/e", "d/a", "p/d", "p/dd/a", "p/d/a/b"] {
        assert_eq!(
            mapper.directory(&dir).unwrap().object(elsewhere),
            hidden(HiddenReason::NotInDirectory),
            "{elsewhere}"
        );
    }
    assert_eq!(
        mapper.directory(&dir).unwrap().object("p/d/"),
        Listed::Marker
    );
    assert_eq!(
        mapper.directory(&VolumePath::root()).unwrap().object("p/"),
        Listed::Marker
    );
}

#[test]
fn the_reserved_directory_is_only_at_the_root() {
    let mapper = mapper("p/");
    let root = VolumePath::root();
    assert_eq!(
        mapper
            .directory(&root)
            .unwrap()
            .common_prefix("p/.cloakfs/"),
        Listed::Reserved
    );
    assert_eq!(
        mapper.directory(&root).unwrap().object("p/.cloakfs"),
        Listed::Hidden(HiddenReason::ReservedName)
    );
    assert_eq!(
        mapper
            .directory(&path("d"))
            .unwrap()
            .common_prefix("p/d/.cloakfs/"),
        Listed::Child(name(".cloakfs"))
    );
    assert!(mapper.is_reserved(&path(".cloakfs")));
    assert!(mapper.is_reserved(&path(".cloakfs/x")));
    assert!(!mapper.is_reserved(&path(".cloakfs2")));
    assert!(!mapper.is_reserved(&path("d/.cloakfs")));
    assert!(!mapper.is_reserved(&root));
}

#[test]
fn encrypted_names_are_the_keys_and_cloakfss_own_stay_clear() {
    let mapper = encrypted("p/");
    let key = mapper.file_key(&path("d/secret")).unwrap();
    let (directory, rest) = key.rsplit_once('/').unwrap();
    assert_eq!(
        mapper.dir_prefix(&path("d")).unwrap(),
        format!("{directory}/")
    );
    assert!(!key.contains("secret") && rest.len() == 22_usize.div_ceil(3) * 4 - 2);
    assert_eq!(mapper.reserved("x"), "p/.cloakfs/x");
    let root = VolumePath::root();
    let listing = mapper.directory(&root).unwrap();
    assert_eq!(listing.prefix(), "p/");
    assert_eq!(listing.common_prefix("p/.cloakfs/"), Listed::Reserved);
    let undecryptable =
        |listed: &Listed| matches!(listed, Listed::Hidden(HiddenReason::Undecryptable(_)));
    assert!(undecryptable(&listing.object("p/plain")));
    assert!(undecryptable(&listing.common_prefix("p/plain/")));
    // What was moved here from another directory; and another spelling of what is here.
    assert!(undecryptable(&listing.object(&format!("p/{rest}"))));
    let own = mapper.file_key(&path("own")).unwrap();
    assert_eq!(listing.object(&own), Listed::Child(name("own")));
    assert!(undecryptable(&listing.object(&format!("{own}="))));
    // Nobody makes such a name here.
    let reserved = mapper.file_key(&path(".cloakfs")).unwrap();
    assert_eq!(
        listing.object(&reserved),
        Listed::Hidden(HiddenReason::ReservedName)
    );
    assert_eq!(
        mapper.file_key(&path(&"n".repeat(175))).unwrap().len(),
        2 + 255
    );
    for too_long in [176, 255] {
        let path = path(&"n".repeat(too_long));
        assert_eq!(mapper.file_key(&path), Err(NameError::TooLong));
        assert_eq!(mapper.dir_prefix(&path), Err(NameError::TooLong));
    }
}

proptest! {
    #[test]
    fn an_encrypted_name_is_listed_under_the_same_name(
        prefix in any_prefix(), dir in any_path(), text in component()
    ) {
        let mapper = encrypted(&prefix);
        let child = name(&text);
        let path = dir.join(&child);
        prop_assume!(!mapper.is_reserved(&path));
        let (Ok(file), Ok(marker)) = (mapper.file_key(&path), mapper.dir_key(&path)) else {
            // The key is too long.
            return Ok(());
        };
        let listing = mapper.directory(&dir).unwrap();
        prop_assert_eq!(listing.object(&file), Listed::Child(child.clone()));
        prop_assert_eq!(listing.common_prefix(&marker), Listed::Child(child));
        prop_assert_eq!(mapper.directory(&path).unwrap().object(&marker), Listed::Marker);
    }

    #[test]
    fn what_is_below_a_directory_is_found_below_another(
        prefix in any_prefix(), from in any_path(), to in any_path(), rest in any_path(),
        marker in any::<bool>(), secret in any::<bool>(),
    ) {
        let mapper = if secret { encrypted(&prefix) } else { mapper(&prefix) };
        let rest = if marker && !rest.is_root() { format!("{rest}/") } else { rest.to_string() };
        let (Ok(source), Ok(target)) =
            (mapper.key_below(&from, &rest), mapper.key_below(&to, &rest))
        else {
            return Ok(());
        };
        let below = mapper.directory(&from).unwrap().below(&source);
        prop_assert_eq!(below, Some(Ok(rest.clone())));
        let below = mapper.directory(&to).unwrap().below(&target);
        prop_assert_eq!(below, Some(Ok(rest.clone())));
        if let Some(path) = rest.strip_suffix('/') {
            let path: VolumePath = path.parse().unwrap();
            let whole = path.rebase(&VolumePath::root(), &from).unwrap();
            prop_assert_eq!(mapper.dir_key(&whole).unwrap(), source);
        }
    }

    #[test]
    fn a_created_name_is_listed_under_the_same_name(
        prefix in any_prefix(), dir in any_path(), text in component()
    ) {
        let mapper = mapper(&prefix);
        let child = name(&text);
        let path = dir.join(&child);
        prop_assume!(!mapper.is_reserved(&path));
        let key = mapper.file_key(&path).unwrap();
        prop_assert_eq!(mapper.directory(&dir).unwrap().object(&key), Listed::Child(child.clone()));
        let key = mapper.dir_key(&path).unwrap();
        prop_assert_eq!(mapper.directory(&dir).unwrap().common_prefix(&key), Listed::Child(child));
        prop_assert_eq!(mapper.directory(&path).unwrap().object(&key), Listed::Marker);
    }

    #[test]
    fn any_listed_key_is_classified_and_a_child_leads_back_to_it(
        prefix in any_prefix(), dir in any_path(), key in "[a./\0.]{0,12}|\\PC{0,20}", inside in any::<bool>()
    ) {
        let mapper = mapper(&prefix);
        let key = if inside { format!("{}{key}", mapper.dir_prefix(&dir).unwrap()) } else { key };
        if let Listed::Child(name) = mapper.directory(&dir).unwrap().object(&key) {
            prop_assert_eq!(mapper.file_key(&dir.join(&name)).unwrap(), key.clone());
        }
        if let Listed::Child(name) = mapper.directory(&dir).unwrap().common_prefix(&key) {
            prop_assert_eq!(mapper.dir_key(&dir.join(&name)).unwrap(), key);
        }
    }

    #[test]
    fn paths_are_read_back_and_rebased_there_and_back(a in any_path(), b in any_path(), rest in any_path()) {
        prop_assert_eq!(a.as_str().parse::<VolumePath>().unwrap(), a.clone());
        let below = rest.rebase(&VolumePath::root(), &a).unwrap();
        prop_assert!(below.starts_with(&a));
        let moved = below.rebase(&a, &b).unwrap();
        prop_assert!(moved.starts_with(&b));
        prop_assert_eq!(moved.rebase(&b, &VolumePath::root()).unwrap(), rest);
    }
}
