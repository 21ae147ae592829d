use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::watch;

use super::client;
use super::protocol::{Command, Consistency, Encryption, Progress, Status};
use super::server::{ControlSocket, Controlled};
use crate::mount::mountpoint::Mountpoint;
use crate::mount::state::StateDir;

struct Fake {
    mountpoint: PathBuf,
}

impl Controlled for Fake {
    fn mountpoint(&self) -> &Path {
        &self.mountpoint
    }

    fn status(&self) -> Status {
        Status {
            release: "0".to_owned(),
            pid: 7,
            source: "dir:/d".to_owned(),
            encryption: Encryption::of_mode("none"),
            mountpoint: self.mountpoint.clone(),
            consistency: Consistency::default(),
            read_only: false,
            uptime_secs: 1,
            notes: Vec::new(),
            warnings: Vec::new(),
            operations: std::collections::BTreeMap::new(),
            filesystem: serde_json::Value::Null,
            store: serde_json::Value::Null,
            errors: 0,
            last_errors: Vec::new(),
        }
    }

    async fn sync(self: Arc<Self>, progress: watch::Sender<Progress>) -> Result<(), String> {
        for files_done in 1..=3 {
            progress.send_replace(Progress {
                files_done,
                files: 3,
                ..Progress::default()
            });
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn unmount(self: Arc<Self>, _progress: watch::Sender<Progress>) -> Result<(), String> {
        Err("busy".to_owned())
    }
}

struct Place {
    _dir: TempDir,
    mountpoint: Mountpoint,
    socket: PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(&dir.path().join("state")).unwrap();
    let mountpoint = Mountpoint::resolve(dir.path()).unwrap();
    let socket = state.socket(&mountpoint);
    Place {
        _dir: dir,
        mountpoint,
        socket,
    }
}

/// Runs `ask` against a server, on a thread of its own.
async fn with_server<T: Send + 'static>(ask: impl FnOnce(&Place) -> T + Send + 'static) -> T {
    let place = place();
    let server = ControlSocket::bind(&place.socket)
        .unwrap()
        .serve(Arc::new(Fake {
            mountpoint: place.mountpoint.path().to_owned(),
        }));
    let answer = tokio::task::spawn_blocking(move || {
        let answer = ask(&place);
        assert!(place.socket.exists());
        (answer, place)
    });
    let (answer, place) = answer.await.unwrap();
    server.drain().await;
    assert!(!place.socket.exists());
    answer
}

#[tokio::test]
async fn status_is_answered() {
    let status = with_server(|place| client::status(&place.socket, &place.mountpoint)).await;
    assert_eq!(status.unwrap().pid, 7);
}

#[tokio::test]
async fn sync_tells_how_far_it_is_and_ends() {
    let last = with_server(|place| {
        let mut last = Progress::default();
        client::sync(
            &place.socket,
            &place.mountpoint,
            Command::Sync,
            |progress| {
                assert!(progress.files_done >= last.files_done);
                last = progress;
            },
        )
        .map(|()| last)
    })
    .await;
    assert!(last.unwrap().files_done <= 3);
}

#[tokio::test]
async fn a_refused_unmount_is_told_in_the_daemons_words() {
    let refused = with_server(|place| {
        client::sync(&place.socket, &place.mountpoint, Command::Unmount, |_| {})
    })
    .await;
    assert_eq!(refused.unwrap_err().to_string(), "busy");
}

/// Who runs a daemon may send what he likes to the terminal of whoever asks.
#[test]
fn nothing_of_an_answer_is_obeyed_by_a_terminal() {
    let place = place();
    let listener = std::os::unix::net::UnixListener::bind(&place.socket).unwrap();
    let daemon = std::thread::spawn(move || {
        let reason = "no\u{1b}]0;root\u{7}\nall is stored";
        for answer in [
            serde_json::json!({"event": "failed", "reason": reason}).to_string(),
            serde_json::json!({"event": reason}).to_string(),
        ] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            reader.read_line(&mut request).unwrap();
            stream.write_all(format!("{answer}\n").as_bytes()).unwrap();
        }
    });
    for words in ["no\\u{1b}]0;root\\u{7}\\nall is stored", "unknown variant"] {
        let asked = client::sync(&place.socket, &place.mountpoint, Command::Sync, |_| {});
        let refused = asked.unwrap_err().to_string();
        assert!(refused.contains(words), "{refused:?}");
        assert!(!refused.contains(char::is_control), "{refused:?}");
    }
    daemon.join().unwrap();
}

#[tokio::test]
async fn a_socket_left_by_a_dead_daemon_is_replaced() {
    let place = place();
    drop(std::os::unix::net::UnixListener::bind(&place.socket).unwrap());
    assert!(place.socket.exists());
    assert!(ControlSocket::bind(&place.socket).is_ok());
}

#[tokio::test]
async fn a_request_of_another_version_or_mount_is_refused_by_name() {
    let answers = with_server(|place| {
        [
            "{\"version\":9}",
            "{\"version\":1,\"mountpoint\":\"/x\",\"command\":\"sync\"}",
            "{}",
        ]
        .map(|line| {
            let mut stream = UnixStream::connect(&place.socket).unwrap();
            stream.write_all(format!("{line}\n").as_bytes()).unwrap();
            let mut answer = String::new();
            BufReader::new(stream).read_line(&mut answer).unwrap();
            answer
        })
    })
    .await;
    assert!(
        answers[0].contains("was asked in version 9"),
        "{}",
        answers[0]
    );
    assert!(answers[1].contains(", not /x"), "{}", answers[1]);
    assert!(
        answers[2].contains("this is not a request"),
        "{}",
        answers[2]
    );
}

#[test]
fn where_nothing_is_mounted_the_command_says_so() {
    let place = place();
    let error = client::status(&place.socket, &place.mountpoint).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{} is not a cloakfs mount; `findmnt -t fuse.cloakfs` lists those there are",
            place.mountpoint
        )
    );
}
