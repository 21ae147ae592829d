//! Material is not deleted unasked.

use super::{Keys, have_the_same_material};
use crate::localstack::LocalStack;
use crate::terminal::Terminal;

/// Who is asked answers yes, and nothing else will do.
#[test]
fn the_deletion_of_material_is_asked_about() {
    let keys = Keys::new();
    keys.generate("key");
    let alias = keys.alias("asked");
    keys.done(&["import", "--key-file", "key", "--alias", &alias]);
    let key = LocalStack::kms().behind(&alias);
    let delete = ["delete-material", &*alias];
    let unasked = keys.run(&delete);
    assert!(!unasked.status.success(), "{unasked:?}");
    assert_eq!(
        unasked.stderr,
        "cloakfs: nothing was deleted, since there is no terminal to ask on: give --yes if you have a copy of the material\n"
    );
    let answer = |line: &str| {
        let mut terminal = Terminal::start(&mut keys.command(&delete));
        terminal.answer("shall it be deleted? Type yes: ", line);
        terminal.finish()
    };
    for line in ["", "y", "no"] {
        let (status, shown) = answer(line);
        assert_eq!(status.code(), Some(1), "{shown}");
        assert!(shown.ends_with("cloakfs: nothing was deleted\n"), "{shown}");
    }
    assert!(have_the_same_material(&key, &key), "it is there");
    let (status, shown) = answer("yes");
    assert!(status.success(), "{shown}");
    let warning = format!(
        "Without its material the key {0}, known as {alias}, encrypts and decrypts nothing. Until the same 32 bytes are imported again, nobody can read or change objects that S3 encrypts under it (sse-kms), nor open, read or change volumes that hang on it (cse-kms); mounts answer with EACCES. AWS keeps no copy of the material: without yours it is lost for good, and so is what is encrypted under it.\n",
        key.arn
    );
    assert!(shown.starts_with(&warning), "{shown}");
    assert!(
        shown.ends_with(&format!(
            "is deleted; `cloakfs keys import --kms-key {} --key-file FILE` brings it back\n",
            key.arn
        )),
        "{shown}"
    );
    let told = keys.done(&delete);
    assert!(told.ends_with("has no material: nothing to do\n"), "{told}");
    // KMS's own material is none that could be brought back.
    let own = LocalStack::kms().create();
    let refused = keys.run(&["delete-material", &own.id, "--yes"]);
    assert_eq!(
        refused.stderr,
        format!(
            "cloakfs: the KMS key \"{}\" has material that was not imported (origin AWS_KMS), and such material cannot be deleted: disable the key with `aws kms disable-key`, which can be undone, or schedule its deletion\n",
            own.id
        )
    );
}
