//! Looking for a key wherever it must not be.
//!
//! A key is known by each form that a program would write it in, or by half of one; that the
//! search finds what is there is shown by [`tests`] for each kind of place.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// What a key leaves behind.
#[derive(Debug)]
pub struct Traces(Vec<(&'static str, Vec<u8>)>);

impl Traces {
    pub fn of(key: &[u8; 32]) -> Self {
        let mut traces = Vec::new();
        for half in [&key[..16], &key[16..]] {
            let hex: String = half.iter().map(|byte| format!("{byte:02x}")).collect();
            let list = format!("{half:?}");
            traces.extend([
                ("raw bytes", half.to_vec()),
                ("hex", hex.to_uppercase().into_bytes()),
                ("hex", hex.into_bytes()),
                (
                    "decimal bytes",
                    list.trim_matches(['[', ']']).as_bytes().to_vec(),
                ),
            ]);
        }
        // Without its end, which may be padded or not: a whole number of groups.
        let base64 = &STANDARD.encode(key)[..40];
        let percent = base64.replace('+', "%2B").replace('/', "%2F");
        traces.extend([
            ("base64", base64.as_bytes().to_vec()),
            ("percent-encoded base64", percent.into_bytes()),
            (
                "url-safe base64",
                URL_SAFE.encode(key).as_bytes()[..40].to_vec(),
            ),
            // The base64 of its base64, as in a header that is encoded once more.
            (
                "base64 of base64",
                STANDARD.encode(base64).as_bytes()[..40].to_vec(),
            ),
        ]);
        Self(traces)
    }

    /// The form of the key that is in these bytes.
    pub fn find(&self, bytes: &[u8]) -> Option<&'static str> {
        let is_in = |trace: &[u8]| {
            let mut rest = bytes;
            // Quicker than a look at each window, for the data of a server.
            while let Some(at) = rest.iter().position(|byte| *byte == trace[0]) {
                if rest[at..].starts_with(trace) {
                    return true;
                }
                rest = &rest[at + 1..];
            }
            false
        };
        let found = self.0.iter().find(|(_, trace)| is_in(trace));
        found.map(|(form, _)| *form)
    }

    /// Where it is in or below a directory: in the name or the content of a file.
    pub fn below(&self, directory: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let entries = fs::read_dir(directory)
            .unwrap_or_else(|error| panic!("reading {}: {error}", directory.display()));
        for entry in entries {
            let entry = entry.expect("reading a directory");
            let (path, kind) = (entry.path(), entry.file_type().expect("a type"));
            let mut look = |bytes: &[u8]| {
                if let Some(form) = self.find(bytes) {
                    found.push(format!("{form} in {}", path.display()));
                }
            };
            look(entry.file_name().as_bytes());
            if kind.is_symlink() {
                look(fs::read_link(&path).expect("a link").as_os_str().as_bytes());
            } else if kind.is_file() {
                match fs::read(&path) {
                    Ok(content) => look(&content),
                    // A server at work deletes its temporary files.
                    Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => panic!("reading {}: {error}", path.display()),
                }
            } else if kind.is_dir() {
                found.extend(self.below(&path));
            }
        }
        found
    }

    /// Where it is in what the kernel tells everybody of a process.
    pub fn of_process(&self, pid: u32) -> Vec<String> {
        let mut found = Vec::new();
        for file in ["cmdline", "environ", "status", "comm", "maps", "mountinfo"] {
            let path = format!("/proc/{pid}/{file}");
            let content = fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            if let Some(form) = self.find(&content) {
                found.push(format!("{form} in {path}"));
            }
        }
        found
    }
}

mod tests {
    use std::fs;
    use std::process::{Command, Stdio};

    use super::super::process::DEADLINE;
    use super::super::wait::until;
    use super::*;

    const KEY: [u8; 32] = *b"\xfb\xef\xbe\x00a key: each form of it here\xff";

    fn forms() -> Vec<Vec<u8>> {
        let hex: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
        let base64 = STANDARD.encode(KEY);
        assert!(base64.contains(['+', '/']), "its forms differ");
        vec![
            KEY.to_vec(),
            KEY[16..].to_vec(),
            hex.to_uppercase().into_bytes(),
            hex.into_bytes(),
            format!("{KEY:?}").into_bytes(),
            base64.trim_end_matches('=').as_bytes().to_vec(),
            STANDARD.encode(&base64).into_bytes(),
            base64
                .replace('+', "%2B")
                .replace('/', "%2F")
                .replace('=', "%3D")
                .into_bytes(),
            URL_SAFE.encode(KEY).into_bytes(),
        ]
    }

    #[test]
    fn every_form_is_found_in_the_middle_of_bytes_and_below_a_directory() {
        let traces = Traces::of(&KEY);
        for form in forms() {
            let directory = tempfile::tempdir().expect("a directory");
            let inner = directory.path().join("a/b");
            fs::create_dir_all(&inner).expect("a directory");
            fs::write(inner.join("c"), b"something else").expect("a file");
            assert_eq!(traces.below(directory.path()), [""; 0]);
            let planted = [b"\0before ", &*form, b" after"].concat();
            assert!(traces.find(&planted).is_some());
            fs::write(inner.join("c"), planted).expect("a file");
            assert_eq!(traces.below(directory.path()).len(), 1);
        }
        let directory = tempfile::tempdir().expect("a directory");
        let hex: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(directory.path().join(hex), b"").expect("a file");
        assert_eq!(traces.below(directory.path()).len(), 1, "a file's name");
        assert_eq!(traces.find(b"something else"), None);
    }

    #[test]
    fn it_is_found_in_the_arguments_and_the_environment_of_a_process() {
        let traces = Traces::of(&KEY);
        let base64 = STANDARD.encode(KEY);
        for (argument, variable, expected) in [("x", "y", 0), (&*base64, "y", 1), ("x", &base64, 1)]
        {
            let mut child = Command::new("cat")
                .args(["-", argument])
                .env("PLANTED", variable)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("starting cat");
            // The program is told to have started before the kernel shows its arguments.
            let arguments = format!("/proc/{}/cmdline", child.id());
            until(DEADLINE, || {
                let shown = fs::read(&arguments).expect("its arguments");
                (!shown.is_empty()).then_some(())
            })
            .expect("a running program");
            let found = traces.of_process(child.id());
            child.kill().expect("ending cat");
            child.wait().expect("waiting for cat");
            assert_eq!(found.len(), expected, "{found:?}");
        }
    }
}
