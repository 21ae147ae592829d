//! Passphrases: from a descriptor, or asked on the terminal without showing what is typed.
//!
//! Never from arguments or the environment, which others can read. What was given is kept as it
//! is, without the end of its line; nothing of it is in an error.
//!
//! Where it comes from is taken ([`Input::take`]) when the process begins: a descriptor that is
//! not open then would later be one of this process's own, and a daemon has no terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zeroize::Zeroizing;

use crate::base::secret::SecretBytes;

/// Longer than anything that anybody types or generates.
const BYTES_MAX: usize = 4096;
/// How long a wait for a key goes on after nobody wants the answer any more.
const POLL_MILLIS: i32 = 200;

// What keys on a terminal send.
const INTERRUPT: u8 = 3;
const END: u8 = 4;
const ERASE: [u8; 2] = [8, 127];
const KILL: u8 = 21;
const QUIT: u8 = 28;

/// Why there is no passphrase. Each message is a whole sentence for the person who mounts.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    #[error("{option} {number} is no open descriptor: open it in the shell, as in {number}<FILE")]
    NoDescriptor { option: &'static str, number: RawFd },
    #[error(
        "the passphrase cannot be asked for, since there is no terminal: give it with --passphrase-fd, or a key with --key-file"
    )]
    NoTerminal,
    #[error("the passphrase cannot be read from {from}: {source}")]
    Unreadable {
        from: String,
        #[source]
        source: io::Error,
    },
    #[error("the passphrase is empty")]
    Empty,
    #[error(
        "the passphrase is longer than {BYTES_MAX} bytes: give a shorter one, or a key with --key-file"
    )]
    TooLong,
    #[error("the passphrase has more than one line: give one")]
    Lines,
    #[error("the two passphrases differ: nothing was done")]
    Differ,
    #[error("no passphrase was given")]
    GivenUp,
}

/// Where a passphrase comes from. Not secret.
#[derive(Clone, Debug)]
pub enum Input {
    Descriptor(RawFd, Arc<File>),
    /// `None` where the process has none.
    Terminal(Option<Arc<File>>),
}

/// For what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To open something.
    Once,
    /// A new one, which whoever mistypes it would lose.
    Twice,
}

/// Ends the asking when it is dropped.
#[derive(Debug, Default)]
pub struct Wanted(Arc<AtomicBool>);

impl Input {
    /// Takes the descriptor of `--passphrase-fd`, or the terminal where none is named.
    ///
    /// # Errors
    /// When it is not open.
    pub fn take(descriptor: Option<RawFd>) -> Result<Self, PassphraseError> {
        Self::take_of("--passphrase-fd", descriptor)
    }

    /// The same for another option.
    ///
    /// # Errors
    /// When it is not open.
    pub fn take_of(
        option: &'static str,
        descriptor: Option<RawFd>,
    ) -> Result<Self, PassphraseError> {
        let Some(descriptor) = descriptor else {
            let terminal = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(libc::O_CLOEXEC | libc::O_NOCTTY)
                .open("/dev/tty");
            return Ok(Self::Terminal(terminal.ok().map(Arc::new)));
        };
        // A copy, since the standard ones are given up and the number may be anybody's.
        // SAFETY: F_DUPFD_CLOEXEC takes an integer; a descriptor that is not open is an error.
        let copy = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 3) };
        if copy < 0 {
            return Err(PassphraseError::NoDescriptor {
                option,
                number: descriptor,
            });
        }
        // SAFETY: it was just made, and nothing else owns it.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(copy) });
        Ok(Self::Descriptor(descriptor, Arc::new(file)))
    }

    /// Whether there is anything to read it from.
    #[must_use]
    pub const fn is_there(&self) -> bool {
        !matches!(self, Self::Terminal(None))
    }

    /// Reads it; waits as long as it takes, or until `wanted` is dropped. `prompt` is shown on a
    /// terminal.
    ///
    /// # Errors
    /// When there is none, or it cannot be one.
    pub fn read(
        &self,
        prompt: &str,
        asked: Asked,
        wanted: &Still,
    ) -> Result<SecretBytes, PassphraseError> {
        match self {
            Self::Descriptor(number, file) => {
                let from = || format!("the descriptor {number}");
                read_to_end(file).map_err(|error| error.from(from()))
            }
            Self::Terminal(None) => Err(PassphraseError::NoTerminal),
            Self::Terminal(Some(terminal)) => {
                let from = || "the terminal".to_owned();
                let ask = |prompt: &str| {
                    ask(terminal, prompt, wanted).map_err(|error| error.from(from()))
                };
                let passphrase = ask(&format!("{prompt}: "))?;
                if asked == Asked::Twice {
                    let again = ask("The same again: ")?;
                    if again.expose() != passphrase.expose() {
                        return Err(PassphraseError::Differ);
                    }
                }
                Ok(passphrase)
            }
        }
    }
}

