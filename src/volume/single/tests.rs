use super::*;
use crate::crypto::NameKey;

fn keys(names: &Names, name: &str) -> Vec<String> {
    let keys = candidates("p/", names, name);
    keys.iter().map(|key| key.as_str().to_owned()).collect()
}

#[test]
fn a_name_in_clear_is_never_a_key_where_names_are_encrypted() {
    let names = Names::Encrypted(Box::new(NameKey::random()));
    let stored = |path: &str| {
        let path = names.stored_path(&path.parse().unwrap()).unwrap();
        path.file_key().as_str().to_owned()
    };
    for path in ["secret", "secret/also secret", "a/b/c"] {
        assert_eq!(
            keys(&names, path),
            [format!("p/{}", stored(path))],
            "{path}"
        );
    }
    // Not even below or above a component that decrypts.
    let directory = stored("d");
    for mixed in [format!("{directory}/secret"), format!("secret/{directory}")] {
        assert!(!keys(&names, &mixed).contains(&format!("p/{mixed}")));
    }
    let own = stored("d/e");
    assert!(keys(&names, &own).contains(&format!("p/{own}")));
    assert_eq!(keys(&Names::Plain, "a/b")[0], "p/a/b");
}

#[test]
fn a_long_stored_key_is_a_key() {
    let names = Names::Encrypted(Box::new(NameKey::random()));
    let path = vec!["n".repeat(60); 7].join("/");
    let path = names.stored_path(&path.parse().unwrap()).unwrap();
    let own = path.file_key().as_str().to_owned();
    let again = names.stored_path(&own.parse().unwrap()).unwrap();
    assert!(again.as_str().len() > 1024, "too long for a key");
    assert_eq!(keys(&names, &own), [format!("p/{own}")]);
}
