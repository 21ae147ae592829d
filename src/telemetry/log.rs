//! Where the log goes: standard error, the system's journal, or a file.
//!
//! The filter is `CLOAKFS_LOG` in the syntax of `tracing_subscriber::EnvFilter` (a level, or
//! `target=level` pairs). Whatever it says, other crates are logged at INFO and above only:
//! below that an HTTP client logs headers, and headers carry keys.
//!
//! A log that cannot be written is no reason to stop serving files: lines are then lost, and
//! [`RecentErrors`] still has the last errors.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt};

use super::recent::RecentErrors;

/// The variable that holds the filter.
pub const FILTER_VARIABLE: &str = "CLOAKFS_LOG";
const DEFAULT_FILTER: &str = "warn,cloakfs=info";

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Stderr,
    /// The system's journal; nowhere, with [`Log::note`], where there is none.
    Journal,
    /// Appended to, created with mode 0600.
    File(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the log file {path} cannot be opened: {source}; choose another with --log-file")]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{FILTER_VARIABLE}=\"{filter}\" is not a log filter: {reason}; write a level such as info, or pairs such as warn,cloakfs=debug"
    )]
    Filter { filter: String, reason: String },
    #[error("logging was already set up in this process")]
    AlreadySetUp,
}

/// The running log.
#[derive(Debug)]
pub struct Log {
    recent: RecentErrors,
    file: Option<LogFile>,
    note: Option<&'static str>,
}

impl Log {
    /// Sets up logging for the whole process, records of the `log` crate and panics included.
    pub fn start(destination: &Destination) -> Result<Self, LogError> {
        let filter = std::env::var(FILTER_VARIABLE).unwrap_or_else(|_| DEFAULT_FILTER.to_owned());
        let (subscriber, log) = build(destination, &filter)?;
        subscriber.try_init().map_err(|_| LogError::AlreadySetUp)?;
        let is_stderr = *destination == Destination::Stderr;
        std::panic::set_hook(Box::new(move |panic| {
            tracing::error!("internal error, please report it: {panic}");
            if !is_stderr {
                // While a mount starts, this is what its user sees; later it leads nowhere.
                let _gone = writeln!(io::stderr(), "internal error, please report it: {panic}");
            }
        }));
        Ok(log)
    }

    /// The last errors, for status.
    #[must_use]
    pub fn recent(&self) -> &RecentErrors {
        &self.recent
    }

    /// What the user should know about where the log goes.
    #[must_use]
    pub fn note(&self) -> Option<&'static str> {
        self.note
    }

    /// Opens the log file anew, after it was moved away; `false` where the log is no file.
    pub fn reopen(&self) -> Result<bool, LogError> {
        self.file
            .as_ref()
            .map_or(Ok(false), |file| file.reopen().map(|()| true))
    }
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// The subscriber and its handle, not yet installed.
pub(super) fn build(
    destination: &Destination,
    filter: &str,
) -> Result<(impl Subscriber + Send + Sync + use<>, Log), LogError> {
    let env_filter = EnvFilter::try_new(filter).map_err(|error| LogError::Filter {
        filter: filter.to_owned(),
        reason: error.to_string(),
    })?;
    let mut file = None;
    let mut note = None;
    let output: Option<BoxedLayer> = match destination {
        Destination::Stderr => Some(
            fmt::layer()
                .with_ansi(io::stderr().is_terminal())
                .with_target(false)
                .with_writer(io::stderr)
                .boxed(),
        ),
        Destination::Journal => {
            if let Ok(journal) = tracing_journald::layer() {
                Some(journal.with_syslog_identifier("cloakfs".to_owned()).boxed())
            } else {
                note = Some(
                    "this system has no journal, so the log of this mount is not kept; give --log-file FILE to keep it (`cloakfs status` shows the last errors)",
                );
                None
            }
        }
        Destination::File(path) => {
            let opened = LogFile::open(path)?;
            file = Some(opened.clone());
            Some(
                fmt::layer()
                    .with_ansi(false)
                    .with_target(false)
                    .with_writer(opened)
                    .boxed(),
            )
        }
    };
    let recent = RecentErrors::default();
    let subscriber = tracing_subscriber::registry()
        .with(output)
        .with(recent.clone())
        .with(env_filter)
        .with(filter_fn(is_loggable));
    Ok((subscriber, Log { recent, file, note }))
}

fn is_loggable(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || metadata.target().starts_with("cloakfs")
}

/// A file that is appended to and can be opened anew.
#[derive(Clone, Debug)]
struct LogFile {
    path: PathBuf,
    file: Arc<Mutex<Arc<File>>>,
}

impl LogFile {
    fn open(path: &Path) -> Result<Self, LogError> {
        let file = open_for_append(path)?;
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(Mutex::new(Arc::new(file))),
        })
    }

    fn reopen(&self) -> Result<(), LogError> {
        let fresh = Arc::new(open_for_append(&self.path)?);
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

fn open_for_append(path: &Path) -> Result<File, LogError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| LogError::Open {
            path: path.to_owned(),
            source,
        })
}

/// Writes to the file that was open when the line began.
#[derive(Debug)]
struct LineWriter(Arc<File>);

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        (&*self.0).write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.0).flush()
    }
}

impl MakeWriter<'_> for LogFile {
    type Writer = LineWriter;

    fn make_writer(&self) -> LineWriter {
        LineWriter(Arc::clone(
            &self.file.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}
