//! The public clients, as programs that do what they are told on standard input.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::localstack::LocalStack;
use crate::process::sh;
use crate::s3_server::{Bucket, announced};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Python,
    Java,
}

/// For one answer. Amazon's SDK for Java can wait for ever for the rest of an object that has
/// arrived (`InputStreamSubscriber.read`): then the program is begun anew and asked again.
const PATIENCE: Duration = Duration::from_mins(1);
const TRIES: usize = 3;

/// A client with one key and encryption context, of one bucket.
pub struct Client {
    command: Command,
    running: Running,
    file: PathBuf,
}

struct Running {
    child: Child,
    wishes: Option<ChildStdin>,
    /// Line by line.
    answers: Receiver<String>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the client's program");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (send, answers) = mpsc::channel();
        // It ends with the program's output.
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            wishes: child.stdin.take(),
            answers,
            child,
        }
    }

    /// `None`: it does not answer in time.
    fn ask(&mut self, wish: &[&str]) -> Option<String> {
        let wishes = self.wishes.as_mut().expect("it runs");
        writeln!(wishes, "{}", wish.join("\t")).expect("it hears");
        match self.answers.recv_timeout(PATIENCE) {
            Ok(answer) => Some(answer.trim_end().to_owned()),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => panic!("it ended at {wish:?}"),
        }
    }
}

/// It ends with its input.
impl Drop for Running {
    fn drop(&mut self) {
        drop(self.wishes.take());
        let _ended = self.child.wait();
    }
}

impl Client {
    /// `key` is as the programs take it; `scratch` is for files on the way.
    pub fn start(
        program: Program,
        bucket: &Bucket,
        key: &str,
        context: &[(&str, &str)],
        scratch: &Path,
    ) -> Self {
        let tools = PathBuf::from(announced("CLOAKFS_TEST_TOOLS"));
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/s3ec_interop");
        let server = &bucket.server;
        let ca = server.ca.clone().expect("a certificate");
        let kms = LocalStack::shared().endpoint;
        let mut command = match program {
            Program::Python => {
                let pairs = context.iter();
                let pairs = pairs.map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
                let json = Value::from(pairs.collect::<Map<_, _>>()).to_string();
                let mut command = Command::new(tools.join("s3ec-python/bin/python"));
                command.arg("-I").arg(own.join("s3ec.py"));
                command.args([&server.endpoint, &kms]).arg(&ca);
                let id = key.strip_prefix("kms:").expect("it knows KMS alone");
                command.args([&bucket.name, id, &json]);
                command
            }
            Program::Java => {
                let trusted = scratch.join("trusted.p12");
                if !trusted.exists() {
                    let make = "keytool -importcert -noprompt -file \"$1\" -keystore \"$2\" \
                                -storetype PKCS12 -storepass changeit 2>&1";
                    sh(scratch, make, &[&ca, &trusted]);
                }
                let mut command = Command::new("java");
                command
                    .arg(format!("-Djavax.net.ssl.trustStore={}", trusted.display()))
                    .arg("-Djavax.net.ssl.trustStorePassword=changeit")
                    .arg("-cp")
                    .arg(tools.join("s3ec-java/*"))
                    .arg(own.join("S3ec.java"));
                command.args([&server.endpoint, &kms, &bucket.name, key]);
                command.args(
                    context
                        .iter()
                        .map(|(name, value)| format!("{name}={value}")),
                );
                command
            }
        };
        command
            .envs(server.environment())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        Self {
            running: Running::start(&mut command),
            command,
            file: scratch.join(format!("content-{program:?}-{}", bucket.name)),
        }
    }

    pub fn put(&mut self, key: &str, content: &[u8], version: &str, instruction: bool) {
        fs::write(&self.file, content).expect("a file");
        let file = self.file.display().to_string();
        let mut wish = vec!["put", key, &file, version];
        if instruction {
            wish.push("instruction");
        }
        assert_eq!(self.answer(&wish), "ok", "{key}");
    }

    /// The content, or why it is not read.
    pub fn get(&mut self, key: &str) -> Result<Vec<u8>, String> {
        let file = self.file.display().to_string();
        match self.answer(&["get", key, &file]) {
            answer if answer == "ok" => Ok(fs::read(&self.file).expect("what it read")),
            refused => Err(refused),
        }
    }

    fn answer(&mut self, wish: &[&str]) -> String {
        for _ in 0..TRIES {
            if let Some(answer) = self.running.ask(wish) {
                return answer;
            }
            let _ended_already = self.running.child.kill();
            self.running = Running::start(&mut self.command);
        }
        panic!("{wish:?} was not answered, {TRIES} times")
    }
}