/// The reader's side of [`Wanted`].
#[derive(Clone, Debug)]
pub struct Still(Arc<AtomicBool>);

impl Wanted {
    #[must_use]
    pub fn still(&self) -> Still {
        Still(Arc::clone(&self.0))
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

enum Failed {
    Io(io::Error),
    Passphrase(PassphraseError),
}

impl Failed {
    fn from(self, from: String) -> PassphraseError {
        match self {
            Self::Io(source) => PassphraseError::Unreadable { from, source },
            Self::Passphrase(error) => error,
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<PassphraseError> for Failed {
    fn from(error: PassphraseError) -> Self {
        Self::Passphrase(error)
    }
}

/// One line, or all up to the end where there is none.
fn read_to_end(file: &File) -> Result<SecretBytes, Failed> {
    // With its end of line, and one byte more to tell a longer one.
    let mut bytes = Zeroizing::new([0; BYTES_MAX + 3]);
    let mut len = 0;
    let mut file = file;
    while len < bytes.len() {
        match file.read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let line = &bytes[..len];
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Ok(checked(line)?)
}

fn checked(passphrase: &[u8]) -> Result<SecretBytes, PassphraseError> {
    match passphrase.len() {
        0 => Err(PassphraseError::Empty),
        long if long > BYTES_MAX => Err(PassphraseError::TooLong),
        _ if passphrase.contains(&b'\n') => Err(PassphraseError::Lines),
        _ => Ok(SecretBytes::copy(passphrase)),
    }
}

fn ask(mut terminal: &File, prompt: &str, wanted: &Still) -> Result<SecretBytes, Failed> {
    let silent = Silent::make(terminal)?;
    terminal.write_all(prompt.as_bytes())?;
    let line = read_line(terminal, wanted);
    drop(silent);
    // What was typed at its end was not shown.
    terminal.write_all(b"\n")?;
    line
}

fn read_line(mut terminal: &File, wanted: &Still) -> Result<SecretBytes, Failed> {
    let mut line = Zeroizing::new([0; BYTES_MAX + 1]);
    let mut len = 0;
    loop {
        wait(terminal, wanted)?;
        let mut typed = Zeroizing::new([0; 1]);
        match terminal.read(&mut typed[..]) {
            Ok(0) => return Err(PassphraseError::GivenUp.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        }
        match typed[0] {
            b'\r' | b'\n' => break,
            END if len > 0 => break,
            INTERRUPT | QUIT | END => return Err(PassphraseError::GivenUp.into()),
            KILL => len = 0,
            // The whole character, as UTF-8 has it.
            erase if ERASE.contains(&erase) => {
                while len > 0 {
                    len -= 1;
                    if line[len] & 0xc0 != 0x80 {
                        break;
                    }
                }
            }
            byte if len < line.len() => {
                line[len] = byte;
                len += 1;
            }
            _ => return Err(PassphraseError::TooLong.into()),
        }
    }
    Ok(checked(&line[..len])?)
}

/// Until a key is pressed.
fn wait(terminal: &File, wanted: &Still) -> Result<(), Failed> {
    loop {
        if wanted.0.load(Ordering::Relaxed) {
            return Err(PassphraseError::GivenUp.into());
        }
        let mut poll = libc::pollfd {
            fd: terminal.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: `poll` is one valid pollfd for the duration of the call.
        match unsafe { libc::poll(&raw mut poll, 1, POLL_MILLIS) } {
            0 => {}
            ready if ready > 0 => return Ok(()),
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error.into());
                }
            }
        }
    }
}

/// A terminal that shows nothing and gives every key as it is, so that ^C is one too: a signal
/// would end the process and leave the terminal silent.
struct Silent<'a> {
    terminal: &'a File,
    before: libc::termios,
}

impl<'a> Silent<'a> {
    fn make(terminal: &'a File) -> io::Result<Self> {
        let mut before = std::mem::MaybeUninit::uninit();
        // SAFETY: `before` has room for the settings.
        if unsafe { libc::tcgetattr(terminal.as_raw_fd(), before.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: tcgetattr succeeded.
        let before = unsafe { before.assume_init() };
        let mut silent = before;
        silent.c_lflag &= !(libc::ECHO | libc::ECHONL | libc::ICANON | libc::ISIG);
        silent.c_cc[libc::VMIN] = 1;
        silent.c_cc[libc::VTIME] = 0;
        // What was typed before it was asked for is dropped: it was shown.
        // SAFETY: the settings are valid for the duration of the call.
        if unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSAFLUSH, &raw const silent) } != 0
        {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // SAFETY: as in `make`. A terminal that is gone needs no settings.
        unsafe {
            libc::tcsetattr(
                self.terminal.as_raw_fd(),
                libc::TCSAFLUSH,
                &raw const self.before,
            )
        };
    }
}
